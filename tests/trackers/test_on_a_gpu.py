"""The neural trackers on a GPU: the answers of the CPU, from the same random weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from vtlab.datasets.synthetic import synthetic  # noqa: E402
from vtlab.prompts import BoxPrompt, PointPrompt, Prompts  # noqa: E402
from vtlab.testing.seeded import boxes, masks, points  # noqa: E402
from vtlab.video import Frame  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]

FRAMES = 3
ONCE = {"pips": {"iterations": 1}}
"""With random weights the refinements of PIPs drive points away from each other's rounding: one is compared."""
WINDOWS = {"pips": 8, "cotracker3-offline": 8, "cotracker3-online": 16}
BOXES = ("transt", "mixformer-cvt", "mixformer-vit", "mcitrack-t224")
MASKS = [name for name in masks.PACKAGES if name != "flow"]
POINTS = list(points.NETWORKS)


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """PyTorch lets convolutions on a GPU round to 10 bits unless it is told otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def frames(n: int) -> list[Frame]:
    video = synthetic(seconds=1, fps=25, size=(320, 240), seed=3).video
    return [Frame(i, i / 25, video[i]) for i in range(n)]


def answers(tracker, prompts: Prompts, n: int):
    """What a tracker answers on n frames."""
    if hasattr(tracker, "run"):
        return [answer for _, answer in sorted(tracker.run(iter(frames(n)), prompts, n), key=lambda a: a[0])]
    first, *others = frames(n)
    return [tracker.init(first, prompts), *(tracker.step(frame) for frame in others)]


def on_both(name: str, prompts: Prompts, n: int = FRAMES, **options):
    """Pairs of answers, on the CPU and on the GPU."""
    found = []
    for device in ("cpu", "cuda"):
        tracker = vtlab.create_tracker(name, **{**options, "device": device})
        found.append(answers(tracker, prompts, n))
        tracker.close()
    return zip(*found, strict=True)


@pytest.mark.parametrize("name", BOXES)
def test_boxes(name, tmp_path):
    boxes.save_random(name, tmp_path / "random.pth")
    prompts = Prompts(BoxPrompt((60 * i, 50, 60 * i + 50, 110), object_id=i) for i in (1, 2, 3))
    for cpu, gpu in on_both(name, prompts, weights=tmp_path / "random.pth"):
        np.testing.assert_allclose(gpu.boxes, cpu.boxes, atol=0.05)
        np.testing.assert_allclose(gpu.scores, cpu.scores, atol=1e-3)


@pytest.mark.parametrize("name", MASKS)
def test_masks(name, tmp_path):
    if lacking := masks.lacking(name):
        pytest.skip(f"{lacking} is not installed")
    prompts = Prompts(BoxPrompt((60 * i, 50, 60 * i + 50, 110), object_id=i) for i in (1, 2))
    for cpu, gpu in on_both(name, prompts, **masks.options(name, tmp_path)):
        for ours, theirs in zip(gpu.masks, cpu.masks, strict=True):
            assert (np.asarray(ours) != np.asarray(theirs)).mean() < 0.005


@pytest.mark.parametrize("name", POINTS)
def test_points(name, tmp_path):
    weights = points.random_weights(name, tmp_path)
    prompts = Prompts(PointPrompt(((60.0 * i, 90.0),), object_id=i) for i in (1, 2, 3, 4))
    for cpu, gpu in on_both(name, prompts, WINDOWS.get(name, FRAMES), weights=weights, **ONCE.get(name, {})):
        np.testing.assert_allclose(gpu.points, cpu.points, atol=0.05)
