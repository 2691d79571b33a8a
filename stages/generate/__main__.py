"""Generate images of one class, each with the attention map of its class word.

in       SOURCE/CLASS.yaml (`generate.source`) and the model of `generate.model`; or, where that file points to
         published cutouts, their images and masks, and no model
out      data/generated/CLASS/: shards of image.png (RGB) and attribution.npy (float32 (H, W), the raw map of the
         class word at image size; Dataset Diffusion adds its S and C); a row holds all that makes its sample again
command  python -m stages.generate CLASS
cost     miniature (64 images of 64 x 64, 20 steps): half a minute on one CPU core; nothing when all is there
expect   `rejected` is empty in every row; a reason marks a constant image or a map without contrast
source   UCG (Montalvo et al., J. Imaging 2025), generation; OVAM (Marcos-Manchón et al., CVPR 2024)

`generate` in params.yaml says how many and how, `engine` by how many workers. Finished samples that still match are
kept, so a stopped run goes on where it was.
`python -m stages.generate preview --help` tries a single prompt, `... optimise --help` learns an embedding of a class.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.generate import optimise, preview, sources
from stages.generate.check import check_method
from stages.generate.params import Generate, Params
from stages.generate.published import Published
from stages.generate.sources import Source
from stages.generate.task import Painter, block, blocks
from stages.parts.command import command
from stages.parts.engine.spread import spread
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.prompts.prompt import Prompt, cut
from stages.parts.recording.sampling import Sampling, Switches
from stages.parts.sections import check_class, read
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keys import slug
from stages.parts.store.lock import alone
from stages.parts.store.samples import Sample, build, file_hash, key, npy_bytes, png_bytes

if TYPE_CHECKING:
    from stages.generate.sampler import Picture

FOLDER = Path("data/generated")
CODE = ("stages.generate.task", "stages.parts.store.pictures")  # what makes a sample's bytes


@command
def main(argv: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["preview"]:
        preview.main(words[1:])
    elif words[:1] == ["optimise"]:
        optimise.main(words[1:])
    else:
        _generate(_arguments(words))


def _generate(name: str) -> None:
    params = read(Params)
    check_class(name, params.classes)
    with alone(FOLDER / name):
        _fill(name, params)


def _fill(name: str, params: Params) -> None:
    """Bring the folder of a class to hold what its prompts and the params ask for."""
    settings = params.generate
    if published := sources.cutouts(settings.source, name):
        take_in(published)
        return
    source = sources.read(settings.source, name)
    folder = checkpoint.find(settings.model, settings.revision)
    checkpoint.check(folder)
    check_method(settings, folder, source.embedding is not None)

    common = _common(settings, source, folder) | {"threads": params.engine.threads}
    seeds = {_uid(name, seed): seed for seed in range(settings.seed, settings.seed + settings.count)}
    wanted = {uid: _key(common, source, settings.batch, seed) for uid, seed in seeds.items()}

    def make(missing: list[str]) -> Iterator[Sample]:
        tokenizer = checkpoint.tokenizer(folder)
        _report_words(source, tokenizer, settings)
        lacking = {seeds[uid] for uid in missing}
        jobs = blocks(source, lacking, settings.batch)
        for pictures in spread(_painter(settings, source, folder), jobs, params.engine):
            for task, picture in pictures:
                if task.seed in lacking:
                    uid = _uid(name, task.seed)
                    row = common | _row(task.seed, task.prompt, picture, cut(tokenizer, task.prompt.prompt))
                    yield Sample(uid, wanted[uid], row, _files(picture))

    build(FOLDER / name, wanted, make, title=f"generate {name}")


def take_in(cutouts: Published) -> None:
    """Published images and masks in the place of drawn ones: image.png and mask.png, no attribution."""
    wanted = cutouts.keys()
    build(FOLDER / cutouts.name, wanted, lambda uids: cutouts.samples(uids, wanted), title=f"generate {cutouts.name}")


def _arguments(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m stages.generate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="CLASS", help="a class of params.yaml `classes`, such as bus")
    name: str = parser.parse_args(argv).name
    return name


def _uid(name: str, seed: int) -> str:
    return f"{slug(name)}-{seed:06d}"


def _common(settings: Generate, source: Source, folder: Path) -> dict[str, Any]:
    """The part of a row that all samples share."""
    return {
        **settings.model_dump(exclude={"source", "seed", "count"}),
        "class": source.name,
        "negative": source.negative,
        "embedding": source.embedding and file_hash(source.embedding),
        "weights": file_hash(folder),
        "scheduler": checkpoint.scheduler(folder),
        "versions": {library: version(library) for library in ("torch", "diffusers", "transformers")},
        "code": fingerprint(*CODE),
    }


def _key(common: dict[str, Any], source: Source, batch: int, seed: int) -> str:
    """The prompts of the whole block count: the lengths of its texts set shapes, and those the rounding."""
    prompts = [asdict(source.draw(other)) for other in block(seed, batch)]
    return key(**common, seed=seed, block=prompts)


def _report_words(source: Source, tokenizer: Any, settings: Generate) -> None:
    """Say on stderr what the tokenizer does to the class word and to prompts that are too long."""
    pieces = tokenizer.tokenize(source.word)
    if len(pieces) > 1:
        print(
            f"generate {source.name}: the tokenizer splits {source.word!r} into {len(pieces)} pieces "
            f"({' '.join(pieces)}); the map is the mean of theirs",
            file=sys.stderr,
        )
    prompts = {source.draw(seed).prompt for seed in range(settings.seed, settings.seed + settings.count)}
    lost = {prompt: end for prompt in sorted(prompts) if (end := cut(tokenizer, prompt))}
    for prompt, end in list(lost.items())[:1]:
        print(
            f"generate {source.name}: {len(lost)} of {len(prompts)} prompts are longer than the "
            f"{tokenizer.model_max_length} tokens that the model reads; of {prompt[:60]!r}... it loses {end!r}",
            file=sys.stderr,
        )


def _painter(settings: Generate, source: Source, folder: Path) -> Painter:
    sampling = Sampling(
        settings.steps, settings.guidance, settings.height, settings.width, settings.branch, settings.attribution,
        settings.self_attention,
    )  # fmt: skip
    switches = Switches(settings.attention_slicing, settings.offload, settings.compile)
    return Painter(folder, settings.dtype, switches, sampling, source.negative, source.embedding)


def _files(picture: Picture) -> dict[str, bytes]:
    arrays = {"attribution.npy": picture.attribution, **picture.extras}
    return {"image.png": png_bytes(picture.image), **{name: npy_bytes(array) for name, array in arrays.items()}}


def _row(seed: int, prompt: Prompt, picture: Picture, lost: str) -> dict[str, Any]:
    return {
        "seed": seed,
        "prompt": prompt.prompt,
        "cut": lost,
        "attribution_text": prompt.attribution_text,
        "span": list(picture.word),
        "subtype": prompt.subtype,
        "place": prompt.place,
        "rejected": picture.rejected,
    }


if __name__ == "__main__":
    main()
