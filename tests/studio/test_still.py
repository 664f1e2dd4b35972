"""What widgets leave in a saved notebook: a picture, for every viewer."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import IPython.display
from PIL import Image

import vtlab
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.session import Session
from vtlab.studio import Corrector, TrackPlayer, annotate, still
from vtlab.testing.scenes import moving_square

BOX = BoxPrompt((40, 30, 140, 120))
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def clip():
    return vtlab.open_video(moving_square(n=4, height=160, width=240))


@pytest.fixture
def shown(monkeypatch):
    """What goes to the notebook, in order; an update takes the place of what it updates."""
    outputs: list[dict] = []

    class Handle:
        def __init__(self, at):
            self.at = at

        def update(self, data, raw):
            outputs[self.at] = data

    def display(data, raw=False, display_id=None):
        outputs.append(data)
        return Handle(len(outputs) - 1) if display_id else None

    monkeypatch.setattr(IPython.display, "display", display)
    return outputs


def pixels(data: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))


def widgets(clip):
    tracks = vtlab.track(clip, BOX, "identity", progress=False)
    session = Session(clip, "ncc")
    session.add(BOX)
    return [
        annotate(clip, Prompts(BOX), autosave=False),
        Corrector(session, autosave=False),
        TrackPlayer(clip, {"a": tracks, "b": tracks}),
    ]


def test_each_widget_leaves_a_picture_of_what_it_shows(clip, shown):
    bare = np.asarray(clip[0])
    for widget in widgets(clip):
        shown.clear()
        widget._ipython_display_()
        picture, rule, view = shown
        seen = pixels(picture)
        assert seen.shape[1] <= still.WIDTH
        assert VIEW not in picture
        assert list(rule) == ["text/html", "text/plain"]
        assert view[VIEW]["model_id"] == widget.model_id
        if seen.shape == bare.shape:  # the box is drawn
            assert np.abs(seen[30, 60:120].astype(int) - bare[30, 60:120]).mean() > 20
        assert set(widget._repr_mimebundle_()) == {VIEW, "image/png", "text/plain"}


def test_the_picture_follows_what_is_made(clip, shown, monkeypatch):
    monkeypatch.setattr(still, "QUIET", 0.0)
    made = annotate(clip, autosave=False)
    made._ipython_display_()
    before = pixels(shown[0])
    made.act({"do": "box", "xyxy": list(BOX.xyxy)})
    made._timer.join(20)
    assert (pixels(shown[0]) != before).any()
    assert "1 prompts" in shown[0]["text/plain"]


def test_where_a_bundle_is_one_output_there_is_one(clip, shown, monkeypatch):
    monkeypatch.setenv("VSCODE_PID", "1")
    annotate(clip, autosave=False)._ipython_display_()
    assert [set(o) for o in shown] == [{VIEW, "image/png", "text/plain"}]
