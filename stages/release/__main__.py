"""Examine the small models and put them where the other lines find them.

in    lines/miniature/data/{book/heldout, book/groups_heldout, models/MODEL}
out   metrics/miniature.json; metrics/two_objects.png, 64 drawings of two things; models/miniature/MODEL, kept in git
      (no declared out: see lines/miniature/dvc.yaml)
command   python -m stages.release [MODEL ...]        cost   10 min on one core for all. Of named models the
          figures are measured anew, the others stay
expected  scorer: 0.87 or more of the drawings of every class; sam: mean IoU 0.90 or more of single objects, 0.75 of one
          among several; two_objects: 0.70 or more; vit: a linear probe 10 points above random weights; saliency: max F
          0.90 or more
source    each measure as its function says; drawing a page again: SDEdit, Meng et al. 2022
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

from safetensors import safe_open

from stages.miniature.book import Book
from stages.parts.command import command
from stages.parts.pretrained.clip import Clip
from stages.parts.pretrained.sam import Sam
from stages.parts.sections import read
from stages.release import cutting, drawing, pairs, seeing
from stages.release.drawing import KINDS, Params
from stages.release.examiner import Examiner

MADE, SHIPPED = Path("lines/miniature/data/models"), Path("models/miniature")
FIGURES = Path("metrics/miniature.json")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(EXAMS)}; default: all")
    models = parser.parse_args(argv).models or list(EXAMS)
    if unknown := [name for name in models if name not in EXAMS]:
        parser.error(f"there is no model {unknown[0]!r}; there are {', '.join(EXAMS)}")
    figures: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    for name in models:
        figures |= EXAMS[name](MADE / name)
        rmtree(SHIPPED / name, ignore_errors=True)
        halved(MADE / name, SHIPPED / name) if name in HALVED else copytree(MADE / name, SHIPPED / name)
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def _diffusion(folder: Path) -> dict[str, Any]:
    params, book = read(Params), Book("heldout")
    pipe, clip = drawing.sampler.load(folder, "float32"), _clip(MADE / "clip")
    return {
        "vae": drawing.fidelity(pipe.vae, book),
        "scorer_on_drawings": drawing.scored(clip, drawing.drawings(pipe, params)),
        "attribution_iou": drawing.attribution_iou(pipe, book, params),
    }


def _clip(folder: Path) -> Clip:
    return Clip(folder, [f"a photo of a {kind}" for kind in KINDS])


def _scorer(folder: Path) -> dict[str, Any]:
    book = Book("heldout")
    pages = [(book.images[k], book.pages[k]["kind"]) for k in range(drawing.PAGES)]
    return {"scorer_on_renders": drawing.scored(_clip(folder), pages)}


def _diffusion_groups(folder: Path) -> dict[str, Any]:
    params, book = read(Params), Book("heldout")
    pipe, clip = drawing.sampler.load(folder, "float32"), _clip(MADE / "clip")
    look = Examiner()
    drawn = pairs.drawings(pipe, params)
    pairs.sheet([image for image, _ in drawn]).save(FIGURES.with_name("two_objects.png"))
    return {
        "groups_scorer_on_drawings": drawing.scored(clip, drawing.drawings(pipe, params)),
        "groups_attribution_iou": drawing.attribution_iou(pipe, book, params),
        "two_objects": pairs.both_shown(look, drawn),
        "two_objects_on_renders": pairs.check(look, Book("groups_heldout")),
    }


def _sam(folder: Path) -> dict[str, Any]:
    sam = Sam(folder)
    return {
        "sam_iou": cutting.sam_iou(sam, Book("heldout")),
        "sam_among_others": cutting.sam_among_others(sam, Book("groups_heldout")),
    }


def _sam_groups(folder: Path) -> dict[str, Any]:
    return {f"groups_{name}": figures for name, figures in _sam(folder).items()}


def _encoder(folder: Path) -> dict[str, Any]:
    """What its training wrote beside the weights: the layer that says the names is not kept."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {"encoder_accuracy": float(file.metadata()["heldout_accuracy"])}


# In this order: a later exam may look with an earlier model.
EXAMS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "clip": _scorer,
    "diffusion": _diffusion,
    "sam": _sam,
    "encoder": _encoder,
    "vit": lambda folder: {"vit": seeing.probed(folder)},
    "saliency": lambda folder: {"saliency": seeing.salient(folder)},
    "sam_groups": _sam_groups,
    "diffusion_groups": _diffusion_groups,
}
HALVED = ("vit", "saliency", "sam_groups", "diffusion_groups")  # kept as float16; the root line's are as trained


def halved(made: Path, kept: Path) -> None:
    """Copy a model's folder with its weights as float16; loaders that follow config.json give float32 again."""
    from safetensors.torch import load_file, save_file

    copytree(made, kept)
    for file in kept.rglob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            about = opened.metadata()
        tensors = load_file(file)
        save_file({k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}, file, about)


if __name__ == "__main__":
    main()
