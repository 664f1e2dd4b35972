"""Weighted box fusion: the boxes and scores of its authors' code (ensemble-boxes 1.0.9), and what bad input is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vtlab.detectors.fusion import fuse
from vtlab.errors import InputError

CASES = json.loads(Path(__file__).with_name("weighted_box_fusion.json").read_text())


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{len(c['boxes'])} by {c['scores_by']}, trust {c['weights']}"
)
def test_same_as_the_authors(case):
    """Theirs sums boxes in float32, so 1e-6; order among equal scores is nobody's."""
    boxes = [np.array(b).reshape(-1, 4) for b in case["boxes"]]
    found = fuse(boxes, case["scores"], case["labels"], trust=case["weights"], score=case["scores_by"])
    theirs = case["fused"]
    np.testing.assert_allclose(found.scores, theirs["scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes, theirs["boxes"], atol=1e-6)
    assert found.labels == theirs["labels"]


def test_who_saw_it_is_kept():
    a, b = np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0, 10, 12], [30, 30, 40, 40]])
    found = fuse([a, b], [[0.8], [0.4, 0.6]], [["cat"], ["cat", "dog"]], score="max")
    assert found.by == [(0, 1), (1,)]
    np.testing.assert_allclose(found.boxes[0], [0, 0, 10, (0.8 * 10 + 0.4 * 12) / 1.2])
    assert found.scores.tolist() == [0.8, 0.6]
    empty = fuse([a[:0], a[:0]], [[], []], [[], []])
    assert empty.boxes.shape == (0, 4)


def test_bad_input_is_told():
    a = np.array([[0.0, 0, 10, 10]])
    for wrong in ({"trust": [1, 0]}, {"trust": [1]}, {"score": "sum"}):
        with pytest.raises(InputError, match="fuse: "):
            fuse([a, a], [[1], [1]], [["x"], ["x"]], **wrong)
