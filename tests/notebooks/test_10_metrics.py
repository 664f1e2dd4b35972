"""The notebook that asks what stands behind a number runs from a clean kernel and keeps its tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook
from vtlab.experiments.notebooks import collected

NOTEBOOK = Path(__file__).parents[2] / "notebooks/10_metrics.ipynb"


@pytest.mark.notebook
def test_metrics(tmp_path):
    small = {
        "TRACKERS": [["ncc", {"search": 1.5}], "identity"],
        "SEEDS": [1, 2],
        "SECONDS": 0.4,
        "OBJECTS": 1,
        "CROWD": 4,
    }
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", {**small, "OUT": str(tmp_path / "out")})
    board = pd.read_csv(tmp_path / "out/leaderboard.csv", index_col="tracker")
    assert set(board.index) == {"ncc search=1.5", "identity"}
    assert board.letters.tolist() == ["a", "a"]  # two clips can't tell trackers apart
    rows = {row["tracker"]: row for row in collected(tmp_path / "out").metrics}  # as a cell of an experiment
    assert rows["ncc search=1.5"]["success_auc"] == board.loc["ncc search=1.5", "value"]
    points = pd.read_csv(tmp_path / "out/components.csv", index_col="component").points
    assert points["as it is"] == 0
    assert points["detection"] > 0
    assert len(pd.read_csv(tmp_path / "out/events.csv"))
    assert (tmp_path / "out/components.png").stat().st_size > 1000
