"""The same tracks as the authors' code of SFSORT, Hybrid-SORT and BoostTrack on seven sequences of real detections.

The tables were written by the official code (address and commit in each folder's params.json) and hold MOTChallenge
detections, so they are not part of this repository; the tests are skipped where the shared data is absent.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from vtlab.registry import ASSOCIATORS
from vtlab.testing.streams import detections
from vtlab.video import Frame

SEQUENCES = (
    "MOT17-02-frcnn",
    "MOT17-04-frcnn",
    "MOT17-02-dpm",
    "MOT17-10-dpm",
    "TUD-Campus",
    "PETS09-S2L1",
    "PETS09-S2L1-gaps",
)
FACTS = {  # frames per second, width, height
    "MOT17": (30, 1920, 1080),
    "TUD": (25, 640, 480),
    "PETS09": (7, 768, 576),
}
WHOLE = ("PETS09-S2L1-gaps",)


def rows_of(folder, sequence: str, facts: dict) -> list[np.ndarray]:
    """Boxes xyxy and scores (n, 5) of each frame, as the official code was given them."""
    told = facts["sequences"][sequence]
    table = np.loadtxt(folder / told["folder"] / told["detections"], delimiter=",", ndmin=2)
    table[:, 4:6] += table[:, 2:4]
    if told["score"].startswith("1/(1+exp"):
        table[:, 6] = 1 / (1 + np.exp(-table[:, 6]))
    frames = []
    for f in range(1, int(told["frames"].split("..")[1]) + 1):
        rows = table[table[:, 0] == f, 2:7].copy()
        if sequence in WHOLE:
            rows[:, 4] *= 0.5 if f % 15 == 0 else 1
            rows[:1, 4] = 0.6 if f % 6 == 0 else rows[:1, 4]
            rows[1:2, 4] = 0.1 if f % 9 == 0 else rows[1:2, 4]
            rows = rows[:0] if f % 20 == 0 else rows
        frames.append(rows)
    return frames


def answers(
    associator, frames: list[np.ndarray], fps: float, size: tuple[int, int], *, filtered: bool = False
) -> np.ndarray:
    """Rows (frame from 1, x1, y1, x2, y2, id) of the detections that have an id; the filters' boxes if `filtered`."""
    blank = np.broadcast_to(np.uint8(0), (size[1], size[0], 3))
    table = []
    for i, rows in enumerate(frames):
        found = associator.update(detections(rows[:, :4], rows[:, 4]), Frame(i, i / fps, blank))
        believed = dict(zip(associator._life.id.tolist(), associator._filter.boxes().tolist(), strict=True))
        for box, object_id in zip(rows[:, :4].tolist(), found.tracker_id.tolist(), strict=True):
            if object_id > 0:
                table.append([i + 1, *(believed[object_id] if filtered else box), object_id])
    return np.array(table).reshape(-1, 6)


def in_order(table: np.ndarray) -> np.ndarray:
    """Rows by frame, x1 and y1, ids numbered as they first come."""
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))][:, :6].copy()
    names: dict[float, int] = {}
    table[:, 5] = [names.setdefault(i, len(names) + 1) for i in table[:, 5].tolist()]
    return table


@pytest.fixture
def known(shared):
    """Facts and answers of an official code, and the detections it was given."""

    def read(method: str, variant: str, sequence: str):
        folder = shared / "parity" / "real" / method
        if not folder.is_dir():
            pytest.skip(f"no answers of the official {method} in the shared data")
        facts = json.loads((folder / "params.json").read_text())
        with np.load(folder / "tables.npz") as tables:
            table = tables[f"{variant}/{sequence}"]
        frames = rows_of(shared / "data" / "mot", sequence, facts)
        fps, *size = FACTS[sequence.split("-")[0]]
        return facts["params"][f"{variant}/{sequence}"], table, frames, fps, tuple(size)

    return read


@pytest.mark.parity
@pytest.mark.shared
@pytest.mark.parametrize("variant", ["dynamic", "static", "defaults"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_sfsort(known, variant, sequence):
    params, table, frames, fps, size = known("sfsort", variant, sequence)
    told = params["effective"]
    central = told["central_timeout"]
    associator = ASSOCIATORS.create(
        "sfsort",
        official=True,
        lost_seconds=central / fps,
        marginal=told["marginal_timeout"] / max(central, 1),
        threshold=1 - told["match_th_first"],
        second_threshold=1 - told["match_th_second"],
        adapt=told["dynamic_tuning"],
    )
    mine = answers(associator, frames, fps, size)
    np.testing.assert_array_equal(in_order(mine), in_order(table))
    order = np.lexsort((table[:, 2], table[:, 1], table[:, 0]))
    np.testing.assert_array_equal(
        mine[np.lexsort((mine[:, 2], mine[:, 1], mine[:, 0])), 5], table[order, 5] + 1
    )


@pytest.mark.parity
@pytest.mark.shared
@pytest.mark.parametrize("variant", ["mot17", "dance"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_hybridsort(known, variant, sequence):
    params, table, frames, _, size = known("hybridsort", variant, sequence)
    associator = ASSOCIATORS.create("hybridsort", official=True, threshold=params["iou_thresh"])
    mine = answers(associator, frames, 30, size)  # their time of loss is 30 frames at any rate
    np.testing.assert_allclose(in_order(mine), in_order(table), rtol=0, atol=1e-6)


@pytest.mark.parity
@pytest.mark.shared
@pytest.mark.parametrize("variant", ["boosttrack", "boosttrack++", "boosttrack++_scorr"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_boosttrack(known, variant, sequence):
    _, table, frames, _, size = known("boosttrack", variant, sequence)
    name, _, corrected = variant.partition("_")
    associator = ASSOCIATORS.create(name, official=True, right_heights=bool(corrected))
    mine = answers(associator, frames, 30, size, filtered=True)  # 30 frames, as in their runs
    np.testing.assert_allclose(in_order(mine), in_order(table), rtol=0, atol=1e-6)
