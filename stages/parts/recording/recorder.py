"""One recorder of attention for any model: who listens where, and the probabilities of one call.

An adapter (unet.py, joint.py) names the attention layers of a model; a method (ovam.py, daam.py,
dataset_diffusion.py, self_attention.py) says which of them it listens to and what it sums. What is listened to is
the output of a layer's own projections: queries where to_q gives them, keys where to_k does. The image comes from
whatever attention the model was given (scaled_dot_product_attention, sliced, ...) and is bit-identical to one that
nobody listened to; only the probabilities that were asked for are computed beside it, summed in float32, and
nothing is kept from step to step but the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.parts.recording.sampling import Branch

Size = tuple[int, int]
Sink = Callable[[Tensor], None]


@dataclass(frozen=True)
class Layer:
    """An attention layer: `query` and `key` are the modules whose outputs are Q and K, (rows, N, heads * d) or
    (rows, heads, N, d); `scale` multiplies Q K^T; `project` gives the keys K' of a text's embedding (rows, n, c)."""

    name: str
    heads: int
    scale: float
    query: nn.Module
    key: nn.Module
    project: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tap:
    """Hand every output of `module` to `sink`."""

    module: nn.Module
    sink: Sink


@contextmanager
def listening(taps: Iterable[Tap], steps: Collection[int] | None = None) -> Iterator[None]:
    """Listen while the model is sampled; to the calls number `steps` of each module (from 0), by default to all.

    When the context is left, also by an exception, the model is as it was."""
    with ExitStack() as stack:
        for tap in taps:
            stack.callback(tap.module.register_forward_hook(_hook(tap.sink, steps)).remove)
        yield


def _hook(sink: Sink, steps: Collection[int] | None) -> Callable[..., None]:
    calls = 0

    @torch.compiler.disable
    @torch.no_grad()
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal calls
        if steps is None or calls in steps:
            sink(output)
        calls += 1

    return hook


def text_tap(layer: Layer, embedding: Tensor, add: Callable[[Tensor, Tensor], None]) -> Tap:
    """add(Q, K') at every call of a layer, K' being the keys of a text of our own, (B, n, c).

    K' is the same at every call; it is computed at the first, when the layer's weights are where they compute."""
    keys: list[Tensor] = []

    def sink(query: Tensor) -> None:
        if not keys:
            keys.append(layer.project(embedding.to(query.device, query.dtype)))
        add(query, keys[0])

    return Tap(layer.query, sink)


def own_taps(layer: Layer, add: Callable[[Tensor, Tensor], None]) -> list[Tap]:
    """add(Q, K) at every call of a layer, K being what the layer itself attends to."""
    waiting: list[Tensor] = []
    return [Tap(layer.query, waiting.append), Tap(layer.key, lambda key: add(waiting.pop(), key))]


def branch_rows(rows: Tensor, samples: int, branch: Branch) -> tuple[Tensor, ...]:
    """The rows of a branch: (samples, ...) each, one entry for `uncond` or `cond`, two for `both`.

    A guided call has 2 * samples rows, unconditional first; an unguided one has the conditional rows alone.
    ValueError for any other number, and for a branch that is not there."""
    if len(rows) == samples and branch == "cond":
        return (rows,)
    if len(rows) == 2 * samples:
        uncond, cond = rows.chunk(2)
        return {"uncond": (uncond,), "cond": (cond,), "both": (uncond, cond)}[branch]
    raise ValueError(f"{len(rows)} rows of queries for {samples} texts have no branch {branch!r}")


def scores(query: Tensor, key: Tensor, heads: int, scale: float) -> Tensor:
    """Q K^T * scale in float32: (B, heads, N, n)."""
    q, k = (split_heads(tokens, heads) for tokens in (query, key))
    return scale * q @ k.transpose(-1, -2)


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, N, heads * d), or what is split already -> (B, heads, N, d) float32."""
    return tokens.float() if tokens.ndim == 4 else tokens.float().unflatten(2, (heads, -1)).transpose(1, 2)


def layer_size(latent: Size, pixels: int) -> Size:
    """(height, width) of a layer with so many pixels: the latent's, halved (rounding up) until it fits.

    ValueError for a number that no halving gives."""
    height, width = latent
    while height * width > pixels:
        height, width = -(-height // 2), -(-width // 2)
    if height * width != pixels:
        raise ValueError(f"a layer of {pixels} pixels is no scale of a {latent[0]} x {latent[1]} latent")
    return height, width
