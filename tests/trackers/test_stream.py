"""A loop that can be stepped: what `stream` gives is what `track` gives; answers are checked as they come."""

from __future__ import annotations

import functools
import http.server
import threading
from dataclasses import replace

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Card, Observation, OfflineTracker, OnlineTracker, SingleObjectTracker
from vtlab.errors import AnswerError, InputError, Interrupted, PromptError, TrackingError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.testing.scenes import moving_square
from vtlab.tracks import FrameTracks
from vtlab.video import open_video, write_video

N, BAD = 60, 50
BOX = BoxPrompt((1, 1, 9, 9))
TWO = [BoxPrompt((1, 1, 9, 9), object_id=1, frame=3), BoxPrompt((1, 1, 9, 9), object_id=2, frame=8)]
VIDEO = moving_square()
CARD = Card("made-up", "sot", accepts=frozenset({BoxPrompt}))


def right(frame: int, ids=(1,)) -> FrameTracks:
    return FrameTracks.of(list(ids), [[frame, 0, frame + 1, 1]] * len(ids))


class One(SingleObjectTracker):
    card = CARD

    def init(self, frame, prompt):
        return self.step(frame)

    def step(self, frame):
        return Observation((frame.index, 0, frame.index + 1, 1))


class Online(OnlineTracker):
    card = CARD

    def __init__(self, *, answer=None, at=BAD):
        self.answer, self.at, self.closed = answer, at, 0

    def init(self, frame, prompts):
        self.ids = set()
        return self.step(frame, prompts)

    def step(self, frame, prompts=Prompts()):
        self.ids |= set(prompts.object_ids)
        if self.answer is not None and frame.index == self.at:
            return self.answer(right(frame.index))
        return right(frame.index, sorted(self.ids))

    def remove(self, object_ids):
        self.ids -= set(object_ids)

    def close(self):
        self.closed += 1


class Offline(OfflineTracker):
    """Reads two frames before it answers for them."""

    card = CARD

    def __init__(self, *, answer=None, at=BAD):
        self.answer, self.at, self.closed = answer, at, 0

    def run(self, frames, prompts, n_frames):
        first, seen, window = {i: prompts.of(i).frames for i in prompts.object_ids}, set(), []
        for frame in frames:
            window.append(frame.index)
            if len(window) == 2:
                yield from (self.one(f, first, seen) for f in window)
                window = []
        yield from (self.one(f, first, seen) for f in window)

    def one(self, frame, first, seen):
        seen |= {i for i, frames in first.items() if frame in frames}
        wrong = self.answer is not None and frame == self.at
        return frame, self.answer(right(frame)) if wrong else right(frame, sorted(seen))

    def close(self):
        self.closed += 1


SHAPES = (One, Online, Offline)


def same(a, b) -> bool:
    left, right = a.record.to_dict(), b.record.to_dict()
    for varies in ("created", "memory", "wall_seconds", "timing"):
        assert (left.pop(varies, None) is None) == (right.pop(varies, None) is None)
    return a.to_frame().equals(b.to_frame()) and left == right and len(a.step_seconds) == len(b.step_seconds)


@pytest.mark.parametrize("tracker", SHAPES)
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_stepping_gives_what_track_gives(tracker, direction):
    options = {
        "direction": direction,
        "start": 1,
        "stop": 11,
        "remove": {1: 9} if direction == "forward" else {},
    }
    run = vtlab.stream(VIDEO, TWO, tracker, **options)
    seen = [(frame, answer, len(run.tracks.frames)) for frame, answer in run]
    whole = vtlab.track(VIDEO, TWO, tracker, progress=False, **options)
    assert same(run.tracks, whole)
    assert whole.record.complete
    assert len(seen) == run.total
    rows = sorted(
        (f, int(i), *box) for f, a, _ in seen for i, box in zip(a.object_ids, a.boxes.tolist(), strict=True)
    )
    assert rows == sorted(zip(whole.frame, whole.object_id, *whole.boxes.T, strict=True))
    forward, backward = list(range(3, 11)), list(range(8, 0, -1))
    assert [f for f, *_ in seen] == {"forward": forward, "backward": backward, "both": forward + backward}[
        direction
    ]
    assert [n for *_, n in seen][:5] == [1, 2, 3, 4, 5]  # tracks so far


