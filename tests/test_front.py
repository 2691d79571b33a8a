"""What people look for in a research repo is there, and says what is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PAPERS = ("2501.02264", "2404.16818", "2112.01900", "2309.14303")  # UCG, PriMaPs-EM, NCDSS, Dataset Diffusion


def test_the_citation_names_the_repo_and_the_four_papers() -> None:
    cited = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0" and cited["title"].startswith("Graft") and cited["authors"]
    identifiers = [one["value"] for reference in cited["references"] for one in reference["identifiers"]]
    assert identifiers == [f"arXiv:{number}" for number in PAPERS]
    assert all(reference["title"] and reference["authors"] and reference["year"] for reference in cited["references"])
    assert f'version = "{cited["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_ci_runs_what_a_person_runs_and_tells_what_a_pull_request_changes() -> None:
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/ci.yml").read_text())
    scripts = [step["run"] for step in workflow["jobs"]["run"]["steps"] if "run" in step]
    assert scripts[0] == ".ci/run" and (ROOT / ".ci/run").is_file()
    assert "dvc metrics diff --md" in scripts[1] and "dvc plots diff" in scripts[1]
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "gh pr comment" in scripts[2]


def test_the_lab_book_begins_with_its_sections_each_with_its_commit() -> None:
    text = (ROOT / "LOG.md").read_text()
    contents, _, rest = text.partition("\n## ")
    listed = re.findall(r"(?m)^- \[(.+)\]\(#(\S+)\) \(([0-9a-f]{7})\)$", contents)
    assert [title for title, _, _ in listed] == re.findall(r"(?m)^## (.*)$", f"## {rest}")
    for title, anchor, _ in listed:
        assert anchor == re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    shallow = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True)
    if shallow.stdout.strip() == "false":
        for _, _, commit in listed:
            assert subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT).returncode == 0, commit
