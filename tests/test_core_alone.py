"""vtlab with its core dependencies alone: the extras' packages are blocked in a fresh process."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.blocked import without

PROJECT = Path(__file__).parents[1]
DOZEN = """
import vtlab
from vtlab.testing.scenes import moving_square
video = vtlab.open_video(moving_square(12))
prompts = vtlab.Prompts([vtlab.BoxPrompt((20, 16, 44, 40))])
result = vtlab.compare(video, ["ncc", "identity", "lucas-kanade"], prompts=prompts, progress=False)
assert len(result.table) == 3
result.report("report.html")
result.save("saved")
result.save_video("side.mp4")
result.plot()
for family in result.families:
    board = result.board(family)
    for show in (board.to_latex, board.to_markdown, board.to_html, board.to_rich, board._repr_html_):
        show()
assert result._repr_html_() and result.answer()
tracks = vtlab.track(video, prompts, "ncc", progress=False)
scores = vtlab.evaluate(tracks, tracks)
repr(scores)
html = getattr(scores, "_repr_html_", str)()
"""
MISSING = """
from vtlab.errors import MissingDependencyError

def refused(extra, call):
    try:
        call()
    except MissingDependencyError as error:
        assert f"pip install 'vtlab[{extra}]'" in str(error), str(error)
    else:
        raise AssertionError(extra)

import vtlab
from vtlab.experiments import load_experiment, run_notebook
from vtlab.metrics import motmetrics_bridge
from vtlab.testing.scenes import moving_square
open("n.ipynb", "w").write('{"cells": []}')
open("e.yaml", "w").write("notebook: n.ipynb")
tracks = vtlab.track(moving_square(3), vtlab.BoxPrompt((20, 16, 44, 40)), "identity", progress=False)
refused("notebook", lambda: run_notebook("n.ipynb", "out.ipynb"))
refused("notebook", lambda: load_experiment("e.yaml"))
refused("mot", lambda: motmetrics_bridge.accumulator(tracks, tracks))
refused("mot", lambda: motmetrics_bridge.summary({}))
"""


def needed_by(names):
    """Distributions that these need, with their own needs, extras left out."""
    found, ahead = set(), list(names)
    while ahead:
        name = re.match(r"[\w.-]+", ahead.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        ahead += [n for n in needs if "extra ==" not in n]
    return found


def blocked():
    """Modules of everything that is installed and that the core doesn't bring."""
    core = needed_by(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"])
    kept = {"vtlab", "setuptools", "pip"}
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {o.lower().replace("_", "-") for o in owners} & (core | kept)
    }


@pytest.mark.parametrize("work", [DOZEN, MISSING], ids=["README", "missing"])
def test_the_core_alone(work, tmp_path):
    names = blocked()
    assert {"jinja2", "papermill", "torch", "motmetrics"} & names or not names
    done = subprocess.run(
        [sys.executable, "-c", without(names) + work],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


SKIPPED = """
import pytest
from tests.blocked import imported
try:
    imported("benchmarks.vos_options")
except pytest.skip.Exception as told:
    assert "needs torch" in str(told), told
else:
    raise AssertionError("nothing was skipped")
try:
    imported("benchmarks.no_such")
except ModuleNotFoundError:
    pass
"""


def test_what_needs_a_missing_package_is_skipped_and_a_fault_is_not():
    done = subprocess.run(
        [sys.executable, "-c", without(["torch"]) + SKIPPED],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
