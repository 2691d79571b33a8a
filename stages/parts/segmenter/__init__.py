"""The segmenters: mmsegmentation networks by name, and their files (safetensors: nothing is unpickled)."""

import warnings

with warnings.catch_warnings():  # mmcv-lite says at import that it lacks the compiled operations; none is used here
    warnings.filterwarnings("ignore", message="Fail to import")
    import mmseg.models  # noqa: F401

from stages.parts.errors import GraftError
from stages.parts.segmenter.files import load, load_encoder, save
from stages.parts.segmenter.networks import NAMES, build

__all__ = ["NAMES", "GraftError", "build", "load", "load_encoder", "save"]
