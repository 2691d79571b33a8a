"""Masks as arrays: seeds, the dense CRF, contours, scores, points, and what disagrees about an edge."""
