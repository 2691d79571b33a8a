"""Which class is each cluster? From a confusion matrix to a name for every cluster, and the matrix in class order.

S[cluster, class] counts pixels over the whole set (unlike confusion.py's, whose rows are the truth), ignored ones left
out. PriMaPs (Hahn et al. 2024) and NCDSS (Zhao et al. 2022) match once, over the full set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Counts = NDArray[np.int64]


def overlap(prediction: NDArray[np.integer], truth: NDArray[np.integer], clusters: int, classes: int) -> Counts:
    """S, (clusters, classes) int64, of two maps of one shape; where the truth is no class (255) nothing is counted."""
    known = (truth >= 0) & (truth < classes)
    pairs = prediction[known].astype(np.int64) * classes + truth[known]
    return np.bincount(pairs, minlength=clusters * classes).reshape(clusters, classes)


def iou_matrix(counts: Counts) -> NDArray[np.float64]:
    """IoU of every cluster with every class, (clusters, classes) in [0, 1]; 0 where neither has a pixel."""
    union = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    return np.divide(counts, union, out=np.zeros(counts.shape), where=union > 0)


def one_to_one(score: NDArray) -> NDArray[np.int64]:
    """Hungarian: the class of each cluster, (clusters,), so that the sum of the scores is largest (Kuhn 1955).

    score: pixels (PriMaPs) or IoU (NCDSS), (clusters, classes). Each class has one cluster at most; with more clusters
    than classes the rest have -1, with fewer some classes have none."""
    clusters, classes = linear_sum_assignment(score, maximize=True)
    matched = np.full(len(score), -1, dtype=np.int64)
    matched[clusters] = classes
    return matched


def many_to_one(score: NDArray) -> NDArray[np.int64]:
    """Majority: each cluster is the class with which it scores best, (clusters,); of equals, and for an empty cluster,
    the first."""
    return np.argmax(score, axis=1)


def identity(clusters: int) -> NDArray[np.int64]:
    """Clusters that have names already: cluster k is class k."""
    return np.arange(clusters)


def renamed(counts: Counts, matched: NDArray[np.int64]) -> Counts:
    """S with its clusters called by their classes, summed where several are one class: (classes + 1, classes); the last
    row counts the clusters that are no class (-1), which are right nowhere."""
    result = np.zeros((counts.shape[1] + 1, counts.shape[1]), dtype=np.int64)
    np.add.at(result, np.where(matched < 0, counts.shape[1], matched), counts)
    return result


def scores(counts: Counts, matched: NDArray[np.int64]) -> tuple[NDArray[np.float64], float, float]:
    """IoU per class, its mean, and pixel accuracy, all in percent, of clusters matched so.

    A class with neither prediction nor truth has NaN and is in no mean. NaN for no pixel at all."""
    named = renamed(counts, matched)
    hits, predicted, truth = np.diag(named), named.sum(axis=1)[:-1], counts.sum(axis=0)
    union = predicted + truth - hits
    iou = np.divide(100.0 * hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    mean = float(np.nanmean(iou)) if (union > 0).any() else np.nan
    accuracy = 100.0 * float(hits.sum() / counts.sum()) if counts.any() else np.nan
    return iou, mean, accuracy
