"""A clone holds the committed bytes, whatever its owner's git is told of line ends: DVC and the pins compare hashes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PARTS = ("stages", "data/zenodo", "models/miniature/clip", "metrics")  # of each kind of file some
LOCKS = [ROOT / "dvc.lock", *sorted((ROOT / "lines").glob("*/dvc.lock"))]


def git(folder: Path, *words: str, given: str | None = None) -> str:
    done = subprocess.run(["git", *words], cwd=folder, input=given, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "settings",
    [["core.autocrlf=true"], ["core.autocrlf=input"], ["core.eol=crlf"], ["core.autocrlf=true", "core.safecrlf=true"]],
)
def test_line_ends_are_left_alone(tmp_path: Path, settings: list[str]) -> None:
    clone = tmp_path / "clone"
    told = [word for setting in settings for word in ("-c", setting)]
    git(tmp_path, "clone", "-q", "--no-checkout", *told, str(ROOT), str(clone))
    git(clone, "checkout", "HEAD", "--", ".gitattributes", *PARTS, "dvc.lock", "params.yaml", "requirements.txt")
    names = [name for name in git(clone, "ls-files").splitlines() if (clone / name).is_file()]
    committed = {line.split("\t")[1]: line.split()[1] for line in git(clone, "ls-files", "-s").splitlines()}
    here = git(clone, "hash-object", "--no-filters", "--stdin-paths", given="\n".join(names)).split()
    assert len(names) > 100 and here == [committed[name] for name in names]


@pytest.mark.parametrize("content", [b"one\r\ntwo\r\n", b"one\ntwo\r\nthree", b"\xef\xbb\xbfone\r\n\0"])
def test_what_is_committed_comes_back(tmp_path: Path, content: bytes) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    for name in ("table.csv", "index.jsonl", "picture.png"):
        (tmp_path / name).write_bytes(content)
    own = ["-c", "core.autocrlf=true", "-c", "user.name=x", "-c", "user.email=x@x"]
    git(tmp_path, *own, "add", ".")
    git(tmp_path, *own, "commit", "-qm", "x")
    for name in ("table.csv", "index.jsonl", "picture.png"):
        (tmp_path / name).unlink()
    git(tmp_path, *own, "checkout", "-q", ".")
    assert {path.read_bytes() for path in tmp_path.glob("*.*") if path.suffix} - {content} == set() and content


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_what_a_lock_names_is_in_the_shipped_remote(lock: Path) -> None:
    """Or `dvc pull` of a clone fails; after a line has run: `make ship`, and commit both together."""
    kept_by_git = set(git(ROOT, "ls-files").splitlines())
    stages = YAML(typ="safe", pure=True).load(lock.read_text())["stages"]
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    ours = [out for out in outs if not any(name.startswith(out["path"]) for name in kept_by_git)]
    lacking = [out["path"] for out in ours if not shipped(out["md5"])]
    assert ours and not lacking


def shipped(md5: str) -> bool:
    """Whether a file is in data/store, or a folder with all of its files."""
    path = ROOT / "data/store/files/md5" / md5[:2] / md5[2:]
    if not path.is_file():
        return False
    return not md5.endswith(".dir") or all(shipped(each["md5"]) for each in json.loads(path.read_text()))
