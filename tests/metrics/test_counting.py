"""Counts against truth made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.errors import InputError
from vtlab.metrics import counting
from vtlab.tracks import Tracks


def walk(paths, **more):
    """Tracks of boxes 10 wide and 20 high whose bottom centre is at (x, y) on each frame; None where nobody is."""
    rows = [
        (f, i, x - 5, y - 20, x + 5, y)
        for i, path in paths.items()
        for f, at in enumerate(path)
        if at is not None
        for x, y in [at]
    ]
    rows.sort()
    frame, ids, *box = zip(*rows, strict=True)
    return Tracks.of(frame, ids, np.array(box, float).T, **more)


RIGHT = [(10 + 10 * f, 50) for f in range(10)]  # x from 10 to 100
LEFT = RIGHT[::-1]
PATHS = {1: RIGHT, 2: LEFT, 3: [(20, 50)] * 10, 4: [None] * 6 + [(60, 50)] * 4}


def test_objects_over_time():
    table = counting.over_time(walk(PATHS), frames=12)
    assert table["present"].tolist() == [3] * 6 + [4] * 4 + [0] * 2
    assert table["unique"].tolist() == [3] * 6 + [4] * 6
    hidden = walk(PATHS)
    hidden = hidden.replace(visible=hidden.object_id != 3)
    assert counting.over_time(hidden)["unique"].iloc[-1] == 3
    assert len(counting.over_time(Tracks.empty())) == 0


def test_crossings_of_a_line():
    """The line goes down the image at x = 55: object 1 crosses between frames 4 and 5, object 2 the other way."""
    found = counting.crossings(walk(PATHS), (55, 0), (55, 100))
    assert sorted(found.itertuples(index=False, name=None)) == [(5, 1, "in"), (5, 2, "out")]
    turned = counting.crossings(walk(PATHS), (55, 100), (55, 0))
    assert sorted(turned["direction"]) == ["in", "out"]
    assert turned.set_index("object_id")["direction"].to_dict() == {1: "out", 2: "in"}
    short = counting.crossings(walk(PATHS), (55, 0), (55, 20))  # they pass below its end
    assert len(short) == 0


def test_who_trembles_on_a_line_counts_once_where_it_must_be_steady():
    path = [(50, 50)] * 3 + [(60, 50), (50, 50)] * 4 + [(60, 50)] * 5
    often, once = (counting.crossings(walk({1: path}), (55, 0), (55, 100), steady=n) for n in (1, 3))
    assert len(often) == 9
    assert once["direction"].tolist() == ["in"]


def test_stays_in_a_zone():
    zone = [(35, 0), (75, 0), (75, 100), (35, 100)]
    found = counting.stays(walk(PATHS), zone, fps=5)
    assert found.to_dict("records") == [
        {"object_id": 1, "enter": 3, "leave": 6, "seconds": 0.8},
        {"object_id": 2, "enter": 3, "leave": 6, "seconds": 0.8},
        {"object_id": 4, "enter": 6, "leave": 9, "seconds": 0.8},
    ]
    assert counting.present(walk(PATHS), zone).tolist() == [0, 0, 0, 2, 2, 2, 3, 1, 1, 1]
    away = walk({1: [(50, 50)] * 3 + [None] * 2 + [(50, 50)] * 3})
    assert counting.stays(away, zone, fps=10)["enter"].tolist() == [0, 5]
    assert counting.stays(away, zone, fps=10, gap=0.3)[["enter", "leave"]].to_numpy().tolist() == [[0, 7]]
    named = walk(PATHS, meta={"video": {"name": "street", "fps": 5.0}})
    assert counting.stays(named, zone)["seconds"].tolist() == [0.8] * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: counting.stays(t, [(0, 0), (9, 9)], fps=5), r"at least 3, got shape \(2, 2\)"),
        (lambda t: counting.stays(t, [(0, 0), (9, 9), (0, 9)]), "stays needs fps="),
        (lambda t: counting.present(t, [(0, 0), (9, 9), (0, 9)], anchor="centre"), "Did you mean 'center'"),
        (lambda t: counting.crossings(t, (5, 5), (5, 5)), "needs two ends"),
        (lambda t: counting.crossings(t, (5, np.nan), (5, 5)), r"expected \(x, y\) in pixels"),
    ],
)
def test_what_is_no_line_or_zone_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(walk(PATHS))


@pytest.mark.parametrize("frames", [-1, 2.5, "x"])
def test_a_number_of_frames_is_one(frames):
    with pytest.raises(InputError, match="frames="):
        counting.over_time(walk(PATHS), frames=frames)


def test_lines_and_zones_are_numbers():
    with pytest.raises(InputError, match="start as numbers"):
        counting.crossings(walk(PATHS), "a", (50, 0))
    with pytest.raises(InputError, match="corners of a zone as numbers"):
        counting.present(walk(PATHS), [("a", 0), (60, 0), (60, 60)])
