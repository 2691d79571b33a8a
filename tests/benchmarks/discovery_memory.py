"""Memory of clustering the regions of 10 000 pictures of 512 x 512, on made-up maps of 2 048 channels.

    python -m tests.benchmarks.discovery_memory [PICTURES]

Expected: under 2 GB. The published way holds all masks as float32 at 512 pixels, 10 GB for 10 000, and 2 GiB for one
enlarged map. A map here is drawn once and shifted for each picture, so that the time is that of the line and not of the
drawing; the encoder, which holds one picture at a time, is left out.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from tqdm import tqdm

from stages.parts.discovery.clusters import kmeans, principal_axes, purity
from stages.parts.discovery.pooling import pooled

CHANNELS, CELLS, SIDE, CLASSES = 2048, 64, 512, 5


def main() -> None:
    pictures = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((CHANNELS, CELLS, CELLS)).astype(np.float32)
    means = rng.standard_normal((CLASSES, CHANNELS)).astype(np.float32)
    features, truth = np.empty((pictures, CHANNELS), np.float32), rng.integers(0, CLASSES, pictures)
    start = time.perf_counter()
    for k in tqdm(range(pictures), unit="image"):
        row, col, height, width = *rng.integers(0, 256, 2), *rng.integers(60, 256, 2)
        mask = np.zeros((SIDE, SIDE), np.bool_)
        mask[row : row + height, col : col + width] = True
        features[k] = pooled(noise, mask) + means[truth[k]] / CHANNELS**0.5
    looked = time.perf_counter() - start
    points = principal_axes(features, 32, True)(features)
    owner = kmeans(points, CLASSES, 0, 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{pictures} pictures: pooling {looked:.0f} s, PCA and k-means {time.perf_counter() - start - looked:.0f} s")
    print(f"peak {peak:.2f} GB, purity {purity(owner, truth)[0]:.3f}")


if __name__ == "__main__":
    main()
