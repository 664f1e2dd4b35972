"""Progress bars: in a notebook nothing of them is left."""

from __future__ import annotations

from pathlib import Path

import IPython.display
import pytest

import vtlab
from vtlab.files import bars
from vtlab.prompts import BoxPrompt
from vtlab.testing.scenes import moving_square


@pytest.fixture
def outputs(monkeypatch):
    """What stands below a cell."""
    texts: list[str] = []

    class Handle:
        def __init__(self, at):
            self.at = at

        def update(self, data, raw):
            texts[self.at] = data["text/plain"]

    def display(data, raw, display_id):
        texts.append(data["text/plain"])
        return Handle(len(texts) - 1)

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(bars, "in_a_notebook", lambda: True)
    return texts


def test_a_bar_in_a_notebook_tells_how_far_it_is_and_is_gone_in_the_end(outputs):
    with bars.bar(total=4, desc="work", unit="frame", mininterval=0) as bar:
        bar.update(3)
        assert "3/4" in outputs[0]
    assert outputs == [""]


def test_tracking_in_a_notebook_leaves_no_line(outputs, capsys):
    vtlab.track(moving_square(n=4, height=60, width=80), BoxPrompt((5, 5, 20, 20)), "identity")
    assert outputs == [""]
    assert capsys.readouterr().err == ""


def test_in_a_terminal_the_bar_is_a_line_of_it(capsys):
    with bars.bar(total=2, desc="work") as bar:
        bar.update(2)
    assert "2/2" in capsys.readouterr().err


def test_nobody_else_draws_a_bar():
    """Bars of tqdm's own leave their last line, or a widget that a saved notebook can't show."""
    root = Path(vtlab.__file__).parent
    allowed = {"files/bars.py", "weights/transfer.py"}  # which says a sentence beside one
    users = {
        p.relative_to(root).as_posix() for p in root.rglob("*.py") if "import tqdm" in p.read_text("utf-8")
    }
    assert users == allowed
