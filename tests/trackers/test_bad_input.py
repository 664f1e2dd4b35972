"""One contract for all box trackers: odd targets, odd images and broken answers end well, or in one clear error."""

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
from vtlab.testing import lacking  # noqa: E402
from vtlab.video import Frame  # noqa: E402

HERE = [c.name for c in TRACKERS.cards("sot") if c.requires != "torch" and not lacking(c)]
REAL = [n for n in ("nanotrack-v2", "fear-xs", "dcfnet") if not lacking(TRACKERS.card(n))]
NETWORKS = ("transt", "cvt", "cvt-offline", "mcitrack", "sutrack", *REAL)
KINDS = (*NETWORKS, *(n for n in HERE if not n.startswith("nanotrack") and n != "interpolation"))
ODD = {
    "over a corner": (-30, -20, 15, 12),
    "over the far corner": (150, 100, 400, 300),
    "one pixel": (50, 50, 51, 51),
    "part of a pixel": (50.2, 50.3, 50.6, 50.5),
    "larger than the frame": (-500, -400, 900, 700),
    "enormous": (-1e5, -1e5, 2e5, 2e5),
    "flat": (10, 60, 150, 61),
    "thin": (80, 0, 81, 120),
}
NO_ROOM = ("larger than the frame", "enormous", "thin")  # nothing of the frame is left beside the target
OUTSIDE = [(160, 10, 190, 40), (-40, 10, 0, 40), (10, 120, 40, 150), (10, -40, 40, -1)]


@pytest.fixture(params=KINDS)
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


@pytest.mark.parametrize("name", ODD)
def test_odd_targets(make, kind, frames, name):
    tracker, prompts = make(), Prompts(BoxPrompt(ODD[name]))
    if kind == "mil" and name in NO_ROOM:
        with pytest.raises(PromptError, match=r"mil can't start on the box .* Remedy"):
            tracker.init(frames[0], prompts)
        return
    answer = tracker.init(frames[0], prompts)
    np.testing.assert_allclose(answer.boxes[0], ODD[name], rtol=0, atol=1e-9)
    for f in frames[1:3]:
        answer_is_sound(tracker.step(f))


@pytest.mark.parametrize("box", OUTSIDE, ids=["right", "left", "below", "above"])
def test_a_target_outside_the_frame_is_refused(make, video, box):
    with pytest.raises(PromptError, match="outside the frame of 160 x 120 px"):
        vtlab.track(video, Prompts(BoxPrompt(box)), make(), progress=False)


@pytest.mark.parametrize("kind", NETWORKS, indirect=True)
def test_grey_and_transparent_images(make, video, tmp_path):
    """Files of any kind of pixels reach a tracker as RGB."""
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
        expected = vtlab.track(plain[name][:2], prompts, make(), progress=False).boxes
        found = vtlab.track(tmp_path / name, prompts, make(), progress=False).boxes
        np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:(boosting|medianflow) fails on frame:vtlab.errors.VtlabWarning")
def test_the_frame_may_change_its_size(make, frames):
    """Smaller, larger, smaller than the target: the answers stay sound."""
    tracker = make()
    tracker.init(frames[0], Prompts(BoxPrompt((90, 60, 130, 90))))
    wide = np.ascontiguousarray(np.tile(frames[2].image, (2, 2, 1)))
    for i, image in enumerate((frames[1].image[:50, :70], wide, frames[3].image[:12, :16]), start=1):
        answer_is_sound(tracker.step(Frame(i, i / 10, np.ascontiguousarray(image))))


@pytest.mark.parametrize("kind", NETWORKS, indirect=True)
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


@pytest.mark.parametrize("kind", NETWORKS, indirect=True)
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
