"""MOTChallenge text: conventions, round trip, and messages that name file, line and remedy."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.errors import FormatError, TracksError, VtlabWarning
from vtlab.formats import read_tracks
from vtlab.formats.motchallenge import read_mot, read_mot_rows, write_mot
from vtlab.metrics import evaluate
from vtlab.tracks import Tracks


def test_frames_and_pixels_count_from_one(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,5,1,1,10,20,1,1,0.5\n3,5,11,21,10,20,0,7,0\n")
    tracks = read_mot(path, "truth", size=(64, 48))
    assert tracks.frame.tolist() == [0, 2]
    assert tracks.boxes.tolist() == [[0, 0, 10, 20], [10, 20, 20, 40]]
    assert tracks.score.tolist() == [1, 0]
    assert tracks.visible.tolist() == [True, False]
    assert tracks.label.tolist() == ["pedestrian", "static_person"]
    assert tracks.size == (48, 64)


def test_round_trip_is_exact(tmp_path):
    rng = np.random.default_rng(0)
    corner = rng.uniform(-20, 500, (40, 2)).round(3)
    boxes = np.concatenate([corner, corner + rng.uniform(1, 90, (40, 2)).round(3)], axis=1)
    tracks = Tracks.of(np.arange(40) // 4, np.arange(40) % 4 + 1, boxes, rng.random(40))
    again = read_mot(write_mot(tracks, tmp_path / "deep/er/seq.txt"))
    np.testing.assert_allclose(again.boxes, tracks.boxes, rtol=0, atol=1e-10)
    assert (again.frame == tracks.frame).all()
    assert (again.object_id == tracks.object_id).all()
    np.testing.assert_array_equal(again.score, np.clip(tracks.score / max(tracks.score.max(), 1), 0, 1))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "text", ["1,2,3,4,5,6\n2,2,3,4,5,6\r\n", " 1, 2, 3, 4, 5, 6\n", "1 2 3 4 5 6\n\n2 2 3 4 5 6"]
)
def test_separators(text):
    assert read_mot_rows(text.encode()).boxes[0].tolist() == [2, 3, 7, 9]


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_the_text(seed):
    """Whatever the columns: each cell as Python reads it, ids with their 64 bits."""
    rng = np.random.default_rng(seed)
    n, columns = 50, int(rng.integers(7, 11))
    ids = (2**62 + rng.permutation(n)).tolist()
    cells = [
        [int(rng.integers(1, 9)), ids[i], *rng.uniform(0, 500, columns - 2).round(int(rng.integers(0, 9)))]
        for i in range(n)
    ]
    lines = [",".join(f"{v!r}" if isinstance(v, int) else f"{float(v)!r}" for v in row) for row in cells]
    rows = read_mot_rows("\r\n".join(lines).encode())
    assert rows.frame.tolist() == [row[0] - 1 for row in cells]
    assert rows.object_id.tolist() == ids
    assert rows.confidence.tolist() == [row[6] for row in cells]
    corner = np.array([row[2:4] for row in cells]) - 1
    size = np.array([row[4:6] for row in cells])
    np.testing.assert_array_equal(rows.boxes, np.concatenate([corner, corner + size], axis=1))


def test_empty_file_is_an_empty_answer():
    assert len(read_mot_rows(b"")) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,2,3,4,5\n\n0,1,2,3,4,5\n", r"x\.txt, line 3: frames count from 1.*first_frame=0"),
        ("1,1,2,3,4,5\n1,2,oops,3,4,5\n", r"line 2: column 3 should be a number, got 'oops'"),
        ("1,1,2,3,4,5\n1,2,3\n", r"line 2: expected 6 columns as in line 1, got 3"),
        ("1,1,2,3,4,5\n2,1,2,3,4,5\n1,1,9,9,4,5\n", r"line 3: this id occurs twice in this frame"),
        ("1,1,2,3,-4,5\n", r"line 1: width and height must not be negative"),
        ("1,1,2,3,nan,5\n", r"line 1: a value is missing or no number"),
        ("1.5,1,2,3,4,5\n", r"the frame must be a whole number"),
        ("1,1.5,2,3,4,5\n", r"the id must be a whole number"),
        ("99,1,2,3,4,5\n", r"line 1: the sequence has 10 frames. Is this the result of another one"),
        ("1e12,1,2,3,4,5\n", r"line 1: a sequence has at most 16777216 frames"),
        ("1,2\n", r"expected at least 6 columns"),
    ],
)
def test_messages(tmp_path, text, message):
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_mot_rows(path, frames=10)


def test_corners_in_place_of_sizes_are_caught():
    rows = [f"{f + 1},1,{300 + f},{200 + f},{360 + f},{300 + f},1,-1,-1,-1" for f in range(30)]
    with pytest.raises(FormatError, match="as in x1, y1, x2, y2"):
        read_mot_rows("\n".join(rows).encode(), size=(400, 320))
    with pytest.raises(FormatError, match="as in x1, y1, x2, y2"):
        read_mot_rows("\n".join(rows).encode())
    near_the_corner = [f"{f + 1},1,{1 + f},{2 + f},90,120,1,-1,-1,-1" for f in range(30)]
    assert len(read_mot_rows("\n".join(near_the_corner).encode(), size=(400, 320))) == 30


def test_a_still_box_of_an_unknown_size_is_read_with_a_word():
    rows = [f"{f + 1},1,20,10,30,30,1,-1,-1,-1" for f in range(30)]
    with pytest.warns(
        VtlabWarning, match="columns 5 and 6 exceed columns 3 and 4 .* nothing in the file tells"
    ):
        assert len(read_mot_rows("\n".join(rows).encode())) == 30


def test_missing_file_and_unknown_label(tmp_path):
    with pytest.raises(FormatError, match=r"nowhere\.txt: can't be read"):
        read_mot_rows(tmp_path / "nowhere.txt")
    with pytest.raises(TracksError, match="'zebra' is no class of MOTChallenge"):
        write_mot(Tracks.of([0], [1], [[0, 0, 5, 5]], label=["zebra"]), tmp_path / "gt.txt", "truth")


def test_truth_with_few_rows_speaks_of_all_frames(tmp_path):
    """A frame without a line was looked at: an answer there is false, and the file is not sparse truth."""
    path = tmp_path / "gt.txt"
    path.write_text("".join(f"{frame},1,10,10,20,20,1,1,1\n" for frame in (1, 30, 60, 100)))
    truth = read_mot(path, "truth", frames=100)
    more = Tracks.concat([truth, Tracks.of([49], [7], [[100, 10, 130, 40]])])
    values = evaluate(more, truth, "mot", "mot17").set_index("metric")["value"]
    assert values["CLR_FP"] == 1
    assert values["MOTA"] == pytest.approx(0.75)


def test_truth_that_is_read_as_one_file_carries_its_rule(tmp_path):
    file = tmp_path / "MOT17-02/gt/gt.txt"
    file.parent.mkdir(parents=True)
    rows = [f"{f},{i},{10 * i},20,30,60,1,{1 if i < 3 else 8},1" for f in range(1, 6) for i in (1, 2, 3)]
    file.write_text("\n".join(rows))
    truth = read_tracks(file, "mot17")
    assert (truth.record.rule, set(truth.label)) == ("mot17", {"pedestrian", "distractor"})
    assert read_tracks(file, "mot20").record.rule == "mot20"
    found = evaluate(truth.replace(score=np.ones(len(truth))), truth)
    assert set(found["rule"]) == {"mot17"}
    assert found.set_index("metric")["value"]["CLR_TP"] == 10
