"""Unsupervised domain adaptation with pasted cutouts: DACS on mmsegmentation."""
