"""clean: the score table -> a keep-list with a reason per rejected sample. It moves no pixel."""
