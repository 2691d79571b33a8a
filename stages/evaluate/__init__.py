"""IoU of every class, and its mean over all, base and novel classes, on labelled target images."""
