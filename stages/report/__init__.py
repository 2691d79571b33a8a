"""report: the table of IoU per class and recipe, the plots, and one page to look at."""
