"""Novel class discovery: regions, their features, clusters and names, a ranking by entropy, and self-training on it."""
