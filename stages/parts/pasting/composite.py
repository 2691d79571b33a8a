"""One cutout on top of a labelled scene: the compositing of the training transform and of materialised sets alike.

A cutout is (h, w, 4) uint8 RGBA, or (h, w, 5): its fifth channel is 255 where the mask is in doubt, else 0; or
(h, w, 6): its sixth is the soft opacity of its edge, 0 to 255, and it has colour wherever that is above 0. Opaque is
alpha >= 128. The object is the box of the opaque pixels: doubt and a soft edge may reach beyond it, into a margin.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import IGNORE

Pixels = NDArray[np.uint8]
Blend = Literal["hard", "feather", "poisson", "alpha"]


@dataclass(frozen=True)
class Edge:
    """How a cutout meets the scene.

    blend    hard: its opaque pixels replace the scene's. feather: its opacity, blurred, mixes the two, from the
             outline inwards. poisson: its gradients are kept, its colours fade into the scene's. alpha: its soft
             opacity mixes the two, on both sides of the outline; one without it is pasted hard.
    feather  sigma of that blur, pixels
    ring     pixels on either side of the outline that are labelled 255
    """

    blend: Blend = "hard"
    feather: float = 1.0
    ring: int = 0


HARD = Edge()


def paste(
    image: Pixels,
    label: Pixels,
    cutout: Pixels,
    class_id: int,
    row: int,
    col: int,
    edge: Edge = HARD,
    protected: Collection[int] = (),
) -> None:
    """Paint the cutout into image (H, W, 3) RGB and label (H, W) train ids, its upper left pixel at (row, col).

    Both uint8, changed in place. What lies outside of the image is clipped, up to all of it. Pixels of protected
    classes stay as they are: the cutout stands behind them. Doubtful pixels are painted by their alpha and labelled
    255. ValueError unless 0 <= class_id < 255.
    """
    if not 0 <= class_id < IGNORE:
        raise ValueError(f"class id {class_id} is not in 0..{IGNORE - 1}")
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + cutout.shape[0], label.shape[0]), min(col + cutout.shape[1], label.shape[1])
    if top >= bottom or left >= right:
        return
    visible = cutout[top - row : bottom - row, left - col : right - col]
    pixels, ids = image[top:bottom, left:right], label[top:bottom, left:right]
    opaque = visible[..., 3] >= 128
    free = ~np.isin(ids, list(protected)) if protected else np.ones_like(opaque)
    painted = opaque & free
    if edge.blend == "poisson":
        _poisson(image, visible, opaque, top, left, free)
    elif edge.blend == "feather":
        whole = _feathered(cutout[..., 3], edge.feather)  # of the whole: the image's border is no outline
        _mix(pixels, visible, whole[top - row : bottom - row, left - col : right - col] * free)
    elif edge.blend == "alpha" and visible.shape[2] > 5:
        _mix(pixels, visible, visible[..., 5].astype(np.float32) / 255 * free)
    else:
        cv2.copyTo(np.ascontiguousarray(visible[..., :3]), painted.view(np.uint8), pixels)
    ids[painted] = class_id
    if edge.ring:
        _ring(label, opaque, top, left, edge.ring, protected)
    if visible.shape[2] > 4:
        ids[(visible[..., 4] >= 128) & free] = IGNORE


def plain(cutout: Pixels) -> Pixels:
    """The cutout without a soft edge: (h, w, 6) -> (h, w, 5) with no colour beyond its outline; others as they are."""
    if cutout.shape[2] < 6:
        return cutout
    hard = cutout[..., :5].copy()
    hard[hard[..., 3] == 0, :3] = 0
    return hard


def _mix(pixels: Pixels, visible: Pixels, opacity: NDArray[np.floating]) -> None:
    """Lay the cutout over the scene's pixels, in place. opacity: (h, w) in 0..1."""
    opacity = opacity[..., None]
    pixels[:] = np.rint(opacity * visible[..., :3] + (1 - opacity) * pixels)


def _feathered(alpha: Pixels, sigma: float) -> NDArray[np.float32]:
    """(h, w) in 0..1: the opacity falls off inside of the outline; beyond it, where colour is unknown, it is 0."""
    opacity = np.pad(alpha, 1).astype(np.float32) / 255
    inner = np.clip(2 * cv2.GaussianBlur(opacity, (0, 0), sigma) - 1, 0, 1)
    return np.minimum(inner, opacity)[1:-1, 1:-1]


