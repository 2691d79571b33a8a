"""Cutouts laid into labelled scenes: where, how large, and how they meet the scene."""
