"""The keep-list is read in one place: what is kept, in order, and what is not, by reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.parts.errors import GraftError
from stages.parts.store.keeplist import kept_uids, verdicts


def test_both_sides_of_the_verdict(tmp_path: Path) -> None:
    path = tmp_path / "bus.csv"
    path.write_text("uid,kept,reason\nb,1,\na,1,\nd,0,small\nc,0,large\ne,0,small\n")
    assert verdicts(path) == (["b", "a"], {"large": ["c"], "small": ["d", "e"]})
    assert list(verdicts(path)[1]) == ["large", "small"]
    assert kept_uids(path) == ["b", "a"]


def test_what_is_missing_or_no_keep_list_names_the_command(tmp_path: Path) -> None:
    path = tmp_path / "bus.csv"
    with pytest.raises(GraftError, match=r"bus.csv is missing; run `python -m stages.clean bus`"):
        verdicts(path)
    path.write_text("uid,reason\n")
    with pytest.raises(GraftError, match=r"has no column kept; run `python -m stages.clean bus`"):
        kept_uids(path)
    path.write_text("uid,kept,reason\n")
    assert verdicts(path) == ([], {})
