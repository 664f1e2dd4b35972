"""`Tracks.save` and `Tracks.load` go by the ending of the name, through the one registry of formats."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest

from vtlab.errors import FormatError, InputError, TracksError, VtlabWarning
from vtlab.formats import read_tracks, write_tracks
from vtlab.testing.formats import assert_same
from vtlab.testing.ledger import random_tracks
from vtlab.tracks import PointRows, Tracks


def boxes() -> Tracks:
    return Tracks.of([0, 1], 1, [[1.25, 2, 3, 4], [0.1 + 0.2, 2, 3, 4]], label=["=1+1", "NA"])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("ending", [".parquet", ".json", ".PARQUET"])
def test_parquet_and_json_hold_everything(seed, ending, tmp_path):
    given = random_tracks(seed)
    back = Tracks.load(given.save(tmp_path / f"a{ending}"))
    assert_same(back, given)
    np.testing.assert_array_equal(back.points.score, given.points.score)
    assert back.record == given.record
    assert back.step_seconds.tolist() == given.step_seconds.tolist()


@pytest.mark.parametrize(
    "label", [[], [None] * 3, ["dog"] * 3, ["dog", None, "dog"], [None, "", ""], ["a", "b", "c"]]
)
def test_a_column_of_one_word_is_text_as_any_other(label, tmp_path):
    given = Tracks.of(range(len(label)), 1, np.full((len(label), 4), 1.0), label=label)
    path = given.save(tmp_path / "a.parquet")
    table = pq.read_table(path)
    assert {str(table.schema.field(name).type) for name in ("label", "source")} == {"string"}
    assert table.column("label").to_pylist() == label
    assert Tracks.load(path).label.tolist() == label


def test_the_bytes_are_what_the_ending_says(tmp_path):
    """.csv and .json held Parquet in silence."""
    given = boxes()
    starts = {
        ".parquet": b"PAR1",
        ".csv": b"frame,object_id,label,x1",
        ".json": b'{"vtlab": "tracks"',
        ".xml": b"<?xml",
    }
    for ending, start in starts.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VtlabWarning)
            assert given.save(tmp_path / f"a{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize("seed", [0, 2])
def test_csv_says_what_it_drops_and_holds_the_rest(seed, tmp_path):
    """Of tracked points it held only the boxes around them."""
    given = random_tracks(seed)
    drawn = sum(m is not None for m in given.rle)
    with pytest.warns(VtlabWarning, match=rf"a.csv: CSV holds no masks, so {drawn} are dropped"):
        given.save(tmp_path / "a.csv")
    back = Tracks.load(tmp_path / "a.csv")
    assert_same(back, given.replace(rle=None, size=None))
    np.testing.assert_array_equal(back.points.score, given.points.score)


def test_csv_of_points_and_of_odd_texts_comes_back_exactly(tmp_path):
    given = boxes()
    assert_same(Tracks.load(given.save(tmp_path / "a.csv")), given)
    points = Tracks.of(
        [3], 7, points=PointRows.of([3, 3], 7, [0, 5], [[1 / 3, np.nan], [2, 3]], [True, False])
    )
    assert_same(Tracks.load(points.save(tmp_path / "b.csv")), points)
    for ending in (".csv", ".json", ".parquet"):
        assert len(Tracks.load(Tracks.empty().save(tmp_path / f"none{ending}"))) == 0


INFINITE = [np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("ending", [".parquet", ".json", ".csv"])
def test_values_that_are_infinite_or_missing_come_back_as_they_were(ending, tmp_path):
    """JSON had null for all three."""
    wrong = {"time": INFINITE, "velocity": [[v, 1.0] for v in INFINITE]}
    points = PointRows.of([0, 1, 2], 1, 0, [[v, 1.0] for v in INFINITE])
    given = Tracks.of([0, 1, 2], 1, np.tile([1.0, 2, 3, 4], (3, 1)), points=points, **wrong)
    given = given.replace(step_seconds=INFINITE if ending != ".csv" else ())
    back = Tracks.load(given.save(tmp_path / f"a{ending}"))
    for a, b in ((given.time, back.time), (given.velocity, back.velocity), (points.xy, back.points.xy)):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(given.step_seconds, back.step_seconds)


def test_a_number_by_another_name_is_told(tmp_path):
    path = Tracks.of([0], 1, time=[np.inf]).save(tmp_path / "a.json")
    path.write_text(path.read_text().replace('"inf"', '"noon"'))
    with pytest.raises(FormatError, match=r"a\.json: .*'time'"):
        Tracks.load(path)


def test_endings_of_formats(tmp_path):
    given = random_tracks(0)
    with pytest.warns(VtlabWarning, match=r"a.xml: 'cvat' can't hold .*scores"):
        given.save(tmp_path / "a.xml")
    back = Tracks.load(tmp_path / "a.xml")
    assert back.object_ids.tolist() == given.object_ids.tolist()
    plain = Tracks.of([0, 1], 1, [[1, 2, 3, 4], [2, 2, 3, 4]])
    with pytest.raises(
        InputError, match=r"'.txt' is the ending of .*motchallenge.*tracks.save\('a.txt', 'boxes'\)"
    ):
        plain.save(tmp_path / "a.txt")
    plain.save(tmp_path / "a.txt", "motchallenge")
    assert (tmp_path / "a.txt").read_text().startswith("1,1,2,3,2,2,1")
    np.testing.assert_array_equal(Tracks.load(tmp_path / "a.txt").boxes, plain.boxes)
    np.testing.assert_array_equal(Tracks.load(tmp_path / "a.txt", "motchallenge").boxes, plain.boxes)
    (path,) = write_tracks(plain, tmp_path, "dataloop", sequence="walk")
    with pytest.raises(TracksError, match="nothing of them would be written"):
        plain.save(tmp_path / "a.pkl")
    assert len(Tracks.load(read_tracks(path, "dataloop").save(tmp_path / "b.json"))) == 2
    for name in ("a.foo", "a", "a.mp4"):
        with pytest.raises(InputError, match=r"is the ending of no format.*\.csv \(vtlab\).*\.xml \(cvat\)"):
            plain.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_old_files_of_parquet_under_another_ending_are_read(tmp_path):
    boxes().save(tmp_path / "a.parquet").rename(tmp_path / "a.json")
    assert_same(Tracks.load(tmp_path / "a.json"), boxes())


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "frame,object_id,x1\n0,one,3\n", "not tracks that Tracks.save wrote"),
        ("a.csv", "frame,object_id,wat\n0,1,3\n", "is none of tracks: the column 'wat'"),
        ("a.csv", "frame,object_id,points\n0,1,\"[[1]]\"\n", "a point should be"),
        ("a.csv", "frame,object_id,points\n0,1,\"" + "[" * 100_000 + "\"\n", "not tracks that"),
        ("a.json", '{"vtlab": "tracks", "version": 9}', "expected version 1"),
        ("a.json", '{"vtlab": "tracks", "version": 1, "columns": {"wat": []}, "points": {}}', "no column 'wat'"),
        ("a.json", '{"vtlab": "tracks", "version": 1, "version": 1}', "'version' twice"),
        ("a.json", '{"vtlab": "tracks", "version": 1, "columns": {"frame": [0], "rle": [7]}, "points": {}}', "not tracks"),
        ("a.json", '{"some": "json"}', "of which format is it"),
        ("a.parquet", "no parquet", "a Parquet file of tracks"),
    ],
)  # fmt: skip
def test_damaged_files_are_told(name, content, told, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(FormatError, match=told) as raised:
        Tracks.load(tmp_path / name)
    assert name in str(raised.value)
    with pytest.raises(FormatError, match=r"no such tracks file|there is no such"):
        Tracks.load(tmp_path / "missing.json")


@pytest.mark.parametrize("ending", [".json", ".csv", ".parquet"])
def test_what_is_no_number_comes_back_as_it_was(tmp_path, ending):
    """JSON has a word for neither: NaN must not be what an infinite score comes back as."""
    odd = np.array([np.inf, -np.inf, 0.5, np.nan])
    points = PointRows.of(np.arange(4), 1, 0, np.ones((4, 2)), True, score=odd)
    kept = Tracks.of(np.arange(4), 1, np.full((4, 4), np.nan), score=odd, time=odd, points=points)
    found = Tracks.load(kept.save(tmp_path / f"odd{ending}"))
    np.testing.assert_array_equal(found.score, odd)
    np.testing.assert_array_equal(found.time, kept.time)
    np.testing.assert_array_equal(found.points.score, points.score)


def test_points_stay_with_their_rows_on_any_frame_and_object(tmp_path):
    """Frames and ids whose bytes are ordered otherwise than their numbers."""
    frame = np.repeat(np.arange(0, 600, 2), 2)
    ids = np.tile([3, 700], 300)
    xy = np.stack([frame + 0.5, ids + 0.25], axis=1)
    given = Tracks.of(frame, ids, np.tile([0.0, 0, 4, 4], (600, 1)), points=PointRows.of(frame, ids, 0, xy))
    back = Tracks.load(given.save(tmp_path / "a.csv"))
    np.testing.assert_array_equal(back.points.xy, given.points.xy)
    np.testing.assert_array_equal(back.points.object_id, given.points.object_id)
