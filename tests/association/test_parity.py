"""The same tracks as the references on real detections and in a crowd, ids up to renaming.

`golden.json` holds the number of rows with an id, the number of ids, and a hash of the ids of all rows. What `trackers`
answers was written by `python benchmarks/association.py --golden tests/association/golden.json` in an environment with
Roboflow `trackers` 2.6.1. "official" is what a transcription of the authors' trackers answers with the parameters of
`OFFICIAL`, made and run outside of this repository (part of their code is GPL): abewley/sort 03aa1e3, ifzhang/ByteTrack
0cb85cb, noahcao/OC_SORT 0f73d18, NirAharon/BoT-SORT 7fbffd7 without camera motion and appearance, with `filterpy` and `lap`
0.5 as they use them. It hands each row's number along, which theirs don't; drawing and files were left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vtlab.testing.streams import DETECTIONS, METHODS, crowd, ours, real, summary

# Method and parameters that mean the same as the authors' defaults (min_hits=3, match_thresh=0.8, track_buffer=30, ...).
# ByteTrack and BoT-SORT keep a lost track one frame longer than track_buffer says.
OFFICIAL = {
    "sort": ("sort", {"motion": "xysr", "new": float("-inf"), "lost_seconds": 1 / 30}),
    "ocsort": ("ocsort", {}),
    "ocsort-byte": ("ocsort", {"weak": True}),
    "bytetrack": (
        "bytetrack",
        {"motion": "xyah", "low": 0.1, "threshold": 0.2, "second_threshold": 0.5, "lost_seconds": 31 / 30},
    ),
    "botsort": ("botsort", {"lost_seconds": 31 / 30}),
}
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.mark.parity
@pytest.mark.parametrize("method", METHODS)
def test_crowd(method):
    assert summary(ours(method, crowd())[0]) == GOLDEN[method]["crowd"]


@pytest.mark.parity
@pytest.mark.shared
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sequence", DETECTIONS)
def test_real_detections(shared, method, sequence):
    stream = real(shared / "data" / "mot", sequence)
    assert summary(ours(method, stream)[0]) == GOLDEN[method][sequence]


@pytest.mark.parity
@pytest.mark.parametrize("case", OFFICIAL)
def test_crowd_as_the_authors_code(case):
    name, params = OFFICIAL[case]
    assert summary(ours(name, crowd(), official=True, **params)[0]) == GOLDEN["official"][case]["crowd"]


@pytest.mark.parity
@pytest.mark.shared
@pytest.mark.parametrize("case", OFFICIAL)
@pytest.mark.parametrize("sequence", DETECTIONS)
def test_real_detections_as_the_authors_code(shared, case, sequence):
    name, params = OFFICIAL[case]
    stream = real(shared / "data" / "mot", sequence)
    assert summary(ours(name, stream, official=True, **params)[0]) == GOLDEN["official"][case][sequence]
