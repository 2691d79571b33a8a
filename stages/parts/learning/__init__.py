"""How a segmenter learns: batches, augmentations, pseudo-labels, teachers, optimisation, several GPUs."""
