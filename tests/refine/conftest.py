"""The tiny models of parts/pretrained, for the stage that uses them."""

from tests.parts.pretrained.conftest import clip_folder, mismatched_sam_folder, sam_folder

__all__ = ["clip_folder", "mismatched_sam_folder", "sam_folder"]
