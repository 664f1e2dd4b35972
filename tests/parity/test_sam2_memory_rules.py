"""SAMURAI's and d4sm's decisions, frame by frame, against those of the official code (stand-in masks, no network)."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.trackers.masks.sam2.d4sm import DistractorAware
from vtlab.trackers.masks.sam2.memory import Seen
from vtlab.trackers.masks.sam2.samurai import MotionAware

GOLDEN = __file__.replace("test_sam2_memory_rules.py", "golden/sam2_")
KINDS = {0: "prompted", 1: "recent", 2: "distractor"}


def listed(row: np.ndarray) -> list:
    """What stands in a row that is padded with -1 or NaN."""
    return [x for x in row.tolist() if x >= 0]


@pytest.fixture(scope="module")
def samurai():
    return dict(np.load(f"{GOLDEN}samurai.npz"))


@pytest.fixture(scope="module")
def d4sm():
    return dict(np.load(f"{GOLDEN}d4sm.npz"))


@pytest.mark.parametrize(("weight", "key"), [(0.25, "w025"), (0.15, "w015")])
def test_samurai_decides_as_the_official_code(samurai, weight, key):
    rule = MotionAware(motion_weight=weight, official=True)
    rule.prompt(0)
    for f in range(1, 64):
        read = rule.memories(f)
        assert [t for t, _ in read] == listed(samurai[f"{key}_memory_frames"][f]), f
        assert [row for _, row in read] == listed(samurai[f"{key}_memory_tpos_index"][f]), f
        pointers = rule.pointers(f)
        assert [t for t, _ in pointers] == listed(samurai[f"{key}_pointer_frames"][f]), f
        np.testing.assert_allclose(
            [at for _, at in pointers], listed(samurai[f"{key}_pointer_pos_over_15"][f]), atol=1e-6
        )
        boxes = samurai["candidate_boxes_xyxy_inclusive"][f]
        taken = rule.choose(f, Seen(samurai["ious"][f], float(samurai["object_score"][f]), boxes))
        rule.follow(f)
        assert taken == samurai[f"{key}_selected"][f - 1], f
        np.testing.assert_array_equal(boxes[taken], samurai[f"{key}_box"][f - 1])
        assert rule.stable == samurai[f"{key}_stable_frames"][f - 1], f
        motion = np.nan if rule.motion is None else rule.motion
        np.testing.assert_allclose(motion, samurai[f"{key}_kf_score"][f - 1], atol=1e-5)
        state = rule.filter.state[:, 0]
        np.testing.assert_allclose(state[:2].ravel(), samurai[f"{key}_kf_mean"][f - 1], rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(state[[2, 4]].ravel(), samurai[f"{key}_kf_cov_diag"][f - 1], rtol=1e-6)
        assert {t for t, _ in rule.memories(f + 1)} <= rule.kept(f)[0], "what is kept is what may be read"
        assert len(rule.kept(f)[0]) <= 8


@pytest.mark.parametrize("thing", [0, 1])
def test_d4sm_decides_as_the_official_code(d4sm, thing):
    height, width = d4sm["mask_shape"]
    masks = np.unpackbits(d4sm["candidate_masks_packbits"], axis=-1)[..., :width].astype(bool)
    assert masks.shape[-2] == height
    rule = DistractorAware(official=True)
    rule.prompt(0)
    for f in range(1, 70):
        read, pointers = rule.memories(f), rule.pointers(f)
        assert [t for t, _ in read] == listed(d4sm["memory_used_frames"][f, thing]), f
        assert [row for _, row in read] == listed(d4sm["memory_used_tpos_index"][f, thing]), f
        assert [t for t, _ in pointers] == listed(d4sm["pointer_used_frames"][f, thing]), f
        np.testing.assert_allclose(
            [at for _, at in pointers], listed(d4sm["pointer_used_position"][f, thing]), atol=1e-6
        )
        taken = rule.choose(f, Seen(d4sm["ious"][f, thing], 1.0, masks=masks[f, thing]))
        rule.follow(f)
        assert masks[f, thing, taken].sum() == d4sm["n_pixels"][f, thing]
        assert [x.time for x in rule.frames] == listed(d4sm["memory_after_frames"][f, thing]), f
        kinds = [x.kind for x in rule.frames]
        assert kinds == [KINDS[k] for k in listed(d4sm["memory_after_kind"][f, thing])], f
        added, pending = d4sm["drm_last_added"][f, thing], d4sm["drm_pending_after"][f, thing]
        assert (-1 if rule.last_distractor is None else rule.last_distractor) == added, f
        assert (-1 if rule.pending is None else rule.pending) == pending, f
