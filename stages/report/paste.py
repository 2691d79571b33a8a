"""The idea in one picture: a cutout laid into a source street, and its class into the street's label.

Size and place are the report's own, so that the object is well seen; what training draws is stages/train's matter.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from stages.parts.drawing.sheets import Picture, Plane

HEIGHT, FOOT = 0.5, 0.88  # of the object, and of its lower edge, as shares of the scene's height
WIDEST = 0.8  # share of the scene's width that it may fill


def pasted(scene: Picture, label: Plane, image: Picture, mask: Plane, train_id: int) -> tuple[Picture, Plane]:
    """The scene (H, W, 3) with the masked part of the image in its middle, and the label (H, W) with its train id.

    Copies; an empty mask changes nothing."""
    scene, label = scene.copy(), label.copy()
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return scene, label
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    height, width = scene.shape[:2]
    scale = min(HEIGHT * height / (box[0].stop - box[0].start), WIDEST * width / (box[1].stop - box[1].start))
    size = [max(1, round(scale * (part.stop - part.start))) for part in box]
    colour = _resized(image[box], size, Image.Resampling.BILINEAR)
    opaque = _resized(np.where(mask[box] > 0, np.uint8(255), np.uint8(0)), size, Image.Resampling.NEAREST) > 0
    top, left = max(0, round(FOOT * height) - size[0]), (width - size[1]) // 2
    place = slice(top, top + size[0]), slice(left, left + size[1])
    scene[place][opaque] = colour[opaque]
    label[place][opaque] = train_id
    return scene, label


def _resized(plane: np.ndarray, size: list[int], how: Image.Resampling) -> np.ndarray:
    return np.array(Image.fromarray(plane).resize((size[1], size[0]), how))
