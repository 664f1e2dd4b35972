"""The notebooks on multi-object tracking run from a clean kernel on small scenes, and keep their tables and figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook

pytest.importorskip("papermill", reason="papermill is not installed: pip install 'vtlab[notebook]'")
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def execute(name: str, folder: Path, parameters: dict) -> set[str]:
    """Names of the files that a notebook leaves."""
    run_notebook(NOTEBOOKS / name, folder / "done.ipynb", {**parameters, "OUT": str(folder / "out")})
    return {p.name for p in (folder / "out").iterdir()}


@pytest.mark.notebook
def test_multi_object(tmp_path):
    small = {
        "TRACKERS": ["sort", ["bytetrack", {"high": 0.7}]],
        "SECONDS": 1.0,
        "OBJECTS": 3,
        "FOLLOWER": "ncc",
    }
    kept = execute("02_multi_object.ipynb", tmp_path, small)
    assert {"comparison.png", "labels.parquet", "side_by_side.mp4"} <= kept
    assert "bytetrack high=0.7" in (tmp_path / "out" / "table.csv").read_text()


@pytest.mark.notebook
def test_ablation(tmp_path):
    kept = execute("06_association_ablation.ipynb", tmp_path, {"SEEDS": [1], "SECONDS": 0.5, "OBJECTS": 2})
    assert {"table.csv", "ablation.png", "motmetrics.csv"} <= kept
    theirs = pd.read_csv(tmp_path / "out" / "motmetrics.csv", index_col=0)
    assert {"HOTA", "MOTA", "IDs"} <= set(theirs)
    table = pd.read_csv(tmp_path / "out" / "table.csv", index_col=0)
    assert len(table) == 20
    assert table["HOTA"].notna().all()
