"""discover: what the unlabelled pictures hold that a segmenter does not explain. What should I add?

in       the split learn of a dataset and its data/primaps/proposals, the weights of a segmenter, a CLIP; params
         primaps.discover
out      data/discovered/SET.png: each cluster of unexplained proposals, with the words nearest to it
         data/discovered/SET.csv: word, its share of the unexplained pixels and of the explained, its excess,
         whether the segmenter has it as a class
command  python -m stages.primaps.discover [SET] [--segmenter WEIGHTS]
cost     streets: four minutes on one core
expect   streets, from the segmenter of recipe baseline: box, tanker, truck, fire, train first (three kinds of truck);
         buses it takes for buildings and is sure of it, so they are not among what is unexplained
source   ours; the doubt of a region is NCDSS's entropy (Zhao et al., CVPR 2022), the regions are PriMaPs

A proposal is unexplained if the segmenter does not know it (the entropy of its mean prediction is high) or contradicts
itself inside of it (too small a share of its pixels agrees on a class). Each is cut out, and CLIP splits its vote, as
heavy as the proposal has pixels, among all words of its vocabulary. Some words take votes of anything at all ("person"
here), so what counts is the excess over the proposals that are explained: (p - q) / sqrt(q), p and q a word's share of
the one and of the other (Pearson's residual; its squares add up to chi-squared). A cluster is of proposals that CLIP
sees alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_csv, write_whole
from stages.parts.store.samples import Shards, png_array, png_bytes
from stages.primaps.params import Discover, Params

if TYPE_CHECKING:
    from stages.parts.datasets.splits import Picture, Split

OUT, PROPOSALS = Path("data/discovered"), Path("data/primaps/proposals")
SEGMENTER = Path("models/segmenters/baseline-0.safetensors")  # trained on a source that lacks the novel classes
NEAREST, SHOWN, ANYWAY = 3, 12, 15  # words of a cluster; proposals in its line of the sheet; words that are printed


@dataclass(frozen=True)
class Seen:
    """A proposal: its picture's uid, the cutout on grey (S, S, 3) uint8, its pixels, and why it is unexplained; "": it
    is explained."""

    uid: str
    cutout: Picture
    pixels: int
    why: str


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.discover",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", nargs="?", default="streets", metavar="SET", help="default: %(default)s")
    parser.add_argument("--segmenter", type=Path, default=SEGMENTER, metavar="WEIGHTS", help="default: %(default)s")
    arguments, params = parser.parse_args(argv), read(Params)

    from scipy.cluster.vq import kmeans2  # here, as what follows: --help needs no network

    from stages.parts.pretrained.weights import locate
    from stages.parts.segmenter.files import load_segmenter
    from stages.primaps.scoring import open_data

    settings, data = params.primaps.discover, open_data(params.primaps, arguments.set)
    network, classes = load_segmenter(arguments.segmenter)
    clip = Words(locate(settings.clip, "primaps.discover.clip"))
    every = list(proposals_seen(settings, network, data.split("learn"), Shards(PROPOSALS / arguments.set)))
    found, explained = [one for one in every if one.why], [one for one in every if not one.why]
    if len(found) < settings.clusters:
        raise GraftError(
            f"{len(found)} proposals of {arguments.set} are unexplained, fewer than primaps.discover.clusters; "
            "the segmenter explains the pictures: nothing to add, or lower entropy"
        )
    seen = clip.images([one.cutout for one in found])
    votes = clip.votes(seen)
    share, usual = shares(votes, found), shares(clip.votes(clip.images([one.cutout for one in explained])), explained)
    groups = kmeans2(seen.astype(np.float64), settings.clusters, minit="++", rng=np.random.default_rng(0))[1]
    more = excess(share, usual)
    rows = [
        (clip.words[k], *(f"{each[k]:.5f}" for each in (share, usual, more)), int(clip.words[k] in classes))
        for k in np.argsort(-more, kind="stable")
    ]
    write_csv(OUT / f"{arguments.set}.csv", ("word", "share", "of_explained", "excess", "known"), rows)
    write_whole(OUT / f"{arguments.set}.png", png_bytes(sheet(found, groups, votes, usual, clip.words)))
    print(
        f"{len(found)} of {len(every)} proposals are unexplained; excess of CLIP's votes: "
        + ", ".join(f"{row[0]} {float(row[3]):.3f}" for row in rows[:ANYWAY])
    )


def shares(votes: NDArray[np.float64], proposals: Sequence[Seen]) -> NDArray[np.float64]:
    """(N, words) -> each word's share of the pixels; of no proposal all words have the same."""
    if not proposals:
        return np.full(votes.shape[1], 1 / votes.shape[1])
    return np.average(votes, axis=0, weights=[one.pixels for one in proposals])


