"""The two trainings of PriMaPs-EM: prototypes by k-means, then stochastic EM with a student and its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2.functional as T
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from stages.parts.datasets.splits import Picture, Split, shuffled
from stages.parts.learning.augment import colour_jitter
from stages.parts.pretrained.kept_features import KeptFeatures, pixels
from stages.parts.store.samples import Shards, png_array
from stages.parts.store.streams import draw_stream, sample_stream
from stages.primaps.em import Head, assigned, class_focal_loss, cluster_loss, follow, principal_start, said
from stages.primaps.params import Fit, Initialise
from stages.primaps.scoring import Data, Linear, plainly, val_miou

Weights = dict[str, Tensor]


def kmeans(settings: Initialise, features: KeptFeatures, learn: Split, clusters: int, seed: int) -> Weights:
    """Prototypes by minibatch cosine k-means from the principal directions of all features (section 3.2, the baseline).

    v (K, C) unit rows, g (K,) ones, mean (C,), zeros where features are not centred: float32."""
    look = plainly(features)

    def batch(uids: Sequence[str]) -> Tensor:
        return torch.cat([look(learn, uid, learn.read(uid)[0]) for uid in uids])

    rng = draw_stream(seed, 0, "start")
    count, first, second, spare = 0, torch.zeros(()), torch.zeros(()), []
    for uids in tqdm(learn.blocks(settings.batch), desc="features", unit="batch", delay=2):
        cells = batch(uids).flatten(2).transpose(1, 2).flatten(0, 1).double()
        count, first, second = count + len(cells), first + cells.sum(0), second + cells.T @ cells
        spare.append(cells[rng.integers(len(cells), size=clusters)])
    mean = first / count
    v = principal_start(second / count, mean, torch.cat(spare)[:clusters])
    mean = mean.float() if settings.centred else torch.zeros(len(mean))
    head = Head(v)
    optimiser = torch.optim.Adam([head.v], lr=settings.lr)
    batches = epochs(learn, seed, settings.epochs, settings.batch)
    for uids in tqdm(batches, desc=f"initialise {seed}", unit="step", delay=2):
        loss = cluster_loss(head(F.normalize(batch(uids) - mean[:, None, None], dim=1)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {"v": F.normalize(head.v.detach(), dim=1), "g": head.g.detach().clone(), "mean": mean}


def epochs(learn: Split, seed: int, count: int, batch: int) -> list[list[str]]:
    """The uids of every step, each epoch in an order of its own."""
    uids = list(learn.hashes)
    return [step for k in range(count) for step in shuffled(uids, draw_stream(seed, k, "order"), batch)]


class ExpectationMaximisation:
    """Stochastic EM (section 3.2): the teacher names each proposal (E), the student learns the names from that view of
    the picture or another (M), and every so many steps the teacher follows the student.

    start: what kmeans gave; work: the file that a killed training goes on from, written at every check."""

    def __init__(self, settings: Fit, start: Weights, seed: int, work: Path) -> None:
        self.settings, self.seed, self.work, self.mean = settings, seed, work, start["mean"]
        self.student, self.teacher = (Head(start["v"], start["g"]) for _ in range(2))
        self.optimiser = torch.optim.Adam(self.student.parameters(), lr=settings.lr)
        self.best: dict[str, Any] = {"mIoU": -1.0}
        self.step, self.rows = 0, list[tuple[int, str, str]]()

    def fit(self, features: KeptFeatures, learn: Split, proposals: Shards, data: Data, val: Split) -> Weights:
        """Run the steps that are left. v and g of the student, of the teacher at the end and of the best on val."""
        s = self.settings
        steps = epochs(learn, self.seed, s.epochs, s.batch)
        checks = {len(steps) * (k + 1) // s.checks for k in range(s.checks)}
        self._resume()
        with tqdm(total=len(steps), initial=self.step, desc=f"fit {self.seed}", unit="step", delay=2) as progress:
            for uids in steps[self.step :]:
                loss = self._loss(features, learn, proposals, uids)
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                self.step += 1
                if self.step % s.every == 0:
                    follow(self.teacher, self.student, self.step // s.every, s.decay)
                if self.step in checks:
                    head = Linear(self.teacher.weight().detach(), self.mean)
                    self._check(val_miou(features, data, val, head), loss.item())
                progress.update()
        last = {"student": self.student.state_dict(), "teacher": self.teacher.state_dict(), "best": self.best}
        return {"mean": self.mean} | {f"{name}.{k}": state[k].clone() for name, state in last.items() for k in "vg"}

    def _loss(self, features: KeptFeatures, learn: Split, proposals: Shards, uids: Sequence[str]) -> Tensor:
        taught, seen, ids = [], [], []
        for place, uid in enumerate(uids):
            view = self._view(learn, uid, self.step * self.settings.batch + place)
            taught.append(view.teacher(features))
            seen.append(view.student(features))
            region = png_array(proposals.read(f"learn-{uid}")["proposals.png"])
            ids.append(torch.from_numpy((region[:, ::-1] if view.mirrored else region).astype(np.int64)))
        regions, mean = torch.stack(ids), self.mean[:, None, None]
        size = (regions.shape[1], regions.shape[2])
        with torch.no_grad():
            named = said(self.teacher.weight(), None, torch.cat(taught) - mean, size).argmax(1)
        logits = said(self.student.weight(), None, torch.cat(seen) - mean, size)
        return class_focal_loss(logits, assigned(named, regions, len(logits[0])), self.settings.gamma)

    def _view(self, learn: Split, uid: str, draw: int) -> View:
        """One of the picture's views that are drawn in advance, or one drawn anew. draw: number of picture since the
        start."""
        image, name = learn.read(uid)[0], learn.hashes[uid]
        if self.settings.views is None:
            return View(image, name, None, draw_stream(self.seed, draw, "view"), self.settings)
        which = int(draw_stream(self.seed, draw, "which").integers(self.settings.views))
        rng = np.random.default_rng([self.seed, sample_stream(uid, which, "view")])
        return View(image, name, which, rng, self.settings)

    def _check(self, miou: float, loss: float) -> None:
        """The teacher is the best if none before had as high a mIoU on val; and a file to go on from."""
        if miou > self.best["mIoU"]:
            self.best = {"mIoU": miou, **{k: value.clone() for k, value in self.teacher.state_dict().items()}}
        self.rows.append((self.step, f"{loss:.6f}", f"{miou:.3f}"))
        state = {name: getattr(self, name).state_dict() for name in ("student", "teacher", "optimiser")}
        self.work.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.work.with_suffix(".tmp")
        torch.save(state | {"step": self.step, "rows": self.rows, "best": self.best}, temporary)
        temporary.replace(self.work)

    def _resume(self) -> None:
        if self.work.is_file():
            state = torch.load(self.work, weights_only=True)
            self.step, self.rows, self.best = state["step"], state["rows"], state["best"]
            for name in ("student", "teacher", "optimiser"):
                getattr(self, name).load_state_dict(state[name])


class View:
    """How one picture is looked at: mirrored or not by both, and by the student in other colours, jittered or grey, and
    blurred. `which` of the views drawn in advance it is, whose features are kept by the picture's `name`; None for one
    drawn anew."""

    def __init__(self, image: Picture, name: str, which: int | None, rng: np.random.Generator, settings: Fit) -> None:
        self.image, self.name, self.which, self.rng, self.settings = image, name, which, rng, settings
        self.mirrored = bool(rng.random() < settings.flip)

    def teacher(self, features: KeptFeatures) -> Tensor:
        return features.named((self.name, "mirrored") if self.mirrored else (self.name,), self._pixels)

    def student(self, features: KeptFeatures) -> Tensor:
        if self.which is None:
            return features(self._augmented()).clone()
        return features.named((self.name, f"view {self.which}"), self._augmented)

    def _pixels(self) -> Tensor:
        found = pixels([self.image])
        return found.flip(3) if self.mirrored else found

    def _augmented(self) -> Tensor:
        """In [0, 1], before the backbone normalises: the published code does it after, where torchvision cuts off all
        that is below the mean."""
        s, image = self.settings, self._pixels()[0]
        jitter, grey, blur = self.rng.random(3) < (s.jitter_probability, s.grey_probability, s.blur_probability)
        if jitter:
            image = colour_jitter(image, self.rng, s.jitter)
        if grey:
            image = T.rgb_to_grayscale(image, 3)
        if blur:
            sigma = float(self.rng.uniform(s.blur[0], s.blur[1]))
            side = 2 * max(1, round(3 * sigma)) + 1
            image = T.gaussian_blur(image, [side, side], [sigma, sigma])
        return image[None]
