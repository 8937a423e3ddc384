"""What strangers rely on before they install: versions, the files beside the code, and what CI runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import fastlstm

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version_everywhere() -> None:
    assert f"\nversion: {fastlstm.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_oldest_packages_of_ci_are_those_that_pyproject_names() -> None:
    extras = PROJECT["optional-dependencies"]
    named = " ".join((*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)))
    lowest = dict(re.findall(r"([\w-]+)>=([\d.]+)", named))
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "tests" / "oldest.txt").read_text(), re.MULTILINE))
    assert {"numpy", "numba"} <= set(pins)
    assert not {name: pin for name, pin in pins.items() if not f"{pin}.0".startswith(f"{lowest[name]}.")}


def test_the_pythons_of_ci_are_those_that_pyproject_names() -> None:
    named = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    found = re.findall(r"python: (.*)", (ROOT / ".github" / "workflows" / "tests.yml").read_text())
    assert set(re.findall(r'"(3\.\d+)"', " ".join(found))) == named
    assert PROJECT["requires-python"] == f">={min(named, key=lambda version: int(version[2:]))}"


def test_workflows_run_the_commands_of_contributing() -> None:
    block = re.search(r"```sh\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert block
    workflows = "\n".join(path.read_text() for path in WORKFLOWS)
    assert not [line for line in block[1].splitlines() if f"run: {line}" not in workflows]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits_and_get_no_more_rights_than_they_need(path: Path) -> None:
    text = path.read_text()
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert not [action for action in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", action)]
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count("timeout-minutes:") == text.count("runs-on:")
