"""The notebooks on labelling and on a tracker of one's own run from a clean kernel on small inputs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.notebook
def test_annotate_track_correct(tmp_path):
    small = {"SECONDS": 0.4, "OUT": str(tmp_path / "out")}
    run_notebook(FOLDER / "07_annotate_track_correct.ipynb", tmp_path / "done.ipynb", small)
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index("metric")
    assert table.loc["ao", "value_after"] > 0.3
    assert (tmp_path / "out" / "work.session.parquet").is_file()


@pytest.mark.notebook
def test_own_tracker(tmp_path):
    small = {"TRACKERS": [["my-csrt", {"padding": 2.0}], "ncc"], "SECONDS": 0.3, "OUT": str(tmp_path / "out")}
    run_notebook(FOLDER / "08_own_tracker.ipynb", tmp_path / "done.ipynb", small)
    assert set(pd.read_csv(tmp_path / "out" / "table.csv")["tracker"]) == {"my-csrt padding=2.0", "ncc"}
