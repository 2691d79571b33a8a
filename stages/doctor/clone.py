"""What is installed, and what git and DVC say of this clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distributions

from stages.parts.store.fingerprint import pinned

MOST = 40  # lines of what another program says


def packages(lock: Iterable[str] | None = None) -> str:
    """In what the installed packages differ from the lock."""
    here = {canonical(found.name): found.version for found in distributions() if found.name}
    locked = [line.split("==") for line in (pinned() if lock is None else lock)]
    other = [
        f"{name} is {here.get(canonical(name), 'missing')}, locked is {version}"
        for name, version in locked
        if here.get(canonical(name)) != version
    ]
    return "\n".join([f"{len(locked) - len(other)} of {len(locked)} as locked", *other])


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def disk() -> str:
    return f"{shutil.disk_usage('.').free / 1e9:.1f} GB are free here"


def said_by_git() -> str:
    commit = said("git", "log", "-1", "--format=%h %cs")
    changed = [line for line in said("git", "status", "--porcelain").splitlines() if line]
    return "\n".join([f"{commit}, {len(changed)} files changed since", *changed[:MOST]])


def said_by_dvc(*words: str) -> str:
    return said(sys.executable, "-m", "dvc", *words)


def said(*command: str) -> str:
    """What a program prints, its last words where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=os.environ | {"DVC_NO_ANALYTICS": "1"}
        )
    except FileNotFoundError:
        return f"there is no {command[0]}"
    lines = (done.stdout if not done.returncode else done.stdout + done.stderr).strip().splitlines()
    return "\n".join([*lines[:MOST], *(["..."] if len(lines) > MOST else [])])
