"""The harder world's models: an encoder that was taught base names alone, a saliency net that never saw a novel kind.

command  python -m tests.benchmarks.discovery_teachers FOLDER
needs    the picture book (python -m stages.miniature.book)
cost     20 minutes on one core; two with a GPU
out      FOLDER/encoder, FOLDER/saliency, as models/miniature has them
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from stages.miniature import encoder, saliency
from stages.miniature.apprentice import train
from stages.miniature.book import SEPARATOR, Book
from stages.ncdss.params import Params
from stages.parts.pretrained.saliency import SmallU2Net, save
from stages.parts.sections import read
from stages.parts.world.backdrops import PLACES


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
    novel, device = read(Params).ncdss.data.novel, "cuda" if torch.cuda.is_available() else "cpu"
    single, group = Without("train", novel), Without("groups", novel)
    print(json.dumps({"pages of one object": len(single), "of several": len(group), "without": novel}))

    torch.manual_seed(0)
    names = torch.tensor(
        [[encoder.NAMES.index(row["subtype"]), PLACES.index(row["place"])] for row in single.pages], device=device
    )
    namer = encoder.Namer()

    def naming(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        picks = rng.integers(len(single), size=encoder.BATCH)
        images = torch.from_numpy(single.images[picks]).permute(0, 3, 1, 2).float() / 255
        subtype, place = namer(encoder.augmented(images, rng).to(device))
        truth = names[picks]
        return F.cross_entropy(subtype, truth[:, 0]) + encoder.PLACE * F.cross_entropy(place, truth[:, 1])

    train(namer, naming, title="encoder", steps=encoder.STEPS, lr=encoder.LR, folder=out / "work/encoder", average=0.99,
          device=device)  # fmt: skip
    (out / "encoder").mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in namer.encoder.state_dict().items()}
    save_file(weights, out / "encoder/model.safetensors")

    torch.manual_seed(0)
    net = SmallU2Net()

    def standing_out(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pictures, objects = (part.to(device) for part in saliency.examples(single, group, rng))
        return torch.stack([F.binary_cross_entropy_with_logits(logits, objects) for logits in net(pictures)]).sum()

    train(net, standing_out, title="saliency", steps=saliency.STEPS, lr=saliency.LR, folder=out / "work/saliency",
          average=0.99, device=device)  # fmt: skip
    save(net, out / "saliency")


if __name__ == "__main__":
    main()
