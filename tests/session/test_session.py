"""The session's rules, by example and on random sequences of edits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtlab
from tests.drifts import Drifts
from vtlab.errors import FormatError, InputError, PromptError, TrackingError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt
from vtlab.prompts.between import morph
from vtlab.session import Session
from vtlab.testing.scenes import moving_square, square_box

N = 12
VIDEO = moving_square(N)


def box(x: float, frame: int = 0, object_id: int = 1, label=None) -> BoxPrompt:
    return BoxPrompt((x, 10, x + 10, 20), object_id=object_id, frame=frame, label=label)


def session(*prompts, **params) -> Session:
    made = Session(VIDEO, Drifts, **params)
    if prompts:
        made.add(prompts)
    return made


def lefts(made: Session, object_id: int = 1) -> list[float]:
    return made.tracks.of_object(object_id).boxes[:, 0].tolist()


def test_a_figure_after_the_end_takes_gone_back():
    made = session(box(10))
    made.mark_gone(1, 5)
    with pytest.raises(InputError, match="gone from frame 5"):
        made.mark_absent(1, 7)
    made.add(box(30, frame=8))
    assert made.state.gone == {}
    made.undo()
    assert made.state.gone == {1: 5}


def test_a_correction_of_another_geometry_replaces_the_figure():
    made = Session(VIDEO, "flow")
    made.add(box(10))
    made.correct(MaskPrompt(polygon=((10, 10), (30, 10), (30, 30))))
    assert [p.kind for p in made.prompts] == ["mask"]


def test_relabel_names_key_figures_and_predictions_and_is_undone():
    made = session(box(10, label="cat"), box(40, object_id=2))
    made.retrack(progress=False)
    before = made.state
    made.relabel(1, "dog")
    assert set(made.tracks.of_object(1).label) == {"dog"}
    assert set(made.tracks.of_object(2).label) == {None}
    assert len(made.tracks) == 2 * N
    made.undo()
    assert made.state is before


def test_track_correct_track_again():
    made = session(box(10))
    made.retrack(progress=False)
    assert lefts(made) == [10 + i for i in range(N)]
    made.correct(box(50, frame=5))
    assert lefts(made) == [10, 11, 12, 13, 14, 50, 16, 17, 18, 19, 20, 21]  # nothing is lost
    assert made.stale == {1: [(5, N)]}  # what rested on the drifted box waits to be tracked again
    assert made.tracks.meta["stale"] == {"1": [[5, N]]}
    made.retrack(5, progress=False)
    assert made.stale == {}
    assert lefts(made) == [10, 11, 12, 13, 14, *(50 + i for i in range(7))]
    assert made.tracks.of_object(1).source.tolist().count("manual") == 2


def test_a_correction_reaches_to_the_next_key_figure_only():
    made = session(box(10), box(80, frame=8), box(30, object_id=2))
    made.retrack(progress=False)
    before = made.tracks
    made.correct(box(50, frame=4))
    assert made.tracks.of_object(1).frames.tolist() == list(range(N))
    assert made.stale == {1: [(4, 8)]}
    np.testing.assert_array_equal(made.tracks.of_object(2).boxes, before.of_object(2).boxes)
    np.testing.assert_array_equal(
        made.tracks.of_object(1).between(8, N).boxes, before.of_object(1).between(8, N).boxes
    )


def test_tracking_again_starts_from_the_key_figure_and_not_from_a_prediction():
    made = session(box(10))
    made.retrack(progress=False)
    made.retrack(6, 9, progress=False)
    assert lefts(made) == [10 + i for i in range(N)]  # frame 6 is six steps from the person's box


class Counts(Drifts):
    """Drifts, and the frames that it saw."""

    seen: ClassVar[list[int]] = []

    def init(self, frame, prompt):
        self.seen.append(frame.index)
        return super().init(frame, prompt)

    def step(self, frame):
        self.seen.append(frame.index)
        return super().step(frame)


@pytest.mark.parametrize(
    ("direction", "start", "stop", "seen"),
    [
        ("forward", 8, None, [8, 9, 10, 11]),
        ("backward", 0, 9, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("forward", 9, None, [8, 9, 10, 11]),
        ("backward", 0, 8, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_tracking_again_runs_from_the_correction_and_not_from_a_figure_before_it(
    direction, start, stop, seen
):
    made = Session(VIDEO, Counts)
    made.add([box(10, 1), box(60, 10)] if direction == "backward" else [box(10, 1)])
    made.add(box(50, 8))
    Counts.seen.clear()
    made.retrack(start, stop, direction=direction, progress=False)
    assert list(dict.fromkeys(Counts.seen)) == seen


def test_a_range_or_an_object_without_a_figure_keeps_its_predictions():
    made = session(box(10), box(40, 6, 2))
    made.retrack(direction="both", progress=False)
    before = made.tracks.of_object(2).between(0, 6)
    made.retrack(0, progress=False)  # forward: object 2 starts on frame 6
    assert made.tracks.of_object(2).between(0, 6).to_frame().equals(before.to_frame())
    made.remove(2, 6)
    assert made.stale == {2: [(0, N)]}  # no word is left that they could rest on
    made.retrack(0, progress=False)
    assert len(made.tracks.of_object(2)) == N


def test_what_is_stale_follows_its_object_and_a_stopped_run_clears_only_what_it_did():
    made = session(box(10), box(60, object_id=2))
    made.retrack(progress=False)
    made.correct(box(50, frame=4))
    made.swap(1, 2, 8)
    assert made.stale == {1: [(4, 8)], 2: [(8, N)]}
    made.undo()
    made.tracker, made.params = Drifts, {"fail_at": 7}
    with pytest.raises(TrackingError):
        made.retrack(4, progress=False, object_ids=[1])
    assert made.stale == {1: [(7, N)]}
    assert lefts(made) == [10, 11, 12, 13, 50, 51, 52, 17, 18, 19, 20, 21]
    made.remove(1)
    assert made.stale == {}


@pytest.mark.parametrize("prompt", [ClickPrompt(((20.0, 20.0), (32.0, 28.0))), BoxPrompt(square_box(0))])
def test_a_figure_keeps_the_mask_that_the_tracker_made_of_it(prompt):
    made = Session(VIDEO, "flow")
    made.add(prompt)
    assert made.tracks.masks_at(0) == {}
    made.retrack(progress=False)
    alone = vtlab.track(VIDEO, prompt, "flow", progress=False)
    np.testing.assert_array_equal(made.tracks.masks_at(0)[1], alone.masks_at(0)[1])
    np.testing.assert_array_equal(made.tracks.at(0).boxes, alone.at(0).boxes)
    assert made.tracks.source.tolist() == ["manual"] + ["tracked"] * (N - 1)
    made.correct(BoxPrompt(square_box(5), frame=5))
    assert list(made.tracks.masks_at(5)) == []  # the mask there was made without that box
    np.testing.assert_allclose(made.tracks.at(5).boxes, [square_box(5)])
    made.retrack(5, progress=False)
    assert made.tracks.masks_at(5)[1].any()


def test_a_box_keeps_the_points_that_the_tracker_found_in_it():
    made = Session(VIDEO, "lucas-kanade")
    made.add(BoxPrompt(square_box(0)))
    made.retrack(progress=False)
    alone = vtlab.track(VIDEO, BoxPrompt(square_box(0)), "lucas-kanade", progress=False)
    np.testing.assert_array_equal(made.tracks.at(0).points.xy, alone.at(0).points.xy)


def test_joining_keeps_what_each_figure_gave():
    made = Session(VIDEO, "flow")
    made.add(
        [
            MaskPrompt(polygon=((20, 16), (44, 16), (44, 40))),
            BoxPrompt(square_box(6), 0.0, object_id=2, frame=6),
        ]
    )
    made.retrack(progress=False)
    theirs = made.tracks.masks_at(6)[2]
    made.merge(1, 2)
    np.testing.assert_array_equal(made.tracks.masks_at(6)[1], theirs)


def test_both_directions():
    made = session(box(10, frame=6))
    made.retrack(direction="both", progress=False)
    assert made.tracks.frames.tolist() == list(range(N))
    assert lefts(made)[:7] == [16, 15, 14, 13, 12, 11, 10]


def test_absent_and_gone():
    made = session(box(10))
    made.retrack(progress=False)
    made.mark_absent(1, 3)
    made.mark_gone(1, 9)
    tracks = made.tracks
    assert tracks.frames.tolist() == list(range(9))
    assert tracks.visible.tolist() == [f != 3 for f in range(9)]
    made.retrack(progress=False)
    assert made.tracks.visible.tolist() == [f != 3 for f in range(9)]
    with pytest.raises(InputError, match="has key figures on .3."):
        made.mark_gone(1, 2)


def test_swap_split_merge():
    made = session(box(10, object_id=1, label="a"), box(60, object_id=2, label="b"))
    made.retrack(progress=False)
    made.swap(1, 2, 5)
    assert lefts(made, 1) == [10, 11, 12, 13, 14, 65, 66, 67, 68, 69, 70, 71]
    new = made.split(1, 5)
    assert made.tracks.of_object(new).frames.tolist() == list(range(5, N))
    made.merge(1, new)
    assert lefts(made, 1) == [10, 11, 12, 13, 14, 65, 66, 67, 68, 69, 70, 71]
    with pytest.raises(InputError, match=r"both have key figures on frames \[0\]"):
        made.merge(1, 2)
    assert made.tracks.labels == {1: "a", 2: "b"}


def test_identities_follow_the_rules():
    made = session(box(10, object_id=1, label="a"), box(60, object_id=2))
    made.retrack(progress=False)
    made.mark_gone(1, 4)
    made.mark_gone(2, 9)
    before = made.state
    for act in (
        lambda: made.swap(1, 1, 3),
        lambda: made.merge(2, 2),
        lambda: made.split(1, 0),
        lambda: made.split(1, 6),
        lambda: made.swap(1, 2, N),
    ):
        with pytest.raises(InputError):
            act()
    assert made.state is before
    made.remove(2)  # 1 is seen until 3
    new = made.split(1, 2)
    assert made.state.gone == {new: 4}
    assert made.tracks.labels == {1: "a", new: "a"}
    made.merge(new, 1)
    assert made.state.gone == {new: 4}
    assert made.tracks.of_object(new).frames.tolist() == [0, 1, 2, 3]


def test_remove_an_object_or_one_key_figure():
    made = session(box(10), box(50, frame=6), box(30, object_id=2))
    made.retrack(progress=False)
    made.remove(1, 6)
    assert made.tracks.of_object(1).frames.tolist() == list(range(N))
    assert made.stale == {1: [(6, N)]}
    made.remove(2)
    assert made.object_ids == [1]
    with pytest.raises(InputError, match="no key figure on frame 7; it has them on .0."):
        made.remove(1, 7)


def test_a_failure_and_a_stop_keep_what_is_done():
    made = session(box(10), fail_at=7)
    with pytest.raises(TrackingError, match="failed on frame 7"):
        made.retrack(progress=False)
    assert made.tracks.frames.tolist() == list(range(7))
    stopped = session(box(10))
    stopped.retrack(progress=lambda done, _: stopped.stop() if done == 4 else None)
    assert stopped.tracks.frames.tolist() == list(range(4))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda s: s.correct(box(1, object_id=9)), "There is no object 9; there are .1."),
        (lambda s: s.add(box(500)), "outside the frame"),
        (lambda s: s.add(PointPrompt(((1, 1),))), "can't take PointPrompt"),
        (lambda s: s.mark_absent(1, 99), "There is no frame 99"),
        (lambda s: s.retrack(object_ids=[7]), "There is no object 7"),
        (lambda s: s.add(box(1, frame=3, label="x")) or s.add(box(1, frame=4, label="y")), "two labels"),
    ],
)
def test_bad_requests_change_nothing(act, message):
    made = session(box(10))
    with pytest.raises((InputError, PromptError), match=message):
        act(made)
    assert 0 in made.key_frames(1)


def test_an_empty_session_can_not_track():
    with pytest.raises(PromptError, match="No key figure to track from"):
        session().retrack(progress=False)


def test_a_file_carries_everything(tmp_path):
    made = Session(VIDEO, "ncc", search=2.0)
    made.add([box(20, label="it"), box(25, frame=4)])
    made.retrack(progress=False)
    made.mark_absent(1, 8)
    path = made.save(tmp_path / "work.parquet")
    again = Session.load(path, VIDEO)
    assert_same(again, made)
    assert (again.tracker, again.params) == ("ncc", {"search": 2.0})
    with pytest.raises(FormatError, match="frames differ. The first that does is frame 1"):
        Session.load(path, moving_square(N, step=1))
    with pytest.raises(FormatError, match="not a session"):
        Session.load(made.tracks.replace(meta={}).save(tmp_path / "t.parquet"), VIDEO)


def assert_same(a: Session, b: Session) -> None:
    assert a.state.keys == b.state.keys
    assert (a.state.absent, dict(a.state.gone)) == (b.state.absent, dict(b.state.gone))
    assert a.tracks.to_frame().equals(b.tracks.to_frame())


EDITS = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "retrack", "remove", "absent", "gone", "swap", "split", "merge", "interpolate", "undo"]
        ),
        st.integers(1, 3),
        st.integers(0, N - 1),
        st.integers(0, 90),
    ),
    max_size=10,
)


def edit(made: Session, what: str, object_id: int, frame: int, x: int) -> None:
    if what == "add":
        made.add(box(x, frame, object_id))
    elif what == "retrack":
        made.retrack(
            frame if x % 2 else None, direction=("forward", "backward", "both")[x % 3], progress=False
        )
    elif what == "remove":
        made.remove(object_id, frame if x % 2 else None)
    elif what == "absent":
        made.mark_absent(object_id, frame)
    elif what == "gone":
        made.mark_gone(object_id, frame)
    elif what == "swap":
        made.swap(object_id, object_id % 3 + 1, frame)
    elif what == "split":
        made.split(object_id, frame)
    elif what == "merge":
        made.merge(object_id, object_id % 3 + 1)
    elif what == "interpolate":
        made.interpolate()
    else:
        made.undo()


def figures(keys) -> list[tuple]:
    """Where the key figures are, whoever they belong to."""
    return sorted((p.frame, p.xyxy) for p in keys.values())


@settings(max_examples=40, deadline=None)
@given(EDITS)
def test_rules_hold_over_random_edits(tmp_path_factory, edits):
    made = session(box(10))
    for step in edits:
        keys, table = dict(made.state.keys), made.tracks.to_frame()
        try:
            edit(made, *step)
        except (InputError, PromptError):
            assert made.state.keys == keys  # a refused edit changes nothing
            assert made.tracks.to_frame().equals(table)
            continue
        if step[0] in ("retrack", "interpolate", "absent", "gone"):
            kept = {k: p for k, p in keys.items() if step[0] != "absent" or k[:2] != (step[1], step[2])}
            assert made.state.keys == kept  # tracking never touches a person's work
        if step[0] in ("swap", "split", "merge"):
            assert figures(made.state.keys) == figures(keys)  # a figure may change its object, nothing else
        if step[0] != "undo" and made.tracks.to_frame().equals(table) is False:
            after = made.tracks.to_frame()
            made.undo()
            assert made.tracks.to_frame().equals(table)  # undo restores the exact table
            assert made.state.keys == keys
            steps = 1
            while made.undo():
                steps += 1
            for _ in range(steps):
                made.redo()
            assert made.tracks.to_frame().equals(after)
        manual = made.tracks.take(made.tracks.source == "manual")
        said = {k[:2] for k in made.state.keys} | made.state.absent
        assert {(int(i), int(f)) for f, i in zip(manual.frame, manual.object_id, strict=True)} == said
        gone = made.state.gone
        assert all(
            f < gone.get(int(i), N) for f, i in zip(made.tracks.frame, made.tracks.object_id, strict=True)
        )
    made.tracker, made.params = "ncc", {}
    again = Session.load(made.save(tmp_path_factory.mktemp("s") / "s.parquet"), VIDEO)
    assert_same(again, made)


def test_interpolation_by_hand():
    made = Session(VIDEO, "interpolation")
    made.add(
        [
            box(10),
            box(30, frame=4),
            PointPrompt(((0, 0), (8, 4)), object_id=2),
            PointPrompt(((8, 4), (16, 8)), object_id=2, frame=8),
        ]
    )
    made.interpolate()
    assert lefts(made) == [10, 15, 20, 25, 30]
    points = made.tracks.of_object(2).at(2).points.xy
    np.testing.assert_allclose(points, [[2, 1], [10, 5]])
    assert made.tracks.of_object(1).source.tolist() == [
        "manual",
        "interpolated",
        "interpolated",
        "interpolated",
        "manual",
    ]


def test_interpolation_as_a_tracker():
    prompts = [box(10), box(30, frame=4), box(60, frame=2, object_id=2)]
    tracks = vtlab.track(VIDEO, prompts, "interpolation", progress=False)
    assert tracks.of_object(1).boxes[:, 0].tolist() == [10, 15, 20, 25, 30, *[30] * 7]
    assert tracks.of_object(2).frames[0] == 2
    back = vtlab.track(VIDEO, prompts, "interpolation", direction="backward", progress=False)
    assert back.of_object(1).boxes[:, 0].tolist() == [10, 15, 20, 25, 30]
    assert back.of_object(2).frames.tolist() == [0, 1, 2]
    mask = MaskPrompt(polygon=((1, 1), (9, 1), (9, 9)), frame=4)
    with pytest.raises(vtlab.VtlabError, match="Can't interpolate between"):
        vtlab.track(VIDEO, [box(10), mask], "interpolation", progress=False)


def test_masks_morph_from_one_to_the_other():
    a, b = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    a[10:20, 5:15] = True
    b[10:30, 35:55] = True
    half = morph(a, b, 0.5)
    rows, cols = np.flatnonzero(half.any(1)), np.flatnonzero(half.any(0))
    assert (rows[0], rows[-1], cols[0], cols[-1]) == (10, 24, 20, 34)
    np.testing.assert_array_equal(morph(a, b, 0), a)
    np.testing.assert_array_equal(morph(a, b, 1), b)


def test_filling_by_interpolation_is_one_step():
    made = session(box(10), box(20, 4), box(30, 0, 2), box(50, 4, 2))
    before = made.tracks.to_frame()
    made.interpolate()
    assert set(made.tracks.object_id[made.tracks.source == "interpolated"]) == {1, 2}
    made.undo()
    assert made.tracks.to_frame().equals(before)


def test_figures_know_the_clip_that_they_were_drawn_on():
    made = Session(vtlab.open_video(VIDEO)[4:], Drifts)
    made.add([box(10)])
    assert made.prompts.on(vtlab.open_video(VIDEO)).frames == (4,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("params", [[0, 10**12]]),
        ("params", "ncc"),
        ("checked", {"1": [[0, 10**12]]}),
        ("stale", {"1": [[3, 2**70]]}),
        ("absent", [[1, -3]]),
        ("gone", {"1": -1}),
        ("gone", [[1, 2]]),
        ("tracker", None),
    ],
)
def test_a_sessions_file_says_what_can_not_be(tmp_path, name, value):
    """Spans of 10**12 frames took all memory, and parameters that are a list gave Python's own error."""
    made = Session(VIDEO, "ncc")
    made.add(box(1, 0))
    rows = vtlab.Tracks.load(made.save(tmp_path / "a.parquet"))
    record = rows.meta["session"] | {name: value}
    rows.replace(meta={**rows.meta, "session": record}).save(tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=r"a\.parquet"):
        Session.load(tmp_path / "a.parquet", VIDEO)
    with pytest.raises(FormatError, match=r"a\.parquet"):
        Session(VIDEO, "ncc").restore(tmp_path / "a.parquet")
