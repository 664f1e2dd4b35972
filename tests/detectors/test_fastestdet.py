"""FastestDet: its decoding against the official demo's loop, and real people on a real frame."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.detectors.fastestdet import FastestDet, decode
from vtlab.errors import InputError


def official(output: np.ndarray) -> list[tuple[list[float], float, int]]:
    """The loop of the official repository's demo, box as fractions, with the score of its evaluation code."""
    cells = output.transpose(1, 2, 0)
    height, width = cells.shape[:2]
    found = []
    for h in range(height):
        for w in range(width):
            c = cells[h, w]
            bw, bh = 1 / (1 + np.exp(-c[3])), 1 / (1 + np.exp(-c[4]))
            cx, cy = (w + np.tanh(c[1])) / width, (h + np.tanh(c[2])) / height
            box = [cx - 0.5 * bw, cy - 0.5 * bh, cx + 0.5 * bw, cy + 0.5 * bh]
            found.append((box, c[0] ** 0.6 * c[5:].max() ** 0.4, int(c[5:].argmax())))
    return found


def test_decoding_equals_the_official_loop():
    output = np.random.default_rng(0).normal(0, 1, (85, 6, 7))
    output[[0, *range(5, 85)]] = np.abs(output[[0, *range(5, 85)]])
    boxes, scores, ids = decode(output)
    for i, (box, score, number) in enumerate(official(output)):
        np.testing.assert_allclose(boxes[i], box)
        assert scores[i] == pytest.approx(score)
        assert ids[i] == number


@pytest.fixture
def picture(shared, shared_weights, monkeypatch):
    import av

    monkeypatch.setenv("VTLAB_WEIGHTS", str(shared_weights))
    with av.open(str(shared / "data/videos/vtest.mp4")) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.shared
def test_people_and_cars_of_a_street(picture):
    detector = FastestDet(confidence=0.35)
    found = detector.detect([picture, picture])
    assert len(found) == 2
    np.testing.assert_array_equal(found[0].xyxy, found[1].xyxy)
    labels = found[0].data["class_name"].tolist()
    assert labels.count("person") >= 4
    assert "car" in labels
    assert (found[0].confidence >= 0.35).all()
    people = FastestDet(confidence=0.35, classes=["person"]).detect([picture])[0]
    assert set(people.data["class_name"]) == {"person"}


@pytest.mark.shared
def test_unknown_class(picture):
    with pytest.raises(InputError, match="'elefant'.*'elephant'"):
        FastestDet(classes=["elefant"])
