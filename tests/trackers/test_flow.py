"""The mask tracker by dense flow: occlusion, return, several objects, corrections, odd sizes."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab import masks
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompts

H, W, SIDE = 96, 160, 28


def scene(n: int, wall: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A textured disc that crosses a textured ground, behind a wall if asked: (n, H, W, 3) and masks (n, H, W)."""
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.integers(60, 110, (H // 4, W // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    disc = np.kron(rng.integers(150, 255, (SIDE // 4, SIDE // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    disc[..., 2] //= 3
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    round_ = (x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2 < (SIDE / 2) ** 2
    video, truth = np.repeat(ground[None], n, axis=0), np.zeros((n, H, W), bool)
    for t in range(n):
        left, top = 6 + 3 * t, 30
        part = round_[:, : max(0, W - left)]
        video[t, top : top + SIDE, left : left + SIDE][part] = disc[:, : part.shape[1]][part]
        truth[t, top : top + SIDE, left : left + SIDE] = part
        if wall:
            video[t, :, 60:100] = (20, 40, 160)
            truth[t, :, 60:100] = False
    return video, truth


def test_follows_a_disc():
    video, truth = scene(16)
    tracks = vtlab.track(video, MaskPrompt.of(truth[0]), "flow", progress=False)
    overlaps = [masks.iou(tracks.mask(t), truth[t]) for t in range(16)]
    assert min(overlaps) > 0.85, overlaps
    assert tracks.visible.all()
    np.testing.assert_array_equal(tracks.mask(0), truth[0])


def test_occlusion_and_return():
    video, truth = scene(40, wall=True)
    tracks = vtlab.track(video, MaskPrompt.of(truth[0]), "flow", progress=False)
    hidden = ~truth.any(axis=(1, 2))
    assert hidden.any()
    assert not tracks.visible[hidden].any()
    assert not tracks.score[~tracks.visible].any()
    back = np.flatnonzero(tracks.visible & (np.arange(40) > np.flatnonzero(hidden).max()))
    assert len(back) >= 3
    assert np.mean([masks.iou(tracks.mask(t), truth[t]) for t in back]) > 0.7


def test_two_objects_never_overlap():
    video, truth = scene(12)
    other = np.zeros((H, W), bool)
    other[70:90, 100:130] = True
    video[:, 70:90, 100:130] = (200, 30, 30)
    prompts = Prompts([MaskPrompt.of(truth[0], object_id=4), MaskPrompt.of(other, object_id=2, frame=3)])
    tracks = vtlab.track(video, prompts, "flow", progress=False)
    for t in range(3, 12):
        found = tracks.masks_at(t)
        assert set(found) == {2, 4}
        assert not (found[2] & found[4]).any()
        assert masks.iou(found[2], other) > 0.8
    assert tracks.of_object(2).frames.tolist() == list(range(3, 12))


def test_a_correction_holds_and_removal_removes():
    video, truth = scene(14)
    wrong = np.zeros((H, W), bool)
    wrong[5:20, 100:120] = True
    prompts = [MaskPrompt.of(wrong), MaskPrompt.of(truth[5], frame=5), MaskPrompt.of(wrong, object_id=2)]
    tracks = vtlab.track(video, prompts, "flow", progress=False, remove={2: 8})
    assert masks.iou(tracks.masks_at(13)[1], truth[13]) > 0.8
    assert tracks.of_object(2).frames.tolist() == list(range(8))


@pytest.mark.parametrize("kind", ["box", "click"])
def test_boxes_and_clicks(kind):
    video, truth = scene(4)
    x1, y1, x2, y2 = masks.to_box(truth[0])
    prompt = (
        BoxPrompt((x1 - 2, y1 - 2, x2 + 2, y2 + 2))
        if kind == "box"
        else ClickPrompt((((x1 + x2) / 2, (y1 + y2) / 2),))
    )
    tracks = vtlab.track(video, prompt, "flow", progress=False)
    assert masks.iou(tracks.mask(3), truth[3]) > 0.6


@pytest.mark.parametrize("size", [(12, 16), (40, 24), (700, 90)])
def test_small_portrait_and_long_frames(size):
    height, width = size
    video = np.random.default_rng(1).integers(0, 255, (3, height, width, 3), dtype=np.uint8)
    video[:, height // 4 : height // 2, width // 4 : width // 2] = (250, 240, 10)
    box = (width / 4, height / 4, width / 2, height / 2)
    tracks = vtlab.track(video, MaskPrompt(polygon=masks_polygon(box)), "flow", progress=False)
    assert tracks.mask(2).shape == size
    assert len(tracks) == 3


def masks_polygon(box):
    x1, y1, x2, y2 = box
    return ((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def test_one_pixel_and_4k():
    video = np.full((2, 2160, 3840, 3), 90, np.uint8)
    video[:, 1000, 2000] = (255, 0, 0)
    pixel = video[0, ..., 0] == 255
    tracks = vtlab.track(video, MaskPrompt.of(pixel), "flow", progress=False)
    np.testing.assert_array_equal(tracks.boxes[0], (2000, 1000, 2001, 1001))
    assert len(tracks) == 2


def test_options_are_checked():
    with pytest.raises(InputError, match="quality in"):
        vtlab.create_tracker("flow", quality="best")
