"""The notebook on many objects runs from a clean kernel on a small scene; a correction changes its own object only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook
from vtlab.experiments.notebooks import collected

pytest.importorskip("papermill", reason="papermill is not installed: pip install 'vtlab[notebook]'")
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_multi_object_prompts.ipynb"


@pytest.mark.notebook
def test_it_runs(tmp_path):
    small = {
        "TRACKER": ["ncc", {"search": 1.5}],
        "SECONDS": 1.0,
        "SIZE": [320, 180],
        "OBJECTS": 3,
        "CORRECT": 1,
        "OUT": str(tmp_path / "out"),
    }
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", small)
    kept = {p.name for p in (tmp_path / "out").iterdir()}
    assert {
        "table.csv",
        "objects.csv",
        "tracks.parquet",
        "prompts.json",
        "session.parquet",
        "after.png",
    } <= kept
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert table["corrected"].sum() <= 1
    others = table[~table["corrected"]]
    assert (others["before"] == others["after"]).all()
    (row,) = collected(tmp_path / "out").metrics  # as a cell of an experiment
    assert (row["tracker"], row["before"]) == ("ncc search=1.5", table["before"].mean())
