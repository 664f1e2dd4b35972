"""What callers give wrongly is told by vtlab's own errors, never by numpy's, pandas' or Python's."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import vtlab
from tests.comparison.boards import comparison
from vtlab import geometry, masks
from vtlab.errors import InputError, PromptError, TracksError, VtlabError, VtlabWarning
from vtlab.metrics import events
from vtlab.metrics.families import FAMILIES
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.tracks import PointRows, Record, Source, Tracks
from vtlab.tracks.columns import COLUMNS

N = 10
JUNK = [
    None,
    "x",
    [4],
    3.5,
    -1,
    10**30,
    np.zeros((2, 3)),
    [[1, 2], [3]],
    object(),
    {"a": 1},
    float("nan"),
    True,
    b"x",
]
JUNK += [["a", "b"], [None] * N, np.ones(N, complex)]


@pytest.fixture(scope="module")
def tracks():
    boxes = np.tile([1.0, 2, 20, 30], (N, 1))
    points = PointRows.of([0, 1], [1, 1], [0, 0], [[3, 4], [5, 6]])
    drawn = [np.ones((48, 64), bool)] * N
    return Tracks.of(np.repeat(np.arange(5), 2), [1, 2] * 5, boxes, size=(48, 64), masks=drawn, points=points)


def told(call) -> None:
    """A call works, or says why not by an error of vtlab's."""
    with contextlib.suppress(VtlabError):
        call()


@pytest.mark.parametrize("junk", JUNK, ids=lambda j: type(j).__name__ + str(j)[:8].strip())
def test_tables_take_columns_or_say_why_not(tracks, junk):
    for name in (*COLUMNS, "points", "size", "record", "meta", "step_seconds", "nonsense"):
        told(lambda name=name: tracks.replace(**{name: junk}).to_frame())
        given = {"frame": tracks.frame, "object_id": tracks.object_id, "boxes": tracks.boxes}
        told(lambda name=name, given=given: Tracks.of(**(given | ({} if name == "rle" else {name: junk}))))
    for name in (*PointRows.__slots__, "nonsense"):
        told(lambda name=name: tracks.points.replace(**{name: junk}))
        rows = {n: getattr(tracks.points, n) for n in PointRows.__slots__}
        told(
            lambda name=name, rows=rows: PointRows.of(**(rows | ({} if name == "nonsense" else {name: junk})))
        )
    for name in ("take", "at", "of_object", "renamed", "mask", "masks_at", "to_supervision", "join"):
        told(lambda name=name: getattr(tracks, name)(junk))
    told(lambda: tracks.between(junk, 3))
    told(lambda: tracks.points.take(junk))
    told(lambda: Tracks.concat(junk))
    told(lambda: Tracks.concat([tracks, junk]))
    told(lambda: Record.of(junk))


@pytest.mark.parametrize("junk", JUNK, ids=lambda j: type(j).__name__ + str(j)[:8].strip())
def test_prompts_videos_and_scores_too(tracks, junk):
    video = vtlab.open_video(np.zeros((5, 48, 64, 3), np.uint8))
    three = ((1, 1), (3, 3), (1, 3))
    for call in (
        lambda: BoxPrompt(junk),
        lambda: BoxPrompt((1, 2, 3, 4), angle=junk),
        lambda: MaskPrompt(junk),
        lambda: MaskPrompt(polygon=junk, size=(5, 5)),
        lambda: ClickPrompt(three, junk),
        lambda: PointPrompt(three, shape=junk),
        lambda: SkeletonPrompt(three, junk),
        lambda: SkeletonPrompt(three, ("a", "b", "c"), junk),
        lambda: Prompts(junk),
        lambda: Prompts([junk]),
        lambda: vtlab.Sequence("a", junk),
        lambda: vtlab.Sequence("a", video, junk),
        lambda: vtlab.Sequence("a", video, tracks, junk),
        lambda: vtlab.Sequence("a", video, tracks, ignore=junk),
        lambda: vtlab.open_video(junk),
        lambda: video[junk] if not isinstance(junk, np.ndarray) else None,
        lambda: vtlab.evaluate(junk, tracks),
        lambda: vtlab.evaluate(tracks, junk),
        lambda: vtlab.evaluate(tracks, tracks, junk) if not isinstance(junk, np.ndarray) else None,
        lambda: vtlab.evaluate(tracks, tracks, "sot", junk) if not isinstance(junk, np.ndarray) else None,
        lambda: vtlab.compare(video, junk, prompts=BoxPrompt((1, 2, 30, 40)), progress=False),
        lambda: vtlab.TrackPlayer(video, junk),
        lambda: geometry.box_iou(junk, junk),
        lambda: geometry.xywh_to_xyxy(junk),
        lambda: geometry.polygon_to_box(junk),
        lambda: masks.encode(junk),
        lambda: masks.from_box(junk, 5, 5),
        lambda: masks.from_polygon(junk, 5, 5),
    ):
        told(call)


