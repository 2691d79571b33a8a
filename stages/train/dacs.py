"""DACS (Tranheden et al. 2021), the self-training under DAFormer, HRDA and MIC, for mmsegmentation 1.x."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseDataPreprocessor
from mmseg.models import BaseSegmentor, EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from stages.labels import IGNORE
from stages.train.augment import strong_augment
from stages.train.streams import stream

Samples = list[SegDataSample]


def pseudo_label(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Logits (B, C, H, W) -> labels (B, H, W) int64, and q: the share of pixels at least `threshold` sure.

    q is one number for the whole batch, as in the published code (its paper writes one per image).
    """
    probability, label = logits.softmax(dim=1).max(dim=1)
    return label, (probability >= threshold).float().mean()


def class_mix(label: Tensor, rng: np.random.Generator) -> Tensor:
    """Label (H, W) -> mask (H, W) bool of half of its classes, rounded up (Olsson et al. 2021).

    Never 255; nothing where all is 255. The published code draws from the classes of the whole batch, so
    that one image may give all of its classes and another none, and counts 255 as a class.
    """
    classes = torch.unique(label[label != IGNORE]).cpu().numpy()
    chosen = rng.choice(classes, (len(classes) + 1) // 2, replace=False) if len(classes) else classes
    return torch.isin(label, torch.from_numpy(chosen).to(label.device))


def mixed_target(mask: Tensor, label: Tensor, pseudo: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
    """What a mixed image should be predicted as: labels (B, H, W), and the weight of each pixel.

    Within the mask the source's label, weight 1; elsewhere the pseudo-label, weight q.
    """
    weight = torch.where(mask, torch.ones_like(quality), quality)
    return torch.where(mask, label, pseudo), weight


@MODELS.register_module()
class DACS(BaseSegmentor):
    """A student and its slowly following teacher (see hooks.MeanTeacher).

    loss = CE(student(source), label) + weighted CE(student(augment(mix)), mixed label). Both are means over
    all pixels, ignored ones included, so that q scales the gradient. Predicts with the student. Further
    terms (feature distance, masked consistency) are further entries in what `loss` returns.
    """

    def __init__(
        self,
        student: EncoderDecoder,
        pseudo_threshold: float,
        jitter_probability: float,
        jitter: float,
        blur_probability: float,
    ) -> None:
        super().__init__(data_preprocessor=Branches(student.data_preprocessor))
        self.student = student
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        self.pseudo_threshold = pseudo_threshold
        self.augmentation = (jitter_probability, jitter, blur_probability)

    def train(self, mode: bool = True) -> DACS:
        """The teacher never drops anything out, and its batch norm always goes by the batch at hand.

        The student's running statistics describe source and mixed images, but the teacher labels target
        images: their own statistics fit them. So its buffers are neither averaged nor used.
        """
        super().train(mode)
        self.teacher.train()
        for module in self.teacher.modules():
            if isinstance(module, nn.Dropout | nn.Dropout2d | DropPath):
                module.eval()
        return self

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, Samples]) -> dict[str, Tensor]:
        samples = data_samples["source"]
        label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
        with torch.no_grad():
            pseudo, quality = self._pseudo_label(inputs["target"], data_samples["target"])
            pairs = zip(label, samples, strict=True)
            mask = torch.stack([class_mix(one, _rng(sample, "mix")) for one, sample in pairs])
            mixed = torch.where(mask[:, None], inputs["source"], inputs["target"])
            mixed = self._augmented(mixed, samples)
        return {
            "source.loss": self._cross_entropy(inputs["source"], label, torch.ones_like(quality)),
            "mix.loss": self._cross_entropy(mixed, *mixed_target(mask, label, pseudo, quality)),
            "mix.quality": quality,
        }

    def _pseudo_label(self, images: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """The teacher's; 255 on the rows and columns that the preprocessor added below and to the right."""
        height, width = samples[0].img_shape
        logits = _logits(self.teacher, images)[..., :height, :width]
        label, quality = pseudo_label(logits, self.pseudo_threshold)
        padding = (0, images.shape[3] - width, 0, images.shape[2] - height)
        return nn.functional.pad(label, padding, value=IGNORE), quality

    def _augmented(self, images: Tensor, samples: Samples) -> Tensor:
        """Normalised images (B, 3, H, W), each augmented in [0, 1] by its own stream, normalised again."""
        mean, std = self.student.data_preprocessor.mean, self.student.data_preprocessor.std
        pixels = ((images * std + mean) / 255).clamp(0, 1)
        pairs = zip(pixels, samples, strict=True)
        strong = [strong_augment(image, _rng(of, "augment"), *self.augmentation) for image, of in pairs]
        return (torch.stack(strong) * 255 - mean) / std

    def _cross_entropy(self, images: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        # As (pixels, classes): on a GPU the loss over (B, C, H, W) has no deterministic kernel, this one has.
        logits = _logits(self.student, images).permute(0, 2, 3, 1).flatten(0, 2)
        weight = weight.expand_as(label).flatten()
        criterion = self.student.decode_head.loss_decode
        return criterion(logits, label.flatten(), weight=weight, ignore_index=IGNORE)

    def predict(self, inputs: Tensor, data_samples: Samples | None = None) -> Samples:
        return self.student.predict(inputs, data_samples)

    def extract_feat(self, inputs: Tensor) -> Any:
        return self.student.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any) -> Tensor:
        return self.student.encode_decode(inputs, batch_data_samples)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        return self.student._forward(inputs, data_samples)


class Branches(BaseDataPreprocessor):
    """Hands each branch of a batch ("source", "target") to a SegDataPreProcessor."""

    def __init__(self, preprocessor: BaseDataPreprocessor) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """{"inputs": {branch: [(3, H, W) uint8]}, "data_samples": ...} -> the same with (B, 3, H, W) float."""
        if not isinstance(data["inputs"], dict):
            return self.preprocessor(data, training)
        done = {
            branch: self.preprocessor({key: value[branch] for key, value in data.items()}, training)
            for branch in data["inputs"]
        }
        return {key: {branch: done[branch][key] for branch in done} for key in data}


def _logits(segmentor: EncoderDecoder, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) -> (B, classes, H, W): the head's output, brought to the size of the images."""
    images = images.contiguous(memory_format=torch.channels_last)  # a quarter less time on a CPU
    logits = segmentor.decode_head(segmentor.extract_feat(images))
    return resize(logits, images.shape[2:], mode="bilinear", align_corners=segmentor.align_corners)


def _rng(sample: SegDataSample, purpose: str) -> np.random.Generator:
    return stream(sample.seed, sample.draw, purpose)
