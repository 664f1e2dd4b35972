"""Objects as a whole: classes, locks, several at once, copies, polygons that stay, attributes, pictures, playing."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from tests.drifts import Drifts
from tests.studio.browser import Hand
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.session import Session
from vtlab.studio import Corrector, annotate
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.studio.labels import NO_LABEL, Labels
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 12
VIDEO = open_video(moving_square(n=N, height=120, width=160))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where work is saved by itself."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def box(x: float, frame: int = 0, object_id: int = 1) -> BoxPrompt:
    return BoxPrompt((x, 20, x + 30, 60), object_id=object_id, frame=frame)


def corrector(*prompts, tracker=Drifts, **options) -> Corrector:
    session = Session(VIDEO, tracker)
    if prompts:
        session.add(prompts)
    return Corrector(session, autosave=False, **options)


def act(made, do: str, **values) -> str:
    made.act({"do": do, **values})
    if isinstance(made, Corrector):
        made.wait(20)
    return (made.view if isinstance(made, Corrector) else made.view())["message"]


def row(made, object_id: int) -> dict:
    return next(o for o in made.view["objects"] if o["id"] == object_id)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "# classes\ndog\n\ncat\n"),
        (
            "l.json",
            json.dumps([{"name": "dog", "color": "#102030", "attributes": []}, {"name": "cat", "color": ""}]),
        ),
        ("l.yaml", "dog: '#102030'\ncat: [1, 2, 3]\n"),
    ],
)
def test_labels_of_a_file(folder, name, text):
    (folder / name).write_text(text)
    made = Labels.of(folder / name)
    assert made.names == ("dog", "cat")
    assert len({made.colour("dog"), made.colour("cat"), NO_LABEL}) == 3
    assert made.colour(None) == NO_LABEL
    assert name == "l.txt" or made.colour("dog") == (16, 32, 48)


@pytest.mark.parametrize(
    ("given", "word"),
    [(["a", "a"], "twice"), ({"a": "red"}, "rrggbb"), ([3], "text"), ("no.txt", "no such"), (7, "list")],
)
def test_labels_that_are_none_are_refused(given, word):
    with pytest.raises(InputError, match=word):
        Labels.of(given)


def test_colours_are_by_object_or_by_class():
    made = corrector(box(10), box(60, object_id=2), labels={"dog": "#102030"})
    act(made, "many", what="label", object_ids=[1, 2], text="dog")
    assert row(made, 1)["colour"] != row(made, 2)["colour"]
    act(made, "colour_by", what="class")
    assert row(made, 1)["colour"] == row(made, 2)["colour"] == "#102030"
    act(made, "label", object_id=2, text="")
    assert row(made, 2)["colour"] == "#aaaaaa"
    assert "class" in act(made, "colour_by", what="size")


def test_several_objects_at_once_are_one_step():
    made = corrector(box(10), box(60, object_id=2), box(110, object_id=3))
    act(made, "lock", object_id=3, locked=True)
    assert "1 of 3 objects are locked" in act(
        made, "many", what="delete", object_ids=[1, 2, 3], everywhere=True
    )
    assert made.session.object_ids == [3]
    act(made, "undo")
    assert made.session.object_ids == [1, 2, 3]
    state = AnnotatorState(VIDEO, made.session.prompts)
    act(state, "many", what="delete", object_ids=[1, 2])
    act(state, "many", what="show", object_ids=[3], shown=False)
    assert (state.prompts.object_ids, state.hidden) == ((3,), {3})
    act(state, "undo")
    assert state.prompts.object_ids == (1, 2, 3)
    assert "can't be done" in act(state, "many", what="undo", object_ids=[1])


def test_a_locked_object_keeps_what_it_is():
    made = corrector(box(10), box(60, object_id=2))
    act(made, "lock", object_id=1, locked=True)
    before = made.session.state
    for edit in (
        {"do": "box", "xyxy": [1, 2, 30, 40]},
        {"do": "delete", "object_id": 1},
        {"do": "absent", "object_id": 1},
        {"do": "occluded", "object_id": 1},
        {"do": "track", "direction": "forward"},
        {"do": "label", "object_id": 1, "text": "dog"},
        {"do": "merge", "other": 2},
    ):
        assert "Object 1 is locked" in act(made, **edit)
    assert made.session.state is before
    act(made, "track", direction="forward", everything=True)
    assert set(made.session.state.predicted.object_id.tolist()) == {2}
    act(made, "lock", object_id=1, locked=False)
    act(made, "box", xyxy=[1, 2, 30, 40])
    assert made.session.state is not before


def test_copies_to_another_frame_and_to_each_up_to_one():
    made = corrector(box(10))
    act(made, "track", direction="forward")
    act(made, "go", frame=4)
    act(made, "duplicate", object_id=1, frame=8)
    assert made.session.state.keys[1, 8, "box"].xyxy[0] == 14  # of what was predicted
    act(made, "undo")
    act(made, "propagate", object_id=1, frame=9)
    assert made.tracks.of_object(1).boxes[:, 0].tolist() == [10, 11, 12, 13] + [14] * 6 + [20, 21]
    assert made.session.key_frames(1) == [0, 4, 9]
    act(made, "undo")
    assert made.session.key_frames(1) == [0]
    state = AnnotatorState(VIDEO, Prompts(box(10, 5)))
    act(state, "propagate", object_id=1, frame=2)
    assert state.prompts.frames == (2, 3, 4, 5)
    act(state, "undo")
    assert state.prompts.frames == (5,)
    assert "0 to 11" in act(state, "propagate", object_id=1, frame=99)


def test_a_polygon_stays_one_until_it_is_painted_on():
    points = [[10, 10], [50, 10], [50, 50], [10, 50]]
    made = corrector(tracker="flow")
    act(made, "polygon", points=points)
    assert made.view["figures"][0]["polygon"] == points
    rings = made.tracks.polygons[0]
    assert np.asarray(rings[0]).tolist() == points
    assert made.tracks.masks_at(0)[1].sum() == 1600
    again = Session.load(made.session.save("a.session.parquet"), VIDEO)
    assert Corrector(again, autosave=False).view["figures"][0]["polygon"] == points
    opened = Corrector(VIDEO, made.tracks, tracker="flow", autosave=False)  # a colleague's too
    assert opened.view["figures"][0]["polygon"] == points
    act(made, "paint", path=[[60, 60], [70, 60]], radius=4)
    assert "polygon" not in made.view["figures"][0]
    state = AnnotatorState(VIDEO)
    act(state, "polygon", points=points)
    assert state.prompts[0].polygon == tuple(map(tuple, points))


def test_attributes_are_said_and_taken_back():
    made = corrector(box(10))
    act(made, "track", direction="forward")
    act(made, "go", frame=4)
    act(made, "describe", object_id=1, name="pose", value="sits")
    act(made, "describe", object_id=1, name="make", value="A", of_object=True)
    act(made, "occluded", object_id=1)
    assert (made.view["work"]["figure"], made.view["work"]["object"]) == ({"pose": "sits"}, {"make": "A"})
    assert row(made, 1)["occluded"] is True
    act(made, "describe", object_id=1, name="pose", value=" ")
    assert made.view["work"]["figure"] == {}
    act(made, "go", frame=8)
    act(made, "outside", object_id=1)
    assert row(made, 1)["note"] == "outside"
    assert row(made, 1)["runs"][-1] == [8, N, "absent"]
    act(made, "outside", object_id=1)
    assert row(made, 1)["note"] == "no row"


def test_pictures_of_key_figures_and_the_way_from_one_to_the_next():
    made = corrector(box(10), box(30, 4), box(50, 9))
    assert made.view["work"]["thumbnails"] is None
    act(made, "thumbnails", shown=True)
    assert [t["frame"] for t in made.view["work"]["thumbnails"]] == [0, 4, 9]
    assert all(t["src"].startswith("data:image/jpeg") for t in made.view["work"]["thumbnails"])
    state = AnnotatorState(VIDEO, made.session.prompts)
    act(state, "key_figure", step=1)
    assert state.frame == 4
    act(state, "key_figure", step=-1)
    assert state.frame == 0
    assert "no key figure before" in act(state, "key_figure", step=-1)


@pytest.mark.browser
def test_the_tools_in_a_browser(show):
    made = corrector(box(10), box(60, object_id=2), box(110, object_id=3), labels=["dog", "cat"])
    hand = Hand(show(made))
    page = hand.page
    page.locator(".vt-row[data-id='2'] .vt-id").click(modifiers=["Control"])
    page.get_by_role("button", name="cat (Shift+2)").click()
    hand.shown.settle()
    assert made.session.state.labels == {1: "cat", 2: "cat"}
    page.get_by_role("button", name="Lock the chosen objects (Shift+L)", exact=True).click()
    hand.shown.settle()
    assert page.locator(".vt-row.vt-locked").count() == 2
    hand.press("Escape")
    assert page.locator(".vt-many").is_hidden()
    hand.press("3", "Shift+Digit1", "i")
    assert (made.session.state.labels[3], row(made, 3)["occluded"]) == ("dog", True)
    hand.press("Control+c", "ArrowRight", "ArrowRight", "Control+v")
    assert (3, 2, "box") in made.session.state.keys
    page.get_by_label("Name of the attribute").last.fill("pose")
    page.get_by_label("Value of the new attribute").fill("sits")
    page.keyboard.press("Enter")
    hand.shown.until(lambda: made.session.described(3, 2).get("pose") == "sits")
    page.get_by_title("Pictures of the key figures").click()
    hand.shown.settle()
    assert page.locator(".vt-thumbs img").count() == 2
    page.get_by_label("Go to frame 0").click()
    hand.shown.settle()
    assert made.view["frame"] == 0
    hand.press("x", "Shift+Space")
    hand.shown.until(lambda: made.view["frame"] == N - 1)  # it plays to the end
    assert hand.shown.errors == []


@pytest.mark.browser
def test_corners_of_a_polygon_by_hand(show):
    made = annotate(VIDEO, autosave=False)
    hand = Hand(show(made))
    hand.press("g")
    for x, y in ((20, 20), (80, 20), (80, 80), (20, 80)):
        hand.click(x, y)
    hand.press("Enter")
    hand.drag((80, 80), (100, 90))
    assert made.prompts[0].polygon[2] == pytest.approx((100, 90), abs=0.5)
    hand.drag((50, 20), (50, 10))  # a corner more, on an edge
    assert len(made.prompts[0].polygon) == 5
    hand.click(50, 10, button="right")
    assert len(made.prompts[0].polygon) == 4
    assert hand.shown.errors == []


def test_track_ahead_as_one_draws_and_a_stale_start_is_dropped():
    made = corrector()
    made.session.params = {"seconds": 0.05}
    act(made, "follow", on=True)
    made.act({"do": "box", "xyxy": [10, 20, 40, 60]})
    assert made.view["tracking"]["running"]
    made.act({"do": "box", "xyxy": [50, 20, 80, 60]})  # at once: what started at 10 is dropped
    made.wait(20)
    assert made.tracks.of_object(1).boxes[:, 0].tolist() == [50.0 + i for i in range(N)]
    assert made.view["frame"] == 0
    act(made, "go", frame=6)
    act(made, "box", xyxy=[100, 20, 130, 60])
    # back to the figure before, too: from there on 51, 52, ... and from here back 101, 102, ... agree nowhere
    lefts = made.tracks.of_object(1).boxes[:, 0]
    np.testing.assert_allclose(lefts[:6], np.linspace(50, 100, 7)[:6])
    assert lefts[6:].tolist() == [100, 101, 102, 103, 104, 105]
    assert made.tracks.of_object(1).source[:7].tolist() == ["manual", *["interpolated"] * 5, "manual"]
    act(made, "undo")
    assert made.tracks.of_object(1).boxes[:, 0].tolist() == [50.0 + i for i in range(N)]
    act(made, "redo")
    made.act({"do": "new_object"})
    made.act({"do": "box", "xyxy": [5, 20, 25, 60]})
    made.act({"do": "new_object"})
    made.act({"do": "box", "xyxy": [80, 20, 95, 60]})
    made.wait(20)
    assert [made.tracks.of_object(i).frame.tolist() for i in (2, 3)] == [list(range(6, N))] * 2
    act(made, "undo")  # one edit with what it started
    assert made.session.object_ids == [1, 2]
    act(made, "follow", on=False)
    act(made, "box", xyxy=[1, 20, 9, 60])
    assert not made.view["tracking"]["running"]


@pytest.mark.browser
def test_the_corrector_leads_to_the_frame_that_is_the_least_sure_and_stays_under_a_hand(show):
    made = corrector()
    hand = Hand(show(made))

    def tracked() -> None:
        made.wait(20)
        hand.shown.pull()
        hand.shown.settle()

    hand.press("Shift+G")
    assert made.view["tracking"]["follow"]
    hand.drag((10, 20), (40, 60))
    tracked()
    assert made.view["frame"] == N - 1  # one figure: the end of its way
    assert "least sure" in made.view["message"]
    hand.drag((90, 20), (120, 60))
    tracked()
    first = made.view["frame"]
    assert 2 < first < 9
    hand.press("y")
    assert made.view["frame"] != first
    assert made.session.state.checked[1]
    assert made.session.key_frames(1) == [0, N - 1]
    second = made.view["frame"]
    hand.press("a")
    assert (1, second) in made.session.state.absent
    assert made.view["frame"] not in (first, second)
    act(made, "go", frame=3)
    made.session.params = {"seconds": 0.05}
    made.act({"do": "box", "xyxy": [40, 20, 70, 60]})
    made.act({"do": "go", "frame": 1})  # who looks elsewhere meanwhile stays there
    made.wait(20)
    assert made.view["frame"] == 1
    act(made, "lead", on=False)
    act(made, "box", xyxy=[12, 20, 42, 60])
    assert made.view["frame"] == 1
    assert hand.shown.errors == []


def test_what_was_found_right_stays_when_one_draws_after_it_and_what_lies_past_the_next_figure_too():
    made = corrector(box(10), box(90, frame=10))
    made.session.retrack(progress=False)
    made.session.looks_right(1, 2, 5)
    before = made.tracks.boxes[:, 0].tolist()
    act(made, "follow", on=True)
    act(made, "go", frame=8)
    act(made, "box", xyxy=[60, 20, 90, 60])
    after = made.tracks.boxes[:, 0].tolist()
    assert after[:5] == before[:5]
    assert after[5:8] != before[5:8]
    assert after[8:10] != before[8:10]
    assert after[10:] == before[10:]
    assert made.session.state.checked == {1: ((2, 5),)}
    act(made, "undo")
    assert made.tracks.boxes[:, 0].tolist() == before


def test_two_objects_that_are_due_at_once_change_each_on_its_own_frames():
    made = corrector(box(10), box(60, object_id=2), box(90, object_id=2, frame=9))
    made.session.retrack(progress=False)
    made.session.looks_right(1, 1, 4)
    made.session.looks_right(2, 4, 8)
    before = made.tracks
    made.session.params = {"seconds": 0.05}
    act(made, "follow", on=True)
    made.act({"do": "box", "xyxy": [40, 20, 70, 60], "at": {"frame": 8, "object_id": 1}})
    made.act(
        {"do": "box", "xyxy": [70, 20, 99, 60], "at": {"frame": 2, "object_id": 2}}
    )  # at once: both are due
    made.wait(20)
    assert made.session.state.checked == {1: ((1, 4),)}
    one, two = (made.tracks.of_object(i).boxes[:, 0] for i in (1, 2))
    assert one[:4].tolist() == before.of_object(1).boxes[:4, 0].tolist()
    assert one[8:].tolist() == [40, 41, 42, 43]
    assert two[3] != before.of_object(2).boxes[3, 0]
    assert two[9:].tolist() == before.of_object(2).boxes[9:, 0].tolist()
    made.session.looks_right(2, 10, 12)
    made.act({"do": "box", "xyxy": [42, 20, 72, 60], "at": {"frame": 7, "object_id": 1}})
    made.act({"do": "box", "xyxy": [72, 20, 99, 60], "at": {"frame": 3, "object_id": 2}})
    made.wait(20)
    assert made.session.state.checked == {1: ((1, 4),), 2: ((10, 12),)}


def test_the_mask_that_a_tracker_made_of_a_box_is_shown_on_its_frame():
    made = Corrector(Session(VIDEO, "flow"), autosave=False, segmenter=None)
    x1, y1, x2, y2 = square_box(0)
    act(made, "box", xyxy=[x1, y1, x2, y2])
    assert made.mask == b""
    act(made, "track", direction="forward")
    act(made, "go", frame=0)
    assert made.mask != b""
    assert made.tracks.masks_at(0)[1].any()


def test_all_of_a_frame_is_taken_as_right_and_tracked():
    frame, ids = np.repeat(np.arange(N), 2), np.tile([1, 2], N)
    boxes = np.stack([40.0 * ids - 30, 0 * ids + 20, 40.0 * ids, 0 * ids + 60], axis=1)
    made = Corrector(VIDEO, Tracks.of(frame, ids, boxes, 0.8), tracker=Drifts, autosave=False)
    act(made, "go", frame=4)
    act(made, "track_frame")
    assert set(made.session.state.keys) == {(1, 4, "box"), (2, 4, "box")}
    assert made.tracks.of_object(2).boxes[3:7, 0].tolist() == [50, 50, 51, 52]
    act(made, "undo")
    act(made, "undo")
    assert not made.session.state.keys


def test_the_picture_follows_what_is_tracked_unless_one_looks_elsewhere():
    made = corrector(box(10))
    made.session.params = {"seconds": 0.15}
    seen = []
    made._corrector.changed = lambda: seen.append((made._corrector.frame, made._corrector.view()))
    act(made, "track", direction="forward")
    frames = [f for f, view in seen if view["tracking"]["running"]]
    assert frames == sorted(frames)
    assert frames[-1] > 4
    frame, view = next((f, v) for f, v in seen if f > 2 and v["tracking"]["running"])
    assert view["figures"][0]["xyxy"][0] == 10 + frame  # what the tracker just said
    assert view["tracking"]["left"] > 0
    assert made._corrector.frame == 0
    made.act({"do": "track", "direction": "forward"})
    made.act({"do": "go", "frame": 7})
    made.wait(20)
    assert made._corrector.frame == 7


def test_a_template_of_a_skeleton_by_its_name():
    made = annotate(VIDEO, skeleton="hand", autosave=False)
    made.act({"do": "nodes", "points": [[10, 10], [20, 20]]})
    (figure,) = made.prompts
    assert isinstance(figure, SkeletonPrompt)
    assert figure.names == ("wrist", "thumb_1")
    assert not isinstance(figure, (PointPrompt, MaskPrompt))
