"""A value is kept as it is or refused: no identity, frame or flag changes on its way into a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vtlab.errors import TracksError
from vtlab.tracks import FrameTracks, PointRows, Tracks

BOXES = [[0, 0, 5, 5]] * 3


def made(**columns):
    return Tracks.of(**{"frame": [0, 1, 2], "object_id": 1, "boxes": BOXES} | columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"object_id": [1, np.nan, 2]}, r"'object_id' holds whole numbers of 64 bits, got nan in row 1"),
        ({"object_id": [1, 1.7, 2]}, r"got 1\.7 in row 1"),
        ({"object_id": [1, np.inf, 2]}, "got inf in row 1"),
        ({"object_id": [1, None, 2]}, "got None in row 1"),
        ({"object_id": pd.array([1, None, 2], dtype="Int64")}, "in row 1"),
        ({"object_id": np.ma.array([1, 2, 3], mask=[0, 1, 0])}, "got 2 in row 1"),
        ({"object_id": np.array([1, 2**63 + 1, 2], np.uint64)}, "in row 1"),
        ({"object_id": [1, 2**64, 2]}, "in row 1"),
        ({"object_id": [1.0, 2.0**60 + 1, 2]}, "in row 1"),
        ({"object_id": [1, 2j, 2]}, "row 0"),
        ({"frame": [0, 0.5, 1]}, r"'frame' holds whole numbers of 64 bits, got 0\.5 in row 1"),
        ({"frame": [0, 1e30, 1]}, "in row 1"),
        ({"frame": np.array(["2024", "2025", "2026"], "datetime64[Y]")}, "row 0"),
        ({"visible": ["False", "True", "True"]}, "'visible' holds True or False, got 'False' in row 0"),
        ({"visible": [True, np.nan, True]}, "got nan in row 1"),
        ({"visible": [True, None, True]}, "got None in row 1"),
        ({"visible": [0, 1, 7]}, "got 7 in row 2"),
        ({"occluded": ["no"] * 3}, "'occluded' holds True or False"),
    ],
)
def test_what_would_change_is_refused(columns, message):
    with pytest.raises(TracksError, match=message):
        made(**columns)


def test_what_stays_the_same_is_taken():
    ids = [2**62 + 1, 2**62 + 2, 3]
    assert made(object_id=ids).object_id.tolist() == ids
    assert made(object_id=pd.Series([1.0, 2.0, 3.0])).object_id.tolist() == [1, 2, 3]
    assert made(visible=[1, 0, 1]).visible.tolist() == [True, False, True]
    assert made(visible=np.array([1.0, 0.0, 1.0])).visible.tolist() == [True, False, True]
    assert len(Tracks.of([], [])) == 0


def test_answers_and_points_are_read_in_the_same_way():
    with pytest.raises(TracksError, match=r"'object_ids' holds whole numbers of 64 bits, got 1\.5"):
        FrameTracks.of([1.5], [[0, 0, 5, 5]])
    with pytest.raises(TracksError, match="'visible' holds True or False"):
        FrameTracks.of([1], [[0, 0, 5, 5]], visible=["False"])
    with pytest.raises(TracksError, match=r"'points\.object_id'"):
        PointRows.of([0], [np.nan], [0], [[1, 2]])
