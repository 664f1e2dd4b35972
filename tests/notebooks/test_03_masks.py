"""The notebook on masks runs from a clean kernel on a small scene, and keeps its table, figure and report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook

pytest.importorskip("papermill", reason="papermill is not installed: pip install 'vtlab[notebook]'")
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_masks.ipynb"


@pytest.mark.notebook
def test_it_runs(tmp_path):
    small = {
        "TRACKERS": [["flow", {"side": 160}], "xmem"],
        "SECONDS": 0.4,
        "SIZE": [320, 180],
        "OUT": str(tmp_path / "out"),
    }
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", small)
    kept = {p.name for p in (tmp_path / "out").iterdir()}
    by_object = pd.read_csv(
        tmp_path / "out" / "by_object.csv", index_col=["tracker", "sequence", "object_id"]
    )
    assert {"1", "2", "all"} <= set(by_object.index.get_level_values("object_id"))
    assert {"J", "F", "J&F", "J_decay", "F_decay"} <= set(by_object)
    assert {"table.csv", "scores.parquet", "masks.png", "report.html"} <= kept
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert set(table["tracker"]) == {"flow side=160", "xmem"}
    assert table["J&F"].max() > 0.6
