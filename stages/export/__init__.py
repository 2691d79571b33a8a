"""export: the kept cutouts as folders for people and for other tools. One file per format."""
