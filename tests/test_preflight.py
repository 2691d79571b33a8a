"""What would stop the line later stops it before anything is made, in one sentence."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.parts.sections import plain
from stages.parts.store.keys import slug
from stages.preflight import main

ROOT = Path(__file__).parents[1]
UNET = Path("models/miniature/diffusion/unet/diffusion_pytorch_model.safetensors")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a fresh clone has of params, prompts and models, as the current directory."""
    shutil.copytree(ROOT / "models/miniature", tmp_path / "models/miniature")
    shutil.copytree(ROOT / "data/prompts", tmp_path / "data/prompts")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(section: str, **values: object) -> None:
    yaml = YAML()
    params = yaml.load(Path("params.yaml").read_text())
    params[section].update(values)
    with open("params.yaml", "w") as file:
        yaml.dump(params, file)


def third_class(name: str) -> None:
    text = Path("params.yaml").read_text()
    assert "\n- train\n" in text
    Path("params.yaml").write_text(text.replace("\n- train\n", f"\n- {name}\n", 1))


def point(split: str, *files: str) -> None:
    """A split of the user's: its folders, images and labels, hold these files alone."""
    for file in files:
        Path(split, file).parent.mkdir(parents=True)
        Path(split, file).touch()
    change("scenes", **{split: {"images": f"{split}/images", "labels": f"{split}/labels", "ids": "gta5"}})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def like_xl() -> None:
    """Stable Diffusion XL's UNet attends nowhere at the latent's own size."""
    config = UNET.with_name("config.json")
    config.write_text(config.read_text().replace('"CrossAttnDownBlock2D"', '"DownBlock2D"', 1))
    change("generate", self_attention=0.85)


def learned_for_daam() -> None:
    with open("data/prompts/train.yaml", "a") as file:
        file.write("embedding: train.yaml\n")
    change("generate", attribution="daam")


def set_crf(**values: object) -> None:
    change("refine", crf=YAML().load(Path("params.yaml").read_text())["refine"]["crf"] | values)


def set_paste(**values: object) -> None:
    change("train", paste=YAML().load(Path("params.yaml").read_text())["train"]["paste"] | values)


def empty(checkpoint: str) -> None:
    Path(checkpoint).touch()
    change("refine", model=checkpoint)


def typed(seed: str) -> None:
    """`scenes.seed` as a person would type it."""
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"(?m)^  seed: 0 # the streets", f"  seed: {seed} # the streets", text))


def point_with(ids: dict[int, str]) -> None:
    point("source", "images/0.png", "labels/0.png")
    change("scenes", source={"images": "source/images", "labels": "source/labels", "ids": ids})


def test_a_fresh_clone_passes_without_a_word(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr() == ("", "")


def test_it_takes_less_than_three_seconds_as_a_command(repo: Path) -> None:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "stages.preflight"], cwd=ROOT, check=True)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda: third_class("unicorn"), "params.yaml: classes: Cityscapes"),
        (
            lambda: change("scenes", target={"images": "../gta"}),
            "scenes.target: ../gta: no such folder; correct the path",
        ),
        (lambda: point("test", "images/a.txt"), "scenes.test: test/images holds no file that ends in .png or .jpg"),
        (lambda: point("val", "images/a.png"), "scenes.val: val/labels: no such folder"),
        (lambda: third_class("rider"), "data/prompts/rider.yaml: no such file; write the prompt grammar of rider"),
        (lambda: Path("data/prompts/train.yaml").write_text("template: a train\n"), "data/prompts/train.yaml: "),
        (lambda: shutil.rmtree("models/miniature/diffusion"), "generate.model names no folder"),
        (lambda: cut(UNET), f"{UNET} is damaged"),
        (lambda: shutil.rmtree("models/miniature/sam"), "params.yaml refine.model: 'models/miniature/sam' is neither"),
        (lambda: Path("models/miniature/sam/model.safetensors").unlink(), "models/miniature/sam has no *.safetensors"),
        (lambda: cut(Path("models/miniature/sam/model.safetensors")), "sam/model.safetensors is damaged"),
        (lambda: cut(Path("models/miniature/clip/model.safetensors")), "clip/model.safetensors is damaged"),
        (lambda: cut(Path("models/miniature/encoder/model.safetensors")), "encoder/model.safetensors is damaged"),
        (
            lambda: shutil.rmtree("models/miniature/encoder"),
            "train.encoder: there is no models/miniature/enc",
        ),
        (
            lambda: change("train", encoder="nvidia/mit-b5", encoder_revision="0" * 40),
            "mit-b5 at 000",
        ),
        (lambda: change("generate", branch="both", guidance=1.0), "generate.branch is both"),
        (
            lambda: change("generate", attribution="dataset_diffusion", self_attention=0.8),
            "dataset_diffusion has its own",
        ),
        (lambda: like_xl(), "has no attention at the latent's own size; set it to null"),
        (lambda: learned_for_daam(), "generate.attribution is daam, which reads no embedding"),
        (lambda: change("train", encoder=None), "method daformer keeps the features near to those of train.encoder"),
        (lambda: change("train", method="supervised"), "there is no data/scenes/oracle"),
    ],
)
def test_what_is_missing_or_damaged_is_one_sentence(
    repo: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[], object], words: str
) -> None:
    damage()
    with pytest.raises(SystemExit) as stopped:
        main([])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error, error


