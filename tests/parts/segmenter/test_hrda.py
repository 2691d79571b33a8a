"""HRDA: fusion by hand, and what each place of the fused map can have seen."""

from __future__ import annotations

import pytest
import torch

from stages.parts.segmenter.hrda import HRDA, fuse
from stages.parts.segmenter.networks import build_segmenter


def network(name: str = "unet") -> HRDA:
    torch.manual_seed(0)
    made = build_segmenter(name, 4, detail=(32, 64)).eval()
    assert isinstance(made, HRDA)
    return made


def test_fusion_by_hand():
    coarse, detail = torch.tensor([[[[2.0, 4.0]]]]), torch.tensor([[[[10.0, 20.0, 30.0, 40.0]] * 2]])
    assert fuse(coarse, detail, torch.zeros(1, 1, 1, 2))[0, 0].tolist() == [[2.0, 2.5, 3.5, 4.0]] * 2  # up(coarse)
    assert fuse(coarse, detail, torch.ones(1, 1, 1, 2))[0, 0].tolist() == [[10.0, 20.0, 30.0, 40.0]] * 2
    half = fuse(coarse, detail, torch.tensor([[[[0.5, 0.0]]]]))
    # up((1 - a) c) = [1, 1.75, 3.25, 4]; up(a) = [.5, .375, .125, 0]
    assert half[0, 0, 0].tolist() == pytest.approx([1 + 5, 1.75 + 7.5, 3.25 + 3.75, 4])


def test_each_class_has_an_attention_of_its_own():
    coarse, detail = torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 2, 2)
    attention = torch.tensor([1.0, 0.25])[None, :, None, None]
    assert fuse(coarse, detail, attention)[0, :, 0, 0].tolist() == [1.0, 0.25]


@pytest.mark.parametrize("name", ["unet", "daformer-b0"])
def test_outside_of_the_detail_the_context_alone_is_seen(name: str):
    made, images = network(name), torch.rand(2, 3, 64, 128)
    with torch.inference_mode():
        here, there = (made.look(images, [corner] * 2).fused for corner in [(0, 0), (32, 64)])
        _, coarse = made._context(images)
    step = 64 // here.shape[2]
    far = (..., slice(32 // step + 2, None), slice(None, 64 // step - 2))  # lower left: in neither detail
    assert torch.equal(here[far], there[far])
    expected = fuse(coarse, torch.zeros_like(here), torch.zeros_like(coarse))
    assert torch.allclose(here[far], expected[far])
    assert not torch.allclose(here[..., : 32 // step, : 64 // step], expected[..., : 32 // step, : 64 // step])


def test_each_image_has_a_detail_of_its_own():
    made, images = network(), torch.rand(2, 3, 64, 128)
    corners = [(0, 8), (32, 56)]
    with torch.inference_mode():
        together = made.look(images, corners)
        alone = [made.look(images[k : k + 1], corners[k : k + 1]) for k in range(2)]
    for k in range(2):
        torch.testing.assert_close(together.fused[k], alone[k].fused[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.detail[k], alone[k].detail[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.detail.shape, torch.Size([2, 4, 16, 32]))


def test_inference_takes_the_mean_of_the_details_that_slide_over_the_image():
    made, image = network(), torch.rand(1, 3, 64, 128)
    total, times = torch.zeros(1, 4, 32, 64), torch.zeros(1, 1, 32, 64)
    with torch.inference_mode():
        for row in (0, 16, 32):  # pixels: half of a detail further each time
            for col in (0, 32, 64):
                detail = made.decode_head(made.extract_feat(image[..., row : row + 32, col : col + 64]))
                total[..., row // 2 : row // 2 + 16, col // 2 : col // 2 + 32] += detail
                times[..., row // 2 : row // 2 + 16, col // 2 : col // 2 + 32] += 1
        features, coarse = made._context(image)
        expected = fuse(coarse, total / times, made.attention_head(features).sigmoid())
        torch.testing.assert_close(made.fused(image), expected, rtol=1e-4, atol=1e-5)
