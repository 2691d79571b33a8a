"""The table of experiments tells what was changed and what came of it, the best first, on one screen."""

from typing import Any

from stages.compare.experiments import WIDTH, changed, table


def entry(novel: float | None, kept: int = 60, **params: Any) -> dict[str, Any]:
    """One revision as `dvc exp show --json` has it."""
    metrics: dict[str, Any] = {f"metrics/clean/{name}.json": {"data": {"kept": kept}} for name in ("bus", "truck")}
    if novel is not None:
        metrics["metrics/summary.json"] = {"data": {"grafted": {"novel_mIoU": novel, "base_mIoU": 70.0}}}
    content = {"clean": {"max_area": 0.4, "order": "stability"}, "seeds": [0]} | params
    return {"params": {"params.yaml": {"data": content}}, "metrics": metrics}


def run(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "revs": [{"rev": "1234567890", "name": name, "data": data}], "executor": None}


SHOWN: list[dict[str, Any]] = [
    {"rev": "workspace", "name": None, "data": entry(50.0), "experiments": None},
    {
        "rev": "abcdef0123",
        "name": "main",
        "data": entry(60.0),
        "experiments": [
            run("worse", entry(58.5, 40, clean={"max_area": 0.3, "order": "stability"})),
            run("failed", entry(None)),
            run("better", entry(61.25, seeds=[0, 1])),
        ],
    },
]


def test_the_best_is_first_and_differences_are_to_the_commit_it_came_from() -> None:
    header, main, better, worse, failed = (line.split() for line in table(SHOWN).splitlines())
    assert header[:4] == ["experiment", "kept", "base", "novel"]
    assert main == ["main", "120", "70.0", "60.0"]
    assert better == ["better", "120", "70.0", "61.2", "+0.0", "+1.2", "seeds=[0,1]"]
    assert worse == ["worse", "80", "70.0", "58.5", "+0.0", "-1.5", "clean.max_area=0.3"]
    assert failed[:4] == ["failed", "120", "-", "-"]


def test_a_param_that_came_or_went_differs() -> None:
    assert changed(entry(1.0), entry(1.0, ring=2)) == {"ring": 2}
    assert changed(entry(1.0, ring=2), entry(1.0)) == {"ring": None}
    assert changed(entry(1.0), entry(2.0)) == {}


def test_many_changes_do_not_widen_the_table() -> None:
    many = {f"a_rather_long_name_of_a_param_{k}": k for k in range(30)}
    shown = [SHOWN[1] | {"experiments": [run("x" * 30, entry(60.0, **many))]}]
    assert max(map(len, table(shown).splitlines())) <= WIDTH
    assert "…" in table(shown)


def test_no_experiment_at_all_shows_the_commit_alone() -> None:
    assert len(table([SHOWN[1] | {"experiments": None}]).splitlines()) == 2
