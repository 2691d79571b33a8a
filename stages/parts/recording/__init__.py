"""The attention recorder: what a diffusion model attends to while it draws, summed up as it goes."""
