"""The project's own files agree with each other and name nothing of any one machine."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import vtlab
from vtlab.registry import TRACKERS

ROOT = Path(__file__).parents[1]


def test_conda_users_get_what_the_makefile_installs():
    makefile = (ROOT / "Makefile").read_text()
    extras = re.search(r"^TEST_EXTRAS\s*:=\s*(\S+)", makefile, re.M)[1]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["-c constraints.txt", f"-e .[{extras}]"]


def test_extras_and_version_are_consistent():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == vtlab.__version__
    makefile = (ROOT / "Makefile").read_text()
    for extras in re.findall(r"_EXTRAS\s*:=\s*(\S+)", makefile):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    used = {card.requires for card in TRACKERS.cards()} - {""}
    assert used <= set(project["optional-dependencies"])


def test_constraints_pin_and_name_no_host():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all("==" in line and "://" not in line for line in lines)


def test_the_readme_table_is_up_to_date():
    subprocess.run([sys.executable, ROOT / ".ci" / "readme_table.py", "--check"], check=True, cwd=ROOT)


def test_make_help_lists_every_command():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("demo", "test", "test-all", "lab", "lint", "docs", "bench"):
        assert f"make {command:8} " in text


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py") if p.stem != "__init__")
)
def test_benchmarks_can_be_imported(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert name.startswith("_") or callable(module.main)
