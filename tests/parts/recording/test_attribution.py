from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.generate.sampler import Pipeline, load
from stages.parts.recording.ovam import Attribution, record, word_maps
from stages.parts.recording.sampling import Branch
from stages.parts.recording.unet import cross_attention, embed

TEXTS = ["train at night", "truck", "city in the station, color"]
HEADS = 18  # of the tiny UNet without its middle block: 2 + 4 going down, 2 * 4 + 2 * 2 going up


@pytest.fixture(scope="module")
def pipe(model: Path) -> Pipeline:
    return load(model, "float32")


def sample(pipe: Pipeline, prompts: list[str], size: tuple[int, int] = (64, 64), **changes: object) -> np.ndarray:
    options = {"num_inference_steps": 3, "guidance_scale": 5.0, "negative_prompt": ["grayscale"] * len(prompts)}
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    return pipe(
        prompts, height=size[0], width=size[1], generator=generators, output_type="np", **(options | changes)
    ).images


def recorded(
    pipe: Pipeline, prompts: list[str], texts: list[str], size: tuple[int, int] = (64, 64), branch: Branch = "cond",
    **changes: object,
) -> tuple[np.ndarray, Tensor, Tensor]:  # fmt: skip
    """(images, maps, mask of true tokens)"""
    embedding, mask = embed(pipe, texts)
    latent = (size[0] // 8, size[1] // 8)
    with record(cross_attention(pipe.unet), embedding, mask, latent, branch) as attribution:
        images = sample(pipe, prompts, size, **changes)
    return images, attribution.maps(), mask


class States:
    """What an independent evaluation of the maps needs: the input of every attn2 at every call, and the height and
    width that the transformer around it was given."""

    def __init__(self, unet: torch.nn.Module) -> None:
        self.calls: list[tuple[str, Tensor, tuple[int, int]]] = []
        sizes: dict[str, tuple[int, int]] = {}
        for name in cross_attention(unet):
            block = name.rsplit(".transformer_blocks", 1)[0]

            def see(module, args, kwargs=None, block=block):
                sizes[block] = tuple(args[0].shape[2:])

            def keep(module, args, name=name, block=block):
                self.calls.append((name, args[0].clone(), sizes[block]))

            unet.get_submodule(block).register_forward_pre_hook(see)
            unet.get_submodule(name).register_forward_pre_hook(keep)

    def maps(self, pipe: Pipeline, text: str, rows: list[int], size: tuple[int, int]) -> Tensor:
        """OVAM's definition, literally and in float64: (n, h, w) for one text and the queries of these rows."""
        tokens = pipe.tokenizer(text, return_tensors="pt")["input_ids"]
        embedding = pipe.text_encoder(tokens).last_hidden_state[0].double()
        heat = torch.zeros(len(embedding), *size, dtype=torch.float64)
        for name, hidden, (height, width) in self.calls:
            layer = pipe.unet.get_submodule(name)
            width_of_head = layer.to_q.out_features // layer.heads
            key = (embedding @ layer.to_k.weight.double().T).reshape(-1, layer.heads, width_of_head)
            for row in rows:
                query = (hidden[row].double() @ layer.to_q.weight.double().T).reshape(-1, layer.heads, width_of_head)
                scores = torch.einsum("phd,nhd->hpn", query, key) / width_of_head**0.5
                total = scores.softmax(2).sum(0).T.reshape(1, -1, height, width)
                heat += F.interpolate(total, size=size, mode="bilinear", align_corners=False)[0]
        return heat


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (72, 120)], ids=str)
@pytest.mark.parametrize("branch", ["uncond", "cond", "both"])
@torch.no_grad()
def test_maps_equal_ovams_definition_row_by_row(model: Path, branch: Branch, size: tuple[int, int]) -> None:
    """Texts of three lengths in one batch, square and not (9 x 15 halves to 5 x 8)."""
    pipe = load(model, "float32")
    states = States(pipe.unet)
    _, maps, mask = recorded(pipe, ["a train", "a truck", "a city"], TEXTS, size, branch)
    for row, text in enumerate(TEXTS):
        rows = {"uncond": [row], "cond": [3 + row], "both": [row, 3 + row]}[branch]
        expected = states.maps(pipe, text, rows, (size[0] // 8, size[1] // 8))
        assert mask[row].sum() == len(expected)
        torch.testing.assert_close(maps[row, mask[row]].double(), expected, rtol=1e-5, atol=0)
        assert not maps[row, ~mask[row]].any()


@torch.no_grad()
def test_without_guidance_the_only_rows_are_the_conditional_ones(model: Path) -> None:
    pipe = load(model, "float32")
    states = States(pipe.unet)
    _, maps, mask = recorded(pipe, ["a train", "a truck"], TEXTS[:2], guidance_scale=1.0)
    for row, text in enumerate(TEXTS[:2]):
        expected = states.maps(pipe, text, [row], (8, 8))
        torch.testing.assert_close(maps[row, mask[row]].double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("branch", ["uncond", "both"])
def test_without_guidance_there_is_no_other_branch(pipe: Pipeline, branch: Branch) -> None:
    with pytest.raises(ValueError, match=f"no branch '{branch}'"):
        recorded(pipe, ["a train"], ["train"], branch=branch, guidance_scale=1.0)


def test_the_image_is_bit_identical_to_an_unrecorded_one(pipe: Pipeline) -> None:
    prompts = ["a photo of a train", "a truck at night"]
    assert np.array_equal(sample(pipe, prompts), recorded(pipe, prompts, TEXTS[:2])[0])


def test_whatever_processor_makes_the_image_the_maps_are_the_same(pipe: Pipeline) -> None:
    _, maps, _ = recorded(pipe, ["a train"], ["train"])
    pipe.enable_attention_slicing(1)
    image = sample(pipe, ["a train"])
    sliced_image, sliced, _ = recorded(pipe, ["a train"], ["train"])
    pipe.disable_attention_slicing()
    assert np.array_equal(image, sliced_image)
    torch.testing.assert_close(sliced, maps, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("branch", "halves"), [("cond", 1), ("uncond", 1), ("both", 2)])
def test_token_maps_add_up_to_calls_times_heads_at_every_pixel(pipe: Pipeline, branch: Branch, halves: int) -> None:
    _, maps, _ = recorded(pipe, ["a train", "a truck", "a city"], TEXTS, (64, 128), branch)
    total = maps.sum(1)
    torch.testing.assert_close(total, torch.full((3, 8, 16), 3.0 * HEADS * halves), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("steps", "total"), [(30, 3720.0), (50, 6120.0)])
def test_stable_diffusion_adds_up_to_the_published_constants(
    stable_diffusion: Pipeline, steps: int, total: float
) -> None:
    """15 layers of 8 heads, and one PNDM call more than steps."""
    layers = cross_attention(stable_diffusion.unet)
    assert [layer.heads for layer in layers.values()] == [8] * 15
    _, maps, _ = recorded(stable_diffusion, ["a train"], ["train"], num_inference_steps=steps, guidance_scale=1.0)
    torch.testing.assert_close(maps.sum(1), torch.full((1, 8, 8), total), rtol=1e-5, atol=0)


def test_the_middle_block_counts_only_when_asked_for(pipe: Pipeline) -> None:
    usual, every = cross_attention(pipe.unet), cross_attention(pipe.unet, middle=True)
    assert sum(layer.heads for layer in usual.values()) == HEADS
    assert [name for name in every if name not in usual] == ["mid_block.attentions.0.transformer_blocks.0.attn2"]


def test_the_unet_is_left_as_it_was_also_by_an_exception(pipe: Pipeline) -> None:
    def hooks() -> list[object]:
        return [hook for part in pipe.unet.modules() for hook in part._forward_hooks]

    processors = dict(pipe.unet.attn_processors)
    embedding, mask = embed(pipe, ["train"])

    def interrupted() -> Iterator[None]:
        with record(cross_attention(pipe.unet), embedding, mask, (8, 8), "cond"):
            assert len(hooks()) == len(cross_attention(pipe.unet))
            yield
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(interrupted())
    with pytest.raises(ValueError, match="rows of queries"):
        recorded(pipe, ["a train", "a truck", "a city"], ["train"])
    assert hooks() == []
    assert pipe.unet.attn_processors == processors


def test_the_unconditional_map_does_not_see_the_prompt_at_the_first_step(pipe: Pipeline) -> None:
    """It sees the negative prompt instead, which is what UCG's maps were made of."""

    def first(prompt: str, negative: str, branch: Branch) -> Tensor:
        return recorded(pipe, [prompt], ["train"], branch=branch, num_inference_steps=1, negative_prompt=[negative])[1]

    assert torch.equal(first("a train", "night", "uncond"), first("a truck", "night", "uncond"))
    assert not torch.equal(first("a train", "night", "uncond"), first("a train", "color", "uncond"))
    assert not torch.equal(first("a train", "night", "cond"), first("a truck", "night", "cond"))
    assert torch.equal(first("a train", "night", "cond"), first("a train", "color", "cond"))


def test_two_recorders_at_once_see_the_same_as_each_alone(pipe: Pipeline) -> None:
    layers = cross_attention(pipe.unet)
    train, truck = (embed(pipe, [text]) for text in ("train", "truck at night"))
    with record(layers, *train, (8, 8), "cond") as one, record(layers, *truck, (8, 8), "uncond") as other:
        sample(pipe, ["a train"])
    assert torch.equal(one.maps(), recorded(pipe, ["a train"], ["train"])[1])
    assert torch.equal(other.maps(), recorded(pipe, ["a train"], ["truck at night"], branch="uncond")[1])


def test_what_follows_the_class_word_does_not_change_its_embedding(pipe: Pipeline) -> None:
    """Words behind the class word are rivals in the softmax, not context: the text model is causal."""
    embedding, mask = embed(pipe, ["train", "train at night, color"])
    assert mask.sum(1).tolist() == [3, 7]
    torch.testing.assert_close(embedding[0, :2], embedding[1, :2])
    assert not embedding[0, 3:].any()


def test_a_text_is_embedded_the_same_in_any_company(pipe: Pipeline) -> None:
    alone, _ = embed(pipe, ["truck"])
    together, _ = embed(pipe, TEXTS)
    assert torch.equal(alone[0], together[1, : alone.shape[1]])


def test_a_pixel_that_asks_for_a_token_shows_in_its_place() -> None:
    """Two tokens with keys 0 and 1, one head of width 1; of 2 x 3 pixels the top right one asks for the second."""
    attribution = Attribution(torch.tensor([[True, True]]), (2, 3), "cond")
    query = torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0, 0.0]).reshape(1, 6, 1)
    attribution.add(query, torch.tensor([[[0.0], [1.0]]]), heads=1, scale=1.0)
    sure = 1 / (1 + np.exp(-2))
    torch.testing.assert_close(attribution.maps()[0, 1], torch.tensor([[0.5, 0.5, sure], [0.5, 0.5, 0.5]]).float())


def test_a_layer_of_no_scale_of_the_latent_is_an_error() -> None:
    attribution = Attribution(torch.ones(1, 2, dtype=torch.bool), (4, 4), "cond")
    with pytest.raises(ValueError, match="5 pixels is no scale of a 4 x 4 latent"):
        attribution.add(torch.zeros(1, 5, 1), torch.zeros(1, 2, 1), heads=1, scale=1.0)
    with pytest.raises(ValueError, match="no call"):
        attribution.maps()


def test_a_word_of_several_pieces_is_their_mean() -> None:
    maps = torch.arange(2 * 3 * 4.0).reshape(2, 3, 2, 2)
    words = word_maps(maps, [(1,), (0, 2)])
    assert torch.equal(words[0], maps[0, 1])
    assert torch.equal(words[1], (maps[1, 0] + maps[1, 2]) / 2)
