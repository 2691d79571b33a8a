"""The text-to-image model on disk: found, and known to be whole, before torch is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from stages.parts.errors import GraftError
from stages.parts.pretrained.header import BACK, check_shapes, check_tokenizer, check_weights
from stages.parts.store.documents import read_json

INDEX = "model_index.json"
JOINT = "StableDiffusion3Pipeline"  # pixels and text attend jointly: no text of its own can be recorded
CLIP = ("vae", "text_encoder")
PIPELINES = {  # what this stage can record, and the parts that must have weights
    "StableDiffusionPipeline": ("unet", *CLIP),
    "LatentConsistencyModelPipeline": ("unet", *CLIP),
    "StableDiffusionXLPipeline": ("unet", *CLIP, "text_encoder_2"),
    JOINT: ("transformer", *CLIP, "text_encoder_2"),
}
COMMIT = re.compile("[0-9a-f]{40}")


def find(model: str, revision: str | None) -> Path:
    """The folder of `model`: itself, or the snapshot of that Hub id in the local cache. Nothing is fetched.

    Raises GraftError when there is neither, for an id without a pinned commit, and for a revision of a folder, which
    has none."""
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise GraftError(
                f"params.yaml: generate.revision is {revision!r}, but generate.model is the folder {model}, "
                f"which has no revisions; set generate.revision to null"
            )
        return folder
    if revision is None:
        raise GraftError(
            f"params.yaml: generate.model names no folder ({model}); bring it back (`git checkout` or `dvc pull`), or, "
            f"if it is a Hugging Face id, set generate.revision to the commit that you mean"
        )
    if not COMMIT.fullmatch(revision):
        raise GraftError(
            f"params.yaml: generate.revision is {revision!r}, which can come to mean other weights; "
            f"give the 40 hex digits of the commit of {model}"
        )
    return _snapshot(model, revision)


def _snapshot(model: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download  # reads HF_HUB_OFFLINE as it is imported: not before it is set

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        raise GraftError(
            f"params.yaml: generate.model {model} at {revision} is not in the local Hugging Face cache, and nothing is "
            f"fetched by surprise; run `HF_HUB_OFFLINE=0 hf download {model} --revision {revision}` once"
        ) from None


def kind(folder: Path) -> str:
    """The name of the diffusers pipeline that a folder holds. GraftError for none, or one not in PIPELINES."""
    if not (folder / INDEX).is_file():
        raise GraftError(
            f"params.yaml: generate.model {folder} is no diffusers model, it has no {INDEX}; "
            f"give a folder in the diffusers layout"
        )
    name = read_table(folder / INDEX).get("_class_name")
    if not isinstance(name, str) or name not in PIPELINES:
        raise GraftError(
            f"params.yaml: generate.model {folder} is a {name}; this stage can record {', '.join(PIPELINES)}"
        )
    return str(name)


def parts(folder: Path) -> dict[str, tuple[str, str]]:
    """name -> (library, class) of each part that must have weights, as the folder's index has it. GraftError for a
    part that the index does not name, or names without its class."""
    needed = PIPELINES[kind(folder)]
    index, found = read_table(folder / INDEX), {}
    for name in needed:
        maker = index.get(name)
        if not (isinstance(maker, list) and len(maker) == 2 and maker[0] in ("diffusers", "transformers")):
            raise GraftError(f"{folder / INDEX} names no model of diffusers or transformers as its {name}; {BACK}")
        found[name] = (maker[0], str(maker[1]))
    return found


def check(folder: Path) -> None:
    """Raise GraftError unless `folder` holds a whole pipeline in the diffusers layout: its parts there, every
    JSON file readable, every safetensors file opening (headers and lengths are read)."""
    needed, _ = parts(folder), scheduler(folder)
    for path in sorted(folder.rglob("*.json")):
        read_table(path)
    for part in needed:
        if not any((folder / part).glob("*.safetensors")):
            raise GraftError(f"{folder / part} has no *.safetensors file; {BACK}")
    for path in sorted(folder.rglob("*.safetensors")):
        check_weights(path)
    text = folder / "text_encoder"
    config = read_table(text / "config.json")
    check_shapes(text, str(config.get("model_type")), config)
    check_tokenizer(folder / "tokenizer", config)


def guided(folder: Path, guidance: float) -> bool:
    """Whether the model is sampled with two halves. One whose UNet was taught the guidance itself has only one."""
    config = folder / "unet" / "config.json"
    return guidance > 1 and not (config.is_file() and read_table(config).get("time_cond_proj_dim"))


def scheduler(folder: Path) -> str:
    """The class name of the model's scheduler."""
    named = read_table(folder / INDEX).get("scheduler")
    if not (isinstance(named, list) and len(named) == 2 and isinstance(named[1], str)):
        raise GraftError(f"{folder / INDEX} names no scheduler; {BACK}")
    return named[1]


def most_steps(folder: Path) -> int:
    """The most sampling steps that the model's scheduler can take: its training's, 1 000 where it does not say."""
    config = read_table(folder / "scheduler" / "scheduler_config.json")
    steps = config.get("num_train_timesteps", 1000)
    if scheduler(folder) == "LCMScheduler":
        steps = config.get("original_inference_steps", 50)
    return steps if isinstance(steps, int) else 1000


def tokenizer(folder: Path) -> Any:
    """The tokenizer of the model's first text encoder; no weights are loaded. GraftError when it cannot be read."""
    from transformers import CLIPTokenizer  # reads HF_HUB_OFFLINE as it is imported: not before it is set

    try:
        return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GraftError(f"{folder / 'tokenizer'} is damaged ({' '.join(str(error).split())[:200]}); {BACK}") from None


def read_table(path: Path) -> dict[str, Any]:
    """The table of one of the model's JSON files. GraftError naming the file when it is missing or damaged."""
    return read_json(path, BACK)
