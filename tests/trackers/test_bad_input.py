"""Networks of boxes on odd input, and broken answers of theirs: all ends well, or in one clear error.

What every tracker is asked of odd targets, changed frames and second videos is the kit's, `vtlab/testing/odd.py`; here it is
asked of the networks whose weights are not here, on narrow ones.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from tests.trackers import narrow  # noqa: E402
from vtlab.errors import InputError, PromptError, VtlabWarning  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.registry import TRACKERS  # noqa: E402
from vtlab.testing import TRACKER, lacking  # noqa: E402
from vtlab.video import Frame  # noqa: E402

NARROW = ("transt", "cvt", "cvt-offline", "mcitrack", "sutrack")
REAL = [n for n in ("nanotrack-v2", "fear-xs", "dcfnet") if not lacking(TRACKERS.card(n))]
NETWORKS = (*NARROW, *REAL)
ODD = [check for check in TRACKER if check.ask.__module__ == "vtlab.testing.odd"]
OUTSIDE = [(160, 10, 190, 40), (-40, 10, 0, 40), (10, 120, 40, 150), (10, -40, 40, -1)]


@pytest.mark.parametrize("check", ODD, ids=str)
@pytest.mark.parametrize("kind", NARROW)
def test_networks_whose_weights_are_not_here(kind, check, monkeypatch):
    cls, params = narrow.part(monkeypatch, kind)
    check(cls, weights="narrow", **params)


@pytest.fixture(params=NETWORKS)
def kind(request):
    return request.param


@pytest.fixture
def make(kind, monkeypatch):
    """Return a function that makes a tracker of the kind under test."""
    if kind in narrow.KINDS:
        return lambda: narrow.make(monkeypatch, kind)
    return lambda: vtlab.create_tracker(kind)


@pytest.fixture(scope="module")
def frames():
    return narrow.smooth_frames(4)


@pytest.fixture(scope="module")
def video(frames):
    return np.stack([f.image for f in frames])


def answer_is_sound(answer, n=1):
    assert answer.object_ids.tolist() == list(range(1, n + 1))
    assert np.isfinite(answer.boxes).all()
    assert (answer.boxes[:, 2:] > answer.boxes[:, :2]).all()
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()


@pytest.mark.parametrize("box", OUTSIDE, ids=["right", "left", "below", "above"])
def test_a_target_outside_the_frame_is_refused_before_any_tracker_sees_it(video, box):
    with pytest.raises(PromptError, match="outside the frame of 160 x 120 px"):
        vtlab.track(video, Prompts(BoxPrompt(box)), "ncc", progress=False)


def test_grey_and_transparent_files_reach_a_tracker_as_rgb(video, tmp_path):
    prompts = Prompts(BoxPrompt((20, 15, 60, 65)))
    grey = video[..., 1]
    plain = {"grey": np.repeat(grey[..., None], 3, axis=3), "clear": video}
    files = {
        "grey": grey,
        "clear": np.concatenate([video[..., ::-1], np.full_like(video[..., :1], 99)], axis=3),
    }
    for name, images in files.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images[:2]):
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), image)
        expected = vtlab.track(plain[name][:2], prompts, "csrt", progress=False).boxes
        found = vtlab.track(tmp_path / name, prompts, "csrt", progress=False).boxes
        np.testing.assert_array_equal(found, expected)


def test_other_images_are_refused(make, frames):
    tracker = make()
    image = frames[0].image
    for wrong in (image[..., 0], np.dstack([image, image[..., 0]]), image / 255, image[:0]):
        with pytest.raises(InputError, match="RGB images|empty"):
            tracker.init(Frame(0, 0.0, wrong), Prompts(BoxPrompt((20, 15, 60, 65))))


def break_first_row(kind, tracker, monkeypatch):
    """Make the network's answer for the first object no number."""

    def broken(values):
        if isinstance(values, (list, tuple)):
            return type(values)(map(broken, values))
        if values is None:
            return None
        values = values.clone() if isinstance(values, torch.Tensor) else values.copy()
        values[0] = float("nan")
        return values

    if hasattr(tracker, "_network"):
        forward = tracker._network.forward
        monkeypatch.setattr(tracker._network, "forward", lambda *args: broken(forward(*args)))
        return
    maps = tracker._maps
    monkeypatch.setattr(tracker, "_maps", lambda *args: broken(maps(*args)))


def test_an_answer_that_is_no_number_leaves_the_object_where_it_was(make, kind, monkeypatch, frames):
    first, second = BoxPrompt((20, 15, 60, 65), object_id=1), BoxPrompt((90, 60, 130, 90), object_id=2)
    tracker, alone = make(), make()
    before = tracker.init(frames[0], Prompts((first, second)))
    alone.init(frames[0], Prompts(second))
    untouched = [alone.step(f).boxes[0] for f in frames[1:3]]
    with monkeypatch.context() as patch:
        break_first_row(kind, tracker, patch)
        with pytest.warns(VtlabWarning, match=r"objects \[1\]"):
            answer = tracker.step(frames[1])
    np.testing.assert_array_equal(answer.boxes[0], before.boxes[0])
    assert (answer.scores[0], answer.visible[0]) == (0, False)
    np.testing.assert_allclose(answer.boxes[1], untouched[0], rtol=0, atol=1e-3)
    answer = tracker.step(frames[2])
    answer_is_sound(answer, 2)
    np.testing.assert_allclose(answer.boxes[1], untouched[1], rtol=0, atol=1e-3)
