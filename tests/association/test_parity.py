"""The same tracks as the reference on real detections and in a crowd, ids up to renaming.

`golden.json` was written by `python benchmarks/association.py --golden tests/association/golden.json` in an environment
with Roboflow `trackers` 2.6.1: rows with an id, number of ids, and a hash of the ids of all rows.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.association import METHODS, REAL, crowd, ours, real, summary

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.mark.parity
@pytest.mark.parametrize("method", METHODS)
def test_crowd(method):
    assert summary(ours(method, crowd())[0]) == GOLDEN[method]["crowd"]


@pytest.mark.parity
@pytest.mark.shared
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sequence", REAL)
def test_real_detections(shared, method, sequence):
    stream = real(shared / "data" / "mot", sequence)
    assert summary(ours(method, stream)[0]) == GOLDEN[method][sequence]
