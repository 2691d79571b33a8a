"""What an edit of the code reruns, on a real `dvc repro` of a small repo: what it can change, and nothing else."""

import subprocess
import time
from pathlib import Path

from tests.pipeline.conftest import Line

TRAINING = {"train@baseline-0", "train@grafted-0"}
BELOW = {"evaluate@baseline-0", "evaluate@grafted-0", "report"}
PLACE = "stages/parts/pasting/place.py"


def edit(line: Line, path: str, old: str, new: str) -> None:
    text = (line.folder / path).read_text()
    assert old in text, f"{path} no longer holds {old!r}: mend this test"
    (line.folder / path).write_text(text.replace(old, new, 1))


def status(line: Line) -> str:
    return line.sh("dvc", "status").stdout


def test_a_finished_line_is_up_to_date_and_stays_so(line: Line) -> None:
    assert "up to date" in status(line)
    assert line.repro() == set()
    assert "up to date" in status(line)


def test_a_comment_a_docstring_and_another_room_rerun_the_stage_code_alone(line: Line) -> None:
    edit(line, PLACE, '"""Where in a scene', '"""Where, in a scene')
    edit(line, "stages/train/training.py", "# The student,", "# A student,")
    edit(line, "stages/export/__main__.py", "FORMATS", "SHAPES")
    assert line.repro() == {"code"}
    assert line.repro() == set() and "up to date" in status(line)


def test_an_edit_in_pasting_retrains_and_makes_nothing_above_again(line: Line) -> None:
    edit(line, PLACE, "rng.normal(0, 0.1)", "rng.normal(0, 0.2)")
    ran = line.repro()
    assert {"code"} | TRAINING <= ran <= {"code"} | TRAINING | BELOW
    assert line.repro() == set()


def test_a_threshold_changed_and_changed_back_trains_nothing(line: Line) -> None:
    line.set({"clean": {"max_area": 0.9}})
    line.set({"clean": {"min_area": 0.0}})
    first = line.repro()
    weights = (line.folder / "models/segmenters/grafted-0.safetensors").read_bytes()
    line.set({"clean": {"max_count": 2}})
    assert "train@grafted-0" in line.repro()
    assert (line.folder / "models/segmenters/grafted-0.safetensors").read_bytes() != weights
    line.set({"clean": {"max_count": None}})
    back = line.repro()
    assert not TRAINING & back and not TRAINING & first
    assert (line.folder / "models/segmenters/grafted-0.safetensors").read_bytes() == weights


def test_weights_of_code_that_is_gone_are_not_up_to_date(line: Line) -> None:
    """`-s -f` leaves the stage code out: what trained is certified by the stage itself, as it starts."""
    weights = line.folder / "models/segmenters/grafted-0.safetensors"
    before = weights.read_bytes()
    edit(line, PLACE, 'self.by == "native"', 'self.by != "native"')
    assert line.repro("-s", "-f", "train@grafted-0") == {"train@grafted-0"}
    assert weights.read_bytes() != before
    edit(line, PLACE, 'self.by != "native"', 'self.by == "native"')
    line.repro()  # DVC may have them in its run cache, and need not train
    assert weights.read_bytes() == before


def test_an_edit_while_a_stage_runs_is_not_taken_for_what_made_its_outputs(line: Line) -> None:
    line.set({"train": {"iterations": 30}})
    with subprocess.Popen(
        ["dvc", "repro", "-q", "-s", "-f", "train@grafted-0"], cwd=line.folder, env=line.environment()
    ) as running:
        until = time.monotonic() + 120
        while not [*(line.folder / "data").glob(".work/grafted-0/*")]:  # it has begun
            assert time.monotonic() < until and running.poll() is None
            time.sleep(0.1)
        edit(line, PLACE, "rng.normal(0, 0.1)", "rng.normal(0, 0.2)")
        assert running.wait(300) == 0
    assert "train@grafted-0" in line.repro("train@grafted-0")


def test_a_run_that_keeps_all_touches_no_output(line: Line) -> None:
    """Of the stages that keep what they find; what clean writes DVC removes before each run."""
    before = stamps(line.folder / "data")
    line.sh("dvc", "repro", "-s", "-f", "scenes", "generate@truck", "refine@truck", "cutouts@grafted")
    assert {path for path, stamp in stamps(line.folder / "data").items() if before.get(path) != stamp} == set()


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
