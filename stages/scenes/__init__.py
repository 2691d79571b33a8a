"""The room of the datasets: source and target images as shards, with the class pixels of every labelled image."""
