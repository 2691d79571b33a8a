"""Learn an embedding of a class from one generated image and the mask of its object.

in       data/generated/CLASS, and a mask: --mask FILE (drawn by hand: a PNG, not 0 on the object), by default that of
         the sample of data/refined/CLASS of whose mask SAM is surest, by its predicted IoU times its agreement with
         the attention; the model and sampling of params.yaml
out      FILE: safetensors, `embedding` (2, c) float32, background first. The key `embedding: FILE` in the class's file
         of prompts then puts it in the place of the attribution texts
command  python -m stages.generate optimise CLASS --out data/prompts/CLASS.safetensors [--uid UID --mask FILE]
cost     miniature: half a minute on one CPU core; Stable Diffusion 1.5: minutes on a GPU, 2.3 GB for the queries
expect   the loss falls towards 0.3133; a published "train" map rises from 59 to 90 IoU by it
source   OVAM (Marcos-Manchón et al., CVPR 2024), token optimisation
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.generate.check import check_method
from stages.generate.params import Generate, Params
from stages.generate.preview import OVAM
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.sections import read
from stages.parts.store.places import check_place
from stages.parts.store.samples import Shards, png_array
from stages.parts.store.streams import sample_stream

if TYPE_CHECKING:
    from stages.generate.optimisation import Learned


def main(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(argv)
    check_place(Path(arguments.out))
    LABELS.id(arguments.name)
    settings = read(Params).generate.model_copy(update=OVAM)
    folder = checkpoint.find(settings.model, settings.revision)
    checkpoint.check(folder)
    if checkpoint.kind(folder) == checkpoint.JOINT:
        raise GraftError(f"params.yaml: generate.model {folder} is a {checkpoint.JOINT}; OVAM needs a UNet")
    check_method(settings, folder)
    uid, mask = _example(arguments.name, arguments.uid, arguments.mask)
    rows = {row["uid"]: row for row in Shards(Path("data/generated") / arguments.name).rows}
    if uid not in rows:
        raise GraftError(f"data/generated/{arguments.name} has no sample {uid}; run `dvc repro generate`")
    if "seed" not in rows[uid]:
        raise GraftError(f"data/generated/{arguments.name}: {uid} was taken in, not drawn: nothing to draw again")
    learned = _learn(folder, settings, rows[uid], mask)
    _save(Path(arguments.out), learned, uid)
    print(f"{arguments.out}: learned from {uid}, loss {learned.first:.4f} -> {learned.loss:.4f} (floor 0.3133)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stages.generate optimise",
        description="Learn an embedding of CLASS from one generated image and the mask of its object, by default the "
        "refined sample whose mask SAM is surest of. Name the file in the key `embedding` of the class's prompts.",
    )
    parser.add_argument("name", metavar="CLASS")
    parser.add_argument("--out", required=True, metavar="FILE", help="the safetensors file to write")
    parser.add_argument("--uid", help="the generated sample to learn from, such as train-000003")
    parser.add_argument("--mask", metavar="PNG", help="its mask, drawn by hand; needs --uid")
    return parser


def _example(name: str, uid: str | None, drawn: str | None) -> tuple[str, NDArray[np.bool_]]:
    """The sample to learn from and the (H, W) mask of its object."""
    if drawn is not None:
        if uid is None:
            raise GraftError("--mask needs --uid: of which sample is it?")
        try:
            mask = png_array(Path(drawn).read_bytes())
        except (OSError, ValueError) as error:
            raise GraftError(f"{drawn} cannot be read as a mask ({error}); give a grey PNG") from None
        return uid, np.asarray(mask.reshape(*mask.shape[:2], -1).any(2))
    refined = Shards(Path("data/refined") / name)
    rows = [row for row in refined.rows if not row["reason"] and uid in (None, row["uid"])]
    if not rows:
        raise GraftError(
            f"data/refined/{name} has no mask{f' of {uid}' if uid else ''}; draw one: --uid UID --mask PNG"
        )
    surest = max(rows, key=lambda row: (row.get("predicted_iou") or 0) * (row.get("agreement") or 0))
    return surest["uid"], png_array(refined.read(surest["uid"])["mask.png"]) > 127


def _learn(folder: Path, settings: Generate, row: dict[str, Any], mask: NDArray[np.bool_]) -> Learned:
    """Draw the sample's image once more, keep its queries, and learn from them."""
    import torch

    from stages.generate import sampler
    from stages.generate.optimisation import Queries, optimise
    from stages.parts.recording.recorder import listening
    from stages.parts.recording.unet import cross_attention, embed, latent_size

    pipe: Any = sampler.load(folder, settings.dtype)
    pipe.unet.requires_grad_(False)
    size = latent_size(pipe, settings.height, settings.width)
    queries = Queries(cross_attention(pipe.unet), size, settings.branch)
    noise = sample_stream(row["class"], row["seed"], "noise")
    with listening(queries.taps()):
        sampler.images(pipe, [row["prompt"]], [noise], row["negative"], settings)
    text = embed(pipe, [f"a photo of a {row['class']}"])[0][0]
    try:
        return optimise(queries, text[[0, -2]], torch.from_numpy(mask))  # start of text, last piece of the word
    except ValueError as error:
        raise GraftError(f"{row['uid']}: nothing can be learned, {error}; take another sample") from None


def _save(path: Path, learned: Learned, uid: str) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"sample": uid, "loss": f"{learned.loss:.6f}", "first_loss": f"{learned.first:.6f}"}
    save_file({"embedding": learned.embedding.cpu().contiguous()}, path, facts)
