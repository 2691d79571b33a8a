"""Cutouts that somebody else made, taken in instead of drawn: UCG's folders (parts/datasets/ucg.py), images and masks.

The file <class>.yaml in `generate.source` then holds
    cutouts: FOLDER    with rgb/ and ss/; counts from the root of the repo
    list: FILE         in it, one "<name>.png" per line: only those are taken in; may be left out
    prompts: FILE      in it, one prompt per line in the order of the names; may be left out
DVC does not watch FOLDER: after changing files there, run `dvc repro -s -f generate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stages.parts.datasets import ucg
from stages.parts.errors import GraftError
from stages.parts.prompts.entries import known, text
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keys import slug
from stages.parts.store.samples import Sample, file_hash, key, png_bytes

KEYS = ("cutouts", "list", "prompts")
CONSTANT = "constant_image"  # sampler.picture's word for it


@dataclass(frozen=True)
class Published:
    """The cutouts of one class: uid -> name in the folder, and the prompt of a name where prompts were given."""

    name: str
    folder: Path
    names: Mapping[str, str]
    prompts: Mapping[str, str]

    def keys(self) -> dict[str, str]:
        """Over names and bytes of both files: only what changed there is taken in again."""
        code = fingerprint("stages.generate.published", "stages.parts.store.pictures")
        return {
            uid: key(
                files=[file_hash(ucg.picture(self.folder, part, name)) for part in (ucg.RGB, ucg.SS)],
                row=self._row(name, ""), code=code,
            )
            for uid, name in tqdm(self.names.items(), desc="reading", unit="image", delay=2, leave=False)
        }  # fmt: skip

    def samples(self, uids: list[str], keys: Mapping[str, str]) -> Iterator[Sample]:
        """image.png and mask.png (0 / 255) of each; an image of one colour, such as a safety checker's black one, comes
        rejected. When some are damaged, raises GraftError that names them, after all the others were given."""
        faults = []
        for uid in uids:
            name = self.names[uid]
            try:
                image, mask = ucg.read(self.folder, name)
            except ValueError as fault:
                faults.append(str(fault))
                continue
            files = {"image.png": png_bytes(image), "mask.png": png_bytes(np.where(mask, np.uint8(255), np.uint8(0)))}
            yield Sample(uid, keys[uid], self._row(name, CONSTANT if (image == image[0, 0]).all() else ""), files)
        ucg.refuse(self.folder, faults)

    def _row(self, name: str, rejected: str) -> dict[str, Any]:
        prompt = {"prompt": self.prompts[name]} if name in self.prompts else {}
        return {"class": self.name, "folder": self.folder.as_posix(), "file": name, "rejected": rejected, **prompt}


def parse(content: Mapping[Any, Any], path: Path, name: str) -> Published:
    """The cutouts that a pointer names. GraftError for an unknown key, and what datasets/ucg.py refuses."""
    known(dict(content), KEYS, str(path))
    folder = Path(text(content["cutouts"], "cutouts", str(path)))
    if not folder.is_dir():
        raise GraftError(f"{path}: cutouts names no folder ({folder}); fetch it (`python -m stages.fetch zenodo`)")
    inside = {
        entry: folder / text(content[entry], entry, str(path)) for entry in ("list", "prompts") if entry in content
    }
    names = ucg.names(folder, inside.get("list"))
    uids = {f"{slug(name)}-{ucg.slug(one)}": one for one in names}
    if len(uids) < len(names):
        raise GraftError(f"{folder}: two names there would be one sample; give them other names than numbers and words")
    return Published(name, folder, uids, ucg.prompts(inside["prompts"], names) if "prompts" in inside else {})
