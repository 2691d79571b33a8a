"""Generate images of one class, each with the attention map of its class word.

in       data/prompts/CLASS.yaml and the model of `generate.model`
out      data/generated/CLASS/: shards of image.png (RGB) and attribution.npy (float32 (H, W), the raw OVAM
         map of the class word at image size); a row holds everything that makes its sample again
command  python -m stages.generate CLASS
cost     miniature (64 images of 64 x 64, 20 steps): half a minute on one CPU core; nothing when all is there
expect   `rejected` is empty in every row; a reason marks a constant image or a map without contrast
source   UCG (Montalvo et al., J. Imaging 2025), generation; OVAM (Marcos-Manchón et al., CVPR 2024)

A sample always sits in slot seed % batch of a full block of prompts, and a block that lacks a sample is
computed whole: so a sample's bits never depend on which others were there already.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.generate import checkpoint
from stages.generate.grammar import Grammar, parse
from stages.generate.prompts import Prompt, draw
from stages.generate.streams import stream
from stages.labels import CITYSCAPES
from stages.params import Generate, GraftError, command, read
from stages.samples import Sample, build, code_version, file_hash, key, npy_bytes, png_bytes

if TYPE_CHECKING:
    from stages.generate.sampler import Picture


@command
def main(argv: Sequence[str] | None = None) -> None:
    name = _arguments(argv)
    settings = _settings()
    grammar = _grammar(name)
    folder = checkpoint.find(settings.model, settings.revision)
    checkpoint.check(folder)

    common = _common(settings, grammar, folder)
    seeds = {_uid(name, seed): seed for seed in range(settings.seed, settings.seed + settings.count)}
    wanted = {uid: _key(common, grammar, settings.batch, seed) for uid, seed in seeds.items()}

    def make(missing: list[str]) -> Iterator[Sample]:
        lacking = {seeds[uid] for uid in missing}
        for seed, prompt, picture, scheduler in _pictures(lacking, grammar, settings, folder):
            uid = _uid(name, seed)
            row = common | _row(seed, prompt, picture) | {"scheduler": scheduler}
            files = {"image.png": png_bytes(picture.image), "attribution.npy": npy_bytes(picture.attribution)}
            yield Sample(uid, wanted[uid], row, files)

    build(Path("data/generated") / name, wanted, make, title=f"generate {name}")


def _arguments(argv: Sequence[str] | None) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m stages.generate",
        description="Generate images of CLASS, each with the attention map of its class word. The section "
        "`generate` of params.yaml says how many and how, data/prompts/CLASS.yaml says of what. Finished "
        "samples that still match both are kept, so a stopped run goes on where it was.",
    )
    parser.add_argument("name", metavar="CLASS", help=f"one of: {', '.join(CITYSCAPES.names)}")
    name: str = parser.parse_args(argv).name
    CITYSCAPES.id(name)
    return name


def _settings() -> Generate:
    settings = read().generate
    if settings.guidance == 1 and settings.branch != "cond":
        raise GraftError(
            f"params.yaml: generate.branch is {settings.branch}, but without guidance (generate.guidance is "
            f"1) there is no unconditional half to record; set the branch to cond, or the guidance above 1"
        )
    return settings


def _grammar(name: str) -> Grammar:
    path = Path("data/prompts") / f"{name}.yaml"
    try:
        return parse(path.read_text(encoding="utf-8"), str(path), name)
    except FileNotFoundError:
        raise GraftError(
            f"{path}: no such file; write the prompt grammar of {name}, the others there show how"
        ) from None
    except UnicodeDecodeError:
        raise GraftError(f"{path} is not UTF-8 text; save it as such") from None


def _uid(name: str, seed: int) -> str:
    return f"{name.replace(' ', '_')}-{seed:06d}"


def _common(settings: Generate, grammar: Grammar, folder: Path) -> dict[str, Any]:
    """The part of a row that all samples share."""
    return {
        **settings.model_dump(exclude={"seed", "count"}),
        "class": grammar.name,
        "negative": grammar.negative,
        "weights": file_hash(folder),
        "versions": {library: version(library) for library in ("torch", "diffusers", "transformers")},
        "code": code_version("stages.generate"),
    }


def _block(seed: int, batch: int) -> range:
    """The seeds of the block that holds this one."""
    return range(seed // batch * batch, (seed // batch + 1) * batch)


def _key(common: dict[str, Any], grammar: Grammar, batch: int, seed: int) -> str:
    """The prompts of the whole block count: the lengths of its texts set shapes, and those the rounding."""
    block = [asdict(draw(grammar, other)) for other in _block(seed, batch)]
    return key(**common, seed=seed, block=block)


def _pictures(
    missing: Collection[int], grammar: Grammar, settings: Generate, folder: Path
) -> Iterator[tuple[int, Prompt, Picture, str]]:
    """(seed, prompt, picture, the scheduler's name) of every missing seed, block by block."""
    from stages.generate import sampler  # here, so that a run that keeps everything never loads torch

    pipe = sampler.load(folder, settings.dtype)
    sampling = sampler.Sampling(settings.steps, settings.guidance, settings.height, settings.width, settings.branch)
    for block in sorted({_block(seed, settings.batch) for seed in missing}, key=lambda seeds: seeds.start):
        prompts = [draw(grammar, seed) for seed in block]
        noise = [stream(grammar.name, seed, "noise") for seed in block]
        pictures = sampler.sample_block(pipe, prompts, noise, grammar.negative, sampling)
        for seed, prompt, picture in zip(block, prompts, pictures, strict=True):
            if seed in missing:
                yield seed, prompt, picture, type(pipe.scheduler).__name__


def _row(seed: int, prompt: Prompt, picture: Picture) -> dict[str, Any]:
    return {
        "seed": seed,
        "prompt": prompt.prompt,
        "attribution_text": prompt.attribution_text,
        "span": list(picture.word),
        "subtype": prompt.subtype,
        "place": prompt.place,
        "rejected": picture.rejected,
    }


if __name__ == "__main__":
    main()
