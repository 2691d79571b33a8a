"""refine: one mask, and every score a cleaner may want, for each generated image of one class.

in       data/generated/CLASS (image, attribution map), params `refine`, the models that it names
out      data/refined/CLASS: image.png, mask.png, seed.png, attribution.png per sample, doubt.png and alpha.png where
         a ring of doubt is asked for or the method has doubts of its own, and scores.csv
command  python -m stages.refine CLASS
cost     miniature: about 0.2 s per sample on one CPU core; SAM ViT-H needs a GPU; `engine` says by how many workers
expect   a mask for nearly every sample: `reason` is empty but for rejected images and empty seeds
source   Montalvo et al., "Unsupervised Class Generation to Expand Semantic Segmentation Datasets",
         J. Imaging 2025: attribution -> CRF -> five points -> SAM, best of three by predicted IoU. The views and the
         snap after SAM are ours: 1 view and 0 iterations are the published line
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.parts.command import command
from stages.parts.engine.spread import spread
from stages.parts.pretrained.weights import locate
from stages.parts.prompts.zero_shot import texts
from stages.parts.sections import check_class, read
from stages.parts.store.atomic import write_csv
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.lock import alone
from stages.parts.store.samples import Sample, Shards, build, file_hash, key
from stages.refine.params import SAM_PARAMS, Params, Refine
from stages.refine.task import Refinery, blocks

COLUMNS = (
    "uid", "reason", "candidate", "predicted_iou", "stability", "agreement", "map_agreement", "seed_map_agreement",
    "area", "lower_half", "smoothness", "energy", "turning", "circularity", "components", "largest_share",
    "border_top", "border_bottom", "border_left", "border_right", "holes",
    "inside_attribution", "outside_attribution", "class_score", "class_margin", "entropy", "phash",
)  # fmt: skip
CODE = ("stages.refine.refiner", "stages.refine.methods", "stages.refine.sample")  # what makes a sample's bytes
FOLDER = Path("data/refined")


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    name, sections = arguments.name, read(Params)
    params = checked(sections, name)
    generated = Shards(Path("data/generated") / name)
    models = {param: locate(source, f"refine.{param}") for param, source in params.models().items()}
    with alone(FOLDER / name):
        fill(name, sections, generated, models, arguments.device)


def fill(name: str, sections: Params, generated: Shards, models: dict[str, Path], device: str | None) -> None:
    """Bring the folder of a class to hold a refined sample for each generated one, and the table of their scores."""
    params = sections.refine
    entropy = ["stages.refine.entropy"] if "segmenter" in models else []
    made_by = key(
        params=settings(params), models={param: file_hash(path) for param, path in models.items()},
        texts=texts(name), code=fingerprint(*CODE, *entropy), threads=sections.engine.threads,
    )  # fmt: skip
    wanted = {row["uid"]: key(sample=row["sha256"], made_by=made_by) for row in generated.rows}

    def make(uids: list[str]) -> Iterator[Sample]:
        refinery = Refinery(generated.verify().folder, params, models, texts(name), device)
        for made in spread(refinery, list(blocks(uids, params.batch)), sections.engine):
            for uid, row, files in made:
                yield Sample(uid, wanted[uid], row, files)

    folder, table = FOLDER / name, "scores.csv"
    build(folder, wanted, make, title=f"refine {name}", beside=[table])
    write_table(folder / table, Shards(folder).rows)


def settings(params: Refine) -> dict[str, Any]:
    """The values that this method's samples depend on: those of the other methods may change freely."""
    own = {"sam": set(SAM_PARAMS), "self_attention": {"self_attention"}, "primaps": {"primaps"}}
    foreign = {param for method, names in own.items() if method != params.method for param in names}
    values = params.model_dump(exclude=foreign | {"clip", "model", "segmenter"})
    if params.method == "primaps":
        del values["primaps"]["encoder"]  # like the other models': what lies there counts, not where it lies
    return values


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """scores.csv, sorted by uid as the rows are; whole or not at all."""
    write_csv(path, COLUMNS, (cells(row) for row in rows))


def cells(row: Mapping[str, Any]) -> list[str]:
    """One row of the table, in the order of COLUMNS.

    A float is the shortest text that reads back as the same float64, so that a threshold in the table decides
    as it would in memory. A score that was not measured, because the sample has a reason, is an empty cell.
    """
    return [cell(row[column]) if column in row else "" for column in COLUMNS]


def cell(value: str | int | float) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def checked(params: Params, name: str) -> Refine:
    """The stage's section, once the class is known to be one of the user's."""
    check_class(name, params.classes)
    return params.refine


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m stages.refine",
        description="Turn the generated images of one class into masks, and measure every score of each.",
        epilog="Reads data/generated/CLASS and params.yaml, writes data/refined/CLASS. A "
        "stopped run goes on where it was; a sample is made again only when what makes it has changed.",
    )
    result.add_argument("name", metavar="CLASS", help="a class of params.yaml `classes`, such as bus")
    result.add_argument(
        "--device",
        help="where SAM and CLIP run (default: the worker's GPU, if it has one); it is no part of a sample's key",
    )
    return result


if __name__ == "__main__":
    main()
