"""The record holds what its file can hold: checked when it is made, not when the file is read again."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vtlab.errors import TracksError
from vtlab.tracks import Maker, Record, Source, Tracks

WRONG = [
    ("complete", "yes", "'complete' must be a bool, got 'yes'"),
    ("complete", 1, "'complete' must be a bool, got 1"),
    ("frames", "a", "'frames' must be a int, got 'a'"),
    ("frames", 2.5, "'frames' must be a int, got 2.5"),
    ("frames", True, "'frames' must be a int, got True"),
    ("frames", -1, "'frames' must be at least 0, got -1"),
    ("rule", 3, "'rule' must be a str, got 3"),
    ("dense", "no", "'dense' must be a bool, got 'no'"),
    ("annotated", "x", "'annotated' must be a tuple, got 'x'"),
    ("annotated", 3, "'annotated' must be a tuple, got 3"),
    ("annotated", [1.5], "'annotated' must hold whole frame numbers, got 1.5"),
    ("annotated", [float("nan")], "'annotated' must hold whole frame numbers, got nan"),
    ("annotated", ["1"], "'annotated' must hold whole frame numbers, got '1'"),
    ("annotated", np.array([True, False]), "'annotated' must hold whole frame numbers, got True"),
    ("annotated", [2, -1], "'annotated' frames count from 0, got frame -1"),
    ("direction", "sideways", "'direction' must be one of forward, backward, both, got 'sideways'"),
    ("events", {"frame": 1}, "'events' must be a list, got {'frame': 1}"),
    ("objects", [1], "'objects' must be a dict, got [1]"),
    ("tracker", "ncc", "'tracker' must be a dict, got 'ncc'"),
    ("source", 7, "'video' must be a dict, got 7"),
    ("wall_seconds", "long", "'wall_seconds' must be a float, got 'long'"),
    ("extra", [1], "'extra' must be a dict, got [1]"),
    ("extra", {"complete": "yes"}, "'complete' can't be given in `extra`, got 'yes'"),
]


@pytest.mark.parametrize(("entry", "value", "told"), WRONG)
def test_a_value_that_its_file_could_not_give_back_is_refused(entry, value, told):
    for make in (Record().replace, Record):
        with pytest.raises(TracksError, match=re.escape(told)):
            make(**{entry: value})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Maker(name=3), "'name' must be a str, got 3"),
        (lambda: Maker().replace(params={"scale": {1, 2}}), r"'params.scale' holds \{1, 2\}, a set"),
        (lambda: Source(width="wide"), "'width' must be a int, got 'wide'"),
        (lambda: Record().replace(source=Source(), nonsense=1), "no entry 'nonsense', got 1.*extra"),
        (lambda: Tracks.of([0], [1], meta={"mine": object()}), "'extra.mine' holds <object"),
        (lambda: Record(objects={"1": {"colour": object()}}), "'objects.1.colour' holds <object"),
        (lambda: Record(objects={(1, 2): {}}), r"keys of the record's 'objects' must be text, got \(1, 2\)"),
    ],
)
def test_what_json_can_not_hold_is_named(make, told):
    with pytest.raises(TracksError, match=told):
        make()


def test_values_of_numpy_become_plain_and_come_back_from_the_file(tmp_path):
    record = Record(
        frames=np.int64(5),
        complete=np.True_,
        dense=np.bool_(False),
        wall_seconds=np.float32(0.5),
        annotated=np.array([2, 1, 2]),
        objects={1: {"speed": np.float32(1.5), "path": np.array([[1, 2]])}},
        memory={"peak": np.float64(3)},
        direction=np.str_("both"),
        edges={"1": ((0, 1),)},
        source=Source(name="street", width=np.int32(8), step=np.array(2)),
        extra={"mine": np.float32(0.25)},
    )
    assert (record.frames, record.annotated, record.source.span) == (5, (1, 2), (0, 2))
    assert record.complete is True
    assert record.dense is False
    assert record.objects == {"1": {"speed": 1.5, "path": [[1, 2]]}}
    assert Record().replace(annotated={3, 1}).annotated == Record(annotated=(3.0, 1)).annotated == (1, 3)
    tracks = Tracks.of([0], [1], record=record)
    assert Tracks.load(tracks.save(tmp_path / "tracks.parquet")).record == record
    given = Tracks.of([0], [1], meta={"complete": np.True_, "mine": np.float32(0.25)})
    assert Tracks.load(given.save(tmp_path / "given.parquet")).meta == {"complete": True, "mine": 0.25}


def test_a_record_does_not_change_with_what_it_was_made_of():
    objects = {"1": {"colour": "red"}}
    record = Record(objects=objects)
    objects["1"]["colour"] = "blue"
    assert record.objects == {"1": {"colour": "red"}}
