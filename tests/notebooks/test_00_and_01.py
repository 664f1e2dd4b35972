"""The quick start and the single-object notebook run from a clean kernel on small inputs and keep their results."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd
import pytest

from vtlab.experiments import run_notebook
from vtlab.video import open_video

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.notebook
def test_quickstart(tmp_path):
    small = {
        "TRACKERS": ["ncc", "nanotrack-v1", "flow", "lucas-kanade"],
        "MOT_TRACKERS": ["sort"],
        "REAL_TRACKERS": ["ncc", "identity"],
        "SECONDS": 0.4,
        "REAL_FRAMES": 6,
        "OUT": str(tmp_path / "out"),
    }
    done = run_notebook(FOLDER / "00_quickstart.ipynb", tmp_path / "done.ipynb", small)
    kept = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"report.html", "report_real.html", "side_by_side.mp4", "real.mp4", "synthetic", "real"} <= kept
    table = pd.read_csv(tmp_path / "out" / "synthetic" / "table.csv").set_index("tracker")
    assert set(table["family"]) == {"sot", "mot", "vos", "points"}
    assert (
        "nanotrackv1_backbone.onnx" in table.loc["nanotrack-v1", "note"]
    )  # weights that nobody has: a row that says so
    assert len(open_video(tmp_path / "out" / "side_by_side.mp4")) == 12
    outputs = [o for c in nbformat.read(done, as_version=4).cells if c.cell_type == "code" for o in c.outputs]
    assert any("image/png" in o.get("data", {}) for o in outputs)  # plots are seen
    assert not [
        o for o in outputs if o.output_type == "stream" and o.name == "stderr" and "Warning" in o.text
    ]


@pytest.mark.notebook
def test_single_object_on_a_video_of_ones_own(tmp_path):
    """The same notebook is a batch cell, and works on a video without truth."""
    from vtlab.prompts import BoxPrompt, Prompts
    from vtlab.testing.scenes import moving_square, square_box
    from vtlab.video import write_video

    video = write_video(tmp_path / "mine.mp4", moving_square(10), 25)
    prompts = Prompts(BoxPrompt(square_box(0))).save(tmp_path / "mine.json")
    small = {
        "TRACKERS": ["ncc", "identity"],
        "VIDEO": str(video),
        "PROMPTS": str(prompts),
        "OUT": str(tmp_path / "out"),
    }
    run_notebook(FOLDER / "01_compare_single_object.ipynb", tmp_path / "done.ipynb", small)
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index("tracker")
    assert 0 < table.loc["ncc", "agreement"] <= 1
    assert "never moves" in table.loc["identity", "note"]
    assert (tmp_path / "out" / "report.html").is_file()
