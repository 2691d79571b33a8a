"""The painter sharpens what the VAE draws and leaves the latents, which the diffusion model knows, alone."""

import numpy as np
import torch

from stages.miniature.book import Book
from stages.miniature.painter import ADVERSARY, START, adaptive, adversarial, discriminator
from stages.miniature.vae import build
from stages.parts.world.pages import page

IMAGES = np.stack([page(k, 0).image for k in range(4)])


class Pages(Book):
    """A book of four pages that was never printed."""

    def __init__(self) -> None:
        self.images = IMAGES

    def __len__(self) -> int:
        return len(self.images)


def players():
    model, judge = build(), discriminator()
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    return model, judge, adversarial(model, judge, Pages())


def gradients(step: int, skip: str) -> dict[str, torch.Tensor]:
    """Those of one step with all of the loss, by parameter that has one; `skip` names the player that is not asked."""
    torch.manual_seed(0)
    model, judge, loss = players()
    loss(step, np.random.default_rng(0), torch.Generator()).backward()
    asked = judge if skip == "model" else model
    return {name: p.grad for name, p in asked.named_parameters() if p.grad is not None}


def test_the_encoder_gets_no_gradient_and_the_decoder_does() -> None:
    found = gradients(START, skip="judge")
    assert not [name for name in found if name.startswith(("encoder.", "quant_conv."))]
    assert all(found[f"decoder.{name}.weight"].any() for name in ("conv_in", "conv_out"))


def test_the_discriminator_learns_to_tell_and_never_to_be_fooled() -> None:
    # Before START the decoder does not play against it: its gradients are those of telling alone, then as after.
    before, after = gradients(START - 1, skip="model"), gradients(START, skip="model")
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_weight_makes_the_two_gradients_a_fixed_ratio() -> None:
    last = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    distance, fooled = (last * torch.tensor([1.0, 0.0])).sum(), (last * torch.tensor([0.0, 20.0])).sum()
    torch.testing.assert_close(adaptive(distance, fooled, last), torch.tensor(ADVERSARY / 20))
