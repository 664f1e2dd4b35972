"""Spans: joining them gives what joining their frames gives."""

from __future__ import annotations

import numpy as np

from vtlab.session import spans
from vtlab.session.spans import frames_of, joined, spans_of, united


def test_united_spans_hold_the_frames_of_both():
    rng = np.random.default_rng(0)
    for k in range(300):
        one, other = (np.flatnonzero(rng.random(40) < rng.choice([0.0, 0.2, 0.5, 0.9])) for _ in range(2))
        wanted = spans_of(np.concatenate([one, other]))
        assert united(spans_of(one), spans_of(other)) == wanted, k
        assert joined(spans_of(one), rng.permutation(other)) == wanted, k
        assert np.array_equal(frames_of(wanted), np.union1d(one, other))
    assert united(((0, 3),), ((3, 5),)) == ((0, 5),)  # touching ones become one


def test_long_spans_are_united_without_their_frames(monkeypatch):
    def listed(frames):
        raise AssertionError("frames were listed")

    monkeypatch.setattr(spans, "spans_of", listed)
    assert united(((0, 10**12),), ((10**12, 10**13),)) == ((0, 10**13),)
