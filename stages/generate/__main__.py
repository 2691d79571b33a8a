"""Generate images of one class, each with the attention map of its class word.

in       data/prompts/CLASS.yaml and the model of `generate.model`; or, where `generate.source` points to published
         cutouts, their images and masks, and no model
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

from stages.generate import checkpoint, sources
from stages.generate.prompts import Prompt
from stages.generate.published import Published
from stages.generate.sources import Source
from stages.generate.streams import stream
from stages.labels import CITYSCAPES
from stages.params import Generate, GraftError, command, read
from stages.samples import Sample, build, code_version, file_hash, key, npy_bytes, png_bytes

if TYPE_CHECKING:
    from stages.generate.sampler import Picture


@command
def main(argv: Sequence[str] | None = None) -> None:
    name = _arguments(argv)
    settings = read().generate
    if published := sources.cutouts(settings.source, name):
        take_in(published)
        return
    source = sources.read(settings.source, name)
    folder = checkpoint.find(settings.model, settings.revision)
    checkpoint.check(folder)

    _check_branch(settings, folder)

    common = _common(settings, source, folder)
    seeds = {_uid(name, seed): seed for seed in range(settings.seed, settings.seed + settings.count)}
    wanted = {uid: _key(common, source, settings.batch, seed) for uid, seed in seeds.items()}

    def make(missing: list[str]) -> Iterator[Sample]:
        lacking = {seeds[uid] for uid in missing}
        for seed, prompt, picture, scheduler in _pictures(lacking, source, settings, folder):
            uid = _uid(name, seed)
            row = common | _row(seed, prompt, picture) | {"scheduler": scheduler}
            files = {"image.png": png_bytes(picture.image), "attribution.npy": npy_bytes(picture.attribution)}
            files |= {suffix: npy_bytes(array) for suffix, array in picture.extras.items()}
            yield Sample(uid, wanted[uid], row, files)

    build(Path("data/generated") / name, wanted, make, title=f"generate {name}")


def take_in(cutouts: Published) -> None:
    """Published images and masks in the place of drawn ones: image.png and mask.png, no attribution."""
    wanted = cutouts.keys()
    folder = Path("data/generated") / cutouts.name
    build(folder, wanted, lambda uids: cutouts.samples(uids, wanted), title=f"generate {cutouts.name}")


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


def _check_branch(settings: Generate, folder: Path) -> None:
    if settings.branch == "cond":
        return
    if settings.attribution != "ovam":
        raise GraftError(
            f"params.yaml: generate.branch is {settings.branch}, but {settings.attribution} is defined on the "
            f"conditional half; set the branch to cond"
        )
    if not checkpoint.guided(folder, settings.guidance):
        raise GraftError(
            f"params.yaml: generate.branch is {settings.branch}, but without guidance (generate.guidance is 1, or the "
            f"model has learned its own) there is no unconditional half to record; set the branch to cond"
        )


def _uid(name: str, seed: int) -> str:
    return f"{name.replace(' ', '_')}-{seed:06d}"


def _common(settings: Generate, source: Source, folder: Path) -> dict[str, Any]:
    """The part of a row that all samples share."""
    return {
        **settings.model_dump(exclude={"source", "seed", "count"}),
        "class": source.name,
        "negative": source.negative,
        "embedding": source.embedding and file_hash(source.embedding),
        "weights": file_hash(folder),
        "versions": {library: version(library) for library in ("torch", "diffusers", "transformers")},
        "code": code_version("stages.generate"),
    }


def _block(seed: int, batch: int) -> range:
    """The seeds of the block that holds this one."""
    return range(seed // batch * batch, (seed // batch + 1) * batch)


def _key(common: dict[str, Any], source: Source, batch: int, seed: int) -> str:
    """The prompts of the whole block count: the lengths of its texts set shapes, and those the rounding."""
    block = [asdict(source.draw(other)) for other in _block(seed, batch)]
    return key(**common, seed=seed, block=block)


def _pictures(
    missing: Collection[int], source: Source, settings: Generate, folder: Path
) -> Iterator[tuple[int, Prompt, Picture, str]]:
    """(seed, prompt, picture, the scheduler's name) of every missing seed, block by block."""
    from stages.generate import sampler  # here, so that a run that keeps everything never loads torch

    pipe = sampler.load(folder, settings.dtype, sampler.Switches(settings.attention_slicing, settings.offload))
    sampling = sampler.Sampling(
        settings.steps, settings.guidance, settings.height, settings.width, settings.branch, settings.attribution,
        settings.self_attention,
    )  # fmt: skip
    for block in sorted({_block(seed, settings.batch) for seed in missing}, key=lambda seeds: seeds.start):
        prompts = [source.draw(seed) for seed in block]
        noise = [stream(source.name, seed, "noise") for seed in block]
        pictures = sampler.sample_block(pipe, prompts, noise, source.negative, sampling)
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
