"""Draw a picture for every row of the table, and record where each of its class words is.

in       data/dataset_diffusion/captions.jsonl, the model of `dataset_diffusion.model`
out      data/dataset_diffusion/drawings/PROMPT/: shards of image.jpg (RGB, as published) and maps.npy (float32
         (T, K, h, w) in [0, 1]: S^tau C of each of `dataset_diffusion.powers` and each class word, at S's size,
         normalised)
command  python -m stages.dataset_diffusion.generate PROMPT
         PROMPT, what the model reads: classes (their words), caption, caption_classes (class-prompt appending)
cost     small world (64 x 64, 20 steps): 0.6 s a picture on one core; nothing when all is there
expect   `rejected` is empty in every row
source   Nguyen et al., Dataset Diffusion (NeurIPS 2023), sections 3.2 and 3.3

Variants of the line that read the same prompts share their drawings. S itself is never written: 4 MB for a picture of
512 x 512. Finished pictures that still match are kept, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from stages.dataset_diffusion.captions import TABLE
from stages.dataset_diffusion.painter import Drawing, Painter, Task, blocks
from stages.dataset_diffusion.params import Generate, Params, Prompt
from stages.parts.command import command
from stages.parts.datasets.photo_shards import STORED, jpeg_bytes
from stages.parts.engine.spread import spread
from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.prompts.aliases import aliases_of
from stages.parts.prompts.caption_table import Entry, read_table
from stages.parts.prompts.class_words import appended, class_prompt, one_by_one, token_spans
from stages.parts.sections import read
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import Sample, build, file_hash, key, npy_bytes
from stages.parts.store.streams import sample_stream

FOLDER = Path("data/dataset_diffusion/drawings")
CODE = ("stages.dataset_diffusion.painter", "stages.parts.datasets.photo_shards")  # what makes a sample's bytes
NOISE = "dataset diffusion"  # the name of the streams of noise: the same for every prompt, so that rows can be compared


@command
def main(argv: Sequence[str] | None = None) -> None:
    name = _arguments(argv)
    params = read(Params)
    line, settings = params.dataset_diffusion, params.dataset_diffusion.generate
    entries = read_table(TABLE, line.space)
    folder = checkpoint.find(line.model, line.revision)
    checkpoint.check(folder)
    check_model(folder)
    tokenizer = checkpoint.tokenizer(folder)
    check_spans(entries, tokenizer)
    if name == "one_by_one":
        entries = separated(entries, line.space, tokenizer)

    tasks = work(entries, lambda entry: prompt_of(name, entry, tokenizer), settings)
    about = {f"{k:06d}": entry for k, entry in enumerate(each for each in entries for _ in range(settings.per_caption))}
    common = _common(settings, line.powers, folder) | {"prompted": name, "threads": params.engine.threads}
    wanted = {
        task.uid: key(**common, slot=slot, block=[asdict(one) for one in block])
        for block in blocks(tasks, {task.uid for task in tasks}, settings.batch)
        for slot, task in enumerate(block)
    }

    def make(missing: list[str]) -> Iterator[Sample]:
        lacking, prompts = set(missing), {task.uid: task.prompt for task in tasks}
        jobs = blocks(tasks, lacking, settings.batch)
        for drawn in spread(Painter(folder, settings, tuple(line.powers)), jobs, params.engine):
            for uid, one in drawn:
                if uid in lacking:
                    row = _row(about[uid], prompts[uid], one, list(line.powers))
                    yield Sample(uid, wanted[uid], row, _files(one))

    build(FOLDER / name, wanted, make, title=f"generate {name}")


def prompt_of(name: Prompt, entry: Entry, tokenizer: Any) -> str:
    """The text that the model reads for an entry."""
    if name == "classes":
        return entry.class_prompt
    return appended(tokenizer, entry.caption, entry.classes) if name == "caption_classes" else entry.caption


def separated(entries: Sequence[Entry], space: str, tokenizer: Any) -> list[Entry]:
    """As many entries, each about one object: the mentions of the captions in turn. A caption whose classes were given
    and are not mentioned stays as it is."""
    aliases, texts = aliases_of(space), list[tuple[str, tuple[str, ...]]]()
    for entry in entries:
        alone = one_by_one(entry.caption, aliases)
        texts += [(text, (name,)) for text, name in alone] if alone else [(entry.caption, entry.classes)]
    return [
        Entry(entry.uid, space, text, classes, class_prompt(classes), tuple(token_spans(tokenizer, classes)))
        for entry, (text, classes) in zip(entries, texts, strict=False)
    ]


def work(entries: Sequence[Entry], prompt: Callable[[Entry], str], settings: Generate) -> list[Task]:
    """The tasks in the table's order, `per_caption` for each entry, each with noise of its own."""
    repeated = [entry for entry in entries for _ in range(settings.per_caption)]
    return [
        Task(
            f"{k:06d}", prompt(entry), entry.class_prompt, entry.spans,
            sample_stream(NOISE, settings.seed + k, "noise"),
        )
        for k, entry in enumerate(repeated)
    ]  # fmt: skip


def check_model(folder: Path) -> None:
    """GraftError for a model in which pixels and text attend together: there are no keys of a text of its own."""
    if checkpoint.kind(folder) == checkpoint.JOINT:
        raise GraftError(
            f"params.yaml: dataset_diffusion.model {folder} is a {checkpoint.JOINT}, whose pixels and text attend "
            f"together; take a model with a UNet"
        )


def check_spans(entries: Sequence[Entry], tokenizer: Any) -> None:
    """GraftError for a table whose spans are another tokenizer's."""
    for classes, spans in {(entry.classes, entry.spans) for entry in entries}:
        if tuple(token_spans(tokenizer, classes)) != spans:
            raise GraftError(
                f"{TABLE} was made for another tokenizer than that of dataset_diffusion.model; run "
                f"`python -m stages.dataset_diffusion.captions`"
            )


def _common(settings: Generate, powers: Sequence[int], folder: Path) -> dict[str, Any]:
    return {
        **settings.model_dump(exclude={"seed", "per_caption"}),
        "powers": list(powers),
        "weights": file_hash(folder),
        "versions": {library: version(library) for library in ("torch", "diffusers", "transformers")},
        "code": fingerprint(*CODE),
    }


def _row(entry: Entry, prompt: str, one: Drawing, powers: list[int]) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "space": entry.space,
        "classes": list(entry.classes),
        "powers": powers,
        "peaks": [round(peak, 6) for peak in one.peaks],
        "height": one.image.shape[0],
        "width": one.image.shape[1],
        "rejected": one.rejected,
    }


def _files(one: Drawing) -> dict[str, bytes]:
    return {STORED: jpeg_bytes(one.image), "maps.npy": npy_bytes(one.maps)}


def _arguments(argv: Sequence[str] | None) -> Prompt:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="PROMPT", choices=get_args(Prompt), help=", ".join(get_args(Prompt)))
    name: Prompt = parser.parse_args(argv).name
    return name


if __name__ == "__main__":
    main()
