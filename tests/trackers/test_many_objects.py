"""Every object of a batch is where a tracker of its own would see it, whatever happens to the others."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from tests.trackers import narrow  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.registry import tracker_card  # noqa: E402
from vtlab.testing import lacking  # noqa: E402

KINDS = (*narrow.KINDS, *(n for n in ("nanotrack-v2", "fear-xs", "dcfnet") if not lacking(tracker_card(n))))
BOXES = ((20, 15, 60, 65), (90, 60, 130, 90), (100, 5, 128, 50), (0, 80, 30, 120))
TOLERANCE = 1e-3  # pixels
FRAMES = narrow.smooth_frames(7)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def make(kind, monkeypatch):
    """Return a function that makes a tracker of the kind."""
    if kind == "mcitrack":  # half of the states are kept, half of the templates learned
        tracker = narrow.make(monkeypatch, kind)
        tracker.init(FRAMES[0], Prompts(prompt(i, i + 1) for i in range(4)))
        middle = float(np.median([tracker.step(f).scores for f in FRAMES[1:4]]))
        thresholds = {"keep_state_above": middle, "update_above": middle}
        return lambda **options: narrow.make(monkeypatch, kind, **thresholds, **options)
    if kind in narrow.KINDS:
        return lambda **options: narrow.make(monkeypatch, kind, **options)
    return lambda **options: vtlab.create_tracker(kind, **options)


def prompt(box, object_id, at=0):
    return BoxPrompt(BOXES[box], object_id=object_id, frame=at)


def test_each_object_is_where_a_lone_tracker_sees_it(make, kind):
    """Objects join, are corrected, leave and come back at random; a prompt begins its object afresh."""
    rng = np.random.default_rng(0)

    @cache
    def alone(box, start):
        tracker = make()
        answers = [tracker.init(FRAMES[start], Prompts(prompt(box, 9, start)))]
        answers += [tracker.step(f) for f in FRAMES[start + 1 :]]
        return [(a.boxes[0], a.scores[0], a.visible[0]) for a in answers]

    tracker, begun, events, kept, moved = make(), {}, set(), set(), 0.0
    for f in FRAMES:
        given = []
        for object_id in (1, 2, 3):
            fate = rng.random()
            if object_id in begun and fate < 0.15:
                tracker.remove([object_id])
                del begun[object_id]
                events.add("leaves")
            elif fate > (0.8 if object_id in begun else 0.4):
                events.add("corrected" if object_id in begun else "joins")
                begun[object_id] = int(rng.integers(len(BOXES))), f.index
                given.append(prompt(begun[object_id][0], object_id, f.index))
        answer = tracker.step(f, Prompts(given)) if f.index else tracker.init(f, Prompts(given))
        assert answer.object_ids.tolist() == sorted(begun)
        kept |= {getattr(t, "state", None) is not None for t in tracker._targets.values()}
        for row, object_id in enumerate(sorted(begun)):
            box, start = begun[object_id]
            expected, score, visible = alone(box, start)[f.index - start]
            np.testing.assert_allclose(answer.boxes[row], expected, rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(answer.scores[row], score, rtol=0, atol=1e-5)
            assert answer.visible[row] == visible
            moved = max(moved, np.abs(expected - BOXES[box]).max())
    assert events == {"joins", "corrected", "leaves"}
    assert kept == ({True, False} if kind == "mcitrack" else {False})
    assert moved > 3


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "cvt-offline"], indirect=True)
def test_the_size_of_the_batch_does_not_matter(make):
    answers = []
    for batch in (1, 3):
        tracker = make(batch=batch)
        tracker.init(FRAMES[0], Prompts(prompt(i, i + 1) for i in range(4)))
        answers.append(np.stack([tracker.step(f).boxes for f in FRAMES[1:3]]))
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=TOLERANCE)
