"""The notebook of the experiments that ship runs from a clean kernel, all five, and keeps a page and a table of each."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "13_experiments.ipynb"


@pytest.mark.notebook
@pytest.mark.slow  # five runs, each with a process of its own
def test_it_runs(tmp_path):
    small = {"TRACKERS": ["ncc"], "LADDERS": ["frame_rate"], "PIECES": 2, "FRAMES": 400, "SECONDS": 1.0}
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", {**small, "OUT": str(tmp_path / "out")})
    kept = {p.name for p in (tmp_path / "out").iterdir()}
    names = ("realtime", "handoff", "labelling", "breaking", "contract")
    assert {f"{name}.{ending}" for name in names for ending in ("html", "csv")} <= kept
    board = pd.read_csv(tmp_path / "out" / "labelling.csv", index_col="tracker")
    assert board.index.tolist() == ["ncc", "interpolation"]
    assert (
        "fps"
        in pd.read_csv(tmp_path / "out" / "breaking.csv", index_col="condition").loc["frame rate", "ncc"]
    )
