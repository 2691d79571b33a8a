"""What each method of unsupervised domain adaptation consists of."""

from __future__ import annotations

from typing import NamedTuple

from stages.parts.errors import GraftError

Name = str  # a key of METHODS


class Method(NamedTuple):
    """adapts: mean teacher and ClassMix on the target; rare: rare class sampling; distance: thing-class feature
    distance; detail: context and detail crops (HRDA); masks: masked consistency (MIC).
    """

    adapts: bool = True
    rare: bool = False
    distance: bool = False
    detail: bool = False
    masks: bool = False


METHODS: dict[Name, Method] = {
    "source_only": Method(adapts=False),
    "supervised": Method(adapts=False),  # the same on labelled target images: the oracle
    "dacs": Method(),
    "daformer": Method(rare=True, distance=True),
    "hrda": Method(rare=True, distance=True, detail=True),
    "mic": Method(rare=True, distance=True, masks=True),  # on DAFormer
    "mic_hrda": Method(rare=True, distance=True, detail=True, masks=True),
}


def check_encoder(name: Name, encoder: str | None) -> None:
    """GraftError for a method that needs an encoder and has none."""
    if METHODS[name].distance and encoder is None:
        raise GraftError(
            f"params.yaml: method {name} keeps the features near to those of train.encoder, which is null; "
            f"name one, or take method dacs"
        )
