"""Segmenters by name: "auto", which widgets use unless they are told otherwise, and one's own."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import segmenters, weights
from vtlab.errors import RegistryError, WeightsError
from vtlab.segmenters.grabcut import GrabCut


def test_grabcut_where_no_checkpoint_is_ready(monkeypatch):
    monkeypatch.setattr(weights, "locate", lambda file: None)
    assert isinstance(segmenters.create_segmenter("auto"), GrabCut)


def test_grabcut_where_a_package_is_missing(monkeypatch):
    monkeypatch.setattr(
        segmenters, "find_spec", lambda name: None if name in ("sam2", "transformers") else object()
    )
    monkeypatch.setattr(weights, "locate", lambda file: file.name)
    assert segmenters.ready() == "grabcut"


def test_the_smallest_of_the_newest_checkpoints_that_are_there(monkeypatch, tmp_path):
    monkeypatch.setattr(segmenters, "find_spec", lambda name: object())
    there = {"sam2_hiera_tiny.pt", "sam2.1_hiera_small.pt", "sam2.1_hiera_large.pt"}
    monkeypatch.setattr(weights, "locate", lambda file: file.name if file.name in there else None)
    assert segmenters.ready() == "sam2.1-small"


def test_sam_where_it_alone_is_there(monkeypatch):
    monkeypatch.setattr(segmenters, "find_spec", lambda name: None if name == "sam2" else object())
    monkeypatch.setattr(
        weights, "locate", lambda file: file.name if file.name.startswith("sam-base") else None
    )
    assert segmenters.ready() == "sam-base"


def test_a_damaged_checkpoint_is_said_and_not_passed_over(monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    pytest.importorskip("sam2", reason="the package sam2 is not installed: pip install 'vtlab[sam2]'")
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"no checkpoint")
    monkeypatch.setenv("VTLAB_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"sam2\.1_hiera_tiny\.pt"):
        segmenters.create_segmenter("auto")


def test_ones_own_by_a_file(tmp_path):
    (tmp_path / "own.py").write_text(
        "import numpy as np, vtlab\n\n"
        "@vtlab.register_segmenter('everything', family='segmenter')\n"
        "class Everything:\n"
        "    def __init__(self, score=1.0):\n"
        "        self.score = score\n\n"
        "    def segment(self, image, *, box=None, points=None, positive=None):\n"
        "        return np.ones(image.shape[:2], bool), self.score\n"
    )
    made = segmenters.create_segmenter(f"{tmp_path / 'own.py'}:Everything", score=0.5)
    mask, score = made.segment(np.zeros((4, 6, 3), np.uint8), box=(0, 0, 2, 2))
    assert mask.shape == (4, 6)
    assert score == 0.5
    with pytest.raises(RegistryError, match="no parameter 'scores'"):
        segmenters.create_segmenter("everything", scores=1)