@pytest.mark.parametrize("tracker", [Online, Offline])
def test_leaving_early_closes_the_tracker_and_keeps_what_was_tracked(tracker):
    made = tracker()
    with vtlab.stream(VIDEO, BOX, made) as run:
        for frame, _ in run:
            if frame == 4:
                break
    assert made.closed == 1
    assert run.tracks.frames.tolist() == [0, 1, 2, 3, 4]
    assert run.tracks.record.complete is False
    assert next(run, None) is None
    dropped, unused = tracker(), tracker()
    next(vtlab.stream(VIDEO, BOX, dropped))
    vtlab.stream(VIDEO, BOX, unused).close()
    assert (dropped.closed, unused.closed) == (1, 1)


def test_everything_is_checked_before_the_first_step():
    with pytest.raises(InputError, match="direction must be"):
        vtlab.stream(VIDEO, BOX, Online, direction="up")
    with pytest.raises(PromptError, match="needs at least one prompt"):
        vtlab.stream(VIDEO, None, Online)
    with pytest.raises(InputError, match=r"start=5, stop=99 is no range of frames"):
        vtlab.stream(VIDEO, BOX, Online, start=5, stop=99)
    two = [BoxPrompt((1, 1, 9, 9), frame=3), BoxPrompt((1, 1, 9, 9), frame=7)]
    with pytest.raises(PromptError, match=r"remove=\{1: 5\}: object 1 is prompted on frames \[3, 7\]"):
        vtlab.stream(VIDEO, two, Online, remove={1: 5})
    with pytest.raises(InputError, match=r"remove=\{1: 40\}: the tracked frames are 0 to 11"):
        vtlab.stream(VIDEO, BOX, Online, remove={1: 40})


@pytest.mark.parametrize("tracker", [Online, Offline])
def test_cancelling_ends_it_within_one_window(tracker):
    stop, made = threading.Event(), tracker()
    run = vtlab.stream(VIDEO, BOX, made, cancel=stop)
    for frame, _ in run:
        if frame == 4:
            stop.set()
    assert run.tracks.frames.tolist() in ([*range(5)], [*range(6)])
    assert run.tracks.record.complete is False
    assert made.closed == 1


def test_an_interruption_carries_the_tracks():
    def press(answer):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="in the error's .tracks") as caught:
        list(vtlab.stream(VIDEO, BOX, Online(answer=press, at=6)))
    assert caught.value.tracks.frames.tolist() == list(range(6))

    def told(done, total):
        if done == 3:
            raise RuntimeError("no more paper")

    with pytest.raises(
        TrackingError, match="The progress function failed .*RuntimeError: no more paper"
    ) as failed:
        vtlab.track(VIDEO, BOX, Online, progress=told)
    assert failed.value.tracks.frames.tolist() == [0, 1, 2]


WRONG = {
    "list": (lambda a: [1, 2, 3, 4], "must answer with FrameTracks on each frame, got list"),
    "shape": (lambda a: replace(a, boxes=np.zeros((1, 5))), r"boxes float64 array of shape \(1, 5\)"),
    "infinite": (
        lambda a: replace(a, boxes=np.array([[0, 0, np.inf, 1.0]])),
        r"the box \[0.0, 0.0, inf, 1.0\]",
    ),
    "part NaN": (
        lambda a: replace(a, boxes=np.array([[0, np.nan, 2, 1.0]])),
        r"the box \[0.0, nan, 2.0, 1.0\]",
    ),
    "inverted": (
        lambda a: replace(a, boxes=np.array([[5.0, 0, 2, 1]])),
        r"the box \[5.0, 0.0, 2.0, 1.0\] of object 1",
    ),
    "twice": (lambda a: FrameTracks.concat([a, a]), "object 1 twice"),
    "huge id": (lambda a: replace(a, object_ids=np.array([2**64 - 1], np.uint64)), "object_ids uint64 array"),
    "negative id": (lambda a: replace(a, object_ids=np.array([-7])), "the object id -7"),
    "mask": (lambda a: replace(a, masks=np.ones((1, 9, 9), bool)), r"masks bool array of shape \(1, 9, 9\)"),
    "score": (lambda a: replace(a, scores=np.array([np.nan])), r"the score nan of object"),
    "source": (lambda a: replace(a, source="guessed"), "the source 'guessed'"),
    "points": (
        lambda a: replace(
            FrameTracks.of_points([1, 2], [0, 0], [[1, 2], [3, 4]]),
            object_ids=a.object_ids,
            boxes=a.boxes,
            scores=a.scores,
            visible=a.visible,
        ),
        "points of object 2, which has no row",
    ),
}


