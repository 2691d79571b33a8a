"""The same jobs in this process, on processes, or on a Ray cluster."""
