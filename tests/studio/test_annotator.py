"""The annotator in a real browser: the page is joined to the Python object, so gestures end in prompts."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from tests.studio.browser import Hand
from vtlab.errors import InputError, PromptError, VtlabWarning
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.studio import PromptAnnotator, annotate
from vtlab.studio.annotator import Skeleton
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Source
from vtlab.video import StreamVideo, open_video

ARM = Skeleton(("hand", "elbow", "shoulder"), ((0, 1), (1, 2)))


WHEEL = """({ x, y, turn }) => { for (let i = 0; i < 2; i++) document.querySelector('.vt-canvas').dispatchEvent(
  new WheelEvent('wheel', { clientX: x, clientY: y, deltaY: turn, bubbles: true, cancelable: true })); }"""


@pytest.fixture
def clip():
    return open_video(moving_square(n=6, height=240, width=320, side=60, step=12))


@pytest.fixture
def hand(show, clip):
    hand = Hand(show(annotate(clip, autosave=False, skeleton=ARM)))
    yield hand
    assert hand.shown.errors == []


def write_images(folder, step: int):
    """A video of the images in a folder, which is made."""
    from PIL import Image

    folder.mkdir(parents=True)
    for i, image in enumerate(moving_square(n=3, height=96, width=128, step=step)):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return open_video(folder)


def boxes(hand) -> dict[int, tuple[float, ...]]:
    return {p.object_id: p.xyxy for p in hand.shown.widget.prompts if isinstance(p, BoxPrompt)}


def clicks(annotator) -> list[bool]:
    return next(f for f in annotator.view["figures"] if f["kind"] == "click")["positive"]


@pytest.mark.browser
@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("zoom", [1, 2])
def test_a_drawn_box_is_read_back_within_a_pixel(show, clip, scale, zoom):
    hand = Hand(show(annotate(clip, autosave=False), scale=scale))
    at = hand.at
    if zoom == 2:
        hand.page.locator(".vt-annotator").focus()
        hand.page.evaluate(
            WHEEL, {"x": hand.at(160, 120)[0], "y": hand.at(160, 120)[1], "turn": -200 * np.log(2)}
        )
        assert hand.page.text_content(".vt-percent") == "200%"
        middle = np.array(hand.at(160, 120))

        def at(x, y):
            return tuple(middle + 2 * (np.array(hand.at(x, y)) - middle))

    hand.drag((110, 90), (190.5, 160), at)
    assert boxes(hand)[1] == pytest.approx((110, 90, 190.5, 160), abs=1)
    assert hand.shown.errors == []


@pytest.mark.browser
def test_boxes_move_resize_nudge_and_more_of_them_are_more_objects(hand):
    hand.drag((40, 50), (100, 120))
    hand.drag((70, 85), (80, 95))
    assert boxes(hand)[1] == pytest.approx((50, 60, 110, 130), abs=1)
    hand.drag((110, 130), (130, 150))
    assert boxes(hand)[1] == pytest.approx((50, 60, 130, 150), abs=1)
    hand.press("Alt+ArrowRight", "Alt+Shift+ArrowUp")
    assert boxes(hand)[1] == pytest.approx((51, 50, 131, 140), abs=1)
    hand.drag((200, 100), (260, 160))
    assert boxes(hand)[2] == pytest.approx((200, 100, 260, 160), abs=1)
    hand.click(90, 90)  # only what is selected moves
    hand.drag((90, 90), (90, 400))  # out of the frame: the box stops at its edge and keeps its size
    assert boxes(hand)[1] == pytest.approx((51, 150, 131, 240), abs=1)
    assert hand.shown.widget.view["selected"] == 1
    hand.press("Delete")
    assert list(boxes(hand)) == [2]


@pytest.mark.browser
def test_a_box_is_turned_moved_and_resized(hand):
    def own() -> BoxPrompt:
        return next(p for p in hand.shown.widget.prompts if isinstance(p, BoxPrompt))

    hand.drag((120, 100), (200, 140))
    r = hand.page.locator(".vt-canvas").bounding_box()
    far = 24 / min(r["width"] / 320, r["height"] / 240)
    hand.drag((160, 100 - far), (260, 120))  # the knob above the box, to the right of its centre
    assert own().angle == pytest.approx(np.pi / 2, abs=0.01)
    assert own().xyxy == pytest.approx((120, 100, 200, 140), abs=1)
    hand.press(",", "Shift+,")
    assert own().angle == pytest.approx(np.pi / 2 - np.radians(11), abs=0.01)
    hand.press(".", "Shift+.")
    corners = own().corners()
    hand.drag((160, 120), (180, 130))
    assert own().corners() - corners == pytest.approx(np.tile([20, 10], (4, 1)), abs=1)
    before = own().corners()
    hand.drag((180, 170), (180, 190))  # the handle of the edge that now lies below
    assert own().angle == pytest.approx(np.pi / 2, abs=0.01)
    after = own().corners()
    assert after[[0, 3]] == pytest.approx(before[[0, 3]], abs=1)  # the far edge stays
    assert after[[1, 2]] - before[[1, 2]] == pytest.approx(np.tile([0, 20], (2, 1)), abs=1)
    hand.drag((180, 140), (600, 140))  # its extent stays in the frame
    assert own().corners().max(axis=0)[0] == pytest.approx(320, abs=1)
    hand.press("Control+z", "Control+z")
    assert own().corners() == pytest.approx(before, abs=1)


@pytest.mark.browser
def test_a_click_that_slips_makes_no_box(hand):
    hand.drag((40, 50), (41, 50.5))
    assert boxes(hand) == {}


@pytest.mark.browser
def test_a_new_object_can_be_drawn_inside_another_and_a_click_selects(hand):
    hand.drag((40, 50), (200, 200))
    hand.press("n")
    hand.click(60, 60)
    assert hand.shown.widget.view["selected"] == 1
    hand.press("n")
    hand.drag((80, 80), (120, 120))
    assert boxes(hand)[1] == pytest.approx((40, 50, 200, 200), abs=1)
    assert boxes(hand)[2] == pytest.approx((80, 80, 120, 120), abs=1)


@pytest.mark.browser
def test_undo_redo_by_keys_and_buttons(hand):
    hand.drag((40, 50), (100, 120))
    hand.press("Control+z")
    assert boxes(hand) == {}
    hand.press("Control+Shift+Z")
    assert len(boxes(hand)) == 1
    hand.page.click("[aria-label^=Undo]")
    hand.shown.settle()
    assert boxes(hand) == {}


@pytest.mark.browser
def test_positive_and_negative_clicks_change_the_mask(hand):
    annotator = hand.shown.widget
    hand.tool("click")
    hand.click(50, 46)
    first = annotator.mask
    assert first
    hand.click(24, 20, button="right")
    assert annotator.mask
    assert annotator.mask != first
    assert clicks(annotator) == [True, False]
    hand.page.keyboard.down("Alt")
    hand.click(76, 72)
    hand.page.keyboard.up("Alt")
    assert clicks(annotator) == [True, False, False]
    assert [p.kind for p in annotator.prompts] == ["mask"]


@pytest.mark.browser
def test_polygon_brush_eraser(hand):
    annotator = hand.shown.widget
    hand.press("g")
    for corner in ((100, 100), (180, 100), (180, 160), (100, 160)):
        hand.click(*corner)
    hand.press("Enter")
    mask = annotator.prompts[0].mask(240, 320)
    assert mask.sum() == pytest.approx(80 * 60, rel=0.05)
    hand.press("p")
    hand.drag((180, 130), (240, 130))
    assert annotator.prompts[0].mask(240, 320)[130, 230]
    hand.press("e")
    hand.drag((140, 80), (140, 190))
    assert not annotator.prompts[0].mask(240, 320)[130, 140]


@pytest.mark.browser
def test_points_and_skeleton(hand):
    annotator = hand.shown.widget
    hand.press("o")
    hand.click(30, 40)
    hand.click(90, 40)
    hand.drag((90, 40), (100, 60))
    (points,) = (p for p in annotator.prompts if isinstance(p, PointPrompt))
    assert np.array(points.points) == pytest.approx(np.array([[30, 40], [100, 60]]), abs=1)
    hand.click(30, 40, button="right")
    hand.press("k")
    for node in ((200, 60), (220, 120), (200, 180), (10, 10)):  # the template has three
        hand.click(*node)
    hand.click(220, 120, button="right")
    (skeleton,) = (p for p in annotator.prompts if isinstance(p, SkeletonPrompt))
    assert skeleton.names == ARM.names
    assert skeleton.occluded == (False, True, False)
    assert len(next(p for p in annotator.prompts if isinstance(p, PointPrompt)).points) == 1


@pytest.mark.browser
def test_frames_by_key_and_number_and_scrubber(hand):
    annotator, page = hand.shown.widget, hand.page
    hand.press("ArrowRight", "ArrowRight")
    assert annotator.view["frame"] == 2
    hand.press("End", "Shift+ArrowRight")
    assert annotator.view["frame"] == 5
    page.fill(".vt-number", "3")
    page.keyboard.press("Enter")
    hand.shown.settle()
    assert annotator.view["frame"] == 3
    page.fill(".vt-track input", "1")
    hand.shown.until(lambda: annotator.view["frame"] == 1)
    page.wait_for_selector(".vt-annotator[data-frame='1']")
    hand.drag((40, 50), (100, 120))
    hand.press("d")
    assert annotator.prompts.frames == (1, 2)
    assert annotator.view["frame"] == 2
    hand.press("Control+c", "End", "Control+v")
    assert annotator.prompts.frames == (1, 2, 5)


@pytest.mark.browser
def test_objects_are_named_hidden_deleted(hand):
    annotator, page = hand.shown.widget, hand.page
    hand.drag((40, 50), (100, 120))
    hand.press("n")
    assert annotator.view["selected"] == 2
    page.fill(".vt-row[data-id='1'] input", "car")
    page.keyboard.press("Enter")
    hand.shown.settle()
    assert annotator.prompts.labels == {1: "car"}
    hand.press("1", "h")
    assert annotator.view["figures"] == []
    hand.press("h", "Shift+Delete")
    assert len(annotator.prompts) == 0


@pytest.mark.browser
def test_nothing_jumps_and_help_opens(hand):
    box = hand.page.locator(".vt-annotator").bounding_box()
    hand.drag((40, 50), (100, 120))
    hand.press("g", "p", "n", "n", "n", "n", "n", "n", "?")
    assert hand.page.locator(".vt-help").is_visible()
    hand.shown.widget.act({"do": "box", "xyxy": [0, 0]})
    hand.shown.pull()
    hand.shown.settle()
    assert hand.page.locator(".vt-annotator").bounding_box() == box
    hand.press("Escape")
    assert not hand.page.locator(".vt-help").is_visible()


@pytest.mark.browser
def test_the_focus_is_seen_on_every_control(show, clip):
    shown = show(annotate(clip, autosave=False), dark=True)
    hand = Hand(shown)
    hand.drag((40, 50), (100, 120))
    hand.page.locator(".vt-annotator").focus()
    seen = set()
    for _ in range(30):
        hand.page.keyboard.press("Tab")
        name, outline = hand.page.evaluate(
            "() => [document.activeElement.ariaLabel, getComputedStyle(document.activeElement).outlineStyle]"
        )
        if name is None:
            break
        assert outline == "solid", name
        seen.add(name)
    assert {"Box (b)", "Zoom in (+)", "Frame", "Frame number", "Label of object 1"} <= seen


def test_without_a_front_end_the_saved_prompts_are_there(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = annotate(clip)
    assert isinstance(first, PromptAnnotator)
    first.act({"do": "box", "xyxy": [10, 10, 50, 60]})
    again = annotate(clip)
    assert again.prompts == first.prompts
    assert len(again.prompts) == 1
    assert "Restored 1 prompts" in again.view["message"]
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(f"{clip.name}-")
    assert file.name.endswith(".prompts.json")
    assert Prompts.load(file).source.digest == clip.digest()


def test_two_videos_of_one_name_never_share_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = (write_images(tmp_path / camera / "cam", step) for camera, step in (("a", 2), ("b", 1)))
    assert first.name == second.name
    for video, x in ((first, 10), (second, 30)):  # both opened before either is edited
        annotator = annotate(video)
        assert len(annotator.prompts) == 0
        annotator.act({"do": "box", "xyxy": [x, 10, 50, 60]})
    assert annotate(first).prompts[0].xyxy[0] == 10
    assert annotate(second).prompts[0].xyxy[0] == 30


def test_what_an_earlier_version_saved_by_name_is_read_and_left_alone(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = Prompts(BoxPrompt((1, 1, 9, 9))).save(tmp_path / f"{clip.name}.prompts.json")
    text = old.read_text()
    annotator = annotate(clip)
    assert "does not say of which video" in annotator.view["message"]
    annotator.act({"do": "box", "xyxy": [10, 10, 50, 60]})
    assert old.read_text() == text
    assert annotate(clip).prompts == annotator.prompts
    other = Source.of_video(clip).replace(digest="sha256:other", width=7)
    Prompts(BoxPrompt((1, 1, 9, 9)), source=other).save(old)
    for file in tmp_path.glob(f"{clip.name}-*"):
        file.unlink()
    assert len(annotate(clip).prompts) == 0


@pytest.mark.parametrize("text", ["{", '{"version": 1, "prompts": [{"kind": "box"', "[" * 100_000, "\0"])
def test_a_damaged_autosave_is_said_and_kept(clip, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    annotate(clip).act({"do": "box", "xyxy": [10, 10, 50, 60]})
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    with pytest.warns(VtlabWarning, match=r"kept as older-1-"):
        again = annotate(clip)
    again.act({"do": "box", "xyxy": [20, 10, 50, 60]})
    assert (tmp_path / f"older-1-{file.name}").read_text() == text
    assert annotate(clip).prompts == again.prompts


def test_a_given_file_is_made_and_followed(clip, tmp_path):
    file = tmp_path / "mine.json"
    annotator = annotate(clip, file)
    annotator.act({"do": "box", "xyxy": [10, 10, 50, 60]})
    assert Prompts.load(file) == annotator.prompts == annotate(clip, file).prompts


def test_saved_work_wins_over_given_prompts_with_a_warning(clip, tmp_path):
    file = tmp_path / "mine.json"
    saved, other = Prompts(BoxPrompt((1, 1, 9, 9))), Prompts(BoxPrompt((2, 2, 9, 9)))
    assert annotate(clip, other, autosave=file).prompts == other
    saved.save(file)
    with pytest.warns(VtlabWarning, match="not used"):
        assert annotate(clip, other, autosave=file).prompts == saved


def test_prompts_of_another_video_are_not_overwritten(clip, tmp_path):
    file = tmp_path / "mine.json"
    Prompts(MaskPrompt.of(np.ones((4, 4)))).save(file)
    with pytest.raises(PromptError, match="another video"):
        annotate(clip, autosave=file)


def test_a_stream_is_refused(monkeypatch):
    class Live(StreamVideo):
        name = "street"

        def __init__(self):
            pass

    monkeypatch.setattr("vtlab.studio.annotator.open_video", lambda _: Live())
    with pytest.raises(InputError, match="'street' is a stream"):
        annotate("rtsp://camera/street")


def test_a_failing_segmenter_is_seen(clip):
    class Broken:
        def segment(self, image, *, box=None, points=None, positive=None):
            raise RuntimeError("out of memory")

    annotator = annotate(clip, autosave=False, segmenter=Broken())
    with pytest.raises(RuntimeError):
        annotator.act({"do": "click", "x": 5, "y": 5})
    assert annotator.view["message"] == "RuntimeError: out of memory"


def test_repr_is_short(clip):
    assert repr(annotate(clip, autosave=False)).startswith("PromptAnnotator(")
