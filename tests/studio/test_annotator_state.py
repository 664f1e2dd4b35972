"""What the annotator knows, without a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import PromptError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompts, SkeletonPrompt, TextPrompt
from vtlab.segmenters import create_segmenter
from vtlab.studio.annotator_state import UNDO_STEPS, AnnotatorState, Skeleton
from vtlab.testing.scenes import moving_square, square_box
from vtlab.video import open_video

VIDEO = open_video(moving_square())
ARM = Skeleton(("hand", "elbow", "shoulder"), ((0, 1), (1, 2)))


def test_a_text_is_no_figure_to_draw():
    with pytest.raises(PromptError, match=r"The annotator can't take TextPrompt .'dog'"):
        AnnotatorState(VIDEO, prompts=Prompts(TextPrompt("dog")))


@pytest.fixture
def state() -> AnnotatorState:
    return AnnotatorState(VIDEO, skeleton=ARM)


def test_boxes_are_sorted_and_cut_to_the_frame(state):
    state.act({"do": "box", "xyxy": [60, 50, -10, 20]})
    assert state.prompts == Prompts(BoxPrompt((0, 20, 60, 50)))
    state.act({"do": "box", "xyxy": [10, 10, 20, 500]})
    assert state.prompts[0].xyxy == (10, 10, 20, 96)
    assert state.message == ""


@pytest.mark.parametrize(
    "edit",
    [
        {"do": "nonsense"},
        {},
        {"do": "box", "xyxy": [1, 2, 3]},
        {"do": "box", "xyxy": [5, 5, 5, 9]},
        {"do": "box", "xyxy": [float("nan"), 0, 5, 5]},
        {"do": "box", "where": 3},
        {"do": "click", "x": 900, "y": 5},
        {"do": "click", "x": 5, "y": 5, "positive": False},
        {"do": "polygon", "points": [[1, 1], [2, 2]]},
        {"do": "paint", "path": [], "radius": 3},
        {"do": "paint", "path": [[1, 1]], "radius": 0},
        {"do": "paint", "path": [[float("nan"), 1]], "radius": 2},
        {"do": "paint", "path": [[1, 1]], "radius": 2, "erase": True},
        {"do": "points", "points": [[1, 1]], "shape": "blob"},
        {"do": "nodes", "points": [[1, 1]] * 4},
        {"do": "select", "object_id": 0},
        {"do": "delete", "object_id": 7},
        {"do": "duplicate", "object_id": 1, "frame": 2},
        {"do": "go", "frame": float("inf")},
        {"do": "_commit", "figures": {}},
    ],
)
def test_a_refused_edit_says_why_and_changes_nothing(state, edit):
    before = state.view()
    state.act(edit)
    assert state.message
    assert {**state.view(), "message": ""} == {**before, "message": ""}


def test_clicks_give_a_mask_and_a_negative_one_changes_it():
    state = AnnotatorState(VIDEO, segmenter=create_segmenter("grabcut"))
    x1, y1, x2, y2 = square_box(0)
    state.act({"do": "click", "x": (x1 + x2) / 2, "y": (y1 + y2) / 2})
    first = state.mask(1, 0)
    assert first is not None
    assert first[int(y1) + 12, int(x1) + 12]
    state.act({"do": "click", "x": x1 + 4, "y": y1 + 4, "positive": False})
    second = state.mask(1, 0)
    assert (first != second).any()
    assert not second[int(y1) + 4, int(x1) + 4]
    clicks = next(p for p in state.at(0) if isinstance(p, ClickPrompt))
    assert clicks.positive == (True, False)
    state.act({"do": "undo"})
    assert (state.mask(1, 0) == first).all()


def test_a_box_guides_the_clicks():
    state = AnnotatorState(VIDEO, segmenter=create_segmenter("grabcut"))
    state.box(square_box(0))
    state.act({"do": "click", "x": 32, "y": 28})
    assert next(p for p in state.at(0) if isinstance(p, ClickPrompt)).xyxy == square_box(0)
    first = state.mask(1, 0)
    state.box((20, 16, 32, 40))  # the mask follows the box
    assert (state.mask(1, 0) != first).any()
    assert state.prompts.kinds == {MaskPrompt}


def test_clicks_on_nothing_say_so():
    class Blind:
        def segment(self, image, *, box=None, points=None, positive=None):
            return np.zeros(image.shape[:2], bool), 0.0

    state = AnnotatorState(VIDEO, segmenter=Blind())
    state.act({"do": "click", "x": 5, "y": 5})
    assert "no mask" in state.message
    assert state.prompts.kinds == {ClickPrompt}


def test_polygon_covers_the_pixels_whose_centres_it_holds(state):
    state.act({"do": "polygon", "points": [[10, 10], [20, 10], [20, 15], [10, 15]]})
    mask = state.mask(1, 0)
    assert mask.sum() == 50
    assert mask[10:15, 10:20].all()


def test_what_is_made_can_be_tracked():
    import vtlab

    state = AnnotatorState(VIDEO, segmenter=create_segmenter("grabcut"))
    state.box(square_box(0))
    state.act({"do": "click", "x": 32, "y": 28})
    assert len(vtlab.track(VIDEO, state.prompts, "flow", progress=False)) == len(VIDEO)
    state.act({"do": "polygon", "points": [[10, 10], [20, 10], [20, 15]]})
    assert {p.kind for p in state.at(0)} == {"mask"}
    state.box(square_box(0))
    assert len(vtlab.track(VIDEO, state.prompts, "ncc", progress=False)) == len(VIDEO)


def test_brush_and_eraser(state):
    state.act({"do": "paint", "path": [[30, 30], [60, 30]], "radius": 5})
    painted = state.mask(1, 0)
    assert painted[30, 30:61].all()
    assert painted[26:35, 45].all()
    assert not painted[20, 45]
    state.act({"do": "paint", "path": [[45, 10], [45, 60]], "radius": 4, "erase": True})
    assert not state.mask(1, 0)[30, 45]
    assert state.mask(1, 0).sum() < painted.sum()
    state.act({"do": "paint", "path": [[0, 30], [128, 30]], "radius": 60, "erase": True})
    assert state.mask(1, 0) is None
    assert len(state.prompts) == 0


def test_points_and_skeleton(state):
    state.act({"do": "points", "points": [[1, 2], [3, 4]]})
    assert state.prompts[0].points == ((1, 2), (3, 4))
    state.act({"do": "points", "points": []})
    assert len(state.prompts) == 0
    state.act({"do": "nodes", "points": [[1, 2], [3, 4]], "occluded": [False, True]})
    (figure,) = state.prompts
    assert isinstance(figure, SkeletonPrompt)
    assert figure.names == ("hand", "elbow")
    assert figure.edges == ((0, 1),)
    assert figure.occluded == (False, True)


def test_a_skeleton_needs_a_template():
    state = AnnotatorState(VIDEO)
    state.act({"do": "nodes", "points": [[1, 2]]})
    assert "Skeleton(names, edges)" in state.message
    assert "skeleton" not in state.tools


def test_objects_frames_labels(state):
    state.act({"do": "box", "xyxy": [1, 1, 9, 9]})
    state.act({"do": "label", "object_id": 1, "text": " car "})
    state.act({"do": "new_object"})
    assert state.selected == 2
    state.act({"do": "go", "frame": 5})
    state.act({"do": "box", "xyxy": [2, 2, 9, 9]})
    state.act({"do": "duplicate", "object_id": 2, "frame": 6})
    assert state.prompts.labels == {1: "car"}
    assert state.prompts.frames == (0, 5, 6)
    state.act({"do": "go", "frame": 500})
    assert state.frame == 11
    state.act({"do": "delete", "object_id": 2, "everywhere": True})
    assert state.prompts.object_ids == (1,)
    assert state.selected == 1


def test_hiding_an_object_hides_its_figures_and_masks_only(state):
    state.act({"do": "paint", "path": [[30, 30]], "radius": 5})
    assert state.overlay() is not None
    state.act({"do": "show", "object_id": 1, "shown": False})
    assert state.overlay() is None
    assert state.view()["figures"] == []
    assert len(state.prompts) == 1


def test_overlay_has_the_colour_of_the_object(state):
    state.act({"do": "paint", "path": [[30, 30]], "radius": 5})
    image = state.overlay()
    assert image.shape == (96, 128, 4)
    assert tuple(image[30, 30]) == (230, 159, 0, 130)
    assert image[60, 60, 3] == 0


def test_undo_goes_to_the_frame_of_the_edit(state):
    state.act({"do": "box", "xyxy": [1, 1, 9, 9]})
    state.act({"do": "go", "frame": 7})
    state.act({"do": "undo"})
    assert state.frame == 0
    assert len(state.prompts) == 0
    state.act({"do": "redo"})
    assert len(state.prompts) == 1


def test_view_is_json(state):
    import json

    state.act({"do": "nodes", "points": [[1, 2], [3, 4]]})
    state.act({"do": "box", "xyxy": [1, 1, 9, 9]})
    view = json.loads(json.dumps(state.view()))
    assert view["n_frames"] == 12
    assert (view["width"], view["height"]) == (128, 96)
    assert {f["kind"] for f in view["figures"]} == {"box", "skeleton"}
    assert view["objects"][0]["colour"] == "#e69f00"


def test_every_edit_is_on_disk(tmp_path: Path):
    file = tmp_path / "clip.prompts.json"
    state = AnnotatorState(VIDEO, autosave=file)
    state.act({"do": "box", "xyxy": [1, 1, 9, 9]})
    assert Prompts.load(file) == state.prompts
    state.act({"do": "undo"})
    assert len(Prompts.load(file)) == 0


def test_a_failing_autosave_is_said_and_keeps_the_edit(tmp_path: Path):
    (tmp_path / "taken").write_text("")
    state = AnnotatorState(VIDEO, autosave=tmp_path / "taken" / "clip.json")
    state.act({"do": "box", "xyxy": [1, 1, 9, 9]})
    assert "Autosave" in state.message
    assert len(state.prompts) == 1


def test_starts_at_the_first_given_figure():
    given_ = Prompts([BoxPrompt((1, 1, 9, 9), frame=4, object_id=3, label="car")])
    state = AnnotatorState(VIDEO, given_)
    assert (state.frame, state.selected) == (4, 3)
    assert state.prompts == given_


def test_a_polygon_given_as_prompt_stays_one():
    given_ = Prompts([MaskPrompt(polygon=((10, 10), (20, 10), (20, 20)))])
    assert AnnotatorState(VIDEO, given_).prompts == given_


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(PromptError, match="full-size"):
        AnnotatorState(VIDEO, Prompts([MaskPrompt.of(np.ones((4, 4)))]))


coordinate = st.floats(-20, 150, allow_nan=False)
point = st.tuples(coordinate, coordinate).map(list)
edits = st.one_of(
    st.builds(lambda a, b: {"do": "box", "xyxy": [*a, *b]}, point, point),
    st.builds(lambda p: {"do": "polygon", "points": p}, st.lists(point, max_size=5)),
    st.builds(
        lambda p, e: {"do": "paint", "path": p, "radius": 9, "erase": e}, st.lists(point), st.booleans()
    ),
    st.builds(lambda p: {"do": "points", "points": p}, st.lists(point, max_size=3)),
    st.builds(lambda f: {"do": "go", "frame": f}, st.integers(-3, 20)),
    st.builds(lambda i: {"do": "select", "object_id": i}, st.integers(0, 4)),
    st.builds(
        lambda i, t: {"do": "label", "object_id": i, "text": t}, st.integers(1, 3), st.text(max_size=3)
    ),
    st.builds(
        lambda i, e: {"do": "delete", "object_id": i, "everywhere": e}, st.integers(1, 4), st.booleans()
    ),
    st.builds(
        lambda i, f: {"do": "duplicate", "object_id": i, "frame": f}, st.integers(1, 4), st.integers(0, 13)
    ),
    st.sampled_from([{"do": "undo"}, {"do": "redo"}, {"do": "new_object"}]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(edits, max_size=UNDO_STEPS // 4))
def test_any_sequence_of_edits_can_be_taken_back_and_saved(sequence):
    state = AnnotatorState(VIDEO)
    for edit in sequence:
        state.act(edit)
    after = state.prompts
    assert after.check(VIDEO) == Prompts.from_json(after.to_json())
    steps = 0
    while state.view()["undo"]:
        state.act({"do": "undo"})
        steps += 1
    assert len(state.prompts) == 0
    for _ in range(steps):
        state.act({"do": "redo"})
    while state.view()["redo"]:
        state.act({"do": "redo"})
    if not any(e["do"] == "undo" for e in sequence):
        assert state.prompts == after
