"""ByDetection: any detector with any associator; labels, sources, removal, first frames, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

from vtlab.association.bytetrack import ByteTrack
from vtlab.detectors.base import select
from vtlab.detectors.callable import CallableDetector
from vtlab.errors import InputError, PromptError, RegistryError, TrackingError, VtlabWarning, WeightsError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.registry import ASSOCIATORS, TRACKERS
from vtlab.trackers.compose.by_detection import ByDetection
from vtlab.trackers.loop import track
from vtlab.video import StreamVideo, open_video
from vtlab.weights import locate


def bright(image: np.ndarray) -> np.ndarray:
    """Boxes of the two bright squares, found by colour: (N, 6)."""
    rows = []
    for number, channel in enumerate((0, 2)):
        ys, xs = np.nonzero(image[..., channel] == 255)
        if len(xs):
            rows.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9, number])
    return np.array(rows).reshape(-1, 6)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """A red square that goes right over 20 frames, a blue one that goes left from frame 6 on."""
    video = np.full((20, 60, 120, 3), 60, np.uint8)
    for i in range(20):
        video[i, 5:20, 3 * i : 3 * i + 15, 0] = 255
        if i >= 6:
            video[i, 35:50, 100 - 3 * i : 115 - 3 * i, 2] = 255
    return video


def squares() -> CallableDetector:
    return CallableDetector(function=bright, names=("red", "blue"))


def associators():
    """Every associator; those whose weights are not on this machine are skipped."""
    for card in ASSOCIATORS.cards():
        lacking = [w.name for w in card.weights if locate(w) is None]
        reason = f"no weights {lacking[0]}: vtlab weights fetch {card.name}" if lacking else ""
        yield pytest.param(card.name, marks=[pytest.mark.skip(reason=reason)] if lacking else [])


@pytest.mark.parametrize("name", list(associators()))
def test_every_associator_follows_both_squares(clip, name):
    tracks = track(clip, None, name, detector=squares(), progress=False)
    assert tracks.labels == {1: "red", 2: "blue"}
    assert set(tracks.source) == {"detected"}
    last = tracks.at(19)
    np.testing.assert_allclose(last.boxes, [[57, 5, 72, 20], [43, 35, 58, 50]])
    np.testing.assert_allclose(last.score, 0.9)


@pytest.mark.parametrize("name", list(associators()))
def test_backfilled_objects_have_their_first_frames_too(clip, name):
    tracks = track(clip, None, name, detector=squares(), backfill=True, progress=False)
    assert tracks.of_object(1).frame.tolist() == list(range(20))
    assert tracks.of_object(2).frame.tolist() == list(range(6, 20))
    assert set(tracks.label) == {"red", "blue"}
    assert len(tracks.step_seconds) == 20


def blinking(image: np.ndarray) -> np.ndarray:
    """As `bright`, but the red square is not found on frames 8 to 13, the blue one only on frames 6 to 9."""
    rows = bright(image)
    frame = (int(rows[0, 0])) // 3
    red = rows[:1] if not 8 <= frame < 14 else rows[:0]
    return np.concatenate([red, rows[1:] if frame < 10 else rows[:0]])


def test_tracks_are_mended_when_the_video_is_over(clip):
    def run(**params):
        detector = CallableDetector(function=blinking, names=("red", "blue"))
        return track(clip, None, "sort", detector=detector, min_hits=1, progress=False, **params)

    plain = run()
    assert set(plain.of_object(1).frame) == set(range(20)) - set(range(8, 14))
    filled = run(post="interpolate_gaps")
    assert filled.of_object(1).frame.tolist() == list(range(20))
    np.testing.assert_allclose(filled.at(10).boxes[0], [30, 5, 45, 20])
    assert filled.meta["tracker"]["params"]["post"] == "interpolate_gaps"
    assert run(post={"drop_short": {"shortest": 0.3}}).object_ids.tolist() == [1]
    broken = run(lost_seconds=0.05)
    assert len(broken.object_ids) == 3
    joined = run(
        lost_seconds=0.05, post={"relink": {"speed": 10}, "interpolate_gaps": None, "drop_short": {}}
    )
    assert joined.object_ids.tolist() == [1]
    assert joined.of_object(1).frame.tolist() == list(range(20))


def test_steps_of_mending_are_checked_before_anything_runs():
    with pytest.raises(InputError, match=r"no step 'interpolate'.*'interpolate_gaps'"):
        ByDetection(squares(), post="interpolate")
    with pytest.raises(InputError, match=r"'drop_short' has no parameter 'shorter'.*'shortest'"):
        ByDetection(squares(), post={"drop_short": {"shorter": 1}})


def test_a_live_stream_cant_be_mended_and_that_is_said_at_once():
    class Live(StreamVideo):
        name, width, height = "street", 160, 120

        def __init__(self):
            pass

    with pytest.raises(InputError, match=r"'street' is a stream, and 'sort' mends.*Remedy: leave out"):
        track(Live(), None, "sort", detector=squares(), post="interpolate_gaps", progress=False)


def test_parameters_reach_both_parts(clip):
    tracks = track(clip, None, "bytetrack", detector=squares(), min_hits=5, velocities=True, progress=False)
    assert tracks.frame.min() == 4
    np.testing.assert_allclose(tracks.at(19).velocity[0], [90, 0], rtol=0.1, atol=1)  # 3 px a frame at 30 fps
    with pytest.raises(RegistryError, match="min_hist"):
        track(clip, None, "bytetrack", detector=squares(), min_hist=5, progress=False)
    with pytest.raises(RegistryError, match="confidnce"):
        track(clip, None, "sort", detector="motion", detector_params={"confidnce": 1}, progress=False)


def test_instances_can_be_given(clip):
    tracker = ByDetection(squares(), ByteTrack(min_hits=1))
    tracks = track(clip, None, tracker, progress=False)
    assert tracks.name == "bytetrack"
    assert tracks.frame.min() == 0
    again = track(clip, None, tracker, progress=False)
    np.testing.assert_array_equal(again.object_id, tracks.object_id)


def test_removed_objects_are_not_answered(clip):
    tracks = track(clip, None, "bytetrack", detector=squares(), remove={1: 10}, progress=False)
    assert tracks.of_object(1).frame.max() == 9
    assert tracks.of_object(2).frame.max() == 19


def test_backward(clip):
    tracks = track(clip, None, "bytetrack", detector=squares(), direction="backward", progress=False)
    assert tracks.labels == {1: "red", 2: "blue"}
    assert tracks.of_object(2).frame.min() == 6


def test_masks_of_the_detector_are_kept(clip):
    def with_masks(image):
        rows = bright(image)
        masks = np.zeros((len(rows), *image.shape[:2]), bool)
        for mask, (x1, y1, x2, y2) in zip(masks, rows[:, :4].astype(int), strict=True):
            mask[y1:y2, x1:x2] = True
        return sv.Detections(xyxy=rows[:, :4], mask=masks, class_id=rows[:, 5].astype(int))

    tracks = track(clip, None, "sort", detector=CallableDetector(function=with_masks), progress=False)
    assert tracks.mask(len(tracks) - 1).sum() == 15 * 15


def test_labels_are_the_majority(clip):
    def flicker(image):
        rows = bright(image)[:1]
        rows[:, 5] = image[0, 0, 0] == 61
        return rows

    odd = clip.copy()
    odd[8, 0, 0] = 61
    tracks = track(
        odd, None, "bytetrack", detector=CallableDetector(function=flicker, names=("a", "b")), progress=False
    )
    assert set(tracks.label) == {"a"}


def test_prompts_are_refused_before_anything_runs(clip):
    prompts = Prompts([BoxPrompt(xyxy=(1, 1, 10, 10))])
    with pytest.raises(PromptError, match="bytetrack"):
        track(clip, prompts, "bytetrack", progress=False)
    with pytest.raises(PromptError, match="no prompts"):
        ByDetection(squares()).init(open_video(clip).frame(0), prompts)


@pytest.mark.parametrize(
    "params", [{"tracker": "bytetrack"}, {"tracker": "assistant", "follower": "ncc", "every": 0}]
)
def test_a_detector_that_fails_on_frame_500_leaves_what_was_tracked(params):
    calls = iter(range(1000))

    def fails(image):
        if next(calls) == 500:
            raise MemoryError("out of it")
        return [[4, 4, 20, 28, 0.9]]

    video = np.random.default_rng(0).integers(0, 255, (1, 32, 40, 3), np.uint8).repeat(510, axis=0)
    with pytest.raises(TrackingError, match="failed on frame 500 .*out of it") as caught:
        track(video, None, detector=CallableDetector(function=fails), progress=False, **params)
    assert caught.value.tracks.object_ids.tolist() == [1]
    assert caught.value.tracks.frame.max() == 499


def test_a_video_in_which_nothing_is_found(clip):
    nothing = CallableDetector(function=lambda image: [])
    with pytest.warns(VtlabWarning, match="no detections in 20 frames by 'callable', which saw nothing"):
        tracks = track(
            clip, None, "bytetrack", detector=nothing, backfill=True, post="relink", progress=False
        )
    assert len(tracks) == 0


def test_cards_come_from_the_associators():
    card = TRACKERS.card("bytetrack")
    assert card.family == "mot"
    assert not card.accepts
    assert "ECCV 2022" in card.paper
    assert {n for n in TRACKERS.names("mot") if TRACKERS.find(n) is ByDetection} == set(ASSOCIATORS.names())
    assert ByDetection(squares(), "sort").card.name == "sort"


@pytest.mark.shared
def test_people_of_a_street(shared, shared_weights, monkeypatch):
    monkeypatch.setenv("VTLAB_WEIGHTS", str(shared_weights))
    tracks = track(
        shared / "data/videos/vtest.mp4", None, "bytetrack", detector="fastestdet", stop=20, high=0.4, new=0.5,
        detector_params={"confidence": 0.3, "classes": "person"}, progress=False,
    )  # fmt: skip
    assert len(tracks.object_ids) >= 4
    assert set(tracks.label) == {"person"}


def test_without_weights_the_default_detector_says_what_it_uses_instead(clip, monkeypatch):
    def unreachable(file, **kwargs):
        raise WeightsError(f"{file.name} can't be fetched")

    monkeypatch.setattr("vtlab.weights.fetch", unreachable)
    with pytest.warns(VtlabWarning, match=r"'hog-people' is used.*FastestDet\.onnx can't be fetched"):
        tracker = ByDetection(associator="sort")
    assert tracker._detector.card.name == "hog-people"
    with pytest.raises(WeightsError):
        ByDetection("fastestdet", "sort")


@pytest.mark.parametrize(
    ("detector", "associator", "told"),
    [
        (
            {"confidence": 0.95},
            {},
            r"no detections in 20 frames by 'callable'; .* is 0\.9, below confidence=0\.95",
        ),
        (
            {},
            {"new": 0.97, "high": 0.5},
            r"detections in 20 frames .* is 0\.9, below new=0\.97 of 'bytetrack'",
        ),
        ({}, {"min_hits": 50}, r"0\.9, which no threshold of 'bytetrack' misses.*min_hits=50"),
    ],
)
def test_nothing_tracked_says_why(clip, detector, associator, told):
    made = CallableDetector(function=bright, names=("red", "blue"), **detector)
    with pytest.warns(VtlabWarning, match=f"'bytetrack' tracked nothing on .*{told}"):
        tracks = track(clip, tracker="bytetrack", detector=made, progress=False, **associator)
    assert len(tracks) == 0


def test_detectors_tell_the_largest_score_that_they_dropped():
    boxes, wanted = [[0, 0, 9, 9], [0, 0, 8, 8]], np.array([0])
    found = select(boxes, [0.2, 0.3], [0, 1], ("a", "b"), size=(20, 20), threshold=0.5, nms=1, wanted=wanted)
    assert (len(found), found.metadata) == (0, {"largest_score": 0.2, "confidence": 0.5})
