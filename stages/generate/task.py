"""A sample's work order: what is to be drawn, how it is sampled, and the block that it is computed in.

A sample always sits in slot seed % batch of a full block of prompts, and a block that lacks a sample is computed
whole: so a sample's bits never depend on which others were there already, or on which worker drew it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.generate.sources import Source
from stages.parts.prompts.prompt import Prompt
from stages.parts.recording.sampling import Sampling, Switches
from stages.parts.store.streams import sample_stream

if TYPE_CHECKING:
    from stages.generate.sampler import Picture


@dataclass(frozen=True)
class Task:
    """One sample to be drawn. `noise` is the seed of its own generator."""

    seed: int
    prompt: Prompt
    noise: int


def block(seed: int, batch: int) -> range:
    """The seeds of the block that holds this one."""
    return range(seed // batch * batch, (seed // batch + 1) * batch)


def blocks(source: Source, seeds: Collection[int], batch: int) -> list[list[Task]]:
    """The tasks of every block that holds one of `seeds`, ascending; whole blocks."""
    needed = sorted({block(seed, batch) for seed in seeds}, key=lambda one: one.start)
    return [
        [Task(seed, source.draw(seed), sample_stream(source.name, seed, "noise")) for seed in one] for one in needed
    ]


@dataclass(frozen=True)
class Painter:
    """What a worker needs to draw blocks: the model and how it is loaded, how it is sampled, the negative prompt,
    and the file of a learned embedding of the class."""

    folder: Path
    dtype: str
    switches: Switches
    sampling: Sampling
    negative: str
    embedding: Path | None = None

    def __call__(self, device: str) -> Callable[[list[Task]], list[tuple[Task, Picture]]]:
        """Load the model; the function that draws a block."""
        from stages.generate import sampler  # here, so that a run that keeps everything never loads torch

        pipe = sampler.load(self.folder, self.dtype, self.switches, device)
        learned = sampler.load_embedding(self.embedding, pipe) if self.embedding else None

        def draw(tasks: list[Task]) -> list[tuple[Task, Picture]]:
            prompts, noise = [task.prompt for task in tasks], [task.noise for task in tasks]
            pictures = sampler.sample_block(pipe, prompts, noise, self.negative, self.sampling, learned)
            return list(zip(tasks, pictures, strict=True))

        return draw
