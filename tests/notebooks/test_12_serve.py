"""The notebook of the server runs as it is."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from vtlab.experiments import run_notebook

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vtlab[serve]'")
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "12_serve.ipynb"


@pytest.mark.notebook
def test_the_platform_is_told_of_every_frame(tmp_path):
    run_notebook(
        NOTEBOOK, tmp_path / "done.ipynb", {"TRACKERS": ["ncc", "lucas-kanade"], "FRAMES": 4, "KIT": False}
    )
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    shown = [str(o.get("data", "")) for c in cells if c.cell_type == "code" for o in c.outputs]
    assert any("Track task started." in text for text in shown)
    assert any("'image/png'" in text for text in shown)
