"""The corrector: its rules without a browser, and a correction by hand in a real one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from tests.drifts import Drifts
from tests.studio.browser import Hand
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt, MaskPrompt, SkeletonPrompt
from vtlab.session import Session
from vtlab.studio import Corrector
from vtlab.testing.scenes import moving_square, square_box

N = 12
VIDEO = moving_square(n=N, height=120, width=160)


class Still(SingleObjectTracker):
    """Answers with the mask that it was given."""

    card = Card(
        "still", "vos", accepts=frozenset({BoxPrompt, MaskPrompt}), emits=frozenset({"boxes", "masks"})
    )

    def init(self, frame, prompt):
        self.mask = np.zeros(frame.image.shape[:2], bool)
        if isinstance(prompt, MaskPrompt):
            self.mask = prompt.mask(*self.mask.shape)

    def step(self, frame):
        return Observation(mask=self.mask)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where correctors save by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def box(x: float, frame: int = 0, object_id: int = 1, label=None) -> BoxPrompt:
    return BoxPrompt((x, 20, x + 30, 60), object_id=object_id, frame=frame, label=label)


def corrector(*prompts, tracker=Drifts, **params) -> Corrector:
    session = Session(VIDEO, tracker, **params)
    if prompts:
        session.add(prompts)
    return Corrector(session)


def act(made: Corrector, do: str, **values) -> str:
    made.act({"do": do, **values})
    made.wait(20)
    return made.view["message"]


def lefts(made: Corrector, object_id: int = 1) -> list[float]:
    return made.tracks.of_object(object_id).boxes[:, 0].tolist()


def test_tracks_corrects_and_tracks_again():
    made = corrector(box(10))
    assert "Tracked" in act(made, "track", direction="forward")
    assert lefts(made) == [10.0 + i for i in range(N)]
    act(made, "go", frame=5)
    assert made.view["figures"][0]["dashed"] is True
    assert made.view["objects"][0]["note"] == "tracked 0.50"
    act(made, "box", xyxy=[100, 20, 130, 60])
    assert made.view["figures"][0]["dashed"] is False
    assert made.view["objects"][0]["note"] == "manual"
    keys = dict(made.session.state.keys)
    assert lefts(made) == [10, 11, 12, 13, 14, 100, 16, 17, 18, 19, 20, 21]
    act(made, "track", direction="forward")
    assert lefts(made) == [10, 11, 12, 13, 14, 100, 101, 102, 103, 104, 105, 106]
    assert made.session.state.keys == keys
    assert made.view["objects"][0]["frames"] == [0, 5]
    assert made.view["objects"][0]["runs"] == [
        [0, 1, "manual"],
        [1, 5, "tracked"],
        [5, 6, "manual"],
        [6, 12, "tracked"],
    ]
    act(made, "undo")
    act(made, "undo")
    assert lefts(made) == [10.0 + i for i in range(N)]
    act(made, "redo")
    assert lefts(made) == [10, 11, 12, 13, 14, 100, 16, 17, 18, 19, 20, 21]


def test_what_a_correction_made_stale_is_drawn_hatched_until_it_is_tracked_again():
    made = corrector(BoxPrompt(square_box(0)), tracker="flow")
    act(made, "track", direction="forward")
    act(made, "go", frame=8)
    whole = made._state.overlay()
    act(made, "go", frame=5)
    act(made, "box", xyxy=list(square_box(5)))
    assert made.view["objects"][0]["runs"][-1] == [6, N, "stale"]
    act(made, "go", frame=8)
    (figure,) = made.view["figures"]
    assert (figure["dashed"], figure["stale"]) == (True, True)
    assert made.view["objects"][0]["note"] == "stale"
    striped = made._state.overlay()
    assert 0 < (striped[..., 3] > 0).sum() < (whole[..., 3] > 0).sum()
    act(made, "go", frame=5)
    act(made, "track", direction="forward")
    act(made, "go", frame=8)
    assert made.view["figures"][0]["stale"] is False


def test_backward_and_only_the_selected_object_unless_all_are_asked_for():
    made = corrector(box(50, frame=6), box(80, frame=6, object_id=2))
    act(made, "go", frame=6)
    act(made, "track", direction="backward")
    assert made.tracks.of_object(1).frame.tolist() == list(range(7))
    assert made.tracks.of_object(2).frame.tolist() == [6]
    act(made, "track", direction="both", everything=True)
    assert len(made.tracks) == 2 * N


def test_interpolation_between_key_figures():
    made = corrector(box(10), box(40, frame=10), box(5, object_id=2))
    assert "two frames" in act(made, "select", object_id=2) + act(made, "interpolate")
    act(made, "select", object_id=1)
    act(made, "interpolate")
    assert lefts(made) == pytest.approx(list(range(10, 41, 3)))
    act(made, "go", frame=5)
    assert made.view["objects"][0]["note"] == "interpolated"


def test_a_new_object_with_a_label():
    made = corrector(box(10))
    act(made, "new_object")
    act(made, "label", object_id=2, text="cat")
    act(made, "box", xyxy=[70, 20, 100, 60])
    act(made, "label", object_id=1, text="dog")
    assert made.session.prompts.labels == {1: "dog", 2: "cat"}
    assert {o["label"] for o in made.view["objects"]} == {"cat", "dog"}


def test_absent_and_gone():
    made = corrector(box(10))
    act(made, "track", direction="forward")
    act(made, "go", frame=3)
    act(made, "absent", object_id=1)
    assert made.view["objects"][0]["note"] == "absent"
    assert made.view["figures"] == []
    act(made, "go", frame=8)
    act(made, "gone", object_id=1)
    assert made.view["objects"][0]["note"] == "gone"
    assert made.tracks.frame.max() == 7
    act(made, "track", direction="forward")
    assert made.tracks.frame.max() == 7


def test_swap_split_merge_and_undo():
    made = corrector(box(10, label="cat"), box(80, object_id=2, label="dog"))
    act(made, "track", direction="forward", everything=True)
    before = made.tracks.to_frame()
    act(made, "go", frame=5)
    assert "exchanged from frame 5" in act(made, "swap", other=2)
    assert lefts(made) == [10, 11, 12, 13, 14, 85, 86, 87, 88, 89, 90, 91]
    assert set(made.tracks.of_object(1).label) == {"cat"}  # a label belongs to its id
    assert "object 1 is object 3" in act(made, "split")
    assert made.view["selected"] == 3
    assert made.tracks.of_object(3).frame.tolist() == list(range(5, N))
    assert made.session.prompts.labels == {1: "cat", 2: "dog"}
    assert set(made.tracks.of_object(3).label) == {"cat"}
    assert "is now object 3" in act(made, "merge", other=1)
    assert made.session.object_ids == [2, 3]
    act(made, "undo")
    act(made, "undo")
    assert made.view["selected"] == 1
    act(made, "undo")
    assert made.tracks.to_frame().equals(before)


def test_turned_boxes_stay_turned_between_key_figures():
    session = Session(VIDEO, "interpolation")
    for frame, x, angle in ((0, 20.0, 0.0), (10, 60.0, 0.5)):
        session.add(BoxPrompt((x, 40, x + 40, 60), angle, frame=frame))
    made = Corrector(session)
    act(made, "interpolate")
    act(made, "go", frame=5)
    (figure,) = made.view["figures"]
    assert figure["dashed"]
    assert figure["angle"] == pytest.approx(0.25)
    assert figure["xyxy"] == pytest.approx([40, 40, 80, 60])
    act(made, "box", xyxy=figure["xyxy"], angle=0.4)
    assert made.view["figures"][0]["angle"] == pytest.approx(0.4)
    assert len(made.tracks.at(5).points) == 4


def test_clicks_polygon_and_brush_correct_masks():
    made = corrector(box(10), tracker=Still)
    assert made.view["tools"] == ["box", "click", "polygon", "brush", "eraser"]
    act(made, "go", frame=4)
    act(made, "click", x=44, y=36)
    first = made.mask
    assert first
    act(made, "click", x=35, y=26, positive=False)
    assert made.mask != first
    act(made, "polygon", points=[[10, 10], [40, 10], [40, 40], [10, 40]])
    assert [p.kind for p in made.session.prompts.at(4)] == ["mask"]
    act(made, "box", xyxy=[1, 1, 9, 9])
    assert [p.kind for p in made.session.prompts.at(4)] == ["box"]
    act(made, "undo")
    act(made, "track", direction="forward")
    assert made.tracks.masks_at(9)[1].sum() == 900
    act(made, "go", frame=9)
    act(made, "paint", path=[[60, 60]], radius=4)
    key = next(p for p in made.session.prompts if isinstance(p, MaskPrompt) and p.frame == 9)
    assert key.mask(120, 160)[60, 60]
    assert key.mask(120, 160)[20, 20]


def test_skeletons_are_shown_with_their_names():
    session = Session(VIDEO, "interpolation")
    for frame, x in ((0, 10.0), (6, 40.0)):
        session.add(SkeletonPrompt(((x, 10), (x, 30)), ("a", "b"), ((0, 1),), frame=frame))
    session.interpolate()
    made = Corrector(session)
    act(made, "go", frame=3)
    (figure,) = made.view["figures"]
    assert figure["names"] == ["a", "b"]
    assert figure["points"][0] == pytest.approx([25, 10])
    act(made, "nodes", points=[[20, 10], [20, 30]])
    assert made.view["objects"][0]["frames"] == [0, 3, 6]


def test_while_tracking_runs_only_drawing_looking_and_stopping():
    made = corrector(box(10), seconds=0.2)
    made.act({"do": "track", "direction": "forward"})
    made.act({"do": "absent", "object_id": 1})
    assert "Tracking runs" in made.view["message"]
    made.act({"do": "undo"})
    assert "Tracking runs" in made.view["message"]
    made.act({"do": "go", "frame": 2})
    assert made.view["frame"] == 2
    while not made.view["tracking"]["done"]:
        assert made.view["tracking"]["running"]
        made.wait(0.02)
    made.act({"do": "stop"})
    made.wait(5)
    assert not made.view["tracking"]["running"]
    assert "Stopped after" in made.view["message"]
    assert len(made.tracks) < N
    assert made.session.prompts[0].xyxy == (10, 20, 40, 60)


def test_what_is_drawn_while_tracking_runs_is_kept():
    made = corrector(box(10), seconds=0.1)
    made.act({"do": "track", "direction": "forward"})
    made.act({"do": "box", "xyxy": [100, 70, 140, 110], "at": {"frame": 3, "object_id": 2}})
    assert made.view["tracking"]["running"]
    assert "Kept" in made.view["message"]
    made.act({"do": "box", "xyxy": [50, 20, 80, 60], "at": {"frame": 8, "object_id": 1}})
    made.act({"do": "label", "object_id": 1, "text": "dog"})
    assert not made.view["message"]  # a name is nothing to track again for
    made.act({"do": "describe", "object_id": 1, "name": "make", "value": "A", "of_object": True})
    assert made.view["tracking"]["running"]
    made.wait(20)
    assert set(made.tracks.of_object(1).label) == {"dog"}
    assert made.session.described(1) == {"make": "A"}
    assert {k[:2] for k in made.session.state.keys} == {(1, 0), (1, 8), (2, 3)}
    assert lefts(made)[7:10] == [17, 50, 19]  # what was found doesn't know of it
    assert made.session.stale == {1: [(8, N)]}  # and says so
    made.session.params = {}
    assert act(made, "track", direction="forward", everything=True) == f"Tracked {N} frames."
    act(made, "go", frame=0)
    act(made, "track", direction="forward", everything=True)
    assert made.session.stale == {}
    assert lefts(made)[8:] == [50, 51, 52, 53]


def test_both_ways_a_frame_counts_once():
    made = corrector(box(10), box(20, frame=8), seconds=0.05)
    assert act(made, "track", direction="both") == f"Tracked {N} frames."
    made.act({"do": "track", "direction": "both"})
    while made.view["tracking"]["done"] < N + 1:
        assert made.view["tracking"]["running"]
        made.wait(0.01)
    made.act({"do": "stop"})
    made.wait(5)
    assert f"Stopped after {N} frames: " in made.view["message"]


def test_a_failing_tracker_is_said_and_its_frames_are_kept():
    made = corrector(box(10), fail_at=5)
    assert "broken" in act(made, "track", direction="forward")
    assert made.tracks.frame.tolist() == [0, 1, 2, 3, 4]
    assert not made.view["tracking"]["running"]


@pytest.mark.parametrize(
    "edit",
    [
        {"do": "track", "direction": "sideways"},
        {"do": "gone", "object_id": 1},
        {"do": "absent", "object_id": 9},
        {"do": "delete", "object_id": 9},
        {"do": "polygon", "points": [[1, 1], [9, 1], [9, 9]]},
        {"do": "duplicate", "object_id": 1, "frame": 99},
        {"do": "swap", "other": 1},
        {"do": "merge", "other": 1},
        {"do": "merge", "other": 7},
        {"do": "split"},
    ],
)
def test_a_refused_edit_says_why(edit):
    made = corrector(box(10, frame=5))
    before = made.session.state
    assert act(made, **edit)
    assert made.session.state is before


def test_save_and_open_again(tmp_path):
    session = Session(VIDEO, "identity")
    session.add(box(10))
    made = Corrector(session, path=tmp_path / "work.parquet")
    act(made, "track", direction="forward")
    assert "Saved to" in act(made, "save")
    again = Corrector(Session.load(tmp_path / "work.parquet", VIDEO))
    assert again.tracks.frame.tolist() == made.tracks.frame.tolist()


@pytest.mark.browser
def test_a_correction_by_hand_changes_later_frames_and_leaves_key_figures_alone(show):
    made = corrector(box(10), box(20, frame=9))
    hand = Hand(show(made))
    hand.page.click("text=Forward")
    hand.shown.until(lambda: len(made.tracks) == N and not made.view["tracking"]["running"])
    before = lefts(made)
    hand.press("ArrowRight", "ArrowRight", "ArrowRight")
    hand.drag((30, 40), (70, 50))  # the prediction's box by its inside: 40 px right, 10 down
    assert made.session.prompts.frames == (0, 3, 9)
    assert lefts(made)[3] == pytest.approx(before[3] + 40, abs=1)
    hand.press("f")
    hand.shown.until(lambda: len(made.tracks) == N and not made.view["tracking"]["running"])
    after = lefts(made)
    assert after[:3] == before[:3]
    assert after[4:9] == pytest.approx([after[3] + i for i in range(1, 6)])
    assert after[9:] == before[9:]
    keys = {p.frame: p.xyxy for p in made.session.prompts}
    assert keys[0] == (10, 20, 40, 60)
    assert keys[9] == (20, 20, 50, 60)
    hand.press("Control+z", "Control+z")
    assert lefts(made) == before
    hand.press("a")
    assert made.view["objects"][0]["note"] == "absent"
    assert hand.shown.errors == []


@pytest.mark.browser
def test_identities_are_mended_with_the_mouse(show):
    made = corrector(box(10), box(80, object_id=2), box(40, object_id=3))
    act(made, "track", direction="forward", everything=True)
    act(made, "go", frame=6)
    hand = Hand(show(made))
    before = made.tracks.to_frame()
    hand.page.get_by_label("The other object").select_option("2")
    hand.page.get_by_role("button", name="From this frame on each is the other").click()
    hand.shown.settle()
    assert lefts(made)[5:7] == [15, 86]
    assert hand.page.get_by_label("The other object").input_value() == "2"  # the choice stays
    hand.page.get_by_role("button", name="From this frame on it is another object").click()
    hand.shown.settle()
    assert made.session.object_ids == [1, 2, 3, 4]
    assert hand.page.text_content(".vt-who") == "Object 4"
    hand.page.get_by_label("The other object").select_option("1")
    hand.page.get_by_role("button", name="They are one object").click()
    hand.shown.settle()
    assert made.session.object_ids == [2, 3, 4]
    hand.press("Control+z", "Control+z", "Control+z")
    assert made.tracks.to_frame().equals(before)
    hand.page.get_by_role("button", name="No longer exists").click()
    hand.shown.settle()
    assert made.tracks.of_object(1).frame.max() == 5
    assert hand.shown.errors == []


@pytest.mark.browser
def test_a_drag_while_tracking_runs_lands_on_the_frame_on_which_it_began(show):
    made = corrector(box(10), seconds=0.15)
    hand = Hand(show(made))
    hand.press("f")
    hand.shown.until(lambda: made.view["frame"] >= 2)
    seen = hand.page.locator(".vt-number").input_value()
    hand.page.mouse.move(*hand.at(100, 70))
    hand.page.mouse.down()
    done = made.view["tracking"]["done"]
    hand.shown.until(lambda: made.view["tracking"]["done"] > done + 2)  # it goes on under the hand
    hand.page.mouse.move(*hand.at(140, 110), steps=3)
    hand.page.mouse.up()
    hand.shown.until(lambda: not made.view["tracking"]["running"])
    assert made.session.key_frames(2) == [int(seen)]
    assert made.view["frame"] == int(seen)  # where the person is at work
    assert lefts(made) == [10.0 + i for i in range(N)]
    assert hand.shown.errors == []


@pytest.mark.browser
def test_progress_is_seen_and_the_stop_button_keeps_what_is_done(show):
    made = corrector(box(10), seconds=0.2)
    hand = Hand(show(made))
    hand.page.click("text=Forward")
    hand.shown.until(lambda: made.view["tracking"]["done"] > 1)
    hand.page.wait_for_function("document.querySelector('.vt-corrector progress').value > 0")
    assert f"/ {N}" in hand.page.text_content(".vt-done")
    assert hand.page.get_by_role("button", name="Not visible on this frame").is_disabled()
    hand.page.get_by_role("button", name="Stop tracking").click()
    hand.shown.until(lambda: not made.view["tracking"]["running"])
    hand.page.wait_for_function("/Stopped after/.test(document.querySelector('.vt-status').textContent)")
    assert 1 < len(made.tracks) < N
    hand.press("Home", "ArrowRight")
    hand.page.get_by_role("button", name="Not visible on this frame").click()
    hand.shown.settle()
    assert not made.tracks.of_object(1).at(1).visible.any()
    assert hand.shown.errors == []


@pytest.mark.browser
def test_a_label_is_read_whole_beside_its_note(show):
    hand = Hand(show(corrector(box(10, label="pedestrian"))))
    hand.page.wait_for_function("document.querySelector('.vt-note').textContent === 'manual'")
    wide = hand.page.evaluate(
        "(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth])(document.querySelector('.vt-row input'))"
    )
    assert wide[0] <= wide[1]
