"""What a model's folder says of itself, read without loading it: its kind, its shapes, its tokenizer.

A model of the wrong kind, weights of another size than their config, and a tokenizer that is missing or another
model's are found here in milliseconds. transformers would find the first two after seconds, and the third never: it
makes an empty tokenizer, and every text reads as nothing.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from stages.parts.errors import GraftError
from stages.parts.store.documents import read_json

BACK = "bring it back (`git checkout` or `dvc pull`) or fetch it again"
PROMPTABLE = ("sam", "sam_hq", "sam2", "sam2_video", "edgetam", "edgetam_video")  # as transformers calls them
# What each param of params.yaml may name; a param that is not here takes any model.
KINDS: dict[str, Collection[str]] = {"refine.clip": ("clip",), "refine.model": PROMPTABLE}
LEGACY = b"\x80\x02"  # a pickle of torch before 1.6
# model_type -> a tensor, and its shape as keys of the config: those that tell one size of a model from another.
PROBES: dict[str, dict[str, tuple[str, ...]]] = {
    "clip": {
        "text_model.embeddings.token_embedding.weight": ("text_config.vocab_size", "text_config.hidden_size"),
        "text_projection.weight": ("projection_dim", "text_config.hidden_size"),
        "visual_projection.weight": ("projection_dim", "vision_config.hidden_size"),
    },
    "sam": {"mask_decoder.iou_token.weight": ("1", "mask_decoder_config.hidden_size")},
    "clip_text_model": {"embeddings.token_embedding.weight": ("vocab_size", "hidden_size")},
}


def check_weights(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor -> shape of a safetensors file, from its header. GraftError when it is missing, cut off or no such."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError) as error:
        raise GraftError(f"{path} is damaged ({error}); {BACK}") from None


def check_model(path: Path, param: str) -> None:
    """A folder in transformers' layout, or a file of weights, for a param of params.yaml. GraftError when it is no
    model of the kinds that the param takes, or not whole."""
    if path.is_file():
        check_file(path)
        return
    config = read_json(path / "config.json", BACK) if (path / "config.json").is_file() or param in KINDS else {}
    kind = str(config.get("model_type"))
    if param in KINDS and kind not in KINDS[param]:
        raise GraftError(
            f"params.yaml {param}: {path / 'config.json'} says model_type {kind!r}; "
            f"it must be one of {', '.join(KINDS[param])}"
        )
    check_shapes(path, kind, config)
    if param in KINDS and not any((path / f"{name}_config.json").is_file() for name in ("preprocessor", "processor")):
        raise GraftError(f"{path} has no preprocessor_config.json, so nobody knows how it wants its pictures; {BACK}")
    if kind == "clip":
        check_tokenizer(path, config.get("text_config"))


def check_file(path: Path) -> None:
    """A file of weights: safetensors, or a .pth of torch. GraftError when it cannot be one."""
    if path.suffix == ".safetensors":
        check_weights(path)
        return
    with open(path, "rb") as file:
        start = file.read(len(LEGACY))
    if start != LEGACY and not zipfile.is_zipfile(path):
        raise GraftError(f"{path} is empty, cut off or no file of weights; {BACK}")


def check_shapes(folder: Path, kind: str, config: Mapping[str, Any]) -> None:
    """GraftError when a tensor that tells a model's size is missing or has another shape than the config says."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= check_weights(path)
    for tensor, keys in PROBES.get(kind, {}).items():
        wanted = tuple(_number(config, key) for key in keys)
        shape = next((shape for name, shape in found.items() if name.endswith(tensor)), None)  # a prefix comes and goes
        if shape is None:
            raise GraftError(f"{folder}: the weights lack {tensor}, so they are no {kind}; {BACK}")
        if None not in wanted and shape != wanted:
            raise GraftError(f"{folder}: {tensor} has the shape {shape}, config.json says {wanted}; {BACK}")


def check_tokenizer(folder: Path, text: object) -> None:
    """GraftError when a folder has no whole tokenizer, or one with more words than the text model `text` (its config)
    has embeddings for."""
    whole, parts = folder / "tokenizer.json", [folder / "vocab.json", folder / "merges.txt"]
    if not whole.is_file() and not all(path.is_file() for path in parts):
        raise GraftError(f"{folder} has neither tokenizer.json nor vocab.json with merges.txt; {BACK}")
    words = _ids(whole) if whole.is_file() else list(_table(parts[0]).values())
    size = text.get("vocab_size") if isinstance(text, Mapping) else None
    numbers = [one for one in words if isinstance(one, int)]
    if not numbers or (isinstance(size, int) and max(numbers) >= size):
        raise GraftError(
            f"{folder}: its tokenizer has {len(numbers)} words and numbers up to {max(numbers, default=0)}, its text "
            f"model reads {size}: they do not belong together; {BACK}"
        )


def _ids(path: Path) -> list[object]:
    """The numbers that a tokenizer.json gives."""
    content = _table(path)
    model, added = content.get("model"), content.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    return [
        *(vocabulary.values() if isinstance(vocabulary, dict) else []),
        *(one.get("id") for one in (added if isinstance(added, list) else []) if isinstance(one, dict)),
    ]


def _table(path: Path) -> dict[str, Any]:
    """As read_json, of files with more entries than a person would write."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise GraftError(f"{path} is damaged; {BACK}")
    return content


def _number(config: Mapping[str, Any], key: str) -> int | None:
    """The number at a dotted key, or the number that the key is; None where there is none."""
    if key.isdecimal():
        return int(key)
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) else None
