"""Every notebook of the tour, 00 to 09, opens with its question and a small picture of the answer that lies beside it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("notebook", sorted(FOLDER.glob("0*.ipynb")), ids=lambda p: p.stem)
def test_the_answer_is_at_the_head(notebook):
    book = nbformat.read(notebook, as_version=4)
    head = book.cells[0].source
    assert head.startswith("# ")
    assert "?" in head
    (picture,) = re.findall(r"!\[.+\]\((.+)\)", head)
    assert picture == f"images/{notebook.stem}.jpg"  # beside it: seen wherever it is opened
    assert 5_000 < (FOLDER / picture).stat().st_size < 150_000
    assert any("picture" in c.metadata.get("tags", ()) for c in book.cells)  # what it is made of
