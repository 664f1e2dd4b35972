"""Tracks made elsewhere: opened as predictions, repaired, tracked again, exported; what a session doesn't take."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.drifts import Drifts
from vtlab.errors import FormatError, InputError, PromptError, RegistryError, VtlabWarning
from vtlab.formats import find_format, read_tracks
from vtlab.prompts import BoxPrompt, TextPrompt
from vtlab.session import Session, file
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import Source, Tracks
from vtlab.video import open_video

N = 12
VIDEO = open_video(moving_square(N))


def given(*ids: int, source: str = "tracked", frames: int = N) -> Tracks:
    rows = [(f, i) for f in range(frames) for i in ids]
    boxes = [(5 + f + 30 * k, 10, 15 + f + 30 * k, 20) for f in range(frames) for k in range(len(ids))]
    return Tracks.of([f for f, _ in rows], [i for _, i in rows], boxes, 0.8, source=source)


def test_opened_repaired_tracked_again_and_exported(tmp_path):
    mot = tmp_path / "mot.txt"
    find_format("motchallenge").write_tracks(given(1, 2), mot)
    made = Session.of(VIDEO, mot, Drifts)
    assert made.object_ids == [1, 2]
    assert len(made.state.keys) == 0
    np.testing.assert_allclose(made.tracks.boxes, given(1, 2).boxes)
    made.correct(BoxPrompt((60, 10, 70, 20), frame=6))
    assert made.stale == {1: [(6, N)]}
    assert len(made.tracks) == 2 * N
    made.retrack(6, progress=False)
    lefts = made.tracks.of_object(1).boxes[:, 0].tolist()
    assert lefts == [5, 6, 7, 8, 9, 10, 60, 61, 62, 63, 64, 65]
    np.testing.assert_allclose(made.tracks.of_object(2).boxes, given(1, 2).of_object(2).boxes)
    made.retrack(progress=False)  # from the first key figure: what lies before it stays
    assert made.tracks.of_object(1).boxes[:6, 0].tolist() == [5, 6, 7, 8, 9, 10]
    out = find_format("motchallenge").write_tracks(made.tracks, tmp_path / "out.txt")
    assert len(read_tracks(out, "motchallenge")) == 2 * N
    again = Session.load(_saved(made, tmp_path), VIDEO)
    assert again.tracks.to_frame().equals(made.tracks.to_frame())


def _saved(made: Session, folder):
    made.tracker = "ncc"
    return made.save(folder / "work.session.parquet")


def test_a_colleagues_manual_rows_are_predictions_here_and_ids_below_one_are_renumbered():
    made = Session.of(VIDEO, given(0, 2, source="manual"), Drifts)
    assert made.object_ids == [1, 2]
    assert set(made.tracks.source) == {"tracked"}
    assert made.tracks.record.id_map == {"1": 0}
    made.correct(BoxPrompt((60, 10, 70, 20), frame=6))
    made.retrack(progress=False)
    assert made.tracks.record.id_map == {"1": 0}  # so that they can be sent back under the ids that they had


def test_tracks_that_can_not_be_of_the_video_are_refused(tmp_path):
    with pytest.raises(InputError, match="speak of frame 19"):
        Session.of(VIDEO, given(1, frames=20), Drifts)
    with pytest.raises(InputError, match=r"\(10, 10\) \(height, width\)"):
        Session.of(VIDEO, given(1).replace(size=(10, 10)), Drifts)
    with pytest.raises(FormatError):
        Session.of(VIDEO, tmp_path / "missing.txt", Drifts)
    with pytest.raises(InputError, match="Expected tracks"):
        Session.of(VIDEO, 5, Drifts)
    rows = given(1)
    record = rows.record.replace(source=Source.of_video(open_video(moving_square(N, step=1))))
    with pytest.warns(VtlabWarning, match="can't be told"):
        Session.of(VIDEO, rows.replace(record=record), Drifts)


def squares(image):
    """Always the same two boxes."""
    import supervision as sv

    boxes = np.array([[10, 10, 30, 30], [60, 40, 90, 80]], float)
    return sv.Detections(boxes, confidence=np.array([0.9, 0.8]), class_id=np.array([0, 0]))


def test_a_tracker_that_finds_objects_fills_an_empty_session_and_later_adds_only_new_ones():
    made = Session(VIDEO, "bytetrack", detector=squares)
    made.retrack(progress=False)
    found = made.object_ids
    assert len(found) == 2
    assert len(made.tracks) >= 2 * (N - 3)
    made.correct(BoxPrompt(square_box(4), frame=4, object_id=found[0]))
    made.retrack(progress=False)
    assert made.object_ids == found  # both are known
    made.remove(found[1])
    made.retrack(progress=False)
    assert len(made.object_ids) == 2
    assert made.prompts[0].frame == 4


@pytest.mark.parametrize(
    ("tracker", "params"),
    [
        ("THEIRS:Stays", {}),
        ("got10k:THEIRS:Stays", {}),
        ("bytetrack", {"detector": "THEIRS:Stays"}),
        ("bytetrack", {"detector": "auto", "detector_params": {"parts": ["THEIRS:Stays"]}}),
    ],
)
def test_a_file_makes_no_code_run(tmp_path, tracker, params):
    code = tmp_path / "theirs.py"
    code.write_text("from pathlib import Path; Path(__file__).with_suffix('.ran').touch()")
    named = json.loads(json.dumps([tracker, params]).replace("THEIRS", str(code)))
    path = file.write(Session(VIDEO, "ncc").state, open_video(VIDEO), *named, tmp_path / "a.session.parquet")
    with pytest.raises(FormatError, match=r"theirs.py:Stays', code that opening it would run"):
        Session.load(path, VIDEO)
    assert not code.with_suffix(".ran").exists()
    assert Session.load(path, VIDEO, tracker="ncc", params={"search": 2.0}).params == {"search": 2.0}
    with pytest.raises(RegistryError, match="no 'Stays' in"):  # it is run where a person names it
        Session.load(path, VIDEO, tracker=f"{code}:Stays")
    assert code.with_suffix(".ran").exists()


def test_a_file_makes_no_address_be_asked(tmp_path):
    class Elsewhere:
        source, stream = "http://127.0.0.1:9/a.mp4", None

        def __getattr__(self, name):
            return getattr(open_video(VIDEO), name)

        def __len__(self):
            return N

    path = file.write(Session(VIDEO, "ncc").state, Elsewhere(), "ncc", {}, tmp_path / "a.session.parquet")
    with pytest.raises(FormatError, match="isn't asked because a file says so"):
        Session.load(path)
    assert Session.load(path, VIDEO).tracker == "ncc"


@pytest.mark.parametrize("tracker", ["ncc", "bytetrack", "sam3-text"])
def test_a_text_is_no_key_figure(tracker):
    made = Session(VIDEO, tracker=tracker)
    with pytest.raises(PromptError, match=r"A session can't take TextPrompt .'dog'"):
        made.add(TextPrompt("dog"))