def _poisson(image: Pixels, visible: Pixels, opaque: NDArray[np.bool_], top: int, left: int, free: NDArray) -> None:
    """Perez et al. 2003. Worked out on the cutout's place and two pixels around it, mirrored at the image's border.

    OpenCV's solution lives on the mask without its outermost pixels: where nothing is left of it, the cutout is
    pasted hard.
    """
    mask = np.pad(opaque.view(np.uint8), 2) * np.uint8(255)
    place = image[top : top + opaque.shape[0], left : left + opaque.shape[1]]
    painted = (opaque & free).view(np.uint8)
    if not cv2.erode(mask, np.ones((3, 3), np.uint8)).any():
        cv2.copyTo(np.ascontiguousarray(visible[..., :3]), painted, place)
        return
    height, width = opaque.shape
    wide = cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_REFLECT)
    scene = np.ascontiguousarray(wide[top : top + height + 4, left : left + width + 4])
    source = np.zeros_like(scene)
    source[2:-2, 2:-2] = visible[..., :3]
    x, y, across, down = cv2.boundingRect(mask)
    cloned = cv2.seamlessClone(source, scene, mask, (x + across // 2, y + down // 2), cv2.NORMAL_CLONE)
    cv2.copyTo(cloned[2:-2, 2:-2], painted, place)


def _ring(
    label: Pixels, opaque: NDArray[np.bool_], top: int, left: int, width: int, protected: Collection[int]
) -> None:
    """255 on the pixels within `width` of the outline on either side, but for protected ones. The image's border is
    no outline: a cutout that leaves the image goes on there."""
    first_row, first_col = max(top - width, 0), max(left - width, 0)
    place = label[first_row : top + opaque.shape[0] + width, first_col : left + opaque.shape[1] + width]
    mask = np.zeros(place.shape, np.uint8)
    mask[top - first_row :, left - first_col :][: opaque.shape[0], : opaque.shape[1]] = opaque
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    grown, shrunk = (f(mask, kernel, borderType=cv2.BORDER_REPLICATE) for f in (cv2.dilate, cv2.erode))
    place[(grown != shrunk) & ~np.isin(place, list(protected))] = IGNORE


def object_box(cutout: Pixels) -> tuple[slice, slice]:
    """Rows and columns of the object in its cutout; all of a cutout without an opaque pixel."""
    opaque = cutout[..., 3] >= 128
    along = [np.flatnonzero(opaque.any(axis)) for axis in (1, 0)]
    if not along[0].size:
        return slice(0, cutout.shape[0]), slice(0, cutout.shape[1])
    rows, columns = (slice(int(found[0]), int(found[-1]) + 1) for found in along)
    return rows, columns


def resize_object(cutout: Pixels, height: int, width: int) -> tuple[Pixels, int, int]:
    """The cutout with its object height x width pixels and its margins in proportion, and the row and column at which
    the object begins in it.

    The object and each margin are resized by themselves: of the whole in one piece, the object's edges would fall
    between pixels, and it would be a pixel too tall or too short and stand beside its ground."""
    rows, columns = object_box(cutout)
    down, across = _bands(rows, cutout.shape[0], height), _bands(columns, cutout.shape[1], width)
    lines = [[resize(cutout[row, col], tall, wide) for col, wide in across] for row, tall in down]
    whole = np.concatenate([np.concatenate(line, axis=1) for line in lines])
    above, beside = (
        sum(size for part, size in bands if part.stop <= own.start) for bands, own in ((down, rows), (across, columns))
    )
    return whole, above, beside


def _bands(own: slice, length: int, size: int) -> list[tuple[slice, int]]:
    """The parts of an axis, margin, object, margin, with their resized lengths; parts without a pixel are left out."""
    scale = size / (own.stop - own.start)
    parts = [(slice(0, own.start), round(own.start * scale)), (own, size)]
    parts.append((slice(own.stop, length), round((length - own.stop) * scale)))
    return [(part, resized) for part, resized in parts if resized]


def resize(cutout: Pixels, height: int, width: int) -> Pixels:
    """(h, w, 4 to 6) -> (height, width, as many), alpha and doubt 0 or 255, a soft edge 0 to 255. Colours are weighted
    by alpha, or by where a soft edge is above 0: nothing bleeds in."""
    if cutout.shape[:2] == (height, width):
        return cutout
    # One plane at a time: numpy and OpenCV are several times as fast on contiguous planes as on channels.
    planes = [plane.astype(np.float32) for plane in cv2.split(np.ascontiguousarray(cutout))]
    flags = [plane / np.float32(255) for plane in planes[3:]]
    soft = len(planes) > 5
    known = [np.maximum(flags[0], planes[5] > 0)] if soft else flags[:1]
    weighted = [*(plane * known[0] for plane in planes[:3]), *flags, *(known if soft else [])]
    way = cv2.INTER_AREA if height < cutout.shape[0] else cv2.INTER_LINEAR
    # Four planes at a time: OpenCV averages over areas in no more.
    parts = [cv2.merge(weighted[k : k + 4]) for k in range(0, len(weighted), 4)]
    resized = [plane for part in parts for plane in cv2.split(cv2.resize(part, (width, height), interpolation=way))]
    weight = np.maximum(resized[6 if soft else 3], np.float32(1e-6))
    colours = [np.rint(plane / weight).clip(0, 255) for plane in resized[:3]]
    whole = [np.where(plane >= 0.5, np.float32(255), np.float32(0)) for plane in resized[3:5]]
    edge = [np.rint(255 * resized[5])] if soft else []
    return cv2.merge([plane.astype(np.uint8) for plane in (*colours, *whole, *edge)]).astype(np.uint8, copy=False)


def match_colours(cutout: Pixels, scene: Pixels, strength: float) -> Pixels:
    """The cutout with the mean and spread of its opaque pixels moved towards the scene's (Reinhard et al. 2001).

    In CIELAB, each channel on its own; strength 0 = as it is, 1 = the scene's. A cutout without an opaque pixel
    comes back as it is.
    """
    opaque = cutout[..., 3] >= 128
    if not strength or not opaque.any():
        return cutout
    step = max(1, min(scene.shape[:2]) // 64)  # 64 rows or columns tell the colours well enough
    there = cv2.cvtColor(np.ascontiguousarray(scene[::step, ::step]), cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(float)
    lab = cv2.cvtColor(np.ascontiguousarray(cutout[..., :3]), cv2.COLOR_RGB2LAB).astype(float)
    mean, spread = lab[opaque].mean(0), lab[opaque].std(0) + 1e-6
    goal = mean + strength * (there.mean(0) - mean), spread + strength * (there.std(0) - spread)
    moved = np.clip((lab - mean) * goal[1] / spread + goal[0], 0, 255).round().astype(np.uint8)
    return np.concatenate([cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), cutout[..., 3:]], axis=2)
