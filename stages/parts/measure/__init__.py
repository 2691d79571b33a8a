"""From label maps to numbers: confusion matrix, IoU, boundary IoU."""
