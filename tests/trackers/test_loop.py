"""The loop: late starts, corrections, removal, directions, cancelling, failures, provenance, streams."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Card, Observation, OfflineTracker, OnlineTracker, SingleObjectTracker
from vtlab.errors import InputError, PromptError, TrackingError, VideoError, WeightsError
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompts
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers.compose.per_object import PerObject
from vtlab.tracks import FrameTracks
from vtlab.video import open_video

BOX = BoxPrompt(square_box(0))


class Counter(OnlineTracker):
    """Answers with the number of frames since init and records what it is asked."""

    card = Card("counter", "sot", accepts=frozenset({BoxPrompt}))

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None):
        self.calls: list[tuple[str, int, int]] = []
        self.ids: set[int] = set()
        self.fail_at, self.error, self.closed = fail_at, error, False

    def init(self, frame, prompts):
        self.ids = set()
        return self._answer("init", frame, prompts)

    def step(self, frame, prompts=Prompts()):
        return self._answer("step", frame, prompts)

    def remove(self, object_ids):
        self.ids -= set(object_ids)

    def close(self):
        self.closed = True

    def _answer(self, what, frame, prompts):
        if frame.index == self.fail_at:
            raise self.error
        self.calls.append((what, frame.index, len(prompts)))
        self.ids |= set(prompts.object_ids)
        ids = sorted(self.ids)
        return FrameTracks.of(ids, [[frame.index, 0, frame.index + 1, 1]] * len(ids))


class Windows(OfflineTracker):
    """Sees two frames at a time."""

    card = Card("windows", "sot", accepts=frozenset({BoxPrompt}))

    def run(self, frames, prompts, n_frames):
        self.n_frames = n_frames
        window = []
        for frame in frames:
            window.append(frame)
            if len(window) == 2:
                yield from ((f.index, FrameTracks.of([1], [[f.index, 0, f.index + 1, 1]])) for f in window)
                window = []
        yield from ((f.index, FrameTracks.of([1], [[f.index, 0, f.index + 1, 1]])) for f in window)


def track(prompts=BOX, tracker=None, video=None, **kwargs):
    tracker = tracker or Counter()
    video = moving_square() if video is None else video
    return vtlab.track(video, prompts, tracker, progress=False, **kwargs), tracker


def test_starts_at_the_first_prompt_and_hands_over_later_ones():
    prompts = [BoxPrompt((1, 1, 9, 9), object_id=1, frame=3), BoxPrompt((1, 1, 9, 9), object_id=2, frame=5)]
    tracks, tracker = track(prompts)
    assert tracker.calls[:3] == [("init", 3, 1), ("step", 4, 0), ("step", 5, 1)]
    assert tracks.frames.tolist() == list(range(3, 12))
    assert tracks.of_object(2).frames[0] == 5
    assert tracker.closed


def test_backward_begins_at_the_last_prompt():
    prompts = [BoxPrompt((1, 1, 9, 9), object_id=1, frame=3), BoxPrompt((1, 1, 9, 9), object_id=2, frame=8)]
    tracks, tracker = track(prompts, direction="backward")
    assert [c[1] for c in tracker.calls] == list(range(8, -1, -1))
    assert tracks.of_object(1).frames.tolist() == [0, 1, 2, 3]
    assert tracks.of_object(2).frames.tolist() == list(range(9))


def test_both_directions_meet_at_each_objects_first_prompt():
    prompts = [
        BoxPrompt((1, 1, 9, 9), object_id=1, frame=2),
        BoxPrompt((1, 1, 9, 9), object_id=1, frame=6),
        BoxPrompt((1, 1, 9, 9), object_id=2, frame=7),
    ]
    tracks, tracker = track(prompts, direction="both")
    assert tracks.of_object(1).frames.tolist() == tracks.of_object(2).frames.tolist() == list(range(12))
    backward = tracker.calls[next(i for i, c in enumerate(tracker.calls) if c[0] == "init" and i) :]
    assert backward[0] == ("init", 7, 1)
    assert ("step", 6, 0) in backward  # the correction on frame 6 belongs to the forward pass
    assert ("step", 2, 1) in backward


def test_range_of_frames():
    tracks, _ = track(BoxPrompt((1, 1, 9, 9), frame=4), start=2, stop=9)
    assert tracks.frames.tolist() == list(range(4, 9))
    with pytest.raises(PromptError, match="outside the tracked range of frames 5 to 8"):
        track(BoxPrompt((1, 1, 9, 9), frame=4), start=5, stop=9)
    with pytest.raises(InputError, match="start=5, stop=99 is no range of frames: the video has 12"):
        track(BoxPrompt((1, 1, 9, 9), frame=6), start=5, stop=99)


def test_removal_online_and_offline():
    prompts = [BoxPrompt((1, 1, 9, 9), object_id=1), BoxPrompt((1, 1, 9, 9), object_id=2)]
    tracks, _ = track(prompts, remove={2: 4})
    assert tracks.of_object(2).frames.tolist() == [0, 1, 2, 3]
    tracks, _ = track(BOX, Windows(), remove={1: 4})
    assert tracks.frames.tolist() == [0, 1, 2, 3]


def test_offline_tracker_knows_how_many_frames_come():
    tracks, tracker = track(BOX, Windows(), video=moving_square(5))
    assert tracker.n_frames == 5
    assert tracks.frames.tolist() == list(range(5))
    tracks, tracker = track(BoxPrompt((1, 1, 9, 9), frame=3), Windows(), direction="backward")
    assert tracker.n_frames == 4
    assert tracks.frames.tolist() == list(range(4))


def test_a_failure_keeps_what_is_done():
    tracker = Counter(fail_at=7, error=RuntimeError("out of cheese"))
    with pytest.raises(
        TrackingError, match=r"'counter' failed on frame 7 of 'array': RuntimeError: out of cheese"
    ) as caught:
        track(tracker=tracker)
    assert caught.value.frame == 7
    assert caught.value.tracks.frames.tolist() == list(range(7))
    assert caught.value.tracks.meta["complete"] is False
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert tracker.closed


def test_an_own_error_on_the_first_frame_stays_itself():
    with pytest.raises(WeightsError, match="^no weights$"):
        track(tracker=Counter(fail_at=0, error=WeightsError("no weights")))


def test_ctrl_c_keeps_what_is_done():
    with pytest.raises(KeyboardInterrupt) as caught:
        track(tracker=Counter(fail_at=5, error=KeyboardInterrupt()))
    assert caught.value.tracks.frames.tolist() == list(range(5))


def test_cancel_stops_within_one_frame():
    stop = threading.Event()
    tracker = Counter()
    tracks = vtlab.track(
        moving_square(),
        BOX,
        tracker,
        cancel=stop,
        progress=lambda done, total: stop.set() if done == 4 else None,
    )
    assert tracks.frames.tolist() == [0, 1, 2, 3]
    assert tracks.meta["complete"] is False


def test_progress_is_reported():
    seen = []
    vtlab.track(
        moving_square(), BOX, Counter(), direction="forward", progress=lambda d, t: seen.append((d, t))
    )
    assert seen == [(i, 12) for i in range(1, 13)]


def test_provenance():
    tracks = vtlab.track(moving_square(), BOX, "ncc", progress=False, search=2.0)
    meta = tracks.meta
    assert meta["tracker"] == {
        "name": "ncc",
        "family": "sot",
        "params": {"search": 2.0, "visible_above": 0.4},
        "weights": {},
    }
    assert meta["video"]["digest"].startswith("sha256:")
    assert {"vtlab", "python", "numpy"} <= set(meta["versions"])
    assert meta["hardware"]["cores"]
    assert meta["memory"]["rss_peak_bytes"] >= meta["memory"]["rss_before_bytes"] > 0
    assert len(tracks.step_seconds) == 12


def test_weights_of_ones_own_are_recorded(tmp_path):
    class Own(Counter):
        def __init__(self, *, weights: str = ""):
            super().__init__()

    file = tmp_path / "mine.pth"
    file.write_bytes(b"tensors")
    tracks = vtlab.track(moving_square(2), BOX, Own, progress=False, weights=str(file))
    digest = hashlib.sha256(b"tensors").hexdigest()
    assert tracks.meta["tracker"]["weights"] == {"mine.pth": digest}


def test_prompts_of_a_wrong_kind_fail_before_anything_loads():
    class Loads(Counter):
        def __init__(self):
            raise AssertionError("was made")

    with pytest.raises(PromptError, match="'counter' can't take MaskPrompt: it takes BoxPrompt"):
        vtlab.track(moving_square(), MaskPrompt.of(np.ones((96, 128))), Loads, progress=False)
    with pytest.raises(PromptError, match="needs at least one prompt"):
        vtlab.track(moving_square(), None, Loads, progress=False)


@pytest.mark.parametrize(
    ("video", "prompts", "error", "message"),
    [
        ("missing.mp4", BOX, VideoError, "missing.mp4"),
        (moving_square(), BoxPrompt((500, 1, 600, 9)), PromptError, "outside the frame of 128 x 96"),
        (moving_square(), BoxPrompt((1, 1, 9, 9), frame=12), PromptError, "its last frame is 11"),
        (moving_square(), "none.json", vtlab.VtlabError, "no such prompt file"),
        (moving_square(), 7, PromptError, "Expected prompts"),
    ],
)
def test_bad_input(video, prompts, error, message):
    with pytest.raises(error, match=message):
        vtlab.track(video, prompts, "identity", progress=False)


def test_direction_must_be_known():
    with pytest.raises(InputError, match="direction must be"):
        track(direction="sideways")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"stop": "9"}, r"stop='9': .*whole number"),
        ({"start": 3.0}, r"start=3\.0: .*whole number"),
        ({"start": True}, r"start=True: .*whole number"),
        ({"stop": np.True_}, r"stop=.*True.*: .*whole number"),
        ({"remove": [1]}, r"remove=\[1\] must be a mapping"),
        ({"remove": []}, r"remove=\[\] must be a mapping"),
        ({"remove": {1: "5"}}, r"remove=\{1: '5'\}: .*whole number"),
        ({"remove": {"1": 5}}, r"remove=\{'1': 5\}: .*whole number"),
        ({"cancel": 5}, r"cancel=5 has no `is_set\(\)`"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(given, told):
    for run in (vtlab.stream, vtlab.track):
        tracker = Counter()
        with pytest.raises(InputError, match=told):
            run(moving_square(), BOX, tracker, **given)
        assert not tracker.calls


def test_whole_numbers_of_numpy_are_taken():
    tracks, _ = track(start=np.int64(0), stop=np.int32(4), remove={np.int64(1): np.int64(3)})
    assert tracks.frames.tolist() == [0, 1, 2]


def test_a_wrong_answer_is_named():
    class Wrong(Counter):
        def step(self, frame, prompts=Prompts()):
            return [1, 2, 3, 4]

    with pytest.raises(TrackingError, match="must answer with FrameTracks on each frame, got list"):
        track(tracker=Wrong())


def test_single_object_trackers_serve_many_objects_and_report_failures():
    class Drifts(SingleObjectTracker):
        card = Card("drifts", "sot", accepts=frozenset({BoxPrompt}))

        def init(self, frame, prompt):
            self.box = prompt.box(*frame.image.shape[:2])

        def step(self, frame):
            self.box = self.box + 1
            return Observation(self.box, 0.5)

    prompts = [
        BoxPrompt((0, 0, 4, 4), object_id=1, label="a"),
        BoxPrompt((9, 9, 12, 12), object_id=2, frame=2),
    ]
    tracks = vtlab.track(moving_square(4), prompts, Drifts, progress=False)
    np.testing.assert_array_equal(tracks.of_object(1).boxes[:, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(tracks.of_object(2).boxes[:, 0], [9, 10])
    assert tracks.labels == {1: "a"}
    assert tracks.source.tolist() == ["manual", "tracked", "tracked", "manual", "tracked", "tracked"]


def test_a_video_that_is_given_stays_open():
    video = open_video(moving_square())
    vtlab.track(video, BOX, "identity", progress=False)
    assert video[0].shape == (96, 128, 3)


@pytest.mark.parametrize("given", ["plain boxes", "a mask among them", "no box at all"])
def test_independent_trackers_answer_as_one(given):
    """However they say their boxes and scores, the types, order and sources are those of `FrameTracks.of`."""
    mask = np.zeros((96, 128), bool)
    mask[10:20, 30:60] = True
    seen = {
        7: Observation((1, 2, 3, 4), np.float32(0.5), np.True_),
        2: Observation(np.arange(4, dtype=np.int32), 1, False),
        5: Observation([9.0, 8.0, 11.5, 12.0]),
    }
    if given != "plain boxes":
        seen[5] = Observation(None, 1.0, True, mask if given == "a mask among them" else None)

    class Says(SingleObjectTracker):
        def init(self, frame, prompt):
            self._seen = seen[prompt.object_id]

        def step(self, frame):
            return self._seen

    tracker = PerObject(Says, Card("says", "sot", accepts=frozenset({BoxPrompt})))
    video = open_video(moving_square(3))
    prompts = [BoxPrompt((1, 1, 9, 9), object_id=i, label="dog" if i == 2 else None) for i in (7, 2, 5)]
    first = tracker.init(video.frame(0), Prompts(prompts))
    assert (first.object_ids.tolist(), first.source) == ([2, 5, 7], ("manual",) * 3)
    answer = tracker.step(video.frame(1))
    nowhere, order = np.full(4, np.nan), [seen[i] for i in (2, 5, 7)]
    expected = FrameTracks.of(
        [2, 5, 7],
        [nowhere if o.box is None else o.box for o in order],
        [o.score for o in order],
        [o.visible for o in order],
        masks=np.stack([np.zeros_like(mask), mask, np.zeros_like(mask)]) if "mask" in given else None,
        labels=("dog", None, None),
    )
    for name in FrameTracks.__dataclass_fields__:
        found, wanted = getattr(answer, name), getattr(expected, name)
        if isinstance(wanted, np.ndarray):
            assert found.dtype == wanted.dtype, name
            np.testing.assert_array_equal(found, wanted, err_msg=name)
        else:
            assert found == wanted, name
    again = tracker.step(video.frame(2), Prompts(BoxPrompt((1, 1, 9, 9), object_id=2)))
    assert again.source == ("manual", "tracked", "tracked")
    tracker.remove([2, 5, 7])
    assert not len(tracker.step(video.frame(2)))