def test_folders_of_the_users_pass_without_being_read(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point("source", "images/a.png", "labels/a.png")
    main([])
    assert capsys.readouterr() == ("", "")


def test_models_that_no_stage_will_ask_are_not_asked_for(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change("refine", method="attention")
    change("train", encoder=None, method="dacs")
    shutil.rmtree("models/miniature/sam")
    shutil.rmtree("models/miniature/encoder")
    main([])
    assert capsys.readouterr() == ("", "")  # nothing is wrong: no word


LATE = {
    "a CLIP as SAM": (lambda: change("refine", model="models/miniature/clip"), "refine.model: .*model_type 'clip'"),
    "a SAM as CLIP": (lambda: change("refine", clip="models/miniature/sam"), "refine.clip: .*model_type 'sam'"),
    "an empty checkpoint": (lambda: empty("sam.pth"), "sam.pth is empty"),
    "no tokenizer": (lambda: Path("models/miniature/clip/tokenizer.json").unlink(), "neither tokenizer.json"),
    "more steps than taught": (lambda: change("generate", steps=5000), "generate.steps is 5000.*take at most 1000"),
    "a ring as wide as a country": (lambda: change("refine", ring=10**9), "refine.ring: input should be less than"),
    "a feather of a gigametre": (lambda: set_paste(feather=1e9), "train.paste.feather: input should be less than"),
    "a reach of nothing": (lambda: set_crf(bilateral_xy=1e-300), "refine.crf.bilateral_xy: input should be greater"),
    "endless iterations": (lambda: set_crf(iterations=10**9), "refine.crf.iterations: input should be less than"),
    "as many drawings as stars": (lambda: change("generate", count=10**12), "generate.count: input should be less"),
    "a seed of 5 000 digits": (lambda: typed("9" * 5000), "holds a value that cannot be read"),
    "a day that is none": (lambda: typed("2026-02-30"), "holds a value that cannot be read"),
    "segmenters in the way": (lambda: Path("models/segmenters").touch(), "cannot be written"),
    "a file as data/trained": (lambda: Path("data/trained").touch(), "cannot be written"),
    "metrics that lead nowhere": (lambda: Path("metrics").symlink_to("/no/where"), "metrics is a link that leads"),
    "a table without a class": (lambda: point_with({7: "ignore"}), "the table names no class"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LATE)
def test_what_was_found_after_hours_is_found_at_once(
    repo: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    breaking, words = LATE[fault]
    breaking()
    begun = time.perf_counter()
    with pytest.raises(SystemExit) as stop:
        main([])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and re.search(words, said), said
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize("name", ["straßenbahn", "дом", "電車", "tuk_tuk", "e-scooter"])
def test_a_class_may_be_named_in_any_language(name: str) -> None:
    assert plain([name]) == [name]
    uid = f"{slug(name)}-000001"
    assert uid.isascii() and " " not in uid


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["e.scooter"], "has '.' in its name"), (["traffic light"], "has a space in its name"), (["a/b"], "has '/'"),
        (["-x"], "has '-' in its name"), (["tram\n"], "in its name"), ([""], "in its name"), (["a@b"], "has '@'"),
        (["cafe\u0301"], "in its name"), (["preview"], "is the name of a command"), (["straße", "stra_e"], "differ in"),
    ],
)  # fmt: skip
def test_a_name_that_no_stage_could_have_is_refused_at_once(names: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        plain(names)


def test_a_word_that_the_small_model_does_not_know_is_told(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    third_class("bicycle")
    text = (repo / "data/prompts/train.yaml").read_text()
    (repo / "data/prompts/bicycle.yaml").write_text(text.replace("train", "bicycle"))
    main([])
    told = capsys.readouterr().err
    assert "data/prompts/bicycle.yaml: models/miniature/diffusion has never been told bicycle, and" in told
    assert told.count("\n") == 1, "the words of the other classes are known"
    large = {f"word {k}": k for k in range(10_000)}
    (repo / "models/miniature/diffusion/tokenizer/vocab.json").write_text(json.dumps(large))
    main([])
    assert capsys.readouterr().err == "", "a large tokenizer spells whatever it is given"
