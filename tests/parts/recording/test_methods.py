"""What each method gives, against its own formula evaluated from the hidden states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.generate.sampler import Pipeline, load, sample_block
from stages.parts.prompts.grammar import Grammar
from stages.parts.prompts.prompt import cut, draw, subject_tokens
from stages.parts.recording.daam import Daam
from stages.parts.recording.dataset_diffusion import DatasetDiffusion
from stages.parts.recording.methods import recording
from stages.parts.recording.ovam import record
from stages.parts.recording.recorder import Tap, layer_size, listening
from stages.parts.recording.sampling import Way
from stages.parts.recording.self_attention import SelfAttention
from stages.parts.recording.unet import cross_attention, embed, embed_padded, halvings, self_attention
from tests.parts.recording.conftest import LATENT, SAMPLING, sampled


@pytest.fixture(scope="module")
def pipe(model: Any) -> Pipeline:
    return load(model, "float32", device="cpu")


@contextmanager
def stored(pipe: Pipeline, ending: str) -> Iterator[list[tuple[Any, Tensor, Tensor]]]:
    """(layer, hidden states, what it attends to) of every call of the layers of that name, kept whole."""
    calls: list[tuple[Any, Tensor, Tensor]] = []
    handles = []
    for name, part in pipe.unet.named_modules():
        if name.endswith(ending):

            def keep(layer: Any, inputs: tuple, kwargs: dict) -> None:
                text = kwargs.get("encoder_hidden_states")
                calls.append((layer, inputs[0].clone(), (inputs[0] if text is None else text).clone()))

            handles.append(part.register_forward_pre_hook(keep, with_kwargs=True))
    yield calls
    for handle in handles:
        handle.remove()


def softmaxed(layer: Any, hidden: Tensor, text: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) in float64, (heads, N, n), of one row."""
    q, k = (
        (rows.double() @ weight.weight.double().T).unflatten(-1, (layer.heads, -1)).transpose(0, 1)
        for rows, weight in ((hidden, layer.to_q), (text, layer.to_k))
    )
    return (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)


@torch.no_grad()
def test_daam_equals_its_formula_from_the_hidden_states(pipe: Pipeline, grammar: Grammar) -> None:
    prompts = [draw(grammar, seed) for seed in (0, 1, 2)]
    recorded = recording(pipe, prompts, replace(SAMPLING, attribution="daam"))
    with stored(pipe, ".attn2") as calls, listening(recorded.taps):
        sampled(pipe, [prompt.prompt for prompt in prompts], negative_prompt=["grayscale"] * 3)
    outer = {id(pipe.unet.get_submodule(name)) for name in cross_attention(pipe.unet)}
    for row, prompt in enumerate(prompts):
        tokens = list(subject_tokens(pipe.tokenizer, prompt))
        sums: dict[int, Tensor] = {}
        for layer, hidden, text in calls:
            if id(layer) in outer:
                shares = softmaxed(layer, hidden[3 + row], text[3 + row])[:, :, tokens]
                sums[id(layer)] = sums.get(id(layer), 0) + shares
        heads = []
        for total in sums.values():
            size = layer_size(LATENT, total.shape[1])
            maps = total.transpose(1, 2).unflatten(2, size)
            heads.append(F.interpolate(maps, size=LATENT, mode="bicubic", align_corners=False).clamp(min=0))
        expected = torch.cat(heads).mean(0).mean(0)
        torch.testing.assert_close(recorded.maps()[row].double(), expected, rtol=1e-5, atol=1e-8)


def test_daam_clamps_what_bicubic_overshoots_head_by_head() -> None:
    """A lone peak of 4 x 4 pixels, enlarged: below 0 around it before the clamp, and no head may pay for another."""
    peak, even = torch.zeros(1, 1, 1, 16), torch.full((1, 1, 1, 16), 0.2)
    peak[..., 5] = 1.0
    large = F.interpolate(peak.unflatten(3, (4, 4))[0], size=(8, 8), mode="bicubic", align_corners=False)[0]
    assert large.min() < 0
    sums = {"one": torch.cat([peak, even], 1), "full": torch.zeros(1, 1, 1, 64)}
    found = Daam([(1,)], (8, 8), sums).maps()[0]
    torch.testing.assert_close(found, (large[0].clamp(min=0) + 0.2) / 3)


