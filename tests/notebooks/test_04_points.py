"""The notebook on points runs from a clean kernel on a small scene, and keeps its table, figure and tracks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook

pytest.importorskip("papermill", reason="papermill is not installed: pip install 'vtlab[notebook]'")
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_points.ipynb"


@pytest.mark.notebook
def test_it_runs(tmp_path):
    small = {"SECONDS": 0.4, "SIZE": [320, 180], "POINTS": 4, "OUT": str(tmp_path / "out")}
    small["TRACKERS"] = [["lucas-kanade", {"window": 11}]]
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", small)
    kept = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"table.csv", "scores.parquet", "points.png", "report.html"} <= kept
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert table["tracker"].str.contains("window=11").any()
    assert table["AJ"].between(0.3, 1).all()
