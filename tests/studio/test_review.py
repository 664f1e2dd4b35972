"""Reviewing: tracks of anyone, from one doubtful place to the next."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from vtlab.errors import InputError
from vtlab.session import Session
from vtlab.studio import Corrector
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Tracks

N = 60
VIDEO = vtlab.open_video(moving_square(n=N, height=96, width=128, step=1))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where correctors save by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doubtful() -> Tracks:
    left = 5.0 + np.arange(N)
    one = np.stack([left, left * 0 + 10, left + 20, left * 0 + 30], axis=1)
    two, scores = one + np.array([0, 40, 0, 40]), np.full((2, N), 0.9)
    scores[0, 20:23] = 0.2
    two[40:] += [0, 15, 0, 15]
    frames = np.tile(np.arange(N), 2)
    return Tracks.of(frames, np.repeat([1, 2], N), np.concatenate([one, two]), scores.ravel())


def act(made: Corrector, do: str, **values) -> str:
    made.act({"do": do, **values})
    made.wait(20)
    return made.view["message"]


def test_keys_go_from_one_doubtful_place_to_the_next_and_seen_ones_are_passed_over(folder):
    made = vtlab.review(VIDEO, doubtful(), tracker="ncc")
    assert (made.view["frame"], made.view["selected"]) == (20, 1)
    assert "unsure" in made.view["message"]
    made.wait(20)  # for what the looks of objects tell
    assert made.view["doubts"] == 2
    assert sorted(made.doubts.frame.tolist()) == [20, 40]
    assert [len(o["doubts"]) for o in made.view["objects"]] == [1, 1]
    assert made.doubts.reason.str.contains("looks different").sum() == 1
    assert "jumps" in act(made, "doubt", step=1)
    assert (made.view["frame"], made.view["selected"]) == (40, 2)
    assert "no doubtful place after" in act(made, "doubt", step=1)
    act(made, "doubt", step=-1)
    assert "jumps" in act(made, "looks_right")
    assert (made.view["frame"], made.view["doubts"]) == (40, 1)
    act(made, "box", xyxy=[45, 65, 65, 85])  # a person's word settles it, too
    assert made.view["doubts"] == 0
    assert "no doubtful place" in act(made, "doubt", step=1)
    with pytest.warns(vtlab.VtlabWarning, match="Restored"):
        again = vtlab.review(VIDEO, doubtful(), tracker="ncc")
    assert again.view["doubts"] == 0
    assert "Restored" in again.view["message"]
    act(made, "undo")
    act(made, "undo")
    assert made.view["doubts"] == 2


def test_keys_go_to_the_key_figures_of_an_object():
    made = Corrector(VIDEO, doubtful(), tracker="ncc")
    for frame in (10, 30):
        act(made, "go", frame=frame)
        act(made, "box", xyxy=[5 + frame, 10, 25 + frame, 30])
    act(made, "key_figure", step=-1)
    assert made.view["frame"] == 10
    assert "no key figure before frame 10" in act(made, "key_figure", step=-1)
    act(made, "key_figure", step=1)
    assert made.view["frame"] == 30


def test_a_button_finds_all_objects_of_an_empty_video():
    def squares(image):
        import supervision as sv

        boxes = np.array([[10, 10, 30, 30], [60, 40, 90, 80]], float)
        return sv.Detections(boxes, confidence=np.array([0.9, 0.8]), class_id=np.array([0, 0]))

    made = Corrector(Session(VIDEO, "bytetrack", detector=squares))
    assert "Tracked" in act(made, "track", direction="both", everything=True)
    assert len(made.session.object_ids) == 2
    act(made, "select", object_id=made.session.object_ids[0])
    act(made, "go", frame=5)
    act(made, "box", xyxy=[12, 12, 32, 32])
    assert made.session.prompts[0].xyxy == (12, 12, 32, 32)


def test_tracks_go_with_a_video():
    with pytest.raises(InputError, match=r"Session\.of\(video, tracks\)"):
        Corrector(Session(VIDEO, "ncc"), doubtful())


def test_where_another_tracker_has_it_elsewhere_is_doubtful(folder):
    one = doubtful().of_object(1)
    other = one.replace(boxes=one.boxes + np.where(one.frame[:, None] >= 50, 40.0, 0.0))
    made = vtlab.review(VIDEO, one, tracker="ncc", others={"b": other})
    found = made.doubts[made.doubts.reason.str.contains("another tracker")]
    assert found[["first", "end"]].to_numpy().tolist() == [[50, N]]
