"""refine: one mask, and every score a cleaner may want, for each generated image of one class.

in       data/generated/CLASS (image, attribution map), params `refine`, the models that it names
out      data/refined/CLASS: image.png, mask.png, seed.png, attribution.png per sample, doubt.png and alpha.png where
         a ring of doubt is asked for or the method has doubts of its own, and scores.csv
command  python -m stages.refine CLASS
cost     miniature: about 0.2 s per sample on one CPU core; SAM ViT-H needs a GPU
expect   a mask for nearly every sample: `reason` is empty but for rejected images and empty seeds
source   Montalvo et al., "Unsupervised Class Generation to Expand Semantic Segmentation Datasets",
         J. Imaging 2025: attribution -> CRF -> five points -> SAM, best of three by predicted IoU. The views and the
         snap after SAM are ours: 1 view and 0 iterations are the published line
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.parts.command import command
from stages.parts.pretrained.weights import locate
from stages.parts.prompts.zero_shot import texts
from stages.parts.sections import check_class, read
from stages.parts.store.atomic import write_csv
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.pictures import check_size
from stages.parts.store.samples import Sample, Shards, build, file_hash, key, npy_array, png_array, png_bytes
from stages.refine.params import SAM_PARAMS, Params, Refine

if TYPE_CHECKING:
    from stages.refine.entropy import Certainty
    from stages.refine.refiner import Raw, Refined, Refiner

COLUMNS = (
    "uid", "reason", "candidate", "predicted_iou", "stability", "agreement", "map_agreement", "seed_map_agreement",
    "area", "lower_half", "smoothness", "energy", "turning", "circularity", "components", "largest_share",
    "border_top", "border_bottom", "border_left", "border_right", "holes",
    "inside_attribution", "outside_attribution", "class_score", "class_margin", "entropy", "phash",
)  # fmt: skip
CODE = ("stages.refine.refiner", "stages.refine.methods", "stages.parts.store.pictures")  # what makes a sample's bytes
CUT = ("image.png", "mask.png", "doubt.png", "alpha.png")  # what a cutout is made of


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    name, sections = arguments.name, read(Params)
    params = checked(sections, name)
    generated = Shards(Path("data/generated") / name)
    models = {param: locate(source, f"refine.{param}") for param, source in params.models().items()}
    entropy = ["stages.refine.entropy"] if "segmenter" in models else []
    made_by = key(
        params=settings(params), models={param: file_hash(path) for param, path in models.items()},
        texts=texts(name), code=fingerprint(*CODE, *entropy), threads=sections.engine.threads,
    )  # fmt: skip
    wanted = {row["uid"]: key(sample=row["sha256"], made_by=made_by) for row in generated.rows}

    def make(uids: list[str]) -> Iterator[Sample]:
        from stages.parts.pretrained.clip import Clip  # here, for a run that keeps everything needs no torch
        from stages.refine.methods import open_method
        from stages.refine.refiner import Refiner

        generated.verify()
        device = arguments.device or default_device()
        clip = Clip(models["clip"], texts(name), device)
        method = open_method(params.model_dump(), models, device)
        certainty = certain(models["segmenter"], device) if "segmenter" in models else None
        refiner = Refiner(method, clip, params.threshold, params.crf.model_dump(), params.ring, certainty)
        yield from samples(refiner, generated, uids, wanted, params.batch)

    folder, table = Path("data/refined") / name, "scores.csv"
    build(folder, wanted, make, title=f"refine {name}", beside=[table])
    write_table(folder / table, Shards(folder).rows)


def default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def certain(weights: Path, device: str) -> Certainty:
    from stages.refine.entropy import Certainty  # here, for mmseg takes seconds to load and is seldom needed

    return Certainty(weights, device)


def settings(params: Refine) -> dict[str, Any]:
    """The values that this method's samples depend on: those of the other methods may change freely."""
    own = {"sam": set(SAM_PARAMS), "self_attention": {"self_attention"}, "primaps": {"primaps"}}
    foreign = {param for method, names in own.items() if method != params.method for param in names}
    values = params.model_dump(exclude=foreign | {"clip", "model", "segmenter"})
    if params.method == "primaps":
        del values["primaps"]["encoder"]  # like the other models': what lies there counts, not where it lies
    return values


def samples(
    refiner: Refiner, generated: Shards, uids: Iterable[str], keys: dict[str, str], batch: int
) -> Iterator[Sample]:
    """The refined samples of `uids`, batch by batch; one that `generate` rejected keeps that reason."""
    rejected = {row["uid"]: row.get("rejected", "") for row in generated.rows}
    for block in blocks(uids, batch):
        files = {uid: generated.read(uid) for uid in block.values()}
        refined = refiner({s: raw(generated.folder, uid, files[uid], rejected[uid]) for s, uid in block.items()})
        for slot, uid in block.items():
            made = {"image.png": files[uid]["image.png"], **pictures(refined[slot])}
            row = {"reason": refined[slot].reason, **refined[slot].scores, "cut": cut(made)}
            yield Sample(uid, keys[uid], row, made)


def blocks(uids: Iterable[str], batch: int) -> Iterator[dict[int, str]]:
    """Slot -> uid of each batch. A sample's slot is its number modulo the batch, whichever others are missing; one
    without a number, such as an imported "bus-city-1", is alone in slot 0."""
    found: dict[tuple[str, int], dict[int, str]] = {}
    for uid in uids:
        name, _, digits = uid.rpartition("-")
        if digits.isdecimal() and digits == f"{int(digits):06d}":
            found.setdefault((name, int(digits) // batch), {})[int(digits) % batch] = uid
        else:
            found[uid, -1] = {0: uid}
    yield from found.values()


def cut(files: Mapping[str, bytes]) -> str:
    """What stage cutouts knows a sample by: equal pictures are an equal cutout, whatever their scores."""
    return key(**{name: hashlib.sha256(files[name]).hexdigest() for name in CUT if name in files})


def raw(folder: Path, uid: str, files: Mapping[str, bytes], rejected: str) -> Raw:
    """What generate left of one sample. GraftError when its map or its mask is not of its image's size."""
    from stages.refine.refiner import Raw

    image = png_array(files["image.png"])
    if "mask.png" in files:
        mask = png_array(files["mask.png"]) > 0
        check_size(folder, uid, image, mask)
        return Raw(image, mask.astype(np.float32), rejected, mask=mask)
    attribution = npy_array(files["attribution.npy"])
    check_size(folder, uid, image, attribution, "map")
    names = ("self_attention.npy", "cross_attention.npy")
    return Raw(image, attribution, rejected, *(npy_array(files[name]) if name in files else None for name in names))


def pictures(refined: Refined) -> dict[str, bytes]:
    """mask, seed and doubt as 0 / 255, the normalised attribution map and the opacity as 0 .. 255."""
    found = {
        "mask.png": png_bytes(np.where(refined.mask, np.uint8(255), np.uint8(0))),
        "seed.png": png_bytes(np.where(refined.seed, np.uint8(255), np.uint8(0))),
        "attribution.png": png_bytes(np.rint(refined.attribution * 255).astype(np.uint8)),
    }
    if refined.edge is not None:
        found["doubt.png"] = png_bytes(np.where(refined.edge.doubt, np.uint8(255), np.uint8(0)))
        found["alpha.png"] = png_bytes(refined.edge.alpha)
    return found


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
        "--device", help="where SAM and CLIP run (default: a GPU if there is one); it is no part of a sample's key"
    )
    return result


if __name__ == "__main__":
    main()
