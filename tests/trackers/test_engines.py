"""Which engine runs NanoTrack where packages are missing: asked in fresh processes that can't import them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.blocked import without
from vtlab.registry import TRACKERS
from vtlab.testing.contract import NotAsked, make
from vtlab.weights.here import lacking

SCRIPT = """
import vtlab
from vtlab.testing.scenes import moving_square

card = vtlab.tracker_card("nanotrack-v2")
tracks = vtlab.track(moving_square(3), vtlab.BoxPrompt((20, 16, 44, 40)), "nanotrack-v2", progress=False)
maker = tracks.record.tracker
print(card.options["engine"], maker.params["engine"], *sorted(maker.weights), len(card.instead))
"""


@pytest.mark.shared
@pytest.mark.parametrize(
    ("blocked", "engine"), [(("torch",), "onnxruntime"), (("torch", "onnxruntime"), "opencv")]
)
def test_without_pytorch(blocked, engine, shared_weights):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vtlab[onnx]'")
    done = subprocess.run(
        [sys.executable, "-c", without(blocked) + SCRIPT],
        env={**os.environ, "VTLAB_WEIGHTS": str(shared_weights)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = ["nanotrackv2_backbone.onnx", "nanotrackv2_head.onnx"]
    assert done.stdout.split() == [engine, engine, *files, "1"]


def test_what_is_lacking_is_the_chosen_engines(monkeypatch, tmp_path):
    """Each engine has its own files; weights of one's own need none."""
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VTLAB_WEIGHTS", str(tmp_path))
    card, cls = TRACKERS.card("nanotrack-v2"), TRACKERS.find("nanotrack-v2")
    for engine, missing in (
        ("torch", "nanotrackv2.pth"),
        ("onnxruntime", "nanotrackv2_backbone.onnx"),
        ("opencv", "nanotrackv2_backbone.onnx"),
    ):
        assert lacking(card, cls, {"engine": engine}) == f"weights {missing} are not here"
        with pytest.raises(NotAsked, match=missing):
            make(TRACKERS, "nanotrack-v2", {"engine": engine})
    for name in ("backbone", "head"):
        (tmp_path / f"nanotrackv2_{name}.onnx").write_bytes(b"")
    assert lacking(card, cls, {"engine": "torch"})
    assert not lacking(card, cls, {"engine": "opencv"})
    assert not lacking(card, cls, {"engine": "torch", "weights": tmp_path / "own.pth"})
    assert "nanotrackv1" in lacking(TRACKERS.card("nanotrack-v1"), cls)
    other = TRACKERS.card("fear-xs")
    assert lacking(other, TRACKERS.find("fear-xs"), {"visible_above": 0.4}) == lacking(other) != ""