def test_columns_are_named_with_what_they_should_be(tracks):
    for call, said in (
        (
            lambda: tracks.replace(frame=[4]),
            r"expected 10 values in 'frame', as many as in 'object_id', got 1",
        ),
        (lambda: tracks.replace(boxes=[[1, 2, 3]]), r"'boxes' of shape \(10, 4\), got \(1, 3\)"),
        (
            lambda: tracks.replace(visible=["False"] * N),
            "column 'visible' holds True or False, got 'False' in row 0",
        ),
        (lambda: tracks.replace(object_id=[1.5] * N), "column 'object_id' holds whole numbers"),
        (lambda: tracks.replace(labels="a"), "no column 'labels'.*'label'"),
        (lambda: tracks.replace(points=3), "'points' must be PointRows, got int"),
        (lambda: tracks.replace(size=(48.5, 64)), r"'size' must be \(height, width\)"),
        (lambda: tracks.take([N]), "no row 10; there are 10"),
        (lambda: tracks.take([True, False]), r"a mask of 10 bools, one a row, got one of shape \(2,\)"),
        (lambda: tracks.at("3"), "expected a number as a frame, got '3'"),
        (lambda: tracks.renamed({1: 2.5}), "'object_id' holds whole numbers"),
        (lambda: tracks.points.replace(xy=np.zeros((2, 3))), r"'points.xy' of shape \(M, 2\), got \(2, 3\)"),
    ):
        with pytest.raises(TracksError, match=said):
            call()
    assert tracks.take([-1]).frame.tolist() == [4]
    assert len(tracks.replace(object_id=tracks.object_id + 5, points=PointRows.empty())) == N
    with pytest.raises(PromptError, match="must hold True or False for each point, got 'False'"):
        ClickPrompt(((1, 2),), ("False",))


def test_names_that_are_not_there_are_told_with_those_that_are():
    found, known = comparison(3), f"Known: {', '.join(sorted(FAMILIES))}\\."
    for call, said in (
        (lambda: found.intervals("sot", "HOTA"), "no metric of the family 'sot' called 'HOTA'.*success_auc"),
        (lambda: found.intervals("mot", "nonsense"), "no metric of the family 'mot' called 'nonsense'"),
        (lambda: found.intervals("nonsense"), f"Unknown family 'nonsense'. {known}"),
        (lambda: found.parts("nonsense"), f"Unknown family 'nonsense'. {known}"),
        (lambda: found.agreement("nonsense"), "Unknown family 'nonsense'"),
        (lambda: found.timing("nobody"), "no tracker 'nobody'. Known: best, twin, weak"),
        (lambda: found.of_sequence("s9"), "no sequence 's9'.*s0, s1, s2"),
        (
            lambda: found.frame(0, sequence=9),
            "no sequence 9: there are 3, counted from 0. Their names: s0, s1, s2",
        ),
        (lambda: FAMILIES["sot"].rule(["otb"]), "Unknown rule"),
    ):
        with pytest.raises(InputError, match=said):
            call()


def test_points_of_components_are_of_a_metric_that_there_is():
    answer = Tracks.of(np.arange(N), 1, np.tile([10.0, 10, 30, 40], (N, 1)))
    with pytest.raises(InputError, match="no metric 'HOTTA' of many objects. Did you mean 'HOTA'"):
        events.component_points(answer, answer, metric="HOTTA")
    with pytest.raises(InputError, match=rf"camera_motion of {N} frames, got shape \(2,\)"):
        events.component_points(answer, answer, camera_motion=[0, 1])


def test_prompts_of_another_video_are_used_with_a_warning(tmp_path):
    one, other = (vtlab.open_video(np.full((5, 48, 64, 3), value, np.uint8)) for value in (1, 2))
    asked = Prompts([BoxPrompt((5, 5, 20, 20))], source=Source.of_video(one))
    assert asked.on(one) is asked
    with pytest.warns(VtlabWarning, match="whether its frames are the same can't be told"):
        assert asked.on(other) == asked
    Prompts(list(asked)).on(other)


def test_a_clip_of_the_first_frames_is_no_whole_video():
    video = vtlab.open_video(np.zeros((8, 48, 64, 3), np.uint8))

    def on(clip):
        return Tracks.of(
            range(len(clip)), 1, [[5, 5, 20, 20]] * len(clip), record=Record(source=Source.of_video(clip))
        )

    assert on(video).on(video[:3]).frame.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="frames 0 to 2 .*can't be used on frames 0 to 7"):
        on(video[:3]).on(video)
    truth = vtlab.Sequence("a", video[:3], on(video))
    assert truth.truth.frame.tolist() == [0, 1, 2]
    assert set(vtlab.evaluate(on(video), truth, "sot").query("metric == 'ao'")["value"]) == {1.0}


def test_an_old_name_of_a_parameter_works_for_one_version():
    """`protocol=` is `rule=` now: taken with a warning that names the new one; both at once is an error."""
    clip, prompt = np.zeros((3, 20, 20, 3), np.uint8), vtlab.BoxPrompt((2, 2, 9, 9))
    truth = vtlab.track(clip, prompt, "identity", progress=False)
    with pytest.warns(vtlab.VtlabWarning, match=r"evaluate\(protocol=...\) is now rule="):
        old = vtlab.evaluate(truth, truth, protocol="otb")
    assert set(old["rule"]) == {"otb"}
    with pytest.raises(InputError, match="old name: give one"):
        vtlab.evaluate(truth, truth, protocol="otb", rule="otb")
