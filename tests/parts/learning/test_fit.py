"""Any model on any branches, in any label space: what `fit` and the teacher promise to more than one room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.deterministic
from mmengine.hooks import Hook
from torch import Tensor

from stages.parts.datasets.labels import LabelSpace
from stages.parts.errors import GraftError
from stages.parts.learning import fit as fitting
from stages.parts.learning.branches import Branch, BranchedDataset
from stages.parts.learning.fit import fit, make_deterministic, work_folder
from stages.parts.learning.hooks import Curve, MeanTeacher
from stages.parts.learning.optimisation import adamw, learning_rate
from stages.parts.learning.teacher import Samples, TeacherStudent
from stages.parts.learning.transforms import Flip
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.samples import Sample, Shards, build, png_bytes

SPACE = LabelSpace("two shapes", (("background", (0, 0, 0)), ("car", (9, 9, 9))))
ITERATIONS = 5


class PseudoLabels(TeacherStudent):
    """Where a branch has labels they are learned, elsewhere what the teacher says."""

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, Samples]) -> dict[str, Tensor]:
        losses = {}
        for name, samples in data_samples.items():
            if "gt_sem_seg" in samples[0]:
                label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
            else:
                with torch.no_grad():
                    label = self.teach(inputs[name]).argmax(dim=1)
            images = self.augmented(inputs[name], samples, f"{name} augment", 1.0, 0.2, 0.5)
            logits = self.student.decode_head(self.student.extract_feat(images))
            losses[f"{name}.loss"] = self.cross_entropy(logits, label, torch.ones_like(label, dtype=torch.float32))
        return losses


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, count in (("labelled", 4), ("unlabelled", 3), ("generated", 5)):
        write(tmp_path / name, count, labelled=name != "unlabelled")
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def write(folder: Path, count: int, labelled: bool) -> None:
    """Grey noise with a bright box, the car."""

    def made(uids: list[str]) -> Iterator[Sample]:
        for uid in uids:
            rng = np.random.default_rng([len(folder.name), int(uid)])
            image, label = rng.integers(0, 90, (32, 64, 3), np.uint8), np.zeros((32, 64), np.uint8)
            row, col = rng.integers(0, 20, 2)
            image[row : row + 12, col : col + 20], label[row : row + 12, col : col + 20] = 230, 1
            files = {"image.png": png_bytes(image)} | ({"label.png": png_bytes(label)} if labelled else {})
            yield Sample(uid, "k", {"height": 32, "width": 64}, files)

    build(folder, {str(k): "k" for k in range(count)}, made, title=folder.name)


def dataset(*names: str, seed: int = 0) -> BranchedDataset:
    branches = {
        name: Branch(Shards(name), [Flip(0.5)], None if name == "unlabelled" else SPACE)
        for name in names or ("labelled", "unlabelled", "generated")
    }
    return BranchedDataset(branches, 2 * ITERATIONS, seed)


def trained(*hooks: Hook, changes: Mapping[str, Any] | None = None, **about: Any) -> tuple[PseudoLabels, Curve]:
    student = untrained()
    model = PseudoLabels(student, **about)
    settings: dict[str, Any] = {
        "seed": 0, "iterations": ITERATIONS, "batch": 2, "optimiser": adamw(student, 1e-3, 0.01),
        "schedule": learning_rate(1, ITERATIONS), "work": work_folder("a", "key"), "section": "primaps.fit",
    }  # fmt: skip
    return model, fit(model, dataset(), hooks=hooks, **(settings | dict(changes or {})))


def test_each_branch_gives_its_own_images_and_only_labelled_ones_bring_labels() -> None:
    for draw in range(6):
        item = dataset()[draw]
        assert {name: "gt_sem_seg" in sample for name, sample in item["data_samples"].items()} == {
            "labelled": True,
            "unlabelled": False,
            "generated": True,
        }
        for name, image in item["inputs"].items():
            assert any(torch.equal(image, shown) for shown in of_shards(name))


def of_shards(name: str) -> list[Tensor]:
    """All images of a set, as they are and mirrored."""
    alone = BranchedDataset({name: Branch(Shards(name), [])}, 10, 0)
    images = [alone[draw]["inputs"][name] for draw in range(10)]
    return [*images, *(image.flip(2) for image in images)]


def test_a_branch_more_changes_nothing_of_the_others() -> None:
    two, three = dataset("labelled", "unlabelled"), dataset()
    for draw in range(8):
        for name in ("labelled", "unlabelled"):
            assert torch.equal(two[draw]["inputs"][name], three[draw]["inputs"][name])


def test_a_label_is_read_in_the_space_of_its_branch() -> None:
    road = LabelSpace("one", (("road", (1, 1, 1)),))
    with pytest.raises(GraftError, match=r"labelled: sample \d: the label holds the id 1, the classes are 0 to 0"):
        BranchedDataset({"labelled": Branch(Shards("labelled"), [], road)}, 1, 0)[0]


def test_every_branch_is_learned_and_every_iteration_told() -> None:
    model, curve = trained(MeanTeacher(0.9))
    assert [row["iter"] for row in curve] == list(range(ITERATIONS))
    assert curve[0].keys() == {"iter", "loss", "labelled.loss", "unlabelled.loss", "generated.loss"}
    for row in curve:
        assert row["loss"] == pytest.approx(sum(value for name, value in row.items() if name.endswith(".loss")))
    assert {name.partition(".")[0] for name in model.state_dict()} == {"student", "teacher"}


def test_the_teacher_follows_and_is_no_student_of_the_optimiser() -> None:
    still, _ = trained()  # nobody updates it
    followed, _ = trained(MeanTeacher(0.5))
    assert differ(still.teacher, followed.teacher) and differ(followed.teacher, followed.student)


def test_a_training_starts_from_the_weights_that_a_model_comes_with() -> None:
    """mmengine would draw them anew, those of a loaded encoder too. A teacher that nobody updates still has them."""
    model, _ = trained()
    assert not differ(model.teacher, untrained())


def untrained() -> torch.nn.Module:
    make_deterministic(0)
    return build_segmenter("segformer-b0", len(SPACE.names))  # it drops out: its chances must come back too


def differ(one: Any, other: Any) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


class Stop(Hook):
    """As Ctrl-C in the fourth iteration would."""

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        if runner.iter == 3:
            raise KeyboardInterrupt


def test_a_stopped_run_goes_on_to_the_same_weights_and_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL", 2)
    whole, losses = trained(MeanTeacher(0.9), changes={"work": Path("elsewhere")})
    with pytest.raises(KeyboardInterrupt):
        trained(MeanTeacher(0.9), Stop())
    model, again = trained(MeanTeacher(0.9))
    assert again == losses
    for name, value in model.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_a_checkpoint_of_another_key_is_thrown_away() -> None:
    other = work_folder("a", "old")
    other.mkdir(parents=True)
    kept = work_folder("b", "old")
    kept.mkdir(parents=True)
    assert work_folder("a", "new").parent == other.parent
    assert not other.exists() and kept.exists()


def test_an_error_names_the_section_of_the_line_that_trains() -> None:
    with pytest.raises(GraftError, match=r"lower primaps\.fit\.lr or raise primaps\.fit\.warmup in params\.yaml"):
        trained(Spoil())


class Spoil(Hook):
    priority = "VERY_HIGH"

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        outputs["loss"] = torch.tensor(float("nan"))


def test_without_a_teacher_there_is_none_to_follow() -> None:
    student = untrained()
    model = PseudoLabels(student, taught=False)
    assert model.teacher is None and {name.partition(".")[0] for name in model.state_dict()} == {"student"}


def test_the_teacher_never_drops_out_and_its_norms_go_as_told() -> None:
    for norm in ("batch", "running"):
        model = PseudoLabels(untrained(), teacher_norm=norm).train()
        assert model.teacher is not None
        dropouts = [module for module in model.teacher.modules() if isinstance(module, torch.nn.Dropout2d)]
        norms = [module for module in model.teacher.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        assert dropouts and not any(module.training for module in dropouts)
        assert norms and all(module.training == (norm == "batch") for module in norms)
        assert all(m.training for m in model.student.modules() if isinstance(m, torch.nn.Dropout2d))


def test_an_augmentation_of_no_amount_changes_no_image() -> None:
    model = PseudoLabels(untrained())
    item = dataset()[0]
    batch = {key: {name: [value] for name, value in item[key].items()} for key in item}
    data = model.data_preprocessor(batch, True)
    images, samples = data["inputs"]["labelled"], data["data_samples"]["labelled"]
    assert torch.allclose(model.augmented(images, samples, "x", 0.0, 0.2, 0.0), images, atol=1e-5)
    assert not torch.allclose(model.augmented(images, samples, "x", 1.0, 0.2, 1.0), images, atol=0.1)
