"""Pretrained models: where their weights are, whether they are whole, and how each is asked."""
