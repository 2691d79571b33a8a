from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.generate import sources
from stages.generate.__main__ import main
from stages.parts.prompts.entries import table
from stages.parts.store.samples import Shards, npy_array, png_array
from tests.generate.conftest import content, write
from tests.imported import heavy_imports

ROOT = Path(__file__).parents[2]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence at the end of what a run which must fail prints to stderr."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith("error: ")
    return sentence


def test_a_row_holds_what_makes_its_sample_again(project: Path) -> None:
    main(["train"])
    shards = Shards("data/generated/train")
    assert [row["uid"] for row in shards.rows] == ["train-000000", "train-000001", "train-000002"]
    row = shards.rows[2]
    assert (row["class"], row["seed"], row["rejected"], row["scheduler"]) == ("train", 2, "", "DDIMScheduler")
    assert row["prompt"] == f"a photo of a {row['subtype']} {row['place']}, color"
    source = sources.read("data/prompts", "train")
    assert (row["negative"], row["attribution_text"]) == (source.negative, source.draw(2).attribution_text)
    assert row["span"] == [5]  # start, a, photo, of, a, TRAIN
    assert row.keys() >= {"model", "revision", "weights", "steps", "guidance", "height", "width", "branch", "dtype"}
    assert row["versions"].keys() == {"torch", "diffusers", "transformers"}
    files = shards.read("train-000002")
    assert png_array(files["image.png"]).shape == (64, 128, 3)
    heat = npy_array(files["attribution.npy"])
    assert (heat.shape, heat.dtype) == ((64, 128), np.float32)


def test_a_samples_bits_do_not_depend_on_which_others_were_there(project: Path) -> None:
    """6 at once (a whole block and half a one) against 1, then 5, then 6."""
    write(count=6)
    main(["train"])
    folder = Path("data/generated/train")
    at_once = content(folder)
    shutil.rmtree(folder)
    for count in (1, 5, 6):
        write(count=count)
        main(["train"])
    assert content(folder) == at_once


def test_other_seeds_are_the_same_samples(project: Path) -> None:
    """`seed` moves the window over the seeds, it does not reseed: sample 2 of 0..2 is sample 2 of 2..4."""
    main(["train"])
    first = Shards("data/generated/train").read("train-000002")
    shutil.rmtree("data/generated")
    write(seed=2)
    main(["train"])
    shards = Shards("data/generated/train")
    assert [row["seed"] for row in shards.rows] == [2, 3, 4]
    assert shards.read("train-000002") == first


