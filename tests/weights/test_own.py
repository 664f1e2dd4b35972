"""Weights of your own: every learned tracker takes a path, no digest is asked, and the record holds what was loaded."""

from __future__ import annotations

import hashlib
import inspect

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Observation, SingleObjectTracker, WeightFile
from vtlab.errors import InputError, WeightsError
from vtlab.registry import TRACKERS, register

BY_DETECTION = {"botsort-reid", "supervisely-botsort"}
"""Compositions: their re-identification's network is the associator's, an ONNX file given as its embedder."""


def test_every_learned_tracker_takes_weights():
    without = {
        c.name
        for c in TRACKERS.cards()
        if c.weights and "weights" not in inspect.signature(TRACKERS.find(c.name)).parameters
    }
    assert without == BY_DETECTION


@pytest.fixture
def folder_tracker():
    """A tracker that is given a folder, as the hub has one for each model."""
    name = "of-a-folder"
    files = [WeightFile(f"model-x.{n}", f"https://example.org/{n}") for n in ("config.json", "model.bin")]

    @register(name, family="sot", accepts={vtlab.BoxPrompt}, weights=files)
    class OfAFolder(SingleObjectTracker):
        """Stays where it is."""

        def __init__(self, *, weights=None):
            pass

        def init(self, frame, prompt):
            self._box = prompt.box(*frame.image.shape[:2])

        def step(self, frame):
            return Observation(self._box)

    yield name
    TRACKERS._entries.pop(name)


def test_the_record_holds_the_files_of_a_folder(folder_tracker, tmp_path):
    for name in ("config.json", "model.bin", "notes.txt"):
        (tmp_path / name).write_text(name)
    tracks = vtlab.track(
        np.zeros((2, 32, 32, 3), np.uint8),
        vtlab.BoxPrompt((4, 4, 20, 20)),
        folder_tracker,
        weights=tmp_path,
        progress=False,
    )
    expected = {n: hashlib.sha256(n.encode()).hexdigest() for n in ("config.json", "model.bin")}
    assert tracks.record.tracker.weights == expected


def test_networks_of_opencv(tmp_path):
    with pytest.raises(WeightsError, match=r"There is no file .*mine\.onnx"):
        vtlab.create_tracker("vittrack", weights=tmp_path / "mine.onnx")
    (tmp_path / "mine.onnx").write_bytes(b"\x08\x07nonsense")
    with pytest.raises(WeightsError, match=r"OpenCV can't read .*mine\.onnx"):
        vtlab.create_tracker("vittrack", weights=tmp_path / "mine.onnx")
    with pytest.raises(WeightsError, match=r"There is no file .*dasiamrpn_model\.onnx"):
        vtlab.create_tracker("dasiamrpn", weights=tmp_path)
    with pytest.raises(InputError, match="has no network, so it takes no weights"):
        vtlab.create_tracker("kcf", weights=tmp_path / "mine.onnx")
