"""Auto: the method follows the geometry, what lacks is replaced with a notice, objects that leave end."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.errors import InputError, VtlabWarning, WeightsError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.registry import TRACKERS
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers.compose.auto import _geometry

LOCAL = {"box": ("ncc",), "mask": ("flow",), "points": ("lucas-kanade",), "skeleton": ("lucas-kanade",)}
N = 10


def track(prompts, video=None, **params):
    video = moving_square(N) if video is None else video
    return vtlab.track(video, prompts, "auto", progress=False, **{"table": LOCAL, **params})


def test_mixed_geometries_in_one_run():
    x1, y1, x2, y2 = square_box(0)
    prompts = [
        BoxPrompt((x1, y1, x2, y2), object_id=1),
        MaskPrompt(polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)), object_id=2),
        PointPrompt(((x1 + 6, y1 + 6), (x2 - 6, y2 - 6)), object_id=3),
        SkeletonPrompt(((x1 + 6, y1 + 6), (x2 - 6, y2 - 6)), edges=((0, 1),), object_id=4, frame=2),
    ]
    tracks = track(prompts)
    assert tracks.object_ids.tolist() == [1, 2, 3, 4]
    assert tracks.of_object(4).frames.tolist() == list(range(2, N))
    assert tracks.masks_at(N - 1).keys() == {2}
    assert len(tracks.of_object(3).points) == 2 * N
    methods = {e["object_id"]: e["reason"] for e in tracks.meta["events"] if e["event"] == "method"}
    by = " (by the fixed table)"
    assert methods == {
        1: f"box: ncc{by}",
        2: f"mask: flow{by}",
        3: f"points: lucas-kanade{by}",
        4: f"skeleton: lucas-kanade{by}",
    }
    alone = vtlab.track(moving_square(N), prompts[0], "ncc", progress=False)
    np.testing.assert_array_equal(tracks.of_object(1).boxes, alone.boxes)


@pytest.mark.parametrize(
    ("prompt", "geometry"),
    [
        (BoxPrompt((1, 1, 5, 5)), "box"),
        (BoxPrompt((1, 1, 5, 5), 0.3), "oriented box"),
        (ClickPrompt(((1, 1),)), "click"),
        (PointPrompt(((1, 1), (2, 2), (3, 1)), "polygon"), "polygon"),
        (PointPrompt(((1, 1), (2, 2)), "polyline"), "polyline"),
    ],
)
def test_geometry_of_a_prompt(prompt, geometry):
    assert _geometry([prompt]) == geometry


class Lacking(SingleObjectTracker):
    """Has no weights."""

    card = Card("lacking", "sot", accepts=frozenset({BoxPrompt}))

    def __init__(self):
        raise WeightsError("The file 'x.pth' is not here. Remedy: fetch it.")

    def init(self, frame, prompt):
        return None

    def step(self, frame):
        return Observation((0, 0, 1, 1))


class Script(SingleObjectTracker):
    """Answers with a list of boxes."""

    card = Card("script", "sot", accepts=frozenset({BoxPrompt}))
    boxes: tuple = ()

    def init(self, frame, prompt):
        self.prompt = prompt
        self.start = frame.index

    def step(self, frame):
        return Observation(self.boxes[frame.index], 0.9)


@pytest.fixture
def own(monkeypatch):
    TRACKERS.names()
    entries = {**TRACKERS._entries, "lacking": (Lacking.card, Lacking), "script": (Script.card, Script)}
    monkeypatch.setattr(TRACKERS, "_entries", entries)


def test_what_lacks_falls_to_the_next_with_a_notice(own):
    with pytest.warns(
        VtlabWarning, match="box is followed by ncc, because of lacking .The file 'x.pth' is not here"
    ):
        tracks = track(BoxPrompt(square_box(0)), table={"box": ("lacking", "ncc")})
    assert tracks.frames.tolist() == list(range(N))
    with pytest.raises(WeightsError, match="no method for box can run here: lacking"):
        track(BoxPrompt(square_box(0)), table={"box": ("lacking",)})


def boxes(sizes, step=2.0):
    return tuple((10 + step * i, 10, 10 + step * i + s, 10 + s) for i, s in enumerate(sizes))


@pytest.mark.parametrize(
    ("path", "leaving", "end"),
    [
        (boxes([20] * 40), None, None),
        (boxes([20] * 40), {}, None),
        (boxes([20] * 20 + [4] * 20), {}, 26),  # 0.2 s at 30 fps after frame 20
        (boxes([20] * 20 + [4] * 3 + [20] * 17), {}, None),  # a moment only
        (boxes([20] * 20 + [4] * 20), {"area": 0.0, "gate": float("inf")}, None),
        (boxes([20] * 20) + boxes([20] * 40, step=-8.0)[20:], {"area": 0.0}, 26),  # jumps away
    ],
)
def test_objects_that_leave_end(own, monkeypatch, path, leaving, end):
    monkeypatch.setattr(Script, "boxes", tuple((x1 + 300, y1, x2 + 300, y2) for x1, y1, x2, y2 in path))
    video = np.zeros((40, 64, 700, 3), np.uint8)
    tracks = track(BoxPrompt((310, 10, 330, 30)), video, table={"box": ("script",)}, leaving=leaving)
    left = [e for e in tracks.meta["events"] if e["event"] == "left"]
    if end is None:
        assert not left
        assert tracks.visible.all()
        assert len(tracks) == 40
    else:
        assert [e["frame"] for e in left] == [end]
        assert tracks.frames[-1] == end
        assert not tracks.at(end).visible[0]


def test_a_prompt_brings_an_object_back(own, monkeypatch):
    monkeypatch.setattr(Script, "boxes", boxes([20] * 15 + [4] * 15 + [20] * 10))
    prompts = Prompts([BoxPrompt((10, 10, 30, 30)), BoxPrompt((70, 10, 90, 30), frame=32)])
    tracks = track(prompts, np.zeros((40, 64, 128, 3), np.uint8), table={"box": ("script",)})
    assert tracks.frames.tolist() == [*range(22), *range(32, 40)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"table": {"circle": ("ncc",)}}, "unknown geometry 'circle'"),
        ({"table": {"box": ("nccc",)}}, "Did you mean 'ncc'"),
        ({"leaving": {"speed": 3}}, "leaving: .*speed.*it has area, gate"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises((InputError, vtlab.VtlabError), match=message):
        track(BoxPrompt(square_box(0)), **params)


@pytest.mark.parametrize("method", ["script", "lucas-kanade"])
def test_an_oriented_box_stays_one(own, monkeypatch, method):
    prompt = BoxPrompt((20, 16, 44, 40), 0.4)
    x1, y1, x2, y2 = prompt.box(96, 128)
    monkeypatch.setattr(Script, "boxes", tuple((x1 + 2 * i, y1 + i, x2 + 2 * i, y2 + i) for i in range(N)))
    tracks = track(prompt, table={"oriented box": (method,)})
    now = vtlab.figures_at(tracks, Prompts(prompt), N - 1)[0]
    assert now.angle == pytest.approx(0.4, abs=0.1)
    if method == "script":
        np.testing.assert_allclose(now.corners() - prompt.corners(), [[2 * (N - 1), N - 1]] * 4)


def test_a_large_fast_object_does_not_leave(own, monkeypatch):
    """It turns back at 24 px a frame, which is little for its size and much for a small one."""
    there = [24.0 * i for i in range(20)]
    x = np.array([*there, *reversed(there)])
    for size, ends in ((200.0, False), (12.0, True)):
        path = np.stack([x, np.full(40, 10.0), x + size, np.full(40, 10.0 + size)], axis=-1)
        monkeypatch.setattr(Script, "boxes", tuple(map(tuple, path)))
        video = np.zeros((40, 240, 800, 3), np.uint8)
        tracks = track(BoxPrompt((0, 10, size, 10 + size)), video, table={"box": ("script",)})
        assert any(e["event"] == "left" for e in tracks.meta["events"]) == ends
