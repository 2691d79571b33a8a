"""The published settings, each under the name of its method."""

from __future__ import annotations

from typing import Any

_THINGS = ["traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"]

# Of the section `train`, as DAFormer's code has them: GTA5 to Cityscapes, 40k iterations on one 11 GB GPU.
DAFORMER: dict[str, Any] = {
    "method": "daformer",
    "model": "daformer-b5",
    "encoder": "nvidia/mit-b5",
    "encoder_lr": 0.1,
    "source_size": [720, 1280],
    "target_size": [512, 1024],
    "crop": [512, 512],
    "max_class_share": 0.75,
    "iterations": 40_000,
    "batch": 2,
    "lr": 6e-4,
    "weight_decay": 0.01,
    "no_decay": "layer_norm",
    "warmup": 1500,
    "ema": 0.999,
    "ema_at": "start",
    "teacher_norm": "batch",
    "pseudo_threshold": 0.968,
    "quality_per": "batch",
    "classes_of": "batch",
    "margin": [15, 120, 0, 0],
    "margin_of": "crop",
    "jitter_probability": 0.8,
    "jitter": 0.2,
    "blur_probability": 0.5,
    "rare_classes": {
        "temperature": 0.01,
        "min_pixels": 3000,
        "min_crop_ratio": 0.5,
        "tries": 10,
        "novel_budget": None,
    },
    "feature_distance": {"weight": 0.005, "min_ratio": 0.75, "classes": _THINGS},
}
_HIGH_RESOLUTION: dict[str, Any] = {
    "source_size": [1440, 2560],
    "target_size": [1024, 2048],
    "crop": [1024, 1024],
    "margin": [30, 240, 30, 30],
    "margin_of": "image",
    "rare_classes": DAFORMER["rare_classes"] | {"min_crop_ratio": 2.0},
    "detail": {"size": [512, 512], "weight": 0.1},
}

# What each reaches as published: mIoU in percent on the val of Cityscapes from GTA5 (from SYNTHIA, 16 classes), mean
# of three seeds of 40 000 iterations in float32; then hours and memory of one run, as their authors tell them.
REACHES: dict[str, str] = {
    "dacs": "52.1 mIoU (48.3) with the network of its paper; these are DAFormer's network and schedule",
    "daformer": "68.3 mIoU (60.9), 16 hours and 9.7 GB of an RTX 2080 Ti of 11 GB",
    "hrda": "73.8 mIoU (65.8), 32 hours and 22.5 GB of a Titan RTX",
    "mic": "no figure of MIC on DAFormer was seen in a source; it needs an RTX 2080 Ti of 11 GB",
    "mic_hrda": "75.9 mIoU, on a Titan RTX",
    "ucg": "a mean IoU of 51 of the novel classes",
}

TRAIN: dict[str, dict[str, Any]] = {
    "dacs": DAFORMER | {"method": "dacs", "ema": 0.99, "margin": [0, 0, 0, 0]},  # DAFormer's network and schedule
    "daformer": DAFORMER,
    "hrda": DAFORMER | _HIGH_RESOLUTION | {"method": "hrda"},
    "mic": DAFORMER | {"method": "mic", "masking": {"weight": 1.0, "ratio": 0.7, "block": 32}},
    "mic_hrda": DAFORMER
    | _HIGH_RESOLUTION
    | {"method": "mic_hrda", "masking": {"weight": 1.0, "ratio": 0.7, "block": 64}},
    # UCG's pasting, its faults mended (the docstring of paste.py): the rest of the section stays as it is, but for rare
    # class sampling, which pastes what it draws a novel class for: it knows of none, as there.
    "ucg": {
        "rare_classes": {"novel_budget": 0.0},
        "paste": {
            "probability": 0.05,
            "per": "class",
            "max_instances": 1,
            "scale": "native",
            "place": "anywhere",
            "flip": 0.0,
            "colour": 0.0,
            "edge": "hard",
            "ring": 0,
            "protected": [],
            "min_visible": 0.0,
        },
    },
}

# How their segmenters look at Cityscapes; one image at a time, or an 11 GB GPU is full.
_WHOLE = {"batch": 1, "size": [512, 1024], "window": None, "stride": None}
_WINDOWS = {"batch": 1, "size": [1024, 2048], "window": [1024, 1024], "stride": [512, 512]}
EVALUATE: dict[str, dict[str, Any]] = {
    "dacs": _WHOLE,
    "daformer": _WHOLE,
    "mic": _WHOLE,
    "hrda": _WINDOWS,
    "mic_hrda": _WINDOWS,
    "ucg": {},
}
