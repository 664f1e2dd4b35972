"""The notebook on batches runs from a clean kernel: its run, the table and the leaderboard are kept.

One run of the grid: each is a notebook of its own; grids of several are in tests/experiments.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import Store, run_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.notebook
def test_batch(tmp_path):
    out = tmp_path / "out"
    small = {
        "TRACKERS": ["ncc", "identity"],
        "SEEDS": [0],
        "DIFFICULTIES": ["easy"],
        "SECONDS": 0.3,
        "OUT": str(out),
    }
    run_notebook(FOLDER / "09_batch.ipynb", tmp_path / "done.ipynb", small)
    rows = pd.read_csv(out / "results.csv")
    assert set(rows["tracker"]) == {"ncc", "identity"}
    assert set(rows["DIFFICULTY"]) == {"easy"}
    assert pd.read_csv(out / "leaderboard.csv")["cells"].tolist() == [1, 1]
    assert (out / "batch.png").is_file()
    store = Store(out / "difficulty")
    assert store.failed() == []
    assert all((store.archive.files(key) / "notebook.ipynb").is_file() for key in rows["key"])
