"""A training of the small models that was killed goes on to the same weights as one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from stages.miniature import apprentice
from stages.parts.errors import GraftError


def regression(model: nn.Module):
    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32)) + 0.1 * torch.randn(8, 3, generator=noise)
        return (model(x) - x.sum(1, keepdim=True)).square().mean()

    return loss


def fit(folder: Path, stop_at: int | None = None, normed: bool = False) -> nn.Module:
    """60 steps, or a kill once `stop_at` steps are done. `normed`: by an estimate that is kept in buffers."""
    torch.manual_seed(0)
    model = spectral_norm(nn.Linear(3, 1)) if normed else nn.Linear(3, 1)
    loss = regression(model)

    def watched(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        return loss(step, rng, noise)

    apprentice.train(model, watched, title="line", steps=60, lr=0.1, folder=folder, average=0.9, every=7)
    return model


def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "killed", stop_at=31)
    resumed = fit(tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_what_a_model_remembers_beside_its_weights_comes_back_too(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", normed=True).state_dict()
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "killed", stop_at=31, normed=True)
    resumed = fit(tmp_path / "killed", normed=True).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_it_learns(tmp_path: Path) -> None:
    assert torch.allclose(next(fit(tmp_path).parameters()), torch.ones(1, 3), atol=0.15)


def test_a_loss_that_is_not_finite_is_one_sentence(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(GraftError, match="loss is nan at step 0"):
        apprentice.train(
            model, lambda *_: model.weight.sum() * float("nan"), title="x", steps=2, lr=0.1, folder=tmp_path
        )