@torch.no_grad()
@pytest.mark.parametrize("name", ["pipe", "stable_diffusion"])
def test_s_and_c_are_row_stochastic_and_equal_a_direct_computation(name: str, request: pytest.FixtureRequest) -> None:
    pipe = request.getfixturevalue(name)
    class_prompt = embed_padded(pipe, ["train truck", "bus"])
    both = DatasetDiffusion(2, LATENT, halvings(pipe.unet))
    layers = (self_attention(pipe.unet, middle=True), cross_attention(pipe.unet, middle=True))
    with stored(pipe, ".attn1") as own, stored(pipe, ".attn2") as cross:
        with listening(both.taps(*layers, class_prompt)):
            sampled(pipe, ["a train and a truck", "a bus at night"])
        own, cross = list(own), list(cross)
    for which, calls, size in (("S", own, both.self_size), ("C", cross, both.cross_size)):
        found = both.attention(which)
        torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:2]), rtol=0, atol=1e-6)
        for row in range(2):
            heads = [
                softmaxed(layer, hidden[2 + row], hidden[2 + row] if which == "S" else class_prompt[row])
                for layer, hidden, _ in calls
                if hidden.shape[1] == size[0] * size[1]
            ]
            torch.testing.assert_close(found[row].double(), torch.cat(heads).mean(0), rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_self_attention_term_is_what_each_pixel_receives(pipe: Pipeline) -> None:
    """Not the row sum, which is 1 everywhere: the mean over heads and queries, between its floor and 1."""
    term = SelfAttention(2, LATENT, "cond")
    with stored(pipe, ".attn1") as calls, listening(term.taps(self_attention(pipe.unet))):
        sampled(pipe, ["a train", "a truck"])
    found = term.received()
    for row in range(2):
        large = [(layer, hidden[2 + row]) for layer, hidden, _ in calls if hidden.shape[1] == 8 * 16]
        expected = torch.cat([softmaxed(layer, hidden, hidden) for layer, hidden in large]).mean((0, 1))
        torch.testing.assert_close(found[row].flatten().double(), expected, rtol=1e-5, atol=0)
    factor = term.factor(0.85)
    assert torch.equal(factor.amin((1, 2)), torch.full((2,), 0.85))
    torch.testing.assert_close(factor.amax((1, 2)), torch.ones(2))


@pytest.mark.parametrize("method", get_args(Way))
@pytest.mark.parametrize("term", [None, 0.8])
def test_every_method_gives_a_map_and_the_same_image(
    pipe: Pipeline, grammar: Grammar, method: Way, term: float | None
) -> None:
    prompts = [draw(grammar, seed) for seed in (0, 1)]
    sampling = replace(SAMPLING, attribution=method, self_attention=term)
    plain = sample_block(pipe, prompts, [1, 2], "grayscale", SAMPLING)
    for one, other in zip(plain, sample_block(pipe, prompts, [1, 2], "grayscale", sampling), strict=True):
        assert np.array_equal(one.image, other.image)
        if method != "dataset_diffusion":  # S of random weights is nearly uniform, and S^4 then is
            assert other.rejected == ""
        assert other.attribution.shape == (64, 128)
        assert other.attribution.min() >= 0


def test_the_object_stands_in_its_place_in_an_image_wider_than_high() -> None:
    """Keys 0 and 1; of 2 x 4 pixels the one in row 0, column 3 asks for the second token, at every level."""
    both = DatasetDiffusion(1, (4, 8), 1)
    assert (both.self_size, both.cross_size) == ((2, 4), (2, 4))
    query = torch.zeros(1, 8, 1)
    query[0, 3] = 9.0
    layer: Any = type("Layer", (), {"heads": 1, "scale": 1.0})()
    both.add_cross(layer, query, torch.tensor([[[0.0], [1.0]]]))
    assert int(both.word_cross([(1,)])[0].argmax()) == 3
    assert both.word_cross([(1,)]).shape == (1, 2, 4)


@torch.no_grad()
def test_several_images_per_prompt_have_a_map_each(pipe: Pipeline) -> None:
    """Two images of two prompts: in the pipeline's order, the maps of the same images asked for one by one."""
    layers, texts = cross_attention(pipe.unet), ["train at night", "truck"]
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    common: dict[str, Any] = {"num_inference_steps": 2, "height": 64, "width": 128, "output_type": "np"}
    with record(layers, *embed(pipe, texts), LATENT, "cond", images_per_prompt=2) as pairs:
        pipe(["a train", "a truck"], generator=generators, num_images_per_prompt=2, **common)
    for image in range(4):
        with record(layers, *embed(pipe, [texts[image // 2]]), LATENT, "cond") as alone:
            pipe(["a train", "a truck"][image // 2], generator=torch.Generator().manual_seed(image), **common)
        single = alone.maps()[0]
        torch.testing.assert_close(pairs.maps()[image, : len(single)], single, rtol=1e-4, atol=1e-6)


def test_only_the_steps_asked_for_count(pipe: Pipeline) -> None:
    layers, text = cross_attention(pipe.unet), embed(pipe, ["train"])
    found = []
    for steps in ([0], [1], None):
        with record(layers, *text, LATENT, "cond", steps=steps) as attribution:
            sampled(pipe, ["a train"])
        found.append(attribution.maps())
    torch.testing.assert_close(found[0] + found[1], found[2])
    assert not torch.equal(found[0], found[1])


def test_an_exception_leaves_no_hook_behind(pipe: Pipeline) -> None:
    before = {name: dict(part._forward_hooks) for name, part in pipe.unet.named_modules()}
    with pytest.raises(KeyboardInterrupt), listening([Tap(pipe.unet.conv_in, print)]):
        raise KeyboardInterrupt
    assert {name: dict(part._forward_hooks) for name, part in pipe.unet.named_modules()} == before


def test_what_a_long_prompt_loses_is_told_and_its_spans_are_right(pipe: Pipeline, grammar: Grammar) -> None:
    """32 tokens: start, 30 words, end. Of 33 words the last three are cut."""
    words = ["train"] + ["at"] * 29 + ["night", "in", "city"]
    assert cut(pipe.tokenizer, " ".join(words)) == "night in city"
    assert cut(pipe.tokenizer, " ".join(words[:30])) == ""
    prompt = draw(replace(grammar, places=("at " * 40,)), 0)
    tokens = subject_tokens(pipe.tokenizer, prompt)
    ids = pipe.tokenizer(prompt.prompt, truncation=True)["input_ids"]
    assert pipe.tokenizer.decode([ids[t] for t in tokens]).strip() == "train"


def test_the_subject_is_the_class_word_of_the_subtype_not_of_the_place(pipe: Pipeline, grammar: Grammar) -> None:
    """DAAM looks at the prompt itself, where "station" may follow another "train"."""
    prompt = draw(replace(grammar, subtypes=("freight train",), places=("at the train station",)), 0)
    assert prompt.prompt[slice(*prompt.subject)] == "train"
    assert subject_tokens(pipe.tokenizer, prompt) == (6,)  # start, a, photo, of, a, freight, TRAIN
    tram = draw(replace(grammar, subtypes=("city tram",)), 0)
    assert tram.prompt[slice(*tram.subject)] == "city tram"
