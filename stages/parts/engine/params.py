"""The section `engine` of params.yaml: how work is spread, which changes no result; and the threads, which do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stages.parts.sections import Count, Section


class Engine(Section):
    workers: Count | None
    address: str | None
    threads: Annotated[int, Field(ge=1, le=256)]
