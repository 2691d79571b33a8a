"""Dataset Diffusion: a labelled set drawn from captions, and a segmenter trained on it; lines/dataset_diffusion."""
