"""What the sections of params.yaml are made of: a strict base class, and the types of their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stages.labels import LABELS, GraftError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Side = Annotated[int, Field(ge=16, le=4096, multiple_of=8)]
Names = TypeVar("Names", bound=Iterable[str])


class Section(BaseModel):
    """A section of params.yaml: frozen, no coercion, no unknown key, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def known(names: Names) -> Names:
    """A validator: the names as they are, or ValueError with the first that is no class of stages/labels.py."""
    for name in names:
        try:
            LABELS.id(name)
        except GraftError as error:
            raise ValueError(str(error)) from None
    return names


ClassNames = Annotated[list[str], AfterValidator(known)]