@pytest.mark.parametrize("tracker", [Online, Offline])
@pytest.mark.parametrize("kind", WRONG)
def test_a_malformed_answer_is_named_and_what_came_before_is_kept(tracker, kind):
    answer, message = WRONG[kind]
    made = tracker(answer=answer)
    with pytest.raises(TrackingError, match=message) as caught:
        vtlab.track(np.zeros((N, 32, 32, 3), np.uint8), BOX, made, progress=False)
    assert f"frame {BAD}" in str(caught.value)
    assert "'made-up'" in str(caught.value)
    assert isinstance(caught.value.__cause__, AnswerError)
    assert caught.value.frame == BAD
    assert caught.value.tracks.frames.tolist() == list(range(BAD))
    assert made.closed == 1


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ((1, 2, 3, 4), "must answer with an Observation, got tuple"),
        (None, "must answer with an Observation, got NoneType"),
        (Observation((1, 2, 3, 4, 5)), r"needs a box \(x1, y1, x2, y2\), got tuple \(1, 2, 3, 4, 5\)"),
        (Observation(7.0), r"needs a box \(x1, y1, x2, y2\), got float 7.0"),
        (Observation((5, 0, 2, 1)), r"the box \[5.0, 0.0, 2.0, 1.0\] of object 1"),
        (Observation((0, 0, np.inf, 1)), r"the box \[0.0, 0.0, inf, 1.0\] of object 1"),
        (Observation((0, 0, 1, 1), "sure"), r"needs a score in \[0, 1\], got str 'sure'"),
        (Observation(mask=np.ones((9, 9), bool)), r"needs a bool mask of the frame's size \(32, 32\)"),
        (Observation(mask=np.full((32, 32), 0.2)), r"needs a bool mask .* got float64 array"),
    ],
)
def test_a_malformed_observation_is_named(seen, message):
    class Wrong(One):
        def step(self, frame):
            return seen if frame.index == BAD else super().step(frame)

    with pytest.raises(TrackingError, match=message) as caught:
        vtlab.track(np.zeros((N, 32, 32, 3), np.uint8), BOX, Wrong, progress=False)
    assert f"frame {BAD}" in str(caught.value)
    assert caught.value.tracks.frames.tolist() == list(range(BAD))


def test_an_offline_tracker_answers_for_each_frame_in_order():
    class Skips(Offline):
        def run(self, frames, prompts, n_frames):
            yield from (pair for pair in super().run(frames, prompts, n_frames) if pair[0] != 7)

    class Stops(Offline):
        def run(self, frames, prompts, n_frames):
            yield from (pair for pair in super().run(frames, prompts, n_frames) if pair[0] < 7)

    with pytest.raises(TrackingError, match="answered for frame 8 where 7 comes next"):
        vtlab.track(VIDEO, BOX, Skips, progress=False)
    with pytest.raises(TrackingError, match="answered only 7 of 12 frames") as caught:
        vtlab.track(VIDEO, BOX, Stops, progress=False)
    assert caught.value.tracks.frames.tolist() == list(range(7))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path):
    write_video(tmp_path / "clip.mp4", iter(moving_square(12)), 25)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/clip.mp4"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("tracker", SHAPES)
def test_a_live_stream_is_tracked_over_a_range(address, tracker):
    box = BoxPrompt((1, 1, 9, 9), frame=3)
    run = vtlab.stream(address, box, tracker, start=2, stop=6)
    assert [frame for frame, _ in run] == [3, 4, 5]
    assert run.tracks.record.complete
    assert vtlab.track(address, box, tracker, start=2, progress=False).frames.tolist() == list(range(3, 12))
    with pytest.raises(InputError, match="a stream has frames from 0 on"):
        vtlab.stream(address, box, tracker, start=6, stop=6)
    with pytest.raises(InputError, match="can only be tracked forward"):
        vtlab.stream(address, box, tracker, stop=6, direction="backward")
    late = [box, BoxPrompt((1, 1, 9, 9), object_id=2, frame=40)]
    with pytest.raises(TrackingError, match="was never reached: the stream ended before it") as caught:
        vtlab.track(address, late, tracker, progress=False)
    assert caught.value.tracks.frames.tolist() == list(range(3, 12))


def test_a_cut_video_is_recorded_as_such():
    tracks = vtlab.track(open_video(VIDEO)[2:10:2], BOX, Online, progress=False)
    assert tracks.record.source.span == (2, 2)
    assert tracks.frames.tolist() == [0, 1, 2, 3]
