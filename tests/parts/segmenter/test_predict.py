"""How an image is looked at: at which size, by windows, mirrored; with a network that looks at single pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.parts.learning.transforms import ResizeTo
from stages.parts.segmenter.predict import View, predict, slide, windows


class Brightness(torch.nn.Module):
    """A network of two classes: the second is as likely as a pixel is bright. Counts its passes."""

    passes = 0

    def data_preprocessor(self, data: dict, training: bool) -> dict:
        return data | {"inputs": torch.stack(data["inputs"]).float() / 255}

    def encode_decode(self, images: torch.Tensor, metas: list) -> torch.Tensor:
        self.passes += 1
        assert len(metas) == len(images)
        return torch.stack([1 - images[:, 0], images[:, 0]], dim=1)


def noise(height: int = 48, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("view", [View(), View(window=(32, 32), stride=(16, 16)), View(flip=True)])
def test_a_network_that_looks_at_single_pixels_sees_the_same_however_it_looks(view: View):
    """Windows that overlap or are moved back inside, and a mirror image turned back, cover each pixel rightly."""
    image = noise()
    assert (predict(Brightness(), [image, image], view)[1] == (image[..., 0] >= 128)).all()


def test_windows_cover_the_image_and_the_last_ones_are_moved_back_inside():
    found = [(rows.start, cols.start) for rows, cols in windows((48, 80), (32, 64), (32, 32))]
    assert found == [(0, 0), (0, 16), (16, 0), (16, 16)]
    assert list(windows((20, 20), (32, 32), (16, 16))) == [(slice(0, 32), slice(0, 32))]


def test_overlapping_windows_are_averaged():
    def number_of_pass() -> torch.Tensor:
        counter.append(0)
        return torch.full((1, 1, 2, 2), float(len(counter)))

    counter: list[int] = []
    out = slide(lambda images: number_of_pass(), torch.zeros(1, 3, 2, 4), (2, 2), (2, 1))
    assert out[0, 0].tolist() == [[1.0, 1.5, 2.5, 3.0]] * 2


def test_an_image_may_be_brought_to_another_size_and_is_told_at_its_own():
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 32:] = 255
    small = predict(Brightness(), [image], View(size=(16, 32)))[0]
    assert small.shape == (32, 64)
    assert (small[:, 34:] == 1).all() and (small[:, :30] == 0).all()


def test_an_image_is_brought_to_size_as_in_training():
    """Without antialiasing: at a quarter of its width, only the two middle columns of each four count."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 0::4] = image[:, 3::4] = 255
    assert not predict(Brightness(), [image], View(size=(32, 16)))[0].any()
    results = ResizeTo(32, 16).transform({"img": image})
    assert not results["img"].any()
