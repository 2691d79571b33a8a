"""preflight: everything that a run of the line will need, looked at before anything is made.

in       params.yaml; the folders that `scenes` names; of every class its file in `generate.source`; the models that
         generate, refine and train name
out      nothing; one sentence about the first thing that is missing or damaged, and exit status 2; and a warning for
         each class of whose prompts the small model does not know every word
command  python -m stages.preflight [LINE]        `make repro` begins with it
cost     about a second: files are opened, no model is loaded
expect   no word
source   ours: `dvc repro` looks at a class when its turn comes, which may be after hours of the classes before it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.clean import params as cleaning
from stages.cutouts import params as cutting
from stages.dataset_diffusion import params as drawing
from stages.evaluate import params as evaluating
from stages.generate import params as generating
from stages.generate.params import Generate
from stages.ncdss import params as discovering
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.pretrained import weights
from stages.parts.pretrained.header import check_weights
from stages.parts.sections import Recipes, Seeds, content, read
from stages.parts.store.places import check_place
from stages.photos import params as photographing
from stages.primaps import params as primaps
from stages.refine import params as refining
from stages.refine.params import Refine
from stages.scenes import params as staging
from stages.scenes.params import Folder, Scenes
from stages.train import params as training
from stages.train.params import Train

# What the line writes.
PLACES = (
    *(f"data/{room}" for room in ("scenes", "generated", "refined", "cleaned", "cutouts", "trained", "evaluated")),
    "data/report", "data/.work", "models/segmenters", "metrics", "metrics/code",
)  # fmt: skip


class Params(
    staging.Params, photographing.Params, generating.Params, refining.Params, cleaning.Params, cutting.Params,
    training.Params, evaluating.Params, primaps.Params, discovering.Params, drawing.Params,
):  # fmt: skip
    """The whole file."""

    recipes: Recipes
    seeds: Seeds


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.preflight", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("line", nargs="?", choices=sorted(LINES), help="a further line, whose models are looked at too")
    line = parser.parse_args(argv).line
    params = read(Params)
    if unknown := sorted(map(str, content().keys() - Params.model_fields.keys())):
        raise GraftError(f"params.yaml: unknown key {unknown[0]}; remove it or correct its name")
    check_scenes(params.scenes)
    check_generate(params.generate, params.classes)
    check_refine(params.refine)
    check_train(params.train)
    if line is not None:
        LINES[line](params)
    for place in PLACES:
        check_place(Path(place, "x"))


def check_scenes(params: Scenes) -> None:
    """The user's folders: there, and not without pictures. GraftError. Whether they are whole, scenes tells."""
    from stages.parts.datasets.folders import check_folders

    for split, given in params.splits().items():
        if isinstance(given, Folder):
            ids = given.id_map(f"params.yaml scenes.{split}.ids")
            try:
                check_folders(Path(given.images), Path(given.labels) if given.labels else None, ids)
            except GraftError as error:
                raise GraftError(f"scenes.{split}: {error}") from None


def check_generate(params: Generate, classes: Sequence[str]) -> None:
    """The prompts or cutouts of every class, and the model, unless all classes bring their cutouts. GraftError."""
    from stages.generate import sources
    from stages.generate.check import check_method
    from stages.generate.vocabulary import unknown_words
    from stages.parts.pretrained import diffusion as checkpoint

    drawn = [sources.read(params.source, name) for name in classes if not sources.cutouts(params.source, name)]
    if not drawn:
        return
    folder = checkpoint.find(params.model, params.revision)
    checkpoint.check(folder)
    check_method(params, folder, learned=any(one.embedding is not None for one in drawn))
    for one in drawn:
        if words := unknown_words(folder, one):
            print(
                f"{params.source}/{one.name}.yaml: {params.model} has never been told {', '.join(words)}, and draws "
                f"something else; take words that it knows (README.md), or a large model (docs/full_size.md)",
                file=sys.stderr,
            )


def check_refine(params: Refine) -> None:
    """The models that the method asks. GraftError when one is not here or its weights are cut off."""
    from stages.parts.pretrained.weights import locate

    for param, source in params.models().items():
        locate(source, f"refine.{param}")


def check_train(params: Train) -> None:
    """The encoder's weights, in a folder or of a Hub id at its commit in the local cache, for a method that needs one,
    and the labels of method supervised. GraftError. Whether the weights fit the model, train tells."""
    from stages.train.labelled import check_oracle
    from stages.train.methods import check_encoder

    check_encoder(params.method, params.encoder)
    check_oracle(params.method)
    if params.encoder is not None:
        check_weights(weights.find_encoder(params.encoder, params.encoder_revision))


def check_dataset_diffusion(whole: Params) -> None:
    """The line's models: that which draws, those that regions snap to, the encoders. GraftError when one is not here or
    its weights are cut off."""
    from stages.parts.pretrained import diffusion as checkpoint

    params = whole.dataset_diffusion
    checkpoint.check(checkpoint.find(params.model, params.revision))
    for variant in params.variants:
        masks, train = params.masks_of(variant), params.train_of(variant)
        if train.drawn and masks.snap.model:
            weights.locate(masks.snap.model, "dataset_diffusion.masks.snap.model")
        if train.drawn and masks.presence.model:
            weights.locate(masks.presence.model, "dataset_diffusion.masks.presence.model")
        if train.encoder is not None:
            check_weights(weights.find_encoder(train.encoder, train.encoder_revision))


LINES = {"dataset_diffusion": check_dataset_diffusion}


if __name__ == "__main__":
    main()
