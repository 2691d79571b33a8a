"""Write the published settings of a method into params.yaml.

    python -m stages.train.preset daformer          # or dacs, hrda, mic, mic_hrda, ucg

in      stages/train/presets.py
out     the sections `train` and `evaluate` of params.yaml, comments kept; `git diff` shows every value
cost    none
expect  full size: a GPU, the data sets of the paper as scenes, and train.encoder's weights in the local cache;
        what the paper reaches, in what time and memory, is printed
source  DAFormer, HRDA (Hoyer et al. 2022), MIC (2023), UCG

`ucg` changes the section `train.paste` alone: any method trains with or without it. train.encoder_revision is left
to you: pin the commit that you downloaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from stages.parts.command import command
from stages.parts.preset import write_preset
from stages.preflight import Params
from stages.train.presets import EVALUATE, REACHES, TRAIN


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.train.preset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=sorted(TRAIN))
    name = parser.parse_args(argv).name
    write_preset({"train": TRAIN[name], "evaluate": EVALUATE[name]}, Params)
    print(f"params.yaml has the settings of {name}; published: {REACHES[name]}")


if __name__ == "__main__":
    main()
