"""Where to draw next: between two figures, where the rows' scores lack the most."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.session.leading import least_sure
from vtlab.tracks import Tracks


def rows(score, visible=True) -> Tracks:
    n = len(score)
    return Tracks.of(np.arange(n), 1, np.tile([0.0, 0, 9, 9], (n, 1)), score, visible)


def test_it_is_the_middle_of_what_is_unsure_where_the_most_is():
    score = np.ones(41)
    score[22:29] = 0.4
    place = least_sure(rows(score), [0, 20, 40])
    assert place is not None
    assert 24 <= place.frame <= 26
    assert 20 < place.first <= place.frame < place.end <= 40


def test_where_all_is_sure_it_is_the_middle_of_the_longest_way():
    place = least_sure(rows(np.ones(41)), [0, 10, 40])
    assert place is not None
    assert place.frame == pytest.approx(25, abs=1)


def test_what_looks_right_is_not_asked_again_and_in_the_end_nothing_is_left():
    made, checked, seen = rows(np.ones(21)), (), []
    while (place := least_sure(made, [0, 20], checked)) is not None:
        seen.append(place.frame)
        checked = (*checked, (place.first, place.end))
    assert len(seen) == len(set(seen)) < 12
    assert seen[0] == 10


def test_frames_without_the_object_are_unsure_and_one_figure_leads_to_the_end_of_its_way():
    there = np.ones(31, bool)
    there[18:22] = False
    place = least_sure(rows(np.ones(31), there), [0, 15, 30])
    assert place is not None
    assert 17 <= place.frame <= 22
    assert least_sure(rows(np.ones(31)), [4]) == (30, 30, 31)
    assert least_sure(rows(np.ones(5)), [4]) is None
    assert least_sure(rows(np.ones(31)), [4], ((30, 31),)) is None
