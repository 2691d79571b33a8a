"""Unsupervised domain adaptation with pasted cutouts: DACS, DAFormer, HRDA and MIC on mmsegmentation."""
