"""preflight: everything that a run of the line will need, looked at before anything is made.

in       params.yaml; of every class its file in `generate.source`; the models that generate, refine and train name
out      nothing; one sentence about the first thing that is missing or damaged, and exit status 2
command  python -m stages.preflight        `make repro` begins with it
cost     about a second: files are opened, no model is loaded
expect   no word
source   ours: `dvc repro` looks at a class when its turn comes, which may be after hours of the classes before it
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stages import tensors
from stages.params import Generate, GraftError, Refine, Train, command, read

WEIGHTS = "model.safetensors"  # as in stages/segmenter/files.py, which loads mmsegmentation


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.preflight", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)
    params = read()
    check_generate(params.generate, params.classes)
    check_refine(params.refine)
    check_train(params.train)


def check_generate(params: Generate, classes: Sequence[str]) -> None:
    """The prompts or cutouts of every class, and the model, unless all classes bring their cutouts. GraftError."""
    from stages.generate import checkpoint, sources

    drawn = [name for name in classes if not sources.cutouts(params.source, name)]
    for name in drawn:
        sources.read(params.source, name)
    if drawn:
        folder = checkpoint.find(params.model, params.revision)
        checkpoint.check(folder)
        checkpoint.check_method(params, folder)


def check_refine(params: Refine) -> None:
    """The models that the method asks. GraftError when one is not here or its weights are cut off."""
    from stages.refine.weights import locate, used

    for param, source in used(params).items():
        locate(source, f"refine.{param}")


def check_train(params: Train) -> None:
    """The encoder's weights: in a folder, or of a Hub id at its commit in the local cache. GraftError."""
    if params.encoder is None:
        return
    path = Path(params.encoder, WEIGHTS)
    if params.encoder_revision is not None:
        path = cached(params.encoder, params.encoder_revision)
    if not path.is_file():
        raise GraftError(
            f"params.yaml train.encoder: there is no {path}; correct it, set it to null for none, or, if it is a Hub "
            f"id, give its commit as train.encoder_revision"
        )
    tensors.check(path)


def cached(model: str, revision: str) -> Path:
    """The weights' file of a Hub id at a commit. GraftError when the local cache lacks it; nothing is fetched."""
    from huggingface_hub import hf_hub_download  # reads HF_HUB_OFFLINE as it is imported: not before it is set

    try:
        return Path(hf_hub_download(model, WEIGHTS, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        raise GraftError(
            f"params.yaml train.encoder: {model} at {revision} is not in the Hugging Face cache; "
            f"run `hf download {model} {WEIGHTS} --revision {revision}` once"
        ) from None


if __name__ == "__main__":
    main()
