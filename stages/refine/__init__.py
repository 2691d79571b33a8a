"""refine: image + attribution map -> a mask, and every score that a cleaner may want."""
