"""What trackers must stand: odd targets, images of another size and without colour, a second video.

The rule that these checks hold (when a tracker refuses, says lost or warns) is that of `vtlab/contracts/__init__.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from vtlab.contracts import OnlineTracker
from vtlab.errors import InputError, PromptError, VtlabWarning
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.testing.contract import NotAsked
from vtlab.testing.scenes import moving_square
from vtlab.testing.trackers import TRACKER, TrackerPart
from vtlab.trackers.loop import track
from vtlab.trackers.pool import Pool
from vtlab.tracks import FrameTracks
from vtlab.video import Frame

ODD = {
    "over a corner": (-30.0, -20.0, 15.0, 12.0),
    "over the far corner": (118.0, 80.0, 400.0, 300.0),
    "one pixel": (50.0, 50.0, 51.0, 51.0),
    "part of a pixel": (50.2, 50.3, 50.6, 50.5),
    "larger than the frame": (-500.0, -400.0, 900.0, 700.0),
    "enormous": (-1e5, -1e5, 2e5, 2e5),
    "flat": (10.0, 60.0, 120.0, 61.0),
    "thin": (80.0, 0.0, 81.0, 96.0),
}
"""Boxes that people draw, or that a conversion makes, on a frame of 128 x 96 px; each touches it."""


def of_boxes(part: TrackerPart) -> Any:
    """A new online tracker that follows boxes; what takes none of them, or sees windows of frames, is not asked."""
    if BoxPrompt not in part.card.takes:
        raise NotAsked("takes no boxes")
    made = part.made()
    if not isinstance(made, OnlineTracker) or made.discovers:
        raise NotAsked("is not stepped with the prompts' boxes alone")
    return made


def sound(answer: FrameTracks | None, what: str) -> None:
    """The answer of one object has a score in [0, 1] and, where it is visible, a box of finite numbers."""
    assert answer is not None, f"{what}: no answer"
    assert len(answer.object_ids) == 1, f"{what}: {len(answer.object_ids)} answers for one object"
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all(), f"{what}: the score {answer.scores[0]}"
    box = answer.boxes[0]
    whole = np.isfinite(box).all() and (box[2:] >= box[:2]).all()
    assert whole or not answer.visible[0], f"{what}: visible, with the box {box.tolist()}"


def answered(
    ask: Callable[[], FrameTracks], what: str, error: type[Exception] | tuple[()] = (), word: str = ""
) -> FrameTracks | None:
    """The answer to `what`, or None where it is refused by an error of this class, whose message must hold the word."""
    try:
        return ask()
    except error as refusal:
        message = str(refusal)
    except Exception as fault:
        raise AssertionError(f"{what}: {type(fault).__name__}: {fault}") from fault
    assert word in message, f"{what}: refused without {word!r} in the message: {message}"
    return None


def frames_of(images: Any) -> list[Frame]:
    """Frames of images, ten a second."""
    return [Frame(i, i / 10, np.ascontiguousarray(image)) for i, image in enumerate(images)]


@TRACKER.check
def _(part: TrackerPart) -> None:
    """starts on targets of any size and place, or refuses one in a PromptError that says a remedy"""
    frames = frames_of(moving_square(3))
    for name, box in ODD.items():
        tracker = of_boxes(part)
        start, what = partial(tracker.init, frames[0], Prompts(BoxPrompt(box))), f"a target {name}, {box}"
        if (answer := answered(start, what, PromptError, "Remedy")) is None:
            continue
        if part.card.family == "sot":  # a mask ends at the frame's edge
            np.testing.assert_allclose(
                answer.boxes[0], box, atol=1e-6, err_msg=f"{name}: not the prompt's box"
            )
        for frame in frames[1:]:
            sound(answered(partial(tracker.step, frame), what), what)
        tracker.close()


@TRACKER.check
def _(part: TrackerPart) -> None:
    """goes on where frames change their size, to less than the target's, or refuses that in an InputError"""
    tracker, video = of_boxes(part), moving_square(4)
    changed = (video[0], video[1, :50, :70], np.tile(video[2], (2, 2, 1)), video[3, :12, :16])
    frames = frames_of(changed)
    tracker.init(frames[0], Prompts(BoxPrompt((20, 16, 44, 40))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VtlabWarning)  # it may say that it fails there
        for frame in frames[1:]:
            size = f"{frame.image.shape[1]} x {frame.image.shape[0]}"
            what = f"a frame of {size} px"
            if (answer := answered(partial(tracker.step, frame), what, InputError, size)) is None:
                break
            sound(answer, what)
    tracker.close()


@TRACKER.check
def _(part: TrackerPart) -> None:
    """stands images without colour, and without texture"""
    grey = np.repeat(moving_square(3)[..., 1:2], 3, axis=3)
    for what, images in (("grey images", grey), ("images of one colour", np.full_like(grey, 90))):
        tracker = of_boxes(part)
        frames = frames_of(images)
        tracker.init(frames[0], Prompts(BoxPrompt((20, 16, 44, 40))))
        for frame in frames[1:]:
            sound(answered(partial(tracker.step, frame), what), what)
        tracker.close()


@TRACKER.check
def _(part: TrackerPart) -> None:
    """lent again to a second video, it answers as a new one does"""
    part.ready()
    pool, given = Pool(), part.prompts()
    before, video = moving_square(3, step=5)[:, ::-1].copy(), moving_square(5)
    answers = []
    for images in (before, video):
        with pool.lend(part.spec, part.params) as tracker:
            answers.append(track(images, given, tracker, progress=False))
    pool.close()
    again, new = answers[-1], part.run(video=video)
    for name in ("frame", "object_id", "boxes", "visible"):
        np.testing.assert_array_equal(getattr(again, name), getattr(new, name), err_msg=name)
    np.testing.assert_array_equal(again.points.xy, new.points.xy)
