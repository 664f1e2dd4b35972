"""The measures of a verdict: bounded by the distance of two answers, and blind to identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtlab
from vtlab.decision.quality import MEASURES
from vtlab.errors import InputError
from vtlab.tracks import Tracks

box = st.one_of(
    st.none(), st.tuples(*[st.integers(0, 12)] * 4).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(box, box, box), min_size=1, max_size=5))
def test_qualities_of_two_trackers_differ_by_no_more_than_their_distance(frames):
    """Boxes and masks that touch, are empty, or are missing (also as NaN)."""
    n = len(frames)

    def tracks(which, masks):
        given = [f[which] for f in frames]
        boxes = np.array([b or (np.nan,) * 4 for b in given], float)
        if not masks:
            return Tracks.of(np.arange(n), 1, boxes)
        held = np.zeros((n, 26, 26), bool)
        for m, b in zip(held, given, strict=True):
            if b is not None:
                m[b[1] : b[3], b[0] : b[2]] = True
        return Tracks.of(np.arange(n), 1, masks=list(held))

    ids, at = np.array([1]), np.arange(n)
    for name in ("iou", "J"):
        one, two, truth = (tracks(i, name == "J") for i in range(3))
        first, second = (MEASURES[name](t, truth, ids, at) for t in (one, two))
        assert (np.abs(first - second) <= 1 - MEASURES[name](one, two, ids, at) + 1e-9).all()


def test_boxes_of_many_objects_are_judged_without_identities():
    def crowd(ids, missing=0):
        rows = [(f, i, 30.0 * k) for f in range(30) for k, i in enumerate(ids[missing if f % 2 else 0 :])]
        boxes = [(x, 0, x + 20, 20) for _, _, x in rows]
        return Tracks.of(
            [r[0] for r in rows],
            [r[1] for r in rows],
            boxes,
            meta={"tracker": {"name": "x", "family": "mot"}},
        )

    truth = crowd([1, 2, 3])
    v = vtlab.verdict({"swapped ids": crowd([7, 8, 9]), "misses": crowd([1, 2, 3], missing=1)}, labels=truth)
    assert v.measure.name == "detection"
    assert v.table.loc["swapped ids", "value"] == pytest.approx(1)
    assert v.table.loc["misses", "value"] == pytest.approx((1 + 2 / 3) / 2)
    with pytest.raises(InputError, match="identity metrics"):
        vtlab.verdict({"a": truth, "b": truth}, metric="HOTA")
