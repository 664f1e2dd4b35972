"""The queues in a real browser: a verdict's frames to label, blind, and questions about identities."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from tests.studio.browser import Hand
from vtlab.decision import identity_pairs
from vtlab.errors import InputError
from vtlab.testing.scenes import moving_square
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

N = 60
HOME = np.array([20.0, 20.0, 80.0, 80.0])


@pytest.fixture(scope="module")
def clip():
    return open_video(moving_square(n=N, height=240, width=320, side=60, step=3))


def drift(step: float, seed: int, object_id: int = 1, home=HOME) -> Tracks:
    way = np.cumsum(np.random.default_rng(seed).normal(0, step, (N, 2)), axis=0)
    way[0] = 0
    return Tracks.of(np.arange(N), object_id, home + np.concatenate([way, way], axis=1))


def answers(**more: Tracks) -> dict[str, Tracks]:
    return {"secret-one": drift(0.3, 1), "secret-two": drift(2, 2), **more}


def panel(queue) -> dict:
    return queue.view["queue"]


def sentence_of(queue) -> str:
    return panel(queue)["sentence"]


def label_all(hand, most: int = 99) -> list[int]:
    """Draw the box and go on until there is an answer, the first three times by mouse and keyboard."""
    frames: list[int] = []
    queue = hand.shown.widget
    while not panel(queue)["answer"] and len(frames) < most:
        frames.append(queue.view["frame"])
        if len(frames) <= 3:
            hand.drag((20, 20), (80, 80))
            hand.press("Enter")
        else:
            queue.act({"do": "box", "xyxy": [20, 20, 80, 80]})
            queue.act({"do": "take"})
    hand.shown.pull()
    hand.shown.settle()
    return frames


@pytest.mark.browser
def test_ten_frames_are_labelled_blind_by_mouse_and_keyboard(show, clip, tmp_path):
    file = tmp_path / "street.verdict.json"
    v = vtlab.verdict(answers(), file=file)
    asked = [f for _, f in v.next()]
    hand = Hand(show(v.annotator(clip, segmenter=None)))
    queue = hand.shown.widget
    assert "secret" not in json.dumps(queue.view)
    assert queue.view["figures"] == []
    assert hand.page.text_content(".vt-title") == "1 of 12"
    hand.press("w")
    assert queue.view["frame"] == 0  # where the object was prompted, which doesn't count
    assert queue.view["figures"][0]["xyxy"] == HOME.tolist()
    hand.press("Home")
    frames = label_all(hand)
    assert len(frames) == 12
    assert sorted(set(frames)) == asked  # and two of them a second time
    assert v.labelled == len(json.loads(file.read_text())["labels"]["video"]["looked"]) == len(asked)
    assert sum(len(said.looked) for said in v.second.values()) == 2
    assert v.agreement > 0.95
    assert "10 more frames" in sentence_of(queue)
    assert "10 more frames" in hand.page.text_content(".vt-sentence")
    assert hand.page.locator(".vt-level").count() == 2
    scale = hand.page.locator(".vt-scale").first.bounding_box()
    assert scale["width"] > 200  # once as small as the pictures of the buttons
    hand.press("Enter")
    label_all(hand)
    assert v.state == "best"
    assert "secret-one" in hand.page.text_content(".vt-sentence")
    assert hand.shown.errors == []


@pytest.mark.browser
def test_a_narrow_pane_shows_the_whole_answer_and_goes_on(show, clip):
    """The answer is not cut to the height of the picture, and after it a box lands where it is drawn."""
    v = vtlab.verdict(answers())
    hand = Hand(show(v.annotator(clip, segmenter=None), size=(400, 800), dark=True))
    page = hand.page
    root, choices = (page.locator(name).bounding_box() for name in (".vt-annotator", ".vt-choices"))
    assert choices["width"] > 0.9 * root["width"]
    assert "once more to draw it anew" in page.text_content(".vt-status")
    label_all(hand)
    answer = page.locator(".vt-answer")
    assert answer.evaluate("a => a.scrollHeight <= a.clientHeight + 1")
    ends = [page.locator(name).bounding_box() for name in (".vt-choices", ".vt-answer")]
    assert ends[1]["y"] - ends[0]["y"] - ends[0]["height"] < 30
    hand.press("Enter")
    frame = hand.shown.widget.view["frame"]
    hand.drag((30, 40), (90, 100))
    hand.press("Enter")
    assert v.labels["video"].tracks.at(frame).boxes[0] == pytest.approx([30, 40, 90, 100], abs=2)
    assert hand.shown.errors == []


@pytest.mark.browser
def test_a_word_said_twice_answers_no_question_that_nobody_has_seen(show, clip):
    v = vtlab.verdict(answers())
    hand = Hand(show(v.annotator(clip, segmenter=None)))
    queue = hand.shown.widget
    hand.page.evaluate("() => { window.latency = 300; }")
    first, second, third = [f for _, f in v.next()][:3]
    hand.page.locator(".vt-annotator").focus()
    for key in ("x", "Enter", "Enter", "u", "u"):
        hand.page.keyboard.press(key)
    hand.shown.settle()
    assert (panel(queue)["place"], panel(queue)["done"]) == (second, 1)
    assert v.labels["video"].looked == {first}
    said = hand.page.evaluate("""() => {
      const root = document.querySelector('.vt-annotator');
      root.dispatchEvent(new KeyboardEvent('keydown', { key: 'u', bubbles: true }));  // this one is seen
      root.querySelector('.vt-canvas').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
      return root.querySelector('.vt-status').textContent;
    }""")
    assert "Nothing was drawn" in said  # a hand that is faster than the next question is told
    hand.shown.settle()
    assert v.labels["video"].unsure == {second}
    assert panel(queue)["place"] == third
    assert hand.shown.errors == []


@pytest.mark.browser
def test_absent_unsure_later_back_and_undo(show, clip):
    v = vtlab.verdict(answers())
    hand = Hand(show(v.annotator(clip, segmenter=None)))
    queue, (first, second, third, *_) = hand.shown.widget, [f for _, f in v.next()]
    hand.press("Enter")
    assert "Draw the object" in queue.view["message"]
    hand.press("x", "Enter")
    assert v.labels["video"].looked == {first}
    assert len(v.labels["video"].tracks) == 0
    hand.press("u")
    assert v.labels["video"].unsure == {second}
    hand.press("l")
    assert queue.view["frame"] not in (first, second, third)
    hand.press("ArrowRight")
    assert "Home" in hand.page.text_content(".vt-away")
    hand.drag((20, 20), (80, 80))  # on a frame that isn't asked
    assert "is asked" in queue.view["message"]
    hand.press("Home")
    hand.drag((20, 20), (80, 80))
    hand.press("Control+z")
    assert queue.view["figures"] == []
    hand.press("Control+z")  # nothing to undo here: the answer before
    assert queue.view["frame"] == second
    hand.press("j")
    assert queue.view["frame"] == first
    assert queue.view["objects"][0]["note"] == "not there"
    hand.drag((20, 20), (80, 80))
    hand.drag((100, 100), (170, 170))  # a second box is no second object
    hand.press("Enter")
    assert v.labels["video"].tracks.boxes.tolist() == [pytest.approx([100, 100, 170, 170], abs=1)]
    assert v.labels["video"].looked == {first}
    assert hand.shown.errors == []


def test_a_queue_goes_on_where_it_was(clip, tmp_path):
    def begin():
        v = vtlab.verdict(answers(), file=tmp_path / "v.json")
        return v, v.annotator(clip, segmenter=None)

    v, queue = begin()
    whole = []
    for k in range(12):
        whole.append(queue.view["frame"])
        queue.act({"do": "box", "xyxy": [20, 20, 80, 80 + k]})
        queue.act({"do": "take"})
        v, queue = begin()  # as after a restart of the kernel
    assert len(set(whole)) == 10
    assert v.labelled == 10
    queue.act({"do": "back"})
    assert queue.view["figures"][0]["kind"] == "box"


def test_masks_points_several_objects_and_crowds(clip):
    rows = drift(0.3, 1)
    masks = [np.zeros((240, 320), bool) for _ in range(N)]
    for m in masks:
        m[20:80, 20:80] = True
    one = Tracks.of(rows.frame, rows.object_id, masks=masks)
    q = vtlab.verdict({"a": one, "b": one}).annotator(clip, segmenter=None)
    assert q.view["tools"] == ["polygon", "brush", "eraser"]
    q.act({"do": "polygon", "points": [[20, 20], [80, 20], [80, 80], [20, 80]]})
    q.act({"do": "take"})
    assert panel(q)["done"] == 1

    dots = PointRows.of(
        np.repeat(np.arange(N), 2), 1, np.tile([0, 1], N), np.tile([[30.0, 30], [60, 60]], (N, 1))
    )
    points = Tracks.of(np.arange(N), 1, points=dots)
    v = vtlab.verdict({"a": points, "b": points})
    q = v.annotator(clip)
    q.act({"do": "nodes", "points": [[31, 30]]})
    q.act({"do": "take"})
    assert "2 points, 1" in q.view["message"]
    q.act({"do": "nodes", "points": [[31, 30], [60, 60]], "occluded": [False, True]})
    q.act({"do": "take"})
    assert v.labels["video"].tracks.points.visible.tolist() == [True, False]
    q.act({"do": "back"})
    assert q.view["figures"][0]["occluded"] == [False, True]

    both = {n: Tracks.concat([drift(s, 1), drift(s, 2, 2, HOME + 100)]) for n, s in (("a", 0.3), ("b", 2))}
    v = vtlab.verdict(both)
    q = v.annotator(clip, segmenter=None)
    q.act({"do": "box", "xyxy": [20, 20, 80, 80]})
    q.act({"do": "take"})
    assert "Draw object 2" in q.view["message"]
    q.act({"do": "select", "object_id": 2})
    q.act({"do": "absent"})
    q.act({"do": "take"})
    assert v.labels["video"].tracks.object_id.tolist() == [1]
    q.act({"do": "select", "object_id": 3})
    assert "follow 1, 2" in q.view["message"]

    v = vtlab.verdict(both, metric="detection")
    q = v.annotator(clip, segmenter=None)
    for _ in range(3):
        q.act({"do": "new_object"})
        q.act({"do": "box", "xyxy": [20, 20, 80, 80]})
    q.act({"do": "take"})
    assert len(v.labels["video"].tracks) == 3
    q.act({"do": "absent"})
    q.act({"do": "take"})
    assert len(v.labels["video"].looked) == 2


def test_a_strict_winner_is_proven_label_by_label(clip):
    v = vtlab.verdict(answers(), within=0)
    q = v.annotator(clip, segmenter=None)
    assert panel(q)["total"] is None
    for _ in range(60):
        if panel(q)["answer"]:
            break
        q.act({"do": "box", "xyxy": [20, 20, 80, 80]})
        q.act({"do": "take"})
    assert v.state == "best"
    assert "proven" in sentence_of(q)


def test_the_footage_must_be_known(clip):
    with pytest.raises(InputError, match=r"annotator\(video\)"):
        vtlab.verdict(answers()).annotator()
    with pytest.raises(InputError, match="another video"):
        vtlab.verdict(answers()).annotator(clip[:10])
    with pytest.raises(InputError, match="takes no prompts"):
        vtlab.annotate(vtlab.verdict(answers()), labels=["car"])


def people() -> Tracks:
    """Two objects whose identities swap in the middle."""
    a, b = drift(0.1, 1), drift(0.1, 2, 2, HOME + 100)
    ids = np.where(np.concatenate([a.frame, b.frame]) < N // 2, 0, 1)
    both = Tracks.concat([a, b])
    swapped = np.where((both.frame < N // 2), both.object_id, 3 - both.object_id)
    assert len(ids) == len(swapped)
    return Tracks.of(both.frame, swapped, both.boxes)


@pytest.mark.browser
def test_pairs_are_asked_and_answered_by_key(show, clip, tmp_path):
    pairs = identity_pairs({"secret": people()}, file=tmp_path / "pairs.json")
    hand = Hand(show(pairs.annotator(clip), size=(1200, 700)))
    queue = hand.shown.widget
    assert "secret" not in json.dumps(queue.view)
    assert hand.page.text_content(".vt-title") == "1 of 40"
    asked = pairs.next()[0]
    hand.press("ArrowRight", "ArrowRight")
    assert queue.view["frame"] == asked.second.frame + 2
    hand.press("Home", "y")
    assert pairs.said == {asked.key: "yes"}
    hand.press("j")
    assert panel(queue)["place"] == asked.second.frame
    hand.press("n")
    assert json.loads((tmp_path / "pairs.json").read_text())["said"] == {asked.key: "no"}
    while not panel(queue)["answer"]:
        queue.act({"do": "say", "answer": "yes"})
    assert "AssPr" in sentence_of(queue)
    assert ">secret<" in panel(queue)["chart"]
    hand.shown.pull()
    hand.press("Enter")
    assert not panel(queue)["answer"]
    assert hand.shown.errors == []


@pytest.mark.browser
def test_an_object_is_looked_for_with_a_box(show, clip):
    pairs = identity_pairs({"secret": people()}, metric="AssRe")
    hand = Hand(show(pairs.annotator(clip), size=(1200, 700)))
    queue = hand.shown.widget
    while pairs.next()[0].key not in pairs.said and queue.view["tools"] != ["box"]:
        hand.press("y")
    (key,) = [p.key for p in pairs.next() if p.key not in pairs.said][:1]
    hand.press("Enter")
    assert "Draw a box" in queue.view["message"]
    hand.drag((328 + 20, 20), (328 + 80, 80))
    hand.press("Enter")
    assert pairs.said[key] == pytest.approx((20, 20, 80, 80), abs=1.5)
    hand.press("j")
    assert queue.view["figures"][0]["xyxy"] == pytest.approx([348, 20, 408, 80], abs=1.5)
    assert hand.shown.errors == []
