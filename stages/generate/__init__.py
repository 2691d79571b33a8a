"""Images of a class from a text-to-image model, each with the attention map of its class word."""
