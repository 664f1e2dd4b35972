"""Version 2 of the table: optional columns through every operation, the record, version 1 files, frame numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vtlab import masks
from vtlab.errors import FormatError, InputError, TracksError
from vtlab.testing import ledger
from vtlab.testing.columns import sampled
from vtlab.tracks import FrameTracks, Maker, PointRows, Record, Source, Tracks, TracksBuilder
from vtlab.tracks.columns import COLUMNS, EXTRAS, Attributes, Blob, Number, Polygons, Text
from vtlab.video import open_video

GOLDEN = Path(__file__).parent / "golden"
RING = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 4.0]])
GIVEN = {
    "velocity": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    "angle": [0.1, -0.2, 3.0],
    "occluded": [True, False, True],
    "outside": [False, False, True],
    "key": [True, False, False],
    "time": [0.0, 0.04, np.nan],
    "attributes": [{"colour": "red", "doors": 4}, None, {}],
    "polygons": [(RING,), None, (RING, RING + 1)],
}
"""Values for three rows that tests below name."""
GIVEN = {n: GIVEN.get(n) or sampled(n, 3) for n, kind in COLUMNS.items() if kind.optional and n != "rle"}
"""A value for each row of every optional column but the masks; of one that no test names, by its kind."""


def full(**changes) -> Tracks:
    ids = [1, 2, 1]
    values = {"label": ["car", None, "car"], "size": (6, 8), **GIVEN, **changes}
    return Tracks.of([0, 0, 1], ids, np.tile([0.0, 0, 4, 4], (3, 1)), **values)


def plain_list(column):
    def plain(value):
        return [r.tolist() for r in value] if isinstance(value, tuple) else value

    return None if column is None else [plain(v) for v in column.tolist()]


def assert_same(a: Tracks, b: Tracks) -> None:
    assert a.columns().keys() == b.columns().keys()
    for name in a.columns():
        x, y = plain_list(getattr(a, name)), plain_list(getattr(b, name))
        assert x == y or np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name
        assert getattr(a, name).dtype == getattr(b, name).dtype, name
    assert (a.size, a.record) == (b.size, b.record)


KINDS = {
    "depth": Number(np.nan, optional=True),
    "corner": Number(np.nan, ("cx", "cy"), width=2, optional=True),
    "lanes": Number(0, dtype=np.int64, optional=True),
    "cut": Number(False, dtype=np.bool_, optional=True),
    "note": Text(optional=True),
    "blob": Blob(optional=True),
    "more": Attributes(optional=True),
    "shape": Polygons(shown=False, optional=True),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_column_of_any_kind_has_values_to_be_tested_with(name, monkeypatch):
    """So a new entry of `Columns` is asked of every format, view and file, and no list names it."""
    monkeypatch.setitem(COLUMNS, name, KINDS[name])
    values = sampled(name, 5)
    column, blank = KINDS[name].read(values, 5, name), KINDS[name].blank(5)
    again = KINDS[name].read(
        KINDS[name].from_rest(name, pa.table(KINDS[name].at_rest(name, column))), 5, name
    )
    assert ledger.differing(name, column, again) == []
    assert ledger.differing(name, column, blank) == [0, 2, 4]


def test_columns_survive_the_file(tmp_path):
    tracks = full()
    again = Tracks.load(tracks.save(tmp_path / "t.parquet"))
    assert_same(again, tracks)
    assert json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"vtlab"])["version"] == 2
    assert [r.shape for r in again.polygons[2]] == [(3, 2), (3, 2)]
    assert again.polygons[0][0].dtype == np.float64


def test_columns_survive_taking_joining_replacing_and_any_row_order():
    tracks = full()
    assert_same(Tracks.concat([tracks.of_object(2), tracks.of_object(1)]), tracks)
    assert plain_list(tracks.of_object(1).attributes) == [{"colour": "red", "doors": 4}, {}]
    turned = {k: v[::-1] for k, v in GIVEN.items()}
    assert_same(
        Tracks.of(
            [1, 0, 0],
            [1, 2, 1],
            np.array(tracks.boxes[::-1]),
            label=["car", None, "car"],
            size=(6, 8),
            **turned,
        ),
        tracks,
    )
    assert tracks.replace(angle=None).angle is None
    assert tracks.renamed({1: 7}).occluded.tolist() == [False, True, True]


def test_a_part_that_lacks_a_column_is_filled():
    with_all, without = full().at(1), Tracks.of([2], [3], [[0, 0, 1, 1]])
    joined = Tracks.concat([with_all, without])
    assert joined.angle.tolist() == [3.0, 0.0]
    assert joined.key.tolist() == [False, False]
    assert joined.outside.tolist() == [True, False]
    assert np.isnan(joined.time[1])
    assert np.isnan(joined.velocity[1]).all()
    assert joined.attributes.tolist() == [{}, None]
    assert joined.polygons[1] is None
    assert joined.rle[1] is None


def test_a_data_frame_has_the_columns_under_their_names_at_rest():
    frame = full().to_frame()
    names = "frame object_id label x1 y1 x2 y2 score visible source vx vy angle occluded outside key time attributes"
    assert " ".join(c for c in frame.columns if c in names.split()) == names
    shown = [at for name, kind in COLUMNS.items() if kind.shown for at in kind.stored(name)]
    assert [*frame.columns] == shown
    assert frame.attributes[0] == '{"colour": "red", "doors": 4}'


def test_an_answer_on_one_frame_carries_them_to_the_table():
    given = {name: GIVEN[name] for name in EXTRAS}
    answer = FrameTracks.of([1, 2, 3], np.tile([0.0, 0, 4, 4], (3, 1)), **given)
    parts = [answer.take([0]), answer.take([1, 2])]
    builder = TracksBuilder((6, 8))
    builder.add(4, FrameTracks.concat([*parts, FrameTracks.of([9], [[0, 0, 1, 1]])]))
    builder.add(5, FrameTracks.of([9], [[0, 0, 1, 1]]))
    built = builder.build()
    assert built.frame.tolist() == [4, 4, 4, 4, 5]
    assert built.angle.tolist() == [0.1, -0.2, 3.0, 0.0, 0.0]
    assert built.key.tolist() == [True, False, False, False, False]
    assert built.attributes.tolist() == [*GIVEN["attributes"], None, None]
    assert plain_list(built.polygons)[2] == [RING.tolist(), (RING + 1).tolist()]
    with pytest.raises(TracksError, match="no column 'colour'"):
        FrameTracks.of([1], colour=["red"])


def test_polygons_are_kept_and_counted_as_their_union():
    square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    tracks = Tracks.of([0, 1], [1, 1], polygons=[[square, np.add(square, 4)], square], size=(8, 8))
    mask = tracks.mask(0)
    assert mask.sum() == 8
    assert mask[:2, :2].all()
    assert mask[4:6, 4:6].all()
    assert tracks.boxes.tolist() == [[0, 0, 6, 6], [0, 0, 2, 2]]
    given = np.ones((8, 8), bool)
    assert Tracks.of([0], [1], polygons=[square], masks=[given]).mask(0).all()
    unsized = Tracks.of([0], [1], polygons=[square])
    assert unsized.rle is None
    assert unsized.boxes.tolist() == [[0, 0, 2, 2]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": ["red"]}, r"no column 'colour'\. "),
        ({"angl": [0.0]}, r"no column 'angl'. Did you mean 'angle'"),
        ({"angle": [np.inf]}, r"angle of object 1 on frame 0 must be finite radians, got inf"),
        ({"angle": [0.0, 1.0]}, r"expected 'angle' of shape \(1,\), got \(2,\)"),
        ({"occluded": ["?", "!"]}, "occluded"),
        ({"time": ["noon"]}, "'time' can't be read as float64"),
        ({"attributes": [{"a": {1, 2}}]}, "'attributes' must hold name -> JSON value"),
        ({"attributes": [3]}, "'attributes' must hold name -> JSON value"),
        ({"polygons": [[(0, 0), (1, 1)]]}, "'polygons' must hold rings of at least 3 finite points"),
        ({"polygons": [[]]}, "'polygons' must hold rings"),
        ({"polygons": [[(0, 0), (1, np.nan), (3, 3)]]}, "'polygons' must hold rings"),
        ({"meta": {"wall_seconds": "long"}}, "record's 'wall_seconds' must be a float, got 'long'"),
        ({"meta": {"tracker": "mine"}}, "record's 'tracker' must be a dict, got 'mine'"),
    ],
)
def test_what_is_no_column_is_refused(changes, message):
    with pytest.raises(TracksError, match=message):
        Tracks.of([0], [1], [[0, 0, 1, 1]], **changes)


def test_a_column_of_numbers_may_have_bounds():
    part = Number(np.nan, within=(0, 1))
    np.testing.assert_array_equal(part.read([0, np.nan, 1], 3, "hidden"), [0, np.nan, 1])
    for values, told in (([0.5, 1.5], "1.5 in row 1"), ([-np.inf, 0], "-inf in row 0"), (2, "2.0.")):
        with pytest.raises(TracksError, match=f"'hidden' holds numbers from 0 to 1, or NaN .*, got {told}"):
            part.read(values, 2, "hidden")
    with pytest.raises(TracksError, match=r"holds numbers from 1 to 3, got 4 in row 1\."):
        Number(1, dtype=np.int64, within=(1, 3)).read([1, 4], 2, "lane")


def test_the_record_is_typed_and_its_dict_is_what_was_given():
    meta = {
        "tracker": {"name": "ncc", "params": {"scale": 2}, "note": "mine"},
        "video": {"name": "street", "digest": "sha256:00", "frames": 5, "start": 3, "step": 2},
        "annotated": [0, 4],
        "session": {"mine": [1]},
        "complete": True,
    }
    tracks = Tracks.of([0], [1], meta=meta)
    assert tracks.meta == meta
    assert tracks.record.tracker == Maker(name="ncc", params={"scale": 2}, extra={"note": "mine"})
    assert tracks.record.source.span == (3, 2)
    assert tracks.record.annotated == (0, 4)
    assert tracks.record.extra == {"session": {"mine": [1]}}
    assert Record.of(json.loads(json.dumps(tracks.meta))) == tracks.record
    tracks.meta["tracker"]["params"]["scale"] = 3
    assert tracks.meta == meta
    assert Tracks.of([0], [1], record=tracks.record).meta == meta


def test_what_the_record_says_of_objects_follows_their_ids():
    record = Record(edges={"1": [[0, 1]]}, objects={"1": {"make": "x"}, "2": {}}, id_map={"2": "abc"})
    tracks = Tracks.of([0, 0], [1, 2], record=record).renamed({1: 5})
    assert tracks.record.edges == {"5": [[0, 1]]}
    assert tracks.record.objects == {"5": {"make": "x"}, "2": {}}
    other = Tracks.of([0], [9], record=Record(objects={"9": {"make": "y"}}))
    assert Tracks.concat([tracks, other]).record.objects.keys() == {"5", "2", "9"}


def test_a_file_of_version_1_is_read_as_it_was():
    tracks = Tracks.load(GOLDEN / "version1.parquet")
    assert tracks.frame.tolist() == [0, 0, 1]
    assert tracks.object_id.tolist() == [1, 2, 1]
    assert tracks.boxes[[0, 2]].tolist() == [[0, 0, 4, 4], [2, 1, 5, 4]]
    assert np.isnan(tracks.boxes[1]).all()
    assert tracks.score.tolist() == [0.5, 1, 0.25]
    assert tracks.visible.tolist() == [True, False, True]
    assert tracks.label.tolist() == ["car", None, "car"]
    assert tracks.source.tolist() == ["manual", "tracked", "interpolated"]
    assert tracks.velocity[0].tolist() == [1, 2]
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:5] = True
    assert tracks.rle.tolist() == [None, None, masks.encode(mask)]
    assert tracks.points.point_id.tolist() == [0, 1, 0]
    assert tracks.points.xy[:2].tolist() == [[1, 2], [3, 4]]
    assert tracks.points.visible.tolist() == [True, False, True]
    assert tracks.step_seconds.tolist() == [0.1, 0.2]
    assert tracks.name == "ncc"
    assert tracks.record.source.span == (10, 2)
    assert tracks.meta["session"] == {"mine": [1, 2]}
    assert tracks.meta["video"]["fps"] == 12.5
    assert tracks.columns().keys().isdisjoint(EXTRAS)


def test_a_file_of_a_later_version_is_refused(tmp_path):
    path = full().save(tmp_path / "t.parquet")
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"vtlab"]) | {"version": 3}
    pq.write_table(table.replace_schema_metadata({"vtlab": json.dumps(header)}), path)
    with pytest.raises(FormatError, match="version 3, this vtlab reads version 1 to 2"):
        Tracks.load(path)


VIDEO = open_video(np.zeros((40, 6, 8, 3), np.uint8))


def made_on(clip, **record) -> Tracks:
    """One row on each frame of a clip; its score tells the frame of the whole video."""
    start, step = clip.span
    frames = np.arange(len(clip))
    points = PointRows.of(frames, 1, 0, np.zeros((len(frames), 2)))
    record = Record(source=Source.of_video(clip), **record)
    return Tracks.of(
        frames, [1] * len(frames), score=(start + step * frames) / 100, points=points, record=record
    )


@pytest.mark.parametrize(
    ("made", "used"),
    [
        (slice(None), slice(10, 20)),
        (slice(None), slice(5, 35, 5)),
        (slice(None), slice(30, 10, -4)),
        (slice(10, 30), slice(12, 20)),
        (slice(10, 30, 2), slice(14, 26, 4)),
        (slice(None, None, -1), slice(3, 9)),
    ],
)
def test_frame_numbers_become_those_of_the_clip(made, used):
    clip = VIDEO[used]
    tracks = made_on(VIDEO[made]).on(clip)
    start, step = clip.span
    assert tracks.frame.tolist() == list(range(len(clip)))
    np.testing.assert_array_equal(tracks.score, (start + step * tracks.frame) / 100)
    assert tracks.points.frame.tolist() == tracks.frame.tolist()
    assert tracks.record.source == Source.of_video(clip)


@pytest.mark.parametrize(
    ("made", "used", "message"),
    [
        (VIDEO[10:20], VIDEO, r"frames 10 to 19 of array can't be used on frames 0 to 39 of array: not all"),
        (VIDEO[10:20], VIDEO[15:25], r"frames 10 to 19 .* frames 15 to 24"),
        (VIDEO[::2], VIDEO[:10], r"frames 0 to 38 in steps of 2 .* frames 0 to 9"),
        (
            VIDEO[:5],
            VIDEO[30:],
            r"frames 0 to 4 of array can't be used on frames 30 to 39 .*no frame in common",
        ),
        (
            open_video(np.ones((40, 6, 8, 3), np.uint8))[3:],
            VIDEO[5:],
            r"frames 3 to 39 .* frames 5 to 39 .*another video",
        ),
    ],
)
def test_what_does_not_cover_the_clip_is_refused_naming_both_ranges(made, used, message):
    with pytest.raises(InputError, match=message):
        made_on(made).on(used)


def test_a_clip_on_which_the_object_is_not_has_no_rows():
    assert len(made_on(VIDEO).between(0, 5).on(VIDEO[20:])) == 0


def test_tracks_that_say_nothing_of_their_source_have_the_numbers_of_the_clip():
    tracks = Tracks.of([0, 1], [1, 1])
    assert tracks.on(VIDEO[10:20]) is tracks
    mine = made_on(VIDEO[10:20])
    assert mine.on(VIDEO[10:20]) is mine


def test_events_and_annotated_frames_follow():
    events = [{"frame": 3, "event": "lost"}, {"frame": 12, "event": "found"}]
    tracks = made_on(VIDEO, events=events, annotated=(0, 11, 12), frames=40).on(VIDEO[10:20])
    assert tracks.record.events == [{"frame": 2, "event": "found"}]
    assert tracks.record.annotated == (1, 2)
    assert tracks.record.frames == 10


@pytest.mark.parametrize(
    ("annotated", "dense", "expected"),
    [
        (None, True, [0, 1, 2, 3, 4, 5]),
        (None, False, [1, 3]),
        ((3, 1, 4, 9), True, [1, 3, 4]),
        ((3, 1, 4, 9), False, [1, 3, 4]),
        ((), True, []),
    ],
)
def test_frames_that_somebody_looked_at(annotated, dense, expected):
    tracks = Tracks.of([1, 3, 7], [1, 1, 1], visible=[True, False, True], record=Record(annotated=annotated))
    looked = tracks.annotated_frames(6, dense)
    assert looked.dtype == np.int64
    assert looked.tolist() == expected
