"""Breaking points: what a ladder does to a clip is exact, and where a tracker breaks follows from the intervals by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vtlab.datasets.synthetic import synthetic
from vtlab.decision.conditions import BreakingPoint, board, wording
from vtlab.errors import ExperimentError
from vtlab.experiments.axes import Method
from vtlab.experiments.breaking import breaking_point, point_of
from vtlab.experiments.footage import carried
from vtlab.experiments.ladders import LADDERS, Scene, untouched
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

N = 24
NCC = Method("ncc", {}, "ncc")


@pytest.fixture(scope="module")
def clip():
    return synthetic(seconds=2, objects=1, size=(160, 120), difficulty="easy")


@pytest.fixture
def scene():
    """A white square of 20 pixels on black, 12 frames a second, prompted on frames 0 and 12."""
    images = np.zeros((N, 60, 80, 3), np.uint8)
    boxes = np.array([[10 + t, 20, 30 + t, 40] for t in range(N)], np.float64)
    for image, (x1, y1, x2, y2) in zip(images, boxes.astype(int), strict=True):
        image[y1:y2, x1:x2] = 255
    where = Tracks.of(np.arange(N), 1, boxes, size=(60, 80))
    return Scene(open_video(images, fps=12), where, np.array([0, 12]))


def shown(scene, name, level):
    worse = LADDERS[name].make(scene, level)
    return worse, np.stack([f.image for f in worse.video.frames()])


def test_a_frame_rate_shows_every_so_manieth_frame(scene):
    worse = LADDERS["frame_rate"].make(scene, 3)
    assert worse.shown.tolist() == list(range(0, N, 4))
    assert worse.fps == 3
    assert LADDERS["frame_rate"].make(scene, 12) is None  # its own rate is no step
    assert 12 in LADDERS["frame_rate"].make(scene, 5).shown  # a frame with a prompt is always shown


def test_an_occluder_covers_its_share_for_half_of_each_second(scene):
    _, images = shown(scene, "occlusion", 0.25)
    grey = (images == 127).all(axis=3).sum(axis=(1, 2))
    assert set(grey.tolist()) == {0, 100}  # a quarter of 20 x 20
    assert np.flatnonzero(grey).tolist() == [*range(6, 12), *range(18, 24)]
    columns = [np.flatnonzero((images[t] == 127).all(axis=2).any(axis=0))[0] for t in (6, 18)]
    assert columns == [10 + 6 + 15, 10 + 18]  # from the right, then from the left


def test_lost_frames_are_dropped_or_frozen_and_are_the_same(scene):
    gone, frozen = (LADDERS[name].make(scene, 0.5) for name in ("dropped", "frozen"))
    assert gone.shown.tolist() == gone.judged.tolist() == frozen.judged.tolist()
    assert {0, 12} <= set(gone.shown.tolist())
    assert 4 < len(gone.shown) < N - 4
    assert frozen.shown.tolist() == list(range(N))
    images = np.stack([f.image for f in frozen.video.frames()])
    lost = np.setdiff1d(np.arange(1, N), gone.shown)
    assert (images[lost] == images[lost - 1]).all()


@pytest.mark.parametrize(("name", "level"), [("size", 10), ("shake", 3)])
def test_answers_come_back_to_where_the_object_was(scene, name, level):
    """The square is found in what is shown by its colour, and carried back."""
    worse, images = shown(scene, name, level)
    found = [np.argwhere((image > 127).all(axis=2)) for image in images]
    boxes = [[*f.min(axis=0)[::-1], *(f.max(axis=0)[::-1] + 1)] for f in found]
    back = worse.back(Tracks.of(np.arange(N), 1, boxes, size=images.shape[1:3]), 0, N, scene.video)
    near = 1.01 if name == "size" else 1e-9  # half a small pixel is one of the clip
    assert np.abs(back.boxes - scene.where.boxes).max() <= near
    assert len({tuple(b) for b in boxes}) > 12  # it moved
    if name == "size":
        assert images.shape[1:3] == (30, 40)
        _, prompts = worse.part(0, 12, scene.where)
        assert prompts[0].xyxy == (5, 10, 15, 20)
    else:
        assert worse.shift[[0, 12]].tolist() == [[0, 0], [0, 0]]


def test_masks_and_points_are_carried_too():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 20:40] = True
    points = PointRows.of([0], [1], [0], [[30.0, 15.0]])
    tracks = Tracks.of([0], [1], masks=[mask], points=points, size=(40, 60))
    small = carried(tracks, np.array([7]), size=(20, 30), scale=(0.5, 0.5), shift=np.array([[2, -4]]))
    assert small.frame.tolist() == [7]
    assert small.boxes.tolist() == [[11, 3, 21, 8]]
    assert small.points.xy.tolist() == [[16, 5.5]]
    expected = np.zeros((20, 30), bool)
    expected[3:8, 11:21] = True
    assert np.array_equal(small.mask(0), expected)


def test_a_bit_rate_is_a_real_encode(clip):
    scene = Scene(clip.video, clip.truth, np.array([0]))
    fine, coarse = (shown(scene, "bitrate", kbits)[1].astype(float) for kbits in (2000, 20))
    real = np.stack([f.image for f in clip.video.frames()])
    assert fine.shape == real.shape
    assert np.abs(fine - real).mean() < 4 < np.abs(coarse - real).mean()
    again = shown(scene, "bitrate", 20)[1]
    assert np.array_equal(coarse, again)


@pytest.mark.parametrize("name", ["blur", "noise", "dark"])
def test_a_corruption_has_the_strength_that_is_asked(scene, name):
    mild, severe = LADDERS[name].levels[0], LADDERS[name].levels[-1]
    real = np.stack([f.image for f in scene.video.frames()]).astype(float)
    off = [np.abs(shown(scene, name, level)[1] - real).mean() for level in (mild, severe)]
    assert 0 < off[0] < off[1]


def test_each_piece_is_an_answer_of_its_own(clip):
    found = breaking_point(clip, NCC, ladder="frame_rate", levels=[15, 5], pieces=3)
    names = [row["sequence"] for row in found.metrics]
    assert names == [f"{clip.name} [{k}/3]" for k in (1, 2, 3)]
    for row in found.metrics:
        assert 0 < row["overlap at 5 fps"] <= row["overlap"] + 0.2
        assert row["no truth"] == 0
    starts = [
        int(t.frame[0]) for t in (found.tracks["ncc", clip.name].between(a, a + 20) for a in (0, 20, 40))
    ]
    assert starts == [0, 20, 40]
    again = breaking_point(clip, NCC, ladder="frame_rate", levels=[15, 5], pieces=3)
    assert again.metrics == found.metrics


def test_without_truth_a_tracker_is_held_against_itself(clip):
    found = breaking_point(replace(clip, truth=None), NCC, ladder="noise", levels=[8, 96], pieces=2)
    assert [row["overlap"] for row in found.metrics] == [1, 1]
    assert all(row["no truth"] == 1 for row in found.metrics)
    with pytest.raises(Exception, match="none were given"):
        breaking_point(replace(clip, truth=None, prompts=type(clip.prompts)()), NCC, ladder="noise")


def test_a_step_at_which_a_tracker_raises_counts_as_nothing(clip, tmp_path):
    file = tmp_path / "shy.py"
    file.write_text(
        "from vtlab.trackers.boxes.ncc import NCC\n\n\nclass Shy(NCC):\n    def init(self, frame, prompt):\n"
        "        if frame.image.shape[0] < 60:\n            raise ValueError('too small')\n"
        "        super().init(frame, prompt)\n"
    )
    found = breaking_point(clip, Method(f"{file}:Shy", {}, "shy"), ladder="size", levels=[20, 4], pieces=1)
    assert found.metrics[0]["overlap at 4 px"] == 0
    assert "counted as 0" in found.note
    assert "too small" in found.note


def test_what_is_no_ladder_is_said(clip):
    for wrong, word in (({"ladder": "fog"}, "no ladder 'fog'"), ({"ladder": "frame_rate", "levels": [0]}, "levels above 0"),
                        ({"ladder": "frame_rate", "pieces": 99}, "pieces of at least 2")):  # fmt: skip
        with pytest.raises(ExperimentError, match=word):
            breaking_point(clip, NCC, **wrong)


def rows(means, offsets, levels=(15, 10, 5), name="c", unit="fps"):
    return pd.DataFrame(
        {
            "tracker": "a",
            "ladder": "frame_rate",
            "sequence": f"{name} [{k + 1}/{len(offsets)}]",
            "overlap": means[0] + off,
        }
        | {f"overlap at {level} {unit}": m + off for level, m in zip(levels, means[1:], strict=True)}
        for k, off in enumerate(offsets)
    )


def test_the_point_is_where_the_mean_and_the_ends_of_its_interval_fall():
    """Means .9, .7, .55, .3 with ends about .09 to either side: .5 is kept for sure to 15 fps, by the mean to 10."""
    spread = (-0.1, -0.05, 0.0, 0.0, 0.05, 0.1)
    found = point_of("a", "frame_rate", rows((0.9, 0.7, 0.55, 0.3), spread), 0.5)
    assert (found.holds, found.low, found.high, found.fails) == (10, 15, 10, 5)
    assert found.text == "10 fps [15, 10]"
    assert "6 pieces of 1 clip, which say nothing of other clips" in found.ground
    wide = point_of("a", "frame_rate", rows((0.9, 0.7, 0.55, 0.45), spread), 0.5)
    assert (wide.holds, wide.high, wide.fails) == (10, 5, 5)
    good = point_of("a", "frame_rate", rows((0.9, 0.9, 0.9, 0.9), spread), 0.5)
    assert (good.holds, good.fails) == (5, None)
    assert good.text.startswith("5 fps (last step)")
    once = point_of("a", "frame_rate", rows((0.9, 0.3, 0.9, 0.9), spread), 0.5)
    assert once.holds is None  # a milder step fails, so no later one counts
    assert once.fails == 15
    poor = point_of("a", "frame_rate", rows((0.2, 0.2, 0.2, 0.2), spread), 0.5)
    assert math.isnan(poor.holds)
    few = point_of("a", "frame_rate", rows((0.9, 0.7, 0.55, 0.3), (0.0, 0.1)), 0.5)
    assert not few.interval
    assert few.text == "10 fps"


def test_five_clips_are_counted_by_clip():
    several = pd.concat([rows((0.9, 0.7, 0.55, 0.3), (-0.02, 0.02), name=f"c{i}") for i in range(5)])
    found = point_of("a", "frame_rate", several, 0.5)
    assert found.ground == "over 5 clips"
    assert found.interval


def test_a_card_says_it_in_a_sentence():
    def point(condition, holds, fails, **told):
        ladder = LADDERS[condition]
        return BreakingPoint(
            "csrt",
            condition,
            0.5,
            holds,
            holds,
            holds,
            fails,
            ladder.form,
            ladder.loses,
            "over 5 clips",
            **told,
        )

    points = [
        point("frame_rate", 8, 5),
        point("occlusion", 0.25, 0.4),
        point("size", 20, 16),
        point("noise", None, 8),
    ]
    assert wording(points) == (
        "csrt holds to 8 fps and 25% occlusion; loses objects below 20 px; breaks at noise of 8 grey levels "
        "(mean overlap of at least 0.5; over 5 clips)."
    )
    assert "as it is" in wording([point("frame_rate", math.nan, None)])
    table = board(points).frame
    assert table.loc["frame rate", "csrt"] == "8 fps [8, 8]"
    assert table.loc["occlusion", "csrt"] == "25% occlusion [25%, 25%]"
    assert wording([]) == ""


def test_untouched_is_the_clip(scene):
    worse = untouched(scene)
    video, prompts = worse.part(12, 24, scene.where)
    assert len(video) == 12
    assert [p.frame for p in prompts] == [0]
    assert prompts[0].xyxy == (22, 20, 42, 40)
