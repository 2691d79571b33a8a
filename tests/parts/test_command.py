"""How a command ends: one sentence, never a traceback, for what the machine refuses; silence where nobody reads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.compare.__main__ import main as compare
from stages.evaluate.__main__ import main as evaluate
from stages.parts.command import command, sentence
from stages.parts.errors import GraftError
from stages.train.__main__ import main as train
from stages.train.materialise import main as materialise

ROOT = Path(__file__).parents[2]
LONG = "for k in range(100_000): print('line', k)"  # more than a pipe holds


def raised(act: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:
        act()
    return caught.value


def fail(error: Exception) -> None:
    raise error


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a tensor of an exabyte": (lambda: torch.empty(1 << 58), "not the memory"),
    "an array of a petabyte": (lambda: np.empty(1 << 50), "not the memory"),
    "a string of an exabyte": (lambda: bytearray(1 << 60), "not the memory"),
    "no room for a process": (lambda: fail(OSError(errno.ENOMEM, "Cannot allocate")), "memory"),
    "a device that is misspelt": (lambda: torch.device("cudda"), "not that device"),
    "a device of another kind": (lambda: torch.device("gpu:0"), "not that device"),
    "a number that is none": (lambda: torch.device("cuda:x"), "not that device"),
    "a full disk behind stdout": (lambda: fail(OSError(errno.ENOSPC, "No space left")), "No space left"),
    "a file's own trouble": (lambda: os.listdir("/proc/1/nowhere"), "/proc/1/nowhere: No such file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_machine_refuses_is_one_sentence(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    act, words = REFUSED[kind]

    @command
    def main(argv: Sequence[str] | None = None) -> None:
        act()

    with pytest.raises(SystemExit) as stopped:
        main()
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and told.startswith("error: ") and words in told and told.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps", "xpu"])
def test_a_device_that_is_not_there_is_one_sentence(device: str) -> None:
    told = sentence(raised(lambda: torch.zeros(1, device=device)))
    assert told is not None and "not that device" in told and "\n" not in told


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("x"), AssertionError(), OSError("odd")])
def test_a_fault_of_ours_keeps_its_traceback(error: Exception) -> None:
    assert sentence(error) is None


@pytest.mark.parametrize("seed", ["4294967296", "-1", "1e3", "2147483648", "9" * 5000, "²", "0x10", ""])
@pytest.mark.parametrize("room", ["train", "evaluate", "materialise", "compare"])
def test_a_seed_that_no_stream_takes_is_one_sentence(room: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    mains: dict[str, Callable[[], None]] = {
        "train": lambda: train(["grafted", seed]),
        "evaluate": lambda: evaluate(["grafted", seed]),
        "materialise": lambda: materialise(["grafted", seed, "nowhere"]),
        "compare": lambda: compare(["methods", f"--seeds={seed}"]),
    }
    with pytest.raises(SystemExit) as stopped:
        mains[room]()
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and told.startswith("error: the seed must be a whole number from 0 to")
    assert told.count("\n") == 1 and len(told) < 200


@pytest.fixture
def told(tmp_path: Path) -> Callable[[str], Path]:
    """A folder in which `python -m stages.told` is a command of ours that does what the code says."""

    def write(code: str) -> Path:
        (tmp_path / "stages").mkdir()
        for name in ("__init__.py", "parts"):
            (tmp_path / "stages" / name).symlink_to(ROOT / "stages" / name)
        head = "import sys\nfrom stages.parts.command import command\n@command\ndef main(argv=None):\n    "
        (tmp_path / "stages/told.py").write_text(f"{head}{code}\nmain()\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    "code",
    [
        LONG,
        "print('x' * 200_000); raise SystemExit(0)",
        "print('a word that is still to be written at the end')",
        "sys.stdout.write('x' * 200_000); sys.stdout.flush()",
    ],
)
def test_output_that_nobody_reads_ends_a_command_in_silence(told: Callable[[str], Path], code: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-m", "stages.told"], cwd=told(code), stdout=writer, stderr=subprocess.PIPE, env=env
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_stderr_that_nobody_reads_too(told: Callable[[str], Path]) -> None:
    script = "{ python -m stages.told 2>&1; echo $? >status; } | head -n 1"
    code = "from tqdm import tqdm; [print(k, file=sys.stderr) for k in tqdm(range(100_000), mininterval=0)]"
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    folder = told(code)
    subprocess.run(["sh", "-c", script], cwd=folder, env=env, check=True, capture_output=True)
    assert (folder / "status").read_text() == "141\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_gets_nothing_and_no_file_takes_its_place(
    told: Callable[[str], Path], closed: str
) -> None:
    code = "file = open('made', 'w'); assert file.fileno() > 2; print(1); print(2, file=sys.stderr); file.write('x')"
    folder = told(code)
    done = subprocess.run(["sh", "-c", f"exec {sys.executable} -m stages.told {closed}"], cwd=folder)
    assert done.returncode == 0 and (folder / "made").read_text() == "x"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_stdout_is_one_sentence(told: Callable[[str], Path]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stages.told"], cwd=told(LONG), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2 and done.stderr.startswith("error: No space left") and done.stderr.count("\n") == 1


def test_an_error_is_told_though_nobody_reads_stdout() -> None:
    assert sentence(GraftError("x is missing")) == "x is missing"
