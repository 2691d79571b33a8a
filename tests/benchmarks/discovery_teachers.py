"""The harder world's models: an encoder that was taught base names alone, a saliency net that never saw a novel kind.

command  python -m tests.benchmarks.discovery_teachers FOLDER
needs    the picture book (python -m stages.miniature.book)
cost     20 minutes on one core
out      FOLDER/encoder, FOLDER/saliency, as models/miniature has them
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from stages.miniature import encoder, saliency
from stages.miniature.apprentice import train
from stages.miniature.book import SEPARATOR, Book
from stages.ncdss.params import Params
from stages.parts.pretrained.saliency import SmallU2Net, save
from stages.parts.sections import read


class Without(Book):
    """The pages of an edition that show none of the classes."""

    def __init__(self, edition: str, classes: Sequence[str]) -> None:
        super().__init__(edition)
        there = [k for k, row in enumerate(self.pages) if not set(row["kind"].split(SEPARATOR)) & set(classes)]
        self.images, self.masks = self.images[there], self.masks[there]
        self.pages = [self.pages[k] for k in there]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    out = parser.parse_args(argv).folder
    novel = read(Params).ncdss.data.novel
    single, group = Without("train", novel), Without("groups", novel)
    print(json.dumps({"pages of one object": len(single), "of several": len(group), "without": novel}))

    torch.manual_seed(0)
    namer = encoder.Namer()
    loss = encoder.naming(namer, single)
    train(namer, loss, title="encoder", steps=encoder.STEPS, lr=encoder.LR, folder=out / "work/encoder", average=0.99)
    (out / "encoder").mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in namer.encoder.state_dict().items()}
    save_file(weights, out / "encoder/model.safetensors")

    torch.manual_seed(0)
    net = SmallU2Net().to(memory_format=torch.channels_last)
    loss = saliency.standing_out(net, single, group)
    train(net, loss, title="saliency", steps=saliency.STEPS, lr=saliency.LR, folder=out / "work/saliency", average=0.99)
    save(net, out / "saliency")


if __name__ == "__main__":
    main()
