"""The segmentor that trains: a student, its teacher, and every loss of DACS, DAFormer, HRDA and MIC."""

from __future__ import annotations

import copy

import torch
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from stages.parts.datasets.labels import IGNORE, LabelSpace
from stages.parts.learning.augment import block_mask
from stages.parts.learning.distance import feature_distance, thing_cells
from stages.parts.learning.pseudo_labels import batch_classes, class_mix, inside, mixed_target, pseudo_label
from stages.parts.learning.teacher import Samples, TeacherStudent, stream_of
from stages.parts.segmenter.hrda import GRID, HRDA, Corner
from stages.train.methods import METHODS
from stages.train.params import Train


@MODELS.register_module()
class SelfTraining(TeacherStudent):
    """A student and, if the method adapts, its teacher; `settings` is the section `train` of params.yaml, whose values
    stand where they act; `labels` the label space of the source.

    loss() gives, by the method,
        source.loss      CE(student(source), label)
        distance.loss    lambda * distance of the source features from those the encoder came with
        mix.loss         weighted CE(student(augment(mix)), mixed label)
        mask.loss        weighted CE(student(mask * augment(target)), pseudo-label)
    and mix.quality, q. Cross-entropies are means over all pixels, ignored ones included, so that q scales the
    gradient. Under HRDA each is (1 - w) * CE(fused) + w * CE(detail). All come out of one forward pass: under
    DDP the wrapper sees it, and gradients are synchronised. Predicts with the student, as published.
    """

    def __init__(self, student: EncoderDecoder, settings: Train, labels: LabelSpace) -> None:
        method = METHODS[settings.method]
        super().__init__(student, method.adapts, settings.teacher_norm)
        self.settings, self.method = settings, method
        self.things = [labels.id(name) for name in settings.feature_distance.classes] if method.distance else []
        # In a list, the frozen copy of the encoder is no submodule: it is in no checkpoint and no optimiser.
        self.reference = [copy.deepcopy(student.backbone).requires_grad_(False)] if method.distance else []
        for backbone in self.reference:
            backbone.eval()

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, Samples]) -> dict[str, Tensor]:
        samples = data_samples["source"]
        label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
        losses: dict[str, Tensor] = {}
        # Pseudo-labels of the target, and ClassMix: half of the source's classes laid over it.
        if self.teacher is not None:
            with torch.no_grad():
                pseudo, quality = self._pseudo_label(inputs["target"], data_samples["target"])
                weight = self._weight(quality, inputs["target"], data_samples["target"])
                batch = batch_classes(label) if self.settings.classes_of == "batch" else None
                pairs = zip(label, samples, strict=True)
                mask = torch.stack([class_mix(one, stream_of(sample, "mix"), batch) for one, sample in pairs])
                mixed = torch.where(mask[:, None], inputs["source"], inputs["target"])
                mixed = self._strong(mixed, samples, "augment")
        # The source, and how far its features have gone.
        sure = label.new_ones(())
        losses["source.loss"], features = self._supervise(inputs["source"], label, sure, samples, "source")
        if self.method.distance:
            losses["distance.loss"] = self._distance(inputs["source"], label, features)
        # The mixed image, and the target with hidden blocks.
        if self.teacher is not None:
            target = mixed_target(mask, label, pseudo, weight)
            losses["mix.loss"], _ = self._supervise(mixed, *target, samples, "mix")
            if self.method.masks:
                hidden = self._masked(inputs["target"], samples)
                loss, _ = self._supervise(hidden, pseudo, weight, samples, "mask")
                losses["mask.loss"] = self.settings.masking.weight * loss
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
            (height, width), share = self.student.detail, self.settings.detail.weight
            cut = [(slice(row, row + height), slice(col, col + width)) for row, col in corners]
            details = [torch.stack([one[box] for one, box in zip(each, cut, strict=True)]) for each in (label, weight)]
            whole = self.cross_entropy(views.fused, label, weight)
            return (1 - share) * whole + share * self.cross_entropy(views.detail, *details), views.context
        features = self.student.extract_feat(images)
        return self.cross_entropy(self.student.decode_head(features), label, weight), features

    def _corner(self, images: Tensor, sample: SegDataSample, purpose: str) -> Corner:
        """Where the image's detail is cut out: uniform over the cells of GRID pixels."""
        assert isinstance(self.student, HRDA)
        room = [(side - part) // GRID for side, part in zip(images.shape[2:], self.student.detail, strict=True)]
        row, col = stream_of(sample, f"{purpose} detail").integers(0, room, endpoint=True)
        return GRID * int(row), GRID * int(col)

    def _pseudo_label(self, images: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """The teacher's; 255 on the rows and columns that the preprocessor added below and to the right."""
        height, width = samples[0].img_shape
        logits = self.teach(images)[..., :height, :width]
        label, quality = pseudo_label(logits, self.settings.pseudo_threshold, self.settings.quality_per)
        padding = (0, images.shape[3] - width, 0, images.shape[2] - height)
        return nn.functional.pad(label, padding, value=IGNORE), quality

    def _weight(self, quality: Tensor, images: Tensor, samples: Samples) -> Tensor:
        """(B or 1, H, W) or (): q, and 0 on the margin."""
        if not any(self.settings.margin):
            return quality
        maps = [self._inside(sample, images.shape[2:]) for sample in samples]
        return quality * torch.stack(maps).to(images.device)

    def _inside(self, sample: SegDataSample, padded: torch.Size) -> Tensor:
        """(H, W) of 0 and 1: where the target image, flipped and padded as it is, gets a pseudo-label."""
        top, bottom, left, right = self.settings.margin
        if self.settings.margin_of == "crop":
            weight = inside((top, bottom, left, right), sample.img_shape)
        else:
            weight = inside((top, bottom, left, right), sample.whole_shape, sample.box)
            weight = weight.flip(1) if sample.flip else weight
        return nn.functional.pad(weight, (0, padded[1] - weight.shape[1], 0, padded[0] - weight.shape[0]))

    def _distance(self, images: Tensor, label: Tensor, features: list[Tensor]) -> Tensor:
        (backbone,) = self.reference
        if isinstance(self.student, HRDA):  # its features are those of the context
            images = nn.functional.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
        with torch.no_grad():
            known = deepest(backbone.to(images.device)(images.contiguous(memory_format=torch.channels_last)))
        ours, settings = deepest(features), self.settings.feature_distance
        cells = thing_cells(label, ours.shape[2:], self.things, settings.min_ratio, self.student.num_classes)
        return settings.weight * feature_distance(ours, known, cells)

    def _masked(self, images: Tensor, samples: Samples) -> Tensor:
        """Normalised images, augmented, with blocks at 0: the mean colour."""
        block, ratio = self.settings.masking.block, self.settings.masking.ratio
        blocks = [block_mask(images.shape[2:], block, ratio, stream_of(of, "mask")) for of in samples]
        augmented = self._strong(images, samples, "mask augment")
        return augmented * torch.stack(blocks)[:, None].to(images.device)

    def _strong(self, images: Tensor, samples: Samples, purpose: str) -> Tensor:
        amounts = self.settings.jitter_probability, self.settings.jitter, self.settings.blur_probability
        return self.augmented(images, samples, purpose, *amounts)


def deepest(features: list[Tensor]) -> Tensor:
    """The level of the largest stride: a U-Net gives it first, a transformer last."""
    return min(features, key=lambda level: level.shape[2])
