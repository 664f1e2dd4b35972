"""The XMem tracker with a seeded checkpoint in the official file's layout; parity is in tests/parity, and what all
trackers of masks have in common is in test_mask_input.py."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.nets.xmem import XMem  # noqa: E402
from vtlab.prompts import MaskPrompt, Prompts  # noqa: E402
from vtlab.testing.seeded.masks import shrink  # noqa: E402

VIDEO = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
SMALL = {
    "size": None,
    "memory_every": 1,
    "max_frames": 4,
    "min_frames": 2,
    "prototypes": 8,
    "max_long_term": 24,
}
SQUARE = MaskPrompt(polygon=((10, 10), (40, 10), (40, 40), (10, 40)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A state dict as `XMem.pth` holds it: flat, by the official names."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "XMem.pth"
    torch.save(XMem().state_dict(), path)
    return path


def test_memory_is_bounded(checkpoint):
    """Also after removals, which leave groups with fewer values than keys."""
    tracker = vtlab.create_tracker("xmem", weights=checkpoint, **SMALL)
    shrink(tracker._network)
    frames = list(vtlab.open_video(VIDEO).frames())
    tracker.init(frames[0], Prompts(SQUARE))
    sizes = []
    for t, frame in enumerate(frames[1:], start=1):
        late = Prompts(dataclasses.replace(SQUARE, object_id=2, frame=t)) if t == 7 else Prompts()
        if t == 12:
            tracker.remove([1])
        tracker.step(frame, late)
        memory = tracker._inference.memory
        sizes.append((len(memory.work), len(memory.long)))
    cells = 3 * 4
    assert max(work for work, _ in sizes) <= 4 * cells
    assert max(long for _, long in sizes) <= 24
    tracker.remove([2])
    assert len(tracker.step(frames[0])) == 0
    tracker.close()


def test_a_checkpoint_of_another_variant(tmp_path):
    path = tmp_path / "XMem-no-sensory.pth"
    torch.save(XMem(c_hidden=0).state_dict(), path)
    with pytest.raises(WeightsError, match=r"missing \(first: .*checkpoint of xmem-no-sensory"):
        vtlab.create_tracker("xmem", weights=path)
    tracks = vtlab.track(VIDEO[:4], SQUARE, "xmem-no-sensory", weights=path, device="cpu", progress=False)
    assert len(tracks) == 4
    assert tracks.record.tracker.weights == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    "options", [{"min_frames": 1}, {"variant": "x"}, {"prototypes": 0}, {"device": "moon"}]
)
def test_options_are_checked(checkpoint, options):
    with pytest.raises(InputError):
        vtlab.create_tracker("xmem", weights=checkpoint, **options)
