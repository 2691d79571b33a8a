"""UCG's layout, a folder per class: the exact inverse of taking published cutouts in (generate/published.py)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stages.export.cutout import Cutout
from stages.parts.datasets import ucg
from stages.parts.datasets.labels import LabelSpace


def write(cutouts: Iterable[Cutout], folder: Path, labels: LabelSpace) -> None:
    """CLASS/rgb/<k>.png, CLASS/ss/<k>.png (1 bit), CLASS/train.txt, the list of UCG's loader, prompts; no doubt

    prompt_lists.txt has one line per image in the order of train.txt, and is left out when a prompt is not known."""
    prompts: dict[str, dict[str, str]] = {}
    for cutout in cutouts:
        for path, content in ucg.files(cutout.name, cutout.image, cutout.mask).items():
            target = folder / cutout.class_name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        prompts.setdefault(cutout.class_name, {})[cutout.name] = cutout.prompt
    for name, of_class in prompts.items():
        order = sorted(of_class, key=ucg.order)
        (folder / name / "train.txt").write_bytes(ucg.list_file(order))
        if all(of_class.values()):
            (folder / name / "prompt_lists.txt").write_text("".join(f"{of_class[one]}\n" for one in order))
