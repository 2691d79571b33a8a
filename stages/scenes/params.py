"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from stages.parts.datasets.idmaps import IdMap, Layout, idmap
from stages.parts.datasets.labels import LABELS
from stages.parts.sections import Count, Section, Sections, Seed, Side

Suffix = Annotated[str, Field(min_length=1, pattern=r"^[^/\\]+$")]


class Folder(Section):
    """A dataset of the user's: see parts/datasets/folders.py and idmaps.py."""

    images: str
    labels: str | None = None
    ids: str | dict[Annotated[int, Field(ge=-1, le=65535)], str] | None = None  # -1 is in some lists, in no picture
    img_suffix: Suffix | None = (
        None  # the ends of the files' names, where the id map does not know them (mmseg's words)
    )
    seg_map_suffix: Suffix | None = None

    @model_validator(mode="after")
    def labels_have_ids(self) -> Folder:
        if (self.labels is None) != (self.ids is None):
            raise ValueError("labels and ids go together: a folder of labels, and the id map that says what they mean")
        return self

    def named(self) -> Layout | None:
        """How the files are named, if params.yaml says so."""
        if self.img_suffix is None and self.seg_map_suffix is None:
            return None
        return Layout(self.img_suffix or "", self.seg_map_suffix or ".png")

    def id_map(self, where: str) -> IdMap:
        """The map of its labels; of a folder without labels one that finds the images. GraftError as of idmap."""
        return idmap("train_ids" if self.ids is None else self.ids, LABELS, where, self.named())


# How many scenes of the small world, or a folder. The tags keep an error to the one that was meant.
Split = Annotated[
    Annotated[Count, Tag("(count)")] | Annotated[Folder, Tag("(folder)")],
    Discriminator(lambda given: "(folder)" if isinstance(given, dict | Folder) else "(count)"),
]


class Scenes(Section):
    seed: Seed
    source: Split
    target: Split
    val: Split
    test: Split
    height: Side | None
    width: Side | None

    def splits(self) -> dict[str, int | Folder]:
        return {"source": self.source, "target": self.target, "val": self.val, "test": self.test}

    @model_validator(mode="after")
    def sized(self) -> Scenes:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width are both given, or both null: pictures of a folder as they are")
        if self.height is None and not all(isinstance(each, Folder) for each in self.splits().values()):
            raise ValueError("height and width are null, but a scene of the small world has no size of its own")
        return self

    @model_validator(mode="after")
    def labelled(self) -> Scenes:
        for name, split in self.splits().items():
            if name != "target" and isinstance(split, Folder) and split.labels is None:
                raise ValueError(f"{name} needs labels and ids; only target goes without")
        return self


class Params(Sections):
    scenes: Scenes
