"""The segmenters' files: safetensors, so that nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.models import EncoderDecoder
from safetensors import SafetensorError, safe_open
from safetensors import torch as tensors
from torch import nn

from stages.parts.errors import GraftError
from stages.parts.segmenter import mit
from stages.parts.segmenter.hrda import HRDA
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.atomic import write_whole


def load_encoder(model: EncoderDecoder, path: Path) -> nn.Module:
    """Give the network's encoder the weights in a file of weights.find_encoder; the encoder is returned.

    The Hub's nvidia/mit-b* are renamed on the way. Raises GraftError when the file is damaged, or holds the
    encoder of another network.
    """
    encoder = getattr(model.backbone, "encoder", model.backbone)
    try:
        state = tensors.load_file(path)
        encoder.load_state_dict(mit.from_hub(state) if mit.is_from_hub(state) else state)
    except (SafetensorError, OSError):
        raise GraftError(f"{path} is damaged; fetch it again (for what git keeps: `git checkout {path}`)") from None
    except (RuntimeError, KeyError):
        raise GraftError(
            f"params.yaml: train.encoder: {path} is not the encoder of train.model; set train.encoder to null"
        ) from None
    return encoder


def save_segmenter(model: EncoderDecoder, path: Path | str, name: str, classes: Sequence[str]) -> None:
    """Write the weights, what build_segmenter needs to know, and the classes. The same weights give the same bytes.
    GraftError when the disk is full."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    # One entry only: safetensors writes several in an order that differs from process to process.
    about: dict[str, Any] = {"model": name, "classes": list(classes)}
    if isinstance(model, HRDA):
        about["detail"] = list(model.detail)
    write_whole(Path(path), tensors.save(state, {"segmenter": json.dumps(about)}))


def load_segmenter(path: Path | str) -> tuple[EncoderDecoder, tuple[str, ...]]:
    """The network in a file of save_segmenter, in evaluation mode, and its classes. GraftError for a bad file."""
    fix = "train it again with `python -m stages.train RECIPE SEED`"
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["segmenter"])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        detail = about.get("detail")
        model = build_segmenter(about["model"], len(about["classes"]), (detail[0], detail[1]) if detail else None)
        model.load_state_dict(state)
    except FileNotFoundError:
        raise GraftError(f"{path}: no such segmenter; {fix}") from None
    except (
        SafetensorError,
        OSError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        AttributeError,
        LookupError,
        RecursionError,
        GraftError,
    ):
        raise GraftError(f"{path} is damaged or no segmenter of this version; {fix}") from None
    return model.eval(), tuple(about["classes"])
