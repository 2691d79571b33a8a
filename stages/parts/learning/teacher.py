"""A student and its slowly following teacher (Tarvainen and Valpola 2017): what every self-training here shares.

What is learned from the teacher's pseudo-labels is a subclass's matter: ClassMix and the rest of UDA in the room train.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseDataPreprocessor
from mmseg.models import BaseSegmentor, EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from stages.parts.datasets.labels import IGNORE
from stages.parts.learning.augment import strong_augment
from stages.parts.learning.switches import TeacherNorm
from stages.parts.segmenter.hrda import HRDA
from stages.parts.store.streams import draw_stream

Samples = list[SegDataSample]


class TeacherStudent(BaseSegmentor):
    """student: what is trained, and what predicts. teacher: its average (see hooks.MeanTeacher), or None.

    teacher_norm: the teacher's batch norm goes by the batch at hand, or by the student's running statistics. A subclass
    writes loss(): all losses come out of one forward pass, so that under DDP gradients are synchronised.
    """

    def __init__(self, student: EncoderDecoder, taught: bool = True, teacher_norm: TeacherNorm = "batch") -> None:
        super().__init__(data_preprocessor=EachBranch(student.data_preprocessor))
        self.student, self.teacher_norm = student, teacher_norm
        self.teacher = copy.deepcopy(student).requires_grad_(False) if taught else None

    def train(self, mode: bool = True) -> TeacherStudent:
        """The teacher never drops anything out; its batch norm goes by the batch at hand, or by `teacher_norm`.

        The student's running statistics describe source and mixed images, but the teacher labels target
        images: their own statistics fit them. Told to go by running ones, it has the student's.
        """
        super().train(mode)
        if self.teacher is not None:
            self.teacher.train(self.teacher_norm == "batch")
            for module in self.teacher.modules():
                if isinstance(module, nn.Dropout | nn.Dropout2d | DropPath):
                    module.eval()
        return self

    def teach(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> the teacher's logits (B, C, H, W)."""
        assert self.teacher is not None
        images = images.contiguous(memory_format=torch.channels_last)  # a quarter less time on a CPU
        if isinstance(self.teacher, HRDA):
            logits = self.teacher.fused(images)
        else:
            logits = self.teacher.decode_head(self.teacher.extract_feat(images))
        return resize(logits, images.shape[2:], mode="bilinear", align_corners=False)

    def cross_entropy(self, logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        """Logits (B, C, h, w), labels (B, H, W) int64 with 255 = ignored, weights (B, H, W) -> the mean over all
        pixels, ignored ones included, so that a weight scales the gradient."""
        logits = resize(logits, label.shape[1:], mode="bilinear", align_corners=False)
        # As (pixels, classes): on a GPU the loss over (B, C, H, W) has no deterministic kernel, this one has.
        logits = logits.permute(0, 2, 3, 1).flatten(0, 2)
        criterion = self.student.decode_head.loss_decode
        return criterion(logits, label.flatten(), weight=weight.flatten(), ignore_index=IGNORE)

    def augmented(
        self, images: Tensor, samples: Samples, purpose: str, jitter_probability: float, jitter: float, blur: float
    ) -> Tensor:
        """Normalised images (B, 3, H, W), each augmented in [0, 1] by its own stream, normalised again."""
        mean, std = self.student.data_preprocessor.mean, self.student.data_preprocessor.std
        pixels = ((images * std + mean) / 255).clamp(0, 1)
        pairs = zip(pixels, samples, strict=True)
        strong = [
            strong_augment(image, stream_of(one, purpose), jitter_probability, jitter, blur) for image, one in pairs
        ]
        return (torch.stack(strong) * 255 - mean) / std

    def predict(self, inputs: Tensor, data_samples: Samples | None = None) -> Samples:
        return self.student.predict(inputs, data_samples)

    def extract_feat(self, inputs: Tensor) -> Any:
        return self.student.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any) -> Tensor:
        return self.student.encode_decode(inputs, batch_data_samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        return self.student._forward(inputs, data_samples)


class EachBranch(BaseDataPreprocessor):
    """Hands each branch of a batch (see branches.py) to a SegDataPreProcessor."""

    def __init__(self, preprocessor: BaseDataPreprocessor) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        if not isinstance(data["inputs"], dict):
            return self.preprocessor(data, training)
        done = {
            branch: self.preprocessor({key: value[branch] for key, value in data.items()}, training)
            for branch in data["inputs"]
        }
        return {key: {branch: done[branch][key] for branch in done} for key in data}


def stream_of(sample: SegDataSample, purpose: str) -> np.random.Generator:
    return draw_stream(sample.seed, sample.draw, purpose)
