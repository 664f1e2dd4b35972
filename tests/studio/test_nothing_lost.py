"""What goes wrong while a person works, in a real browser: it is said, and nothing that was made is lost."""

from __future__ import annotations

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from tests.drifts import Drifts
from tests.studio.browser import Hand
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.session import Session
from vtlab.studio import Corrector, annotate
from vtlab.testing.scenes import moving_square

N = 12
pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where widgets save by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def clip():
    return vtlab.open_video(moving_square(n=N, height=120, width=160))


def session(clip, **params) -> Session:
    made = Session(clip, Drifts, **params)
    made.add(BoxPrompt((10, 20, 40, 60)))
    return made


def on_disk(folder, clip) -> Session:
    (file,) = folder.glob("*.session.parquet")
    found = Session(clip, Drifts)
    assert found.restore(file)
    return found


def status(hand: Hand) -> str:
    return hand.page.text_content(".vt-status")


def idle(made: Corrector) -> bool:
    return bool(made.view["tracking"]["total"]) and not made.view["tracking"]["running"]


def test_a_tracker_that_crashes(show, clip, folder):
    made = Corrector(session(clip, fail_at=5))
    hand = Hand(show(made))
    hand.press("f")
    hand.shown.until(lambda: idle(made))
    assert "broken" in status(hand)
    assert made.tracks.frame.tolist() == list(range(5))
    hand.drag((100, 70), (140, 110))  # and the work goes on
    assert on_disk(folder, clip).tracks.to_frame().equals(made.tracks.to_frame())
    assert sorted(made.session.object_ids) == [1, 2]
    assert hand.shown.errors == []


def test_stop(show, clip, folder):
    made = Corrector(session(clip, seconds=0.2))
    hand = Hand(show(made))
    hand.press("f")
    hand.shown.until(lambda: made.view["tracking"]["done"] > 2)
    hand.press("s")
    hand.shown.until(lambda: idle(made))
    assert "Stopped after" in status(hand)
    assert 2 < len(made.tracks) < N
    assert on_disk(folder, clip).tracks.to_frame().equals(made.tracks.to_frame())
    assert hand.shown.errors == []


def test_ctrl_c_while_an_edit_is_carried_out(show, clip, folder, monkeypatch):
    made = Corrector(session(clip))
    hand = Hand(show(made))
    before = made.session.state

    def interrupted(*args, **values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(made._state, "box", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made._hear({"link": "a", "n": 1, "first": 1, "edit": {"do": "box", "xyxy": [1, 1, 9, 9]}})
    hand.shown.pull()
    hand.shown.settle()
    assert "Interrupted" in status(hand)
    assert made.session.state is before
    hand.drag((100, 70), (140, 110))
    assert len(on_disk(folder, clip).prompts) == 2
    assert hand.shown.errors == []


def test_a_cell_that_is_run_again_while_edits_are_on_their_way(show, clip):
    made = annotate(clip)
    hand = Hand(show(made))
    hand.drag((10, 20), (60, 90))
    hand.page.evaluate("window.gone = true")
    hand.drag((90, 20), (140, 90))
    hand.page.evaluate("window.cleanup()")
    again = annotate(clip)
    second = Hand(show(again, beside=hand.shown))
    second.shown.until(lambda: len(again.prompts) == 2)
    assert len(Prompts.load(next(p for p in again._state.file.parent.glob("*.prompts.json")))) == 2
    assert second.shown.errors == []


def test_two_correctors_on_one_session(show, clip, folder):
    work = session(clip)
    first, second = Corrector(work), Corrector(work)
    one, two = Hand(show(first)), Hand(show(second))
    one.drag((60, 20), (90, 60))
    two.drag((100, 70), (140, 110))  # it did not know of the other's object, and makes one of its own
    one.drag((5, 70), (35, 110))
    assert {p.object_id for p in work.prompts} == {1, 2, 3, 4}
    two.shown.until(lambda: len(second.view["objects"]) == 4)
    two.page.wait_for_function("document.querySelectorAll('.vt-row').length === 4")  # by itself
    assert on_disk(folder, clip).prompts == work.prompts
    assert one.shown.errors == two.shown.errors == []


def test_two_annotators_on_one_file(show, clip):
    first, second = annotate(clip), annotate(clip)
    one, two = Hand(show(first)), Hand(show(second))
    one.drag((60, 20), (90, 60))
    two.drag((100, 70), (140, 110))
    one.drag((5, 70), (35, 110))
    assert len(first.prompts) == 3
    saved = Prompts.load(first._state.file)
    assert saved == first.prompts
    two.shown.until(lambda: second.prompts == saved)
    first._state.file.write_text("{")
    two.drag((5, 5), (35, 35))
    assert "kept as older-1-" in status(one) + status(two)  # whoever looks first
    assert len(Prompts.load(first._state.file)) == 4
    assert one.shown.errors == two.shown.errors == []
