"""The segmentor that trains: a student, its teacher, and every loss of DACS, DAFormer, HRDA and MIC."""

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

from stages.parts.datasets.labels import IGNORE
from stages.parts.learning.augment import strong_augment
from stages.parts.learning.distance import feature_distance, thing_cells
from stages.parts.learning.masking import block_mask
from stages.parts.learning.pseudo_labels import batch_classes, class_mix, inside, mixed_target, pseudo_label
from stages.parts.segmenter.hrda import GRID, HRDA, Corner
from stages.parts.store.streams import draw_stream
from stages.train.methods import Method, Options

Samples = list[SegDataSample]


@MODELS.register_module()
class SelfTraining(BaseSegmentor):
    """A student and, if the method adapts, its slowly following teacher (see hooks.MeanTeacher).

    loss() gives, by the method,
        source.loss      CE(student(source), label)
        distance.loss    lambda * distance of the source features from those the encoder came with
        mix.loss         weighted CE(student(augment(mix)), mixed label)
        mask.loss        weighted CE(student(mask * augment(target)), pseudo-label)
    and mix.quality, q. Cross-entropies are means over all pixels, ignored ones included, so that q scales the
    gradient. Under HRDA each is (1 - w) * CE(fused) + w * CE(detail). All come out of one forward pass: under
    DDP the wrapper sees it, and gradients are synchronised. Predicts with the student, as published.
    """

    def __init__(self, student: EncoderDecoder, method: Method, options: Options) -> None:
        super().__init__(data_preprocessor=Branches(student.data_preprocessor))
        self.student, self.method, self.options = student, method, options
        self.teacher = copy.deepcopy(student).requires_grad_(False) if method.adapts else None
        # In a list, the frozen copy of the encoder is no submodule: it is in no checkpoint and no optimiser.
        self.reference = [copy.deepcopy(student.backbone).requires_grad_(False)] if method.distance else []
        for backbone in self.reference:
            backbone.eval()

    def train(self, mode: bool = True) -> SelfTraining:
        """The teacher never drops anything out; its batch norm goes by the batch at hand, or by `teacher_norm`.

        The student's running statistics describe source and mixed images, but the teacher labels target
        images: their own statistics fit them. Told to go by running ones, it has the student's.
        """
        super().train(mode)
        if self.teacher is not None:
            self.teacher.train(self.options.teacher_norm == "batch")
            for module in self.teacher.modules():
                if isinstance(module, nn.Dropout | nn.Dropout2d | DropPath):
                    module.eval()
        return self

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, Samples]) -> dict[str, Tensor]:
        samples = data_samples["source"]
        label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
        losses: dict[str, Tensor] = {}
        if self.teacher is not None:
            with torch.no_grad():
                pseudo, quality = self._pseudo_label(inputs["target"], data_samples["target"])
                weight = self._weight(quality, inputs["target"], data_samples["target"])
                batch = batch_classes(label) if self.options.classes_of == "batch" else None
                pairs = zip(label, samples, strict=True)
                mask = torch.stack([class_mix(one, _rng(sample, "mix"), batch) for one, sample in pairs])
                mixed = torch.where(mask[:, None], inputs["source"], inputs["target"])
                mixed = self._augmented(mixed, samples, "augment")
        sure = label.new_ones(())
        losses["source.loss"], features = self._supervise(inputs["source"], label, sure, samples, "source")
        if self.method.distance:
            losses["distance.loss"] = self._distance(inputs["source"], label, features)
        if self.teacher is not None:
            target = mixed_target(mask, label, pseudo, weight)
            losses["mix.loss"], _ = self._supervise(mixed, *target, samples, "mix")
            if self.method.masks:
                hidden = self._masked(inputs["target"], samples)
                loss, _ = self._supervise(hidden, pseudo, weight, samples, "mask")
                losses["mask.loss"] = self.options.mask_weight * loss
            losses["mix.quality"] = quality.mean()
        return losses

    def _supervise(
        self, images: Tensor, label: Tensor, weight: Tensor, samples: Samples, purpose: str
    ) -> tuple[Tensor, list[Tensor]]:
        """The cross-entropy of the student's prediction, and the features that it was made from."""
        images = images.contiguous(memory_format=torch.channels_last)  # a quarter less time on a CPU
        weight = weight.float().expand_as(label)
        if isinstance(self.student, HRDA):
            corners = [self._corner(images, sample, purpose) for sample in samples]
            views = self.student.look(images, corners)
            (height, width), share = self.student.detail, self.options.detail_weight
            cut = [(slice(row, row + height), slice(col, col + width)) for row, col in corners]
            details = [torch.stack([one[box] for one, box in zip(each, cut, strict=True)]) for each in (label, weight)]
            whole = self._cross_entropy(views.fused, label, weight)
            return (1 - share) * whole + share * self._cross_entropy(views.detail, *details), views.context
        features = self.student.extract_feat(images)
        return self._cross_entropy(self.student.decode_head(features), label, weight), features

    def _cross_entropy(self, logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        logits = resize(logits, label.shape[1:], mode="bilinear", align_corners=False)
        # As (pixels, classes): on a GPU the loss over (B, C, H, W) has no deterministic kernel, this one has.
        logits = logits.permute(0, 2, 3, 1).flatten(0, 2)
        criterion = self.student.decode_head.loss_decode
        return criterion(logits, label.flatten(), weight=weight.flatten(), ignore_index=IGNORE)

    def _corner(self, images: Tensor, sample: SegDataSample, purpose: str) -> Corner:
        """Where the image's detail is cut out: uniform over the cells of GRID pixels."""
        assert isinstance(self.student, HRDA)
        room = [(side - part) // GRID for side, part in zip(images.shape[2:], self.student.detail, strict=True)]
        row, col = _rng(sample, f"{purpose} detail").integers(0, room, endpoint=True)
        return GRID * int(row), GRID * int(col)

    def _pseudo_label(self, images: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """The teacher's; 255 on the rows and columns that the preprocessor added below and to the right."""
        assert self.teacher is not None
        height, width = samples[0].img_shape
        images = images.contiguous(memory_format=torch.channels_last)
        if isinstance(self.teacher, HRDA):
            logits = self.teacher.fused(images)
        else:
            logits = self.teacher.decode_head(self.teacher.extract_feat(images))
        logits = resize(logits, images.shape[2:], mode="bilinear", align_corners=False)[..., :height, :width]
        label, quality = pseudo_label(logits, self.options.threshold, self.options.quality_per)
        padding = (0, images.shape[3] - width, 0, images.shape[2] - height)
        return nn.functional.pad(label, padding, value=IGNORE), quality

    def _weight(self, quality: Tensor, images: Tensor, samples: Samples) -> Tensor:
        """(B or 1, H, W) or (): q, and 0 on the margin."""
        if not any(self.options.margin):
            return quality
        maps = [self._inside(sample, images.shape[2:]) for sample in samples]
        return quality * torch.stack(maps).to(images.device)

    def _inside(self, sample: SegDataSample, padded: torch.Size) -> Tensor:
        """(H, W) of 0 and 1: where the target image, flipped and padded as it is, gets a pseudo-label."""
        if self.options.margin_of == "crop":
            weight = inside(self.options.margin, sample.img_shape)
        else:
            weight = inside(self.options.margin, sample.whole_shape, sample.box)
            weight = weight.flip(1) if sample.flip else weight
        return nn.functional.pad(weight, (0, padded[1] - weight.shape[1], 0, padded[0] - weight.shape[0]))

    def _distance(self, images: Tensor, label: Tensor, features: list[Tensor]) -> Tensor:
        (backbone,) = self.reference
        if isinstance(self.student, HRDA):  # its features are those of the context
            images = nn.functional.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
        with torch.no_grad():
            known = deepest(backbone.to(images.device)(images.contiguous(memory_format=torch.channels_last)))
        ours, options = deepest(features), self.options
        size, num_classes = ours.shape[2:], self.student.num_classes
        cells = thing_cells(label, size, options.distance_classes, options.distance_ratio, num_classes)
        return options.distance_weight * feature_distance(ours, known, cells)

    def _masked(self, images: Tensor, samples: Samples) -> Tensor:
        """Normalised images, augmented, with blocks at 0: the mean colour."""
        block, ratio = self.options.mask_block, self.options.mask_ratio
        blocks = [block_mask(images.shape[2:], block, ratio, _rng(of, "mask")) for of in samples]
        augmented = self._augmented(images, samples, "mask augment")
        return augmented * torch.stack(blocks)[:, None].to(images.device)

    def _augmented(self, images: Tensor, samples: Samples, purpose: str) -> Tensor:
        """Normalised images (B, 3, H, W), each augmented in [0, 1] by its own stream, normalised again."""
        mean, std = self.student.data_preprocessor.mean, self.student.data_preprocessor.std
        pixels = ((images * std + mean) / 255).clamp(0, 1)
        amounts = self.options.jitter_probability, self.options.jitter, self.options.blur_probability
        pairs = zip(pixels, samples, strict=True)
        strong = [strong_augment(image, _rng(of, purpose), *amounts) for image, of in pairs]
        return (torch.stack(strong) * 255 - mean) / std

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
        if not isinstance(data["inputs"], dict):
            return self.preprocessor(data, training)
        done = {
            branch: self.preprocessor({key: value[branch] for key, value in data.items()}, training)
            for branch in data["inputs"]
        }
        return {key: {branch: done[branch][key] for branch in done} for key in data}


def deepest(features: list[Tensor]) -> Tensor:
    """The level of the largest stride: a U-Net gives it first, a transformer last."""
    return min(features, key=lambda level: level.shape[2])


def _rng(sample: SegDataSample, purpose: str) -> np.random.Generator:
    return draw_stream(sample.seed, sample.draw, purpose)
