"""show: the principal mask proposals of any picture, drawn.

in       pictures; params primaps, of which --backbone, --revision, --shortest, --threshold and --shifts may be others
out      DIR/NAME.png: the picture, and its proposals in colours over it, numbered in the order of discovery
command  python -m stages.primaps.show IMAGE... --out DIR
cost     0.2 s a picture of 64 x 128; a few seconds at 320 pixels with ViT-B/8 on a CPU
expect   a region for each thing that looks of one piece; black: no region
source   the demo of Hahn et al., TMLR 2024
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.parts.command import command
from stages.parts.sections import read
from stages.primaps.params import Params, Primaps

if TYPE_CHECKING:
    from stages.parts.datasets.splits import Picture

HEIGHT = 320  # pixels of a drawn picture


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--out", type=Path, default=Path("data/shown"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--backbone", help="a folder, a hub id or MODULE:CLASS; default: primaps.backbone")
    parser.add_argument("--revision", help="the commit of a hub id")
    parser.add_argument("--threshold", type=float, metavar="PSI", help="default: primaps.propose.threshold")
    parser.add_argument("--shortest", type=int, metavar="PIXELS", help="default: primaps.size.shortest")
    parser.add_argument("--shifts", type=int, help="default: primaps.shifts")
    arguments = parser.parse_args(argv)
    primaps = told(read(Params).primaps, arguments)

    from PIL import Image  # here, as what follows: --help needs no network
    from tqdm import tqdm

    from stages.parts.datasets.reading import read_image
    from stages.parts.datasets.splits import Shown
    from stages.primaps.propose import label_maps
    from stages.primaps.scoring import open_features

    features = open_features(primaps)
    size = primaps.size.model_dump() | {"multiple": getattr(features.backbone, "patch", primaps.size.multiple)}
    for path in tqdm(arguments.images, desc="show", unit="picture", delay=2):
        image, _ = Shown(**size)(read_image(path), None)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (label,) = label_maps(primaps.propose, features, [image])
        out = arguments.out / f"{path.stem}.png"
        Image.fromarray(drawn(image, label)).save(out)
        print(out)


def told(primaps: Primaps, arguments: argparse.Namespace) -> Primaps:
    """The section with what the command line says. GraftError for a value that it may not have."""
    from stages.parts.sections import Sections, validated

    class Whole(Sections):
        primaps: Primaps

    values = primaps.model_dump()
    values |= {name: given for name in ("backbone", "shifts") if (given := getattr(arguments, name)) is not None}
    if arguments.backbone is not None:
        values["revision"] = arguments.revision
    if arguments.shortest is not None:
        values["size"]["shortest"] = arguments.shortest
    if arguments.threshold is not None:
        values["propose"]["threshold"] = arguments.threshold
    return validated({"primaps": values}, Whole, "the command line").primaps


def region_colours() -> Picture:
    """A colour for each region, black for 255, none: (256, 3) uint8."""
    import numpy as np

    from stages.parts.datasets.label_spaces import voc_colours

    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[:255] = np.array(voc_colours(255))
    return colours


def drawn(image: Picture, label: Picture) -> Picture:
    """The picture and its proposals over it, side by side: (H, W, 3) and (H, W) uint8 -> (h, w, 3) uint8."""
    import numpy as np

    from stages.parts.drawing.sheets import grid

    colours = region_colours()
    over = np.where(label[..., None] < 255, image // 3 + 2 * (colours[label] // 3), np.uint8(0)).astype(np.uint8)
    count = len(np.unique(label[label < 255]))
    width = round(HEIGHT * image.shape[1] / image.shape[0])
    return grid([[image, over]], ("picture", f"{count} proposals"), HEIGHT, [width])


if __name__ == "__main__":
    main()
