"""Which engine runs NanoTrack where packages are missing: asked in fresh processes that can't import them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.blocked import without

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
        pytest.importorskip("onnxruntime")
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
