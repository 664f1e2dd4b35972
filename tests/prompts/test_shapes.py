"""Figures made of points: what goes in comes back, lost vertices move with the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError, PromptError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.prompts.shapes import Figures, carry, figures_at
from vtlab.show.draw import colour, figures
from vtlab.tracks import TracksBuilder

SQUARE = ((10.0, 10.0), (50.0, 10.0), (50.0, 40.0), (10.0, 40.0))
SKELETON = SkeletonPrompt(
    SQUARE,
    ("head", "left", "right", "foot"),
    ((0, 1), (1, 2), (2, 3)),
    (False, False, True, False),
    object_id=3,
)
TURNED = BoxPrompt((20, 30, 60, 50), angle=0.4, object_id=4)


def similarity(xy, scale=1.0, turn=0.0, shift=(0.0, 0.0)):
    z = (xy[..., 0] + 1j * xy[..., 1]) * scale * np.exp(1j * turn) + complex(*shift)
    return np.stack([z.real, z.imag], axis=-1)


def track(prompts, move, frames=4, lost=()):
    """Tracks of figures whose every row moves by `move(xy, t)`; rows in `lost` are never seen after frame 0."""
    followed, builder = Figures(prompts), TracksBuilder((200, 200))
    seen = ~np.isin(np.arange(len(followed)), lost)
    for t in range(frames):
        xy = move(followed.xy, t)
        xy = np.where(seen[:, None], xy, -999.0)
        builder.add(t, followed.answer(t, xy, seen | (t == 0), np.where(seen, 0.9, 0.1)))
    return builder.build()


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.5, 2.0),
    turn=st.floats(-3.0, 3.0),
    shift=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_every_figure_returns_as_the_geometry_that_was_given(scale, turn, shift):
    prompts = Prompts(
        [
            PointPrompt(SQUARE, object_id=1, shape="polygon", label="pond"),
            PointPrompt(SQUARE[:3], object_id=2, shape="polyline"),
            SKELETON,
            TURNED,
            BoxPrompt((5, 6, 25, 46), object_id=5),
        ]
    )
    step = 1 + (scale - 1) / 3
    tracks = track(prompts, lambda xy, t: similarity(xy, step**t, turn * t / 3, np.multiply(shift, t / 3)))
    assert figures_at(tracks, prompts, 0) == prompts
    got = {p.object_id: p for p in figures_at(tracks, prompts, 3)}
    total = step**3

    def expected(xy):
        return similarity(np.asarray(xy), total, turn, shift)

    np.testing.assert_allclose(got[1].points, expected(SQUARE))
    assert (got[1].shape, got[1].label, got[1].frame) == ("polygon", "pond", 3)
    np.testing.assert_allclose(got[2].points, expected(SQUARE[:3]))
    assert got[2].shape == "polyline"
    assert (got[3].names, got[3].edges, got[3].occluded) == (
        SKELETON.names,
        SKELETON.edges,
        SKELETON.occluded,
    )
    np.testing.assert_allclose(got[4].corners(), expected(TURNED.corners()), atol=1e-6)
    width = got[5].xyxy[2] - got[5].xyxy[0]
    np.testing.assert_allclose(width, 20 * total)
    np.testing.assert_allclose(np.reshape(got[5].xyxy, (2, 2)).mean(axis=0), expected([15.0, 26.0]))


@settings(max_examples=40, deadline=None)
@given(lost=st.sets(st.integers(0, 3), max_size=3), shift=st.tuples(st.floats(-9, 9), st.floats(-9, 9)))
def test_lost_vertices_of_a_polygon_move_exactly_with_a_translation(lost, shift):
    prompts = Prompts(PointPrompt(SQUARE, shape="polygon"))
    tracks = track(prompts, lambda xy, t: xy + np.multiply(shift, t), lost=sorted(lost))
    for t in range(4):
        now = tracks.at(t)
        np.testing.assert_allclose(now.points.xy, SQUARE + np.multiply(shift, t), atol=1e-9)
        assert now.points.visible.tolist() == [t == 0 or i not in lost for i in range(4)]
        assert now.visible.tolist() == [True]
        np.testing.assert_allclose(now.boxes[0], np.array([10, 10, 50, 40]) + np.tile(shift, 2) * t)


def test_lost_vertices_turn_and_grow_with_the_others():
    prompts = Prompts(PointPrompt(SQUARE, shape="polygon"))
    tracks = track(prompts, lambda xy, t: similarity(xy, 1.1**t, 0.1 * t, (5 * t, 0)), lost=[2])
    wanted = similarity(np.asarray(SQUARE[2]), 1.1**3, 0.3, (15, 0))
    assert np.abs(tracks.at(3).points.xy[2] - wanted).max() < 0.2


def test_a_figure_that_is_lost_whole_stays_where_it_was_and_is_not_visible():
    prompts = Prompts(PointPrompt(SQUARE, shape="polygon"))
    tracks = track(prompts, lambda xy, t: xy + t, lost=[0, 1, 2, 3])
    np.testing.assert_array_equal(tracks.at(3).points.xy, SQUARE)
    assert tracks.visible.tolist() == [True, False, False, False]


def test_a_vertex_that_comes_back_is_where_it_is_seen():
    made = Figures([PointPrompt(SQUARE, shape="polyline")])
    start = made.xy
    made.answer(0, start, np.ones(4, bool), np.ones(4))
    hidden = made.answer(1, start + 3, np.array([True, True, False, True]), np.ones(4))
    back = made.answer(2, start + 8, np.ones(4, bool), np.ones(4))
    np.testing.assert_allclose(hidden.points, start + 3)
    np.testing.assert_allclose(back.points, start + 8)


def test_separate_points_keep_the_trackers_own_estimate_when_lost():
    made = Figures([PointPrompt(SQUARE)])
    made.answer(0, made.xy, np.ones(4, bool), np.ones(4))
    guess = np.add(made.xy, [[1, 0], [2, 0], [3, 0], [4, 0]])
    answer = made.answer(1, guess, np.array([True, False, True, True]), np.ones(4))
    np.testing.assert_allclose(answer.points, guess)
    assert answer.point_visible.tolist() == [True, False, True, True]


def test_occluded_nodes_are_not_followed_but_stay_in_the_figure():
    made = Figures([SKELETON])
    assert len(made) == 3
    answer = made.answer(0, made.xy, np.ones(3, bool), np.ones(3))
    np.testing.assert_allclose(answer.points, SQUARE)
    answer = made.answer(1, np.add(made.xy, (4, -2)), np.ones(3, bool), np.ones(3))
    np.testing.assert_allclose(answer.points, np.add(SQUARE, (4, -2)))
    assert answer.point_visible.tolist() == [True, True, False, True]


def test_an_oriented_box_shrugs_off_a_quarter_of_points_that_went_astray():
    made = Figures([TURNED])
    rng = np.random.default_rng(0)
    xy = similarity(made.xy, 1.2, 0.3, (7, 3))
    xy[::4] += rng.uniform(-30, 30, (len(xy[::4]), 2))
    made.answer(0, made.xy, np.ones(len(made), bool), np.ones(len(made)))
    answer = made.answer(1, xy, np.ones(len(made), bool), np.ones(len(made)))
    wanted = similarity(TURNED.corners(), 1.2, 0.3, (7, 3))
    assert np.abs(answer.points - wanted).max() < 1.5
    assert answer.point_ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("box", [TURNED, BoxPrompt((20, 30, 60, 50))])
def test_a_box_whose_points_all_fell_on_one_place_stays_where_it_was_and_is_not_visible(box):
    made = Figures([box])
    all_seen = np.ones(len(made), bool)
    before = made.answer(0, made.xy, all_seen, all_seen)
    answer = made.answer(1, np.full((len(made), 2), 33.0), all_seen, all_seen)
    np.testing.assert_array_equal(answer.boxes, before.boxes)
    np.testing.assert_array_equal(answer.points, before.points)
    assert answer.visible.tolist() == [False]


def test_a_later_prompt_takes_over_and_an_object_has_no_answer_before_its_first():
    prompts = [PointPrompt((5, 5), frame=1), PointPrompt(((80, 80), (90, 90)), frame=3)]
    made = Figures(prompts)
    xy = np.array([[6.0, 6.0], [81.0, 81.0], [91.0, 91.0]])
    ones = np.ones(3)
    counts = [len(made.answer(t, xy, ones.astype(bool), ones).points) for t in range(5)]
    assert counts == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(made.answer(5, xy, ones.astype(bool), ones).points, xy[1:])


def test_sources_and_labels_and_order():
    made = Figures([PointPrompt((5, 5), object_id=9, label="b"), PointPrompt((1, 1), object_id=2)])
    xy, ones = made.xy, np.ones(2)
    first, second = (made.answer(t, xy, ones.astype(bool), ones) for t in (0, 1))
    assert first.object_ids.tolist() == [2, 9]
    assert (first.source, second.source) == (("manual",) * 2, ("tracked",) * 2)
    assert first.labels == (None, "b")
    np.testing.assert_array_equal(first.points, [[1, 1], [5, 5]])


def test_add_and_remove_say_which_rows_change():
    made = Figures([PointPrompt(SQUARE, object_id=1), PointPrompt((1, 1), object_id=2)])
    assert made.add([PointPrompt((2, 2), object_id=3, frame=4)]) == slice(5, 6)
    assert made.frames.tolist() == [0, 0, 0, 0, 0, 4]
    made.answer(4, np.zeros((6, 2)), np.ones(6, bool), np.ones(6))
    assert made.remove([1, 77]).tolist() == [False] * 4 + [True] * 2
    assert made.owners.tolist() == [2, 3]
    assert made.answer(5, made.xy, np.ones(2, bool), np.ones(2)).object_ids.tolist() == [3]


def test_no_prompts_give_empty_answers():
    made = Figures()
    assert len(made) == 0
    assert made.xy.shape == (0, 2)
    assert len(made.answer(0, np.empty((0, 2)), [], [])) == 0


def test_carry_needs_no_more_than_one_guide_and_does_not_turn_for_noise():
    np.testing.assert_allclose(carry(np.array([[9.0, 9.0]]), np.zeros((1, 2)), np.ones((1, 2))), [[10, 10]])
    close = np.array([[0.0, 0.0], [0.1, 0.0]])
    turned = np.array([[0.0, 0.0], [0.0, 0.1]])
    assert np.abs(carry(np.array([[50.0, 0.0]]), close, turned) - [[50, 0]]).max() < 1.0


def test_wrong_input_is_named():
    with pytest.raises(PromptError, match=r"mask prompt .* not made of points.*PointPrompt"):
        Figures([MaskPrompt.of(np.eye(4))])
    with pytest.raises(PromptError, match="another figure on that frame"):
        Figures([PointPrompt((1, 1)), BoxPrompt((1, 1, 2, 2))])
    with pytest.raises(InputError, match="Expected 4 points"):
        Figures([PointPrompt(SQUARE)]).answer(0, np.zeros((3, 2)), np.ones(3), np.ones(3))
    tracks = track(Prompts(PointPrompt(SQUARE)), lambda xy, t: xy)
    with pytest.raises(PromptError, match="has 1 points, the tracks have 4"):
        figures_at(tracks, [PointPrompt((1, 1))], 2)


def test_figures_are_drawn_as_what_they_are():
    blank = np.zeros((60, 80, 3), np.uint8)
    prompts = [
        PointPrompt(SQUARE, object_id=1, shape="polygon"),
        SkeletonPrompt(((60, 20), (70, 20)), edges=((0, 1),), occluded=(False, True), object_id=2),
        PointPrompt((-1e9, 1e9), object_id=3),
        MaskPrompt.of(np.eye(4), object_id=4),
    ]
    image = figures(blank, prompts)
    assert not blank.any()
    assert image[10, 30].tolist() == list(colour(1))
    assert image[25, 10].tolist() == list(colour(1))
    assert image[25, 30].tolist() == [0, 0, 0]
    assert image[20, 60].tolist() == list(colour(2))
    assert image[20, 70].tolist() != list(colour(2))
    turned = figures(blank, [TURNED])
    for x, y in TURNED.corners().astype(int):
        assert turned[y - 1 : y + 2, x - 1 : x + 2].any()
