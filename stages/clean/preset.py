"""Write the limits of a preset into params.yaml.

    python -m stages.clean.preset ucg          # or none, strict

in      stages/clean/presets.py
out     the section `clean` of params.yaml, comments kept; rules that the preset has not are off; `git diff` shows it
cost    none
expect  miniature: 181 of 192 samples kept by strict, 160 by ucg
source  ucg: Montalvo et al., J. Imaging 2025, its code; the others are ours

`order` and the limits of single classes stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from stages.clean.params import Params, Rules
from stages.clean.presets import PRESETS
from stages.parts.command import command
from stages.parts.preset import write_preset


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.clean.preset",
        description=__doc__,
        epilog="\n".join(f"{name:8}{told(limits)}" for name, limits in PRESETS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=PRESETS)
    name = parser.parse_args(argv).name
    write_preset({"clean": dict.fromkeys(Rules.model_fields) | PRESETS[name]}, Params)
    print(f"params.yaml has the limits of {name}")


def told(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{param} {value:g}" for param, value in limits.items()) or "no rule"


if __name__ == "__main__":
    main()
