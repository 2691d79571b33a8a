"""Write the line's settings into params.yaml.

    python -m stages.primaps.preset published          # or small, which the repo has

in      the table below
out     the section `primaps` of params.yaml, comments kept; datasets, backbone, sets and seeds stay; see `git diff`
cost    none
expect  full size: a GPU, a backbone of the paper, and its data sets as folders
source  published: Hahn et al., TMLR 2024, its code; small: ours
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from stages.parts.command import command
from stages.parts.preset import write_preset
from stages.primaps.params import Params

# The CRF of STEGO and PriMaPs, for pictures of 320 pixels, of proposals and of predictions.
PUBLISHED_CRF = {
    "iterations": 10, "bilateral_weight": 4.0, "bilateral_xy": 67.0, "bilateral_rgb": 3.0, "gaussian_weight": 3.0,
    "gaussian_xy": 1.0,
}  # fmt: skip
SMALL_CRF = PUBLISHED_CRF | {"bilateral_xy": 13.0, "bilateral_rgb": 5.0}

PRESETS: dict[str, dict[str, Any]] = {
    "published": {
        "size": {"shortest": 320, "square": True, "multiple": 1},
        "shifts": 1,
        "propose": {
            "pca": "published", "threshold": 0.4, "centred": False, "coverage": 0.95, "most": 254, "median": True,
            "least": 0, "confidence": None, "crf": PUBLISHED_CRF, "batch": 32,
        },
        "initialise": {"centred": False, "epochs": 2, "batch": 32, "lr": 5e-3},
        "fit": {
            "epochs": 50, "batch": 32, "lr": 5e-3, "decay": 0.98, "every": 10, "gamma": 2.0, "views": None, "flip": 0.5,
            "jitter_probability": 0.15, "jitter": 0.1, "grey_probability": 0.05, "blur_probability": 1.0,
            "blur": [0.1, 2.0], "checks": 50,
        },
        "evaluate": {"flip": True, "crf": PUBLISHED_CRF, "probe_epochs": 50, "probe_batch": 32, "probe_lr": 5e-3},
    },
    "small": {
        "size": {"shortest": None, "square": False, "multiple": 1},
        "shifts": 2,
        "propose": {
            "pca": "exact", "threshold": 0.75, "centred": True, "coverage": 0.95, "most": 64, "median": False,
            "least": 6, "confidence": 0.6, "crf": SMALL_CRF, "batch": 32,
        },
        "initialise": {"centred": True, "epochs": 20, "batch": 32, "lr": 5e-3},
        "fit": {
            "epochs": 20, "batch": 16, "lr": 5e-3, "decay": 0.0, "every": 10, "gamma": 0.0, "views": 1, "flip": 0.0,
            "jitter_probability": 0.0, "jitter": 0.2, "grey_probability": 0.0, "blur_probability": 0.0,
            "blur": [0.1, 1.0], "checks": 10,
        },
        "evaluate": {"flip": True, "crf": SMALL_CRF, "probe_epochs": 50, "probe_batch": 32, "probe_lr": 5e-3},
    },
}  # fmt: skip


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.preset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=PRESETS)
    name = parser.parse_args(argv).name
    write_preset({"primaps": PRESETS[name]}, Params)
    print(f"params.yaml has the settings of {name}")


if __name__ == "__main__":
    main()
