"""Track-mAP, and masks in multi-object scoring, against TrackEval and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vtlab.errors import FormatError
from vtlab.formats.mots import read_mots
from vtlab.geometry import xywh_to_xyxy
from vtlab.metrics import score, track_map
from vtlab.tracks import Tracks

GOLDEN = Path(__file__).parent / "golden"


def side(rows):
    table = np.array(rows, dtype=float).reshape(len(rows), 7 if len(rows) and len(rows[0]) == 7 else 6)
    return table[:, 0].astype(int), table[:, 1].astype(int), xywh_to_xyxy(table[:, 2:6])


def test_track_map_equals_trackeval():
    golden = json.loads((GOLDEN / "track_map.json").read_text())
    parts = [
        track_map.evaluate(side(s["truth"]), side(s["answer"]), np.array(s["answer"])[:, 6])
        for s in golden["sequences"]
    ]
    found = track_map.combine(parts)
    assert found["mAP"] == pytest.approx(golden["values"]["AP_all"], abs=1e-9)
    assert found["mAR"] == pytest.approx(golden["values"]["AR_all"], abs=1e-9)
    for group in ("area_s", "area_m", "time_s", "time_m", "time_l"):
        expected = golden["values"][f"AP_{group}"]
        if expected < 0:  # TrackEval's sign for 'no such track'
            assert np.isnan(found[f"mAP_{group}"])
        else:
            assert found[f"mAP_{group}"] == pytest.approx(expected, abs=1e-9), group


def test_track_map_by_hand():
    # Two true tracks of 4 frames. The surest answer follows the first on 3 of 4 frames exactly: overlap 3/4, which
    # reaches the thresholds 0.5 ... 0.75 (6 of 10). A less sure one is false. The second true track is missed.
    box = [10.0, 10, 20, 20]
    truth = [[f, 1, *box] for f in range(4)] + [[f, 2, 200, 10, 20, 20] for f in range(4)]
    answer = [[f, 7, *box] for f in range(3)] + [[f, 8, 300, 10, 20, 20] for f in range(4)]
    found = track_map.combine([track_map.evaluate(side(truth), side(answer), [0.9] * 3 + [0.5] * 4)])
    # Precision 1 up to recall 1/2: 51 of the 101 recalls.
    assert found["AP_50"] == pytest.approx(51 / 101)
    assert found["mAP"] == pytest.approx(0.6 * 51 / 101)
    assert found["mAR"] == pytest.approx(0.6 * 0.5)
    perfect = track_map.combine([track_map.evaluate(side(truth), side(truth), [1.0] * 8)])
    assert perfect["mAP"] == 1
    nothing = track_map.combine([track_map.evaluate(side(truth), side(np.empty((0, 6))), [])])
    assert nothing["mAP"] == 0
    assert np.isnan(
        track_map.combine([track_map.evaluate(side(np.empty((0, 6))), side(truth), [1.0] * 8)])["mAP"]
    )


def test_track_map_of_tracks_by_class():
    frame = np.tile(np.arange(5), 2)
    box = np.repeat([[0.0, 0, 20, 20], [100, 0, 120, 20]], 5, axis=0)
    truth = Tracks.of(frame, np.repeat([1, 2], 5), box, label=["car"] * 5 + ["dog"] * 5)
    answer = truth.take(truth.label == "car")
    found = track_map.of_tracks([(answer, truth), (answer, truth)])
    assert (found["car"]["mAP"], found["dog"]["mAP"], found["mean"]["mAP"]) == (1, 0, 0.5)
    plain = Tracks.of(frame, np.repeat([1, 2], 5), box)
    assert track_map.of_tracks([(plain, plain)])["object"]["mAP"] == 1


def test_mots_equals_trackeval(tmp_path):
    golden = json.loads((GOLDEN / "mots.json").read_text())
    for name in ("truth", "answer"):
        (tmp_path / f"{name}.txt").write_text("\n".join(golden[name]))
    truth, answer = (read_mots(tmp_path / f"{n}.txt", frames=12) for n in ("truth", "answer"))
    truth = truth.replace(meta={"frames": 12})
    found = score(answer, truth, "mot", "mots").values()
    for name, value in golden["values"].items():
        if name in found and name != "Frames":
            assert found[name] == pytest.approx(value, abs=1e-9), name
    assert truth.label.tolist().count("ignore") == 12
    assert np.isfinite(truth.boxes).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2001 2 60 90\n", r"line 1: expected 'frame id class height width rle'"),
        ("0 2001 2 60 90 0\n", r"line 1: frames count from 1"),
        ("99 2001 2 60 90 0\n", r"line 1: the sequence has 12 frames"),
        ("1 2001 5 60 90 0\n", r"unknown class 5. Known: 1 \(car\), 2 \(pedestrian\), 10 \(ignore\)"),
    ],
)
def test_mots_messages(tmp_path, text, message):
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_mots(path, frames=12)


def test_mots_masks_must_not_overlap(tmp_path):
    golden = json.loads((GOLDEN / "mots.json").read_text())
    first = golden["truth"][0].split()
    path = tmp_path / "x.txt"
    path.write_text(" ".join(first) + "\n" + " ".join([first[0], "2999", *first[2:]]))
    with pytest.raises(FormatError, match="masks overlap in frame 1"):
        read_mots(path)
    path.write_text(" ".join(first) + "\n" + " ".join([first[0], "2999", "2", "30", "90", first[5]]))
    with pytest.raises(FormatError, match="line 2: the mask is 30 x 90, those before 60 x 90"):
        read_mots(path)
    path.write_text("")
    assert len(read_mots(path)) == 0
    with pytest.raises(FormatError, match="can't be read"):
        read_mots(tmp_path / "nowhere.txt")
