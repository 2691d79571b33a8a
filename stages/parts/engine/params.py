"""The section `engine` of params.yaml: how work is spread. No result depends on it but by the threads."""

from __future__ import annotations

from stages.parts.sections import Count, Section


class Engine(Section):
    workers: Count | None
    address: str | None
