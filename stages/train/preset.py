"""Write the published settings of a method into params.yaml.

    python -m stages.train.preset daformer          # or dacs, hrda, mic, mic_hrda, ucg

in      stages/train/presets.py
out     the sections `train` and `evaluate` of params.yaml, comments kept; `git diff` shows every value
cost    none
expect  full size: a GPU, the data sets of the paper as scenes, and train.encoder's weights in the local cache
source  DAFormer, HRDA (Hoyer et al. 2022), MIC (2023), UCG

`ucg` changes the section `train.paste` alone: any method trains with or without it. train.encoder_revision is left
to you: pin the commit that you downloaded.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from stages.parts.command import command
from stages.parts.sections import read
from stages.parts.store.atomic import write_whole
from stages.train.params import Params
from stages.train.presets import EVALUATE, TRAIN

NULL = "tag:yaml.org,2002:null"


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.train.preset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=sorted(TRAIN))
    name = parser.parse_args(argv).name
    read(Params)
    path, yaml = Path("params.yaml"), _as_written()
    content = yaml.load(path.read_text())
    overlay(content["train"], TRAIN[name])
    overlay(content["evaluate"], EVALUATE[name])
    written = io.StringIO()
    yaml.dump(content, written)
    write_whole(path, written.getvalue())
    read(Params)
    print(f"params.yaml has the settings of {name}")


def _as_written() -> YAML:
    """A round trip through it changes no line of params.yaml."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 200, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar(NULL, "null"))
    return yaml


def overlay(section: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    """Set the values in place, table by table: what is not named stays."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            overlay(section[key], value)
        elif isinstance(value, list):
            section[key] = CommentedSeq(value)
            section[key].fa.set_flow_style()
        else:
            section[key] = value


if __name__ == "__main__":
    main()
