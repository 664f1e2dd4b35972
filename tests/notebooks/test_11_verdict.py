"""The notebook that ends in a decision from few labels runs from a clean kernel, the truth playing the labeller."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vtlab.experiments import run_notebook

NOTEBOOK = Path(__file__).parents[2] / "notebooks/11_verdict.ipynb"


@pytest.mark.notebook
def test_verdict(tmp_path):
    small = {"TRACKERS": ["ncc", "identity"], "SECONDS": 1.0, "OUT": str(tmp_path / "out")}
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", small)
    table = pd.read_csv(tmp_path / "out/verdict.csv", index_col="tracker")
    assert set(table.index) == {"ncc", "identity"}
    assert table.value.notna().all()
    assert (tmp_path / "out/verdict.json").is_file()
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "<h2>Verdict</h2>" in page
    assert page.index("against your labels") < page.index("<h2>Verdict</h2>")
