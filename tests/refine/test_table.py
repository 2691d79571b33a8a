"""The score table: canonical numbers, one empty cell for what was not measured."""

from __future__ import annotations

import numpy as np

from stages.refine.__main__ import COLUMNS, cell, cells


def test_numbers_in_the_table_read_back_to_the_bit() -> None:
    for value in (1 / 3, 1.0 - 2**-53, 1e-17, float(np.float32(0.7)), 0.0, 12345.678):
        assert float(cell(value)) == value
    assert [cell(np.float64(0.5)), cell(1.0), cell(3)] == ["0.5", "1.0", "3"]
    assert len(set(COLUMNS)) == len(COLUMNS) == 27


def test_a_row_follows_the_columns_and_leaves_unmeasured_cells_empty() -> None:
    written = dict(zip(COLUMNS, cells({"energy": 0.25, "uid": "bus-000000", "reason": "empty_seed"}), strict=True))
    assert {column: text for column, text in written.items() if text} == {
        "uid": "bus-000000",
        "reason": "empty_seed",
        "energy": "0.25",
    }
