"""The notebook that ends in a decision from few labels runs from a clean kernel, without anybody there."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from vtlab.datasets.synthetic import synthetic
from vtlab.experiments import run_notebook
from vtlab.prompts import BoxPrompt, Prompts

NOTEBOOK = Path(__file__).parents[2] / "notebooks/11_verdict.ipynb"
SMALL = {"TRACKERS": ["ncc", "identity"], "SECONDS": 1.0}


@pytest.mark.notebook
def test_verdict(tmp_path):
    """The truth plays the labeller."""
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", {**SMALL, "OUT": str(tmp_path / "out")})
    table = pd.read_csv(tmp_path / "out/verdict.csv", index_col="tracker")
    assert set(table.index) == {"ncc", "identity"}
    assert table.value.notna().all()
    assert (tmp_path / "out/verdict.json").is_file()
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "<h2>Verdict</h2>" in page
    assert page.index("against your labels") < page.index("<h2>Verdict</h2>")


@pytest.mark.notebook
def test_verdict_from_a_file_of_labels(tmp_path):
    """Labels made elsewhere, which are not the truth: the verdict rests on them alone, and nobody else is asked."""
    made = synthetic(seed=3, seconds=1.0, objects=2, size=(480, 272))
    mine = made.truth.of_object(1)
    labels = {int(f): mine.at(int(f)).boxes[0] + np.array([0.0, 0, 30, 30]) for f in mine.frames[1:21]}
    file = Prompts(BoxPrompt(tuple(b), frame=f) for f, b in labels.items()).save(tmp_path / "labels.json")
    options = {**SMALL, "OUT": str(tmp_path / "out"), "LABELS": str(file)}
    run_notebook(NOTEBOOK, tmp_path / "done.ipynb", options)
    kept = json.loads((tmp_path / "out/verdict.json").read_text())["labels"]
    (said,) = kept.values()
    assert said["looked"] == sorted(labels)
    assert all(np.allclose(row["box"], labels[row["frame"]]) for row in said["objects"])
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    shown = [o.data.get("text/html", "") for c in cells for o in c.get("outputs", ()) if "data" in o]
    assert any("20 of " in text and "against your labels" in text for text in shown)
    assert any("For review only" in text and "<img" in text for text in shown)
