"""Nothing heavy is loaded to say how a command is called; see tests/refine and tests/generate for nothing to make."""

from pathlib import Path

import pytest

from tests.imported import ROOT, heavy_imports

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "stages").rglob("*.py")
    if not {"parts", "miniature", "release"} & set(path.parts) and '__name__ == "__main__"' in path.read_text()
)


def test_the_commands_are_found() -> None:
    assert {"stages.train", "stages.train.preset", "stages.preflight", "stages.code"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str, tmp_path: Path) -> None:
    assert heavy_imports(command, "--help", folder=tmp_path) == set()
