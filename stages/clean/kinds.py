"""The kinds of rules: a limit, the tails of a distribution, repetitions, the best so many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.clean.table import HASH, Table
from stages.parts.errors import GraftError

Rows = NDArray[np.bool_]
Side = Literal["above", "below"]


class Rule(Protocol):
    """`code` is the reason it gives, `param` its threshold's name, `columns` what it reads. `left` is always (n,), the
    rows that are still in."""

    @property
    def code(self) -> str: ...

    @property
    def param(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def compared(self, table: Table, left: Rows, threshold: float | None = None) -> NDArray[np.float64]:
        """(n,) what the rule compares; NaN for a row that it does not judge. A threshold matters to Repeats alone."""
        ...

    def cuts(self, table: Table, threshold: float, left: Rows) -> list[tuple[float, Side]]:
        """Where on that scale the rule cuts these rows, and the side that it rejects; nothing where it rejects none."""
        ...

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        """(n,) the rows of `left` which this rule rejects."""
        ...


@dataclass(frozen=True)
class Limit:
    """Reject when the largest of the columns is above (below) the threshold; equal to it is kept."""

    code: str
    columns: tuple[str, ...]
    reject: Side
    param: str

    def compared(self, table: Table, left: Rows, threshold: float | None = None) -> NDArray[np.float64]:
        value: NDArray[np.float64] = np.max([table.scores[column] for column in self.columns], axis=0)
        return np.where(left, value, np.nan)

    def cuts(self, table: Table, threshold: float, left: Rows) -> list[tuple[float, Side]]:
        return [(threshold, self.reject)]

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        value = self.compared(table, left)
        return value > threshold if self.reject == "above" else value < threshold


@dataclass(frozen=True)
class OfColumn:
    """What rules share that rank the samples by one score."""

    code: str
    column: str
    param: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def compared(self, table: Table, left: Rows, threshold: float | None = None) -> NDArray[np.float64]:
        return np.where(left, table.scores[self.column], np.nan)


@dataclass(frozen=True)
class Tails(OfColumn):
    """Reject the share `threshold` of the smallest and of the largest values, as OVAM does with areas (0.05)."""

    def cuts(self, table: Table, threshold: float, left: Rows) -> list[tuple[float, Side]]:
        if not left.any():
            return []
        low, high = np.nanquantile(table.scores[self.column][left], [threshold, 1.0 - threshold])
        return [(float(low), "below"), (float(high), "above")]

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        value, found = self.compared(table, left), np.zeros_like(left)
        for cut, side in self.cuts(table, threshold, left):
            found |= value < cut if side == "below" else value > cut
        return found


@dataclass(frozen=True)
class Repeats:
    """Reject a sample whose perceptual hash differs in fewer than `threshold` of its 64 bits from one that is kept
    before it, in the order of the uids. A sample without a hash is neither a repetition nor an original."""

    code: str
    param: str
    columns: tuple[str, ...] = (HASH,)

    def compared(self, table: Table, left: Rows, threshold: float | None = None) -> NDArray[np.float64]:
        """Bits to the nearest sample before that is no repetition itself; NaN for the first."""
        bits = np.full(len(left), np.nan)
        kept = np.empty(len(left), dtype=np.uint64)
        count = 0
        for row in np.flatnonzero(left & table.hashed):
            own = table.hashes[row]
            if count:
                bits[row] = np.bitwise_count(kept[:count] ^ own).min()
            if threshold is None or not bits[row] < threshold:
                kept[count] = own
                count += 1
        return bits

    def cuts(self, table: Table, threshold: float, left: Rows) -> list[tuple[float, Side]]:
        return [(threshold, "below")]

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        return self.compared(table, left, threshold) < threshold


@dataclass(frozen=True)
class Best(OfColumn):
    """Keep only the best by a column: `threshold` samples, those without the score last; or, with `share`, that share
    of those that have the score, the others not judged. Equals: the first by uid. `otherwise`: what to do when no
    sample has the score."""

    best: Literal["highest", "lowest"]
    otherwise: str
    share: bool = False

    def cuts(self, table: Table, threshold: float, left: Rows) -> list[tuple[float, Side]]:
        """The score of the worst that is kept: of its equals some may be rejected."""
        beaten = self.rejects(table, threshold, left)
        kept = self.compared(table, left & ~beaten)
        if not beaten.any() or np.isnan(kept).all():
            return []
        return [(float(np.nanmax(kept)), "above") if self.best == "lowest" else (float(np.nanmin(kept)), "below")]

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        """GraftError when there are samples and none of them has the score: any choice would be arbitrary."""
        value = table.scores[self.column]
        if table.measured.any() and np.isnan(value[table.measured]).all():
            raise GraftError(
                f"clean.{self.param} needs the score {self.column}, which data/refined lacks; {self.otherwise}"
            )
        cost = np.where(np.isnan(value), np.inf, value if self.best == "lowest" else -value)
        ranked = np.flatnonzero(left & ~np.isnan(value)) if self.share else np.flatnonzero(left)
        keep = int(threshold * len(ranked)) if self.share else int(threshold)
        beaten = np.zeros_like(left)
        beaten[ranked[np.argsort(cost[ranked], kind="stable")[keep:]]] = True
        return beaten