def test_a_second_run_makes_nothing_and_a_changed_setting_everything(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(count=1, batch=1, width=64)
    main(["train"])
    main(["train"])
    assert "generate train: kept 1, made 0" in capsys.readouterr().out
    path = Path("data/prompts/train.yaml")
    for change in (
        lambda: write(guidance=4.0),
        lambda: write(branch="both"),
        lambda: path.write_text(path.read_text().replace("grayscale", "night")),
        lambda: Path("model/scheduler/scheduler_config.json").write_text(
            Path("model/scheduler/scheduler_config.json").read_text().replace("0.02", "0.03")
        ),
    ):
        change()
        main(["train"])
        assert "generate train: kept 0, made 1" in capsys.readouterr().out


def test_a_sample_is_made_again_when_a_prompt_of_its_block_changes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts of other lengths give the batch another shape, and that the sums another rounding."""
    write(count=1, width=64)
    main(["train"])
    path = Path("data/prompts/train.yaml")
    source = sources.read("data/prompts", "train")
    places = table(path.read_text(), "train.yaml")["places"]
    own, *others = [source.draw(seed).place for seed in range(4)]
    unused = next(place for place in places if place not in (own, *others))
    neighbour = next(place for place in others if place != own)
    for place, outcome in ((unused, "kept 1, made 0"), (neighbour, "kept 0, made 1"), (own, "kept 0, made 1")):
        path.write_text(path.read_text().replace(place, "in a very long tunnel"))
        main(["train"])
        assert f"generate train: {outcome}" in capsys.readouterr().out


def test_a_split_class_word_and_a_cut_prompt_are_told_before_the_work(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("data/prompts/train.yaml")
    longer = path.read_text().replace("word: train", "word: tram").replace('style: ", color"', f'style: "{" at" * 40}"')
    path.write_text(longer)
    main(["train"])
    said = capsys.readouterr().err
    assert "the tokenizer splits 'tram' into 2 pieces (tra m</w>); the map is the mean of theirs" in said
    assert "prompts are longer than the 32 tokens that the model reads" in said
    row = Shards("data/generated/train").rows[0]
    assert row["prompt"].endswith(row["cut"]) and set(row["cut"].split()) == {"at"}
    assert row["span"] == [5, 6]  # start, a, photo, of, a, TRA, M


def test_a_picture_without_use_is_a_row_not_a_failure(project: Path) -> None:
    """A VAE whose last bias is NaN, such as half precision can produce."""
    from safetensors.torch import load_file, save_file

    path = "model/vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["decoder.conv_out.bias"].fill_(float("nan"))
    save_file(weights, path)
    main(["train"])
    assert [row["rejected"] for row in Shards("data/generated/train").rows] == ["non_finite_image"] * 3


@pytest.mark.parametrize("argument", ["tram", "Train", "car"])
def test_a_class_that_params_does_not_name_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    assert f"params.yaml classes: '{argument}' is not among truck, bus, train; add" in said(capsys, argument)
    assert not Path("data/generated").exists()


def test_the_help_tells_what_the_stage_reads_and_writes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "out      data/generated/CLASS/" in capsys.readouterr().out


def test_a_class_without_a_grammar_names_the_file_to_write(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("- truck", "- rider", 1))
    assert "data/prompts/rider.yaml: no such file; write the prompt grammar of rider" in said(capsys, "rider")


def test_a_bad_grammar_names_its_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/prompts/train.yaml").write_text("subtypes: []")
    assert "data/prompts/train.yaml: key places is missing" in said(capsys, "train")


@pytest.mark.parametrize("method", ["daam", "dataset_diffusion"])
def test_a_branch_that_a_method_does_not_have_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    write(attribution=method, branch="uncond")
    assert f"generate.branch is uncond, but {method} is defined on the conditional half" in said(capsys, "train")


def test_dataset_diffusion_leaves_its_two_maps_beside_the_third(project: Path) -> None:
    write(count=1, attribution="dataset_diffusion")
    main(["train"])
    files = Shards("data/generated/train").read("train-000000")
    own, cross = npy_array(files["self_attention.npy"]), npy_array(files["cross_attention.npy"])
    assert (own.shape, cross.shape, npy_array(files["attribution.npy"]).shape) == ((32, 32), (4, 8), (64, 128))
    np.testing.assert_allclose(own.sum(1), 1, rtol=1e-5)


def test_offload_needs_a_gpu(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    write(offload=True)
    assert "generate.offload moves parts off a GPU, and there is none here" in said(capsys, "train")


@pytest.mark.parametrize("branch", ["uncond", "both"])
def test_a_branch_that_guidance_1_lacks_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], branch: str
) -> None:
    write(guidance=1.0, branch=branch)
    assert f"generate.branch is {branch}, but without guidance" in said(capsys, "train")


@pytest.mark.parametrize(
    ("name", "revision", "sentence"),
    [
        ("models/nowhere/at/all", None, "generate.model names no folder (models/nowhere/at/all); bring it back"),
        ("nobody/no-such-model", None, "if it is a Hugging Face id, set generate.revision to the commit"),
        ("nobody/no-such-model", "main", "generate.revision is 'main', which can come to mean other weights"),
        (
            "nobody/no-such-model",
            "0" * 40,
            f"nobody/no-such-model at {'0' * 40} is not in the local Hugging Face cache",
        ),
    ],
)
def test_a_missing_model_is_named_and_nothing_fetched(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, revision: str | None, sentence: str
) -> None:
    write(model=name, revision=revision)
    assert sentence in said(capsys, "train")


def test_a_folder_has_no_revision(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(revision="main")
    assert "generate.revision is 'main', but generate.model is the folder model" in said(capsys, "train")


@pytest.mark.parametrize(
    ("path", "damaged", "sentence"),
    [
        ("model_index.json", None, "generate.model model is no diffusers model, it has no model_index.json"),
        ("model_index.json", b"{", "model/model_index.json is no valid JSON; bring it back"),
        ("model_index.json", b"[]", "model/model_index.json holds no table; bring it back"),
        ("model_index.json", b'{"_class_name": "FluxPipeline"}', "is a FluxPipeline; this stage can record Stable"),
        ("unet/diffusion_pytorch_model.safetensors", None, "model/unet has no *.safetensors file"),
        ("unet/diffusion_pytorch_model.safetensors", b"", "pytorch_model.safetensors is damaged (Error while"),
        ("vae/diffusion_pytorch_model.safetensors", b"version https://git-lfs", "safetensors is damaged (Error"),
        ("unet/config.json", b"{", "model/unet/config.json is no valid JSON; bring it back"),
        ("unet/config.json", b"{}", "generate.model model cannot be loaded ("),
        ("scheduler/scheduler_config.json", None, "model/scheduler/scheduler_config.json is missing; bring it back"),
        ("tokenizer/tokenizer.json", None, "model/tokenizer has neither tokenizer.json nor vocab.json with merges.txt"),
    ],
)
def test_a_broken_model_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], path: str, damaged: bytes | None, sentence: str
) -> None:
    if damaged is None:
        (Path("model") / path).unlink()
    else:
        (Path("model") / path).write_bytes(damaged)
    assert sentence in said(capsys, "train")


def test_weights_cut_short_are_found_before_torch_is_loaded(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("model/text_encoder/model.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert "model/text_encoder/model.safetensors is damaged" in said(capsys, "train")
    assert not Path("data/generated").exists()


def test_a_run_with_nothing_to_make_loads_no_model_and_not_what_runs_one(project: Path) -> None:
    write(count=1, batch=1, width=64)
    main(["train"])
    before = content(Path("data/generated/train"))
    assert heavy_imports("stages.generate", "train", folder=project) == set()
    assert content(Path("data/generated/train")) == before