def excess(share: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """(p - q) / sqrt(q) of each word."""
    return (share - usual) / np.sqrt(np.maximum(usual, np.finfo(np.float64).tiny))


def proposals_seen(settings: Discover, network: Any, split: Split, proposals: Shards) -> Iterator[Seen]:
    """The proposals of a split of at least settings.least pixels."""
    import torch
    from tqdm import tqdm

    from stages.parts.pretrained.clip import isolate

    for uid in tqdm(split.hashes, desc="discover", unit="picture", delay=2):
        image = split.read(uid)[0]
        label = png_array(proposals.read(f"learn-{uid}")["proposals.png"])
        with torch.inference_mode():
            probability = probabilities(network, image)
        for region in np.unique(label[label < 255]):
            mask = label == region
            if (pixels := int(mask.sum())) >= settings.least:
                yield Seen(uid, isolate(image, mask), pixels, doubt(probability[:, mask], settings))


def probabilities(network: Any, image: Picture) -> NDArray[np.float64]:
    """What a segmenter of parts/segmenter says of a picture: (H, W, 3) uint8 -> (C, H, W), of sum 1."""
    import torch
    from mmseg.structures import SegDataSample

    size = image.shape[:2]
    sample = SegDataSample(metainfo={"ori_shape": size, "img_shape": size})
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    seen = network.test_step({"inputs": [pixels], "data_samples": [sample]})[0].seg_logits.data
    return seen.double().softmax(0).cpu().numpy()


def doubt(probability: NDArray[np.float64], settings: Discover) -> str:
    """Why a region is unexplained: "unknown", "contradicted" or, if it is explained, "". probability: (C, pixels)."""
    mean = probability.mean(axis=1)
    entropy = -(mean * np.log(np.clip(mean, 1e-12, None))).sum() / np.log(len(mean))
    if entropy > settings.entropy:
        return "unknown"
    share = np.bincount(probability.argmax(axis=0)).max() / probability.shape[1]
    return "contradicted" if share < settings.share else ""


class Words:
    """CLIP with every word of its vocabulary: a token that ends a word, of three letters or more, as "a photo of a"."""

    def __init__(self, folder: Path) -> None:
        from transformers import CLIPTokenizer

        from stages.parts.pretrained.clip import Clip
        from stages.parts.pretrained.weights import load

        tokens = load(CLIPTokenizer, folder).get_vocab()
        ends = (token.removesuffix("</w>") for token in sorted(tokens) if token.endswith("</w>"))
        self.words = [word for word in ends if len(word) > 2 and word.isalpha()]
        self.clip = Clip(folder, [f"a photo of a {word}" for word in self.words])

    def images(self, cutouts: Sequence[Picture]) -> NDArray[np.float32]:
        """CLIP's embedding of each cutout, (N, D) of length 1."""
        import torch
        from PIL import Image
        from tqdm import tqdm

        found = [torch.zeros(0, self.clip.text_features.shape[1])]
        with torch.inference_mode():
            for cutout in tqdm(cutouts, desc="CLIP", unit="proposal", delay=2):
                inputs = self.clip.image_processor(images=Image.fromarray(cutout), return_tensors="pt")
                found.append(self.clip.model.get_image_features(**inputs).pooler_output)
            return torch.nn.functional.normalize(torch.cat(found), dim=-1).numpy()

    def votes(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, D) -> (N, words), each row of sum 1."""
        import torch

        logits = self.clip.model.logit_scale.detach().exp() * (torch.from_numpy(seen) @ self.clip.text_features.T)
        return logits.double().softmax(1).numpy()


def sheet(
    found: Sequence[Seen],
    groups: NDArray[np.int32],
    votes: NDArray[np.float64],
    usual: NDArray[np.float64],
    words: Sequence[str],
) -> Picture:
    """A line for each cluster, the largest first: its size, the words that it has more of than what is explained, and
    some of its proposals."""
    from stages.parts.drawing.sheets import INK, grid, spaced

    lines, captions = [], []
    for group in sorted(set(groups.tolist()), key=lambda one: -int((groups == one).sum())):
        inside = groups == group
        members = [one for one, is_in in zip(found, inside, strict=True) if is_in]
        more = excess(shares(votes[inside], members), usual)
        nearest = ", ".join(f"{words[k]} {more[k]:.2f}" for k in np.argsort(-more, kind="stable")[:NEAREST])
        unknown = sum(one.why == "unknown" for one in members)
        captions.append((f"{len(members)} proposals, {unknown} unknown: {nearest}", INK))
        lines.append([one.cutout for one in spaced(members, SHOWN)])
    return grid(lines, [""] * SHOWN, height=64, widths=[64], captions=captions)


if __name__ == "__main__":
    main()
