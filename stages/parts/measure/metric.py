"""The same numbers from within mmsegmentation: a metric for its val and test loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from stages.parts.measure.confusion import confusion, scores
from stages.parts.sections import Absent


@METRICS.register_module()
class ClassIoU(BaseMetric):
    """Every class's IoU and the means as numbers, where IoUMetric prints a table and returns the means.

    novel: names of the novel classes; absent: see confusion.scores. Counts on the device that the maps are
    on; one matrix per image is kept, and mmengine gathers them from every rank. A prediction that is no
    class of dataset_meta raises ValueError: IoUMetric drops it in silence.
    """

    default_prefix = None

    def __init__(self, novel: Sequence[str] = (), absent: Absent = "skip", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.novel, self.absent = tuple(novel), absent

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        num_classes = len(self.dataset_meta["classes"])
        pairs = [(sample["gt_sem_seg"]["data"], sample["pred_sem_seg"]["data"]) for sample in data_samples]
        matrices = [confusion(truth.to(guess.device), guess, num_classes) for truth, guess in pairs]
        self.results.extend(matrix.cpu() for matrix in matrices)

    def compute_metrics(self, results: list[torch.Tensor]) -> dict[str, float]:
        """{"mIoU": ..., "base_mIoU": ..., "IoU/road": ..., "accuracy/road": ...} in percent, None as NaN."""
        told = scores(torch.stack(results).sum(0).numpy(), self.dataset_meta["classes"], self.novel, self.absent)
        flat = {name: value for name, value in told.items() if not isinstance(value, dict)}
        flat |= {f"{kind}/{name}": value for kind in ("IoU", "accuracy") for name, value in told[kind].items()}
        return {name: float("nan") if value is None else value for name, value in flat.items()}
