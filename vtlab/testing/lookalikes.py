"""A world of look-alikes, in which rules of memory decide without a network: discs, and a stand-in for SAM 2.

Each disc has an appearance, a short vector that wavers from frame to frame. The stand-in offers the target, the look-alike
and both together as masks, and says how sure it is of each by the memories that the rule reads: alike to what was inside
the remembered mask, unlike what was outside. So what a rule keeps decides whom it follows. It shows what rules do with
what they are told; how much the real network gains by them it can't show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vtlab.trackers.masks.sam2.memory import MemoryRule

# Pixels and frames: small, so that many clips are quick.
HEIGHT, WIDTH, RADIUS, FRAMES = 48, 96, 5, 120
# How fast likeness falls, the error of the estimated IoU, and how far apart the two look.
_SHARPNESS, _NOISE, _ALIKE = 0.8, 0.05, 1.1


@dataclass(frozen=True)
class World:
    """One clip.

    Attributes:
        at: (T, 2, 2) centres of the target and its look-alike as (x, y), pixels.
        looks: (T, 2, D) their appearance on each frame.
        there: bool (T, 2), whether each is seen.
        noise: (T, 3) errors of the estimated IoUs.
    """

    at: NDArray[np.float64]
    looks: NDArray[np.float64]
    there: NDArray[np.bool_]
    noise: NDArray[np.float64]


def world(seed: int) -> World:
    """A target that crosses the image to and fro, and a look-alike that meets it; the target is hidden once in between."""
    rng = np.random.default_rng(seed)
    t = np.arange(FRAMES)
    phase, pace = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.07, 0.11, 2)
    x = WIDTH / 2 + (WIDTH / 2 - 10) * np.sin(phase[:, None] + pace[:, None] * t)
    # 9 px apart with radii of 5: they overlap where they meet.
    y = np.stack([np.full(FRAMES, 20.0), np.full(FRAMES, 29.0)])
    base = rng.normal(size=4)
    other = rng.normal(size=4)
    looks = np.stack([base, base + _ALIKE * other / np.linalg.norm(other)])
    # Looks change a little from frame to frame, as they do in a video.
    wavering = rng.normal(scale=0.15, size=(FRAMES, 2, 4))
    there = np.ones((FRAMES, 2), bool)
    begin = int(rng.integers(50, 80))
    there[begin : begin + int(rng.integers(8, 16)), 0] = False
    # The target is known before the look-alike comes.
    there[:15, 1] = False
    noise = rng.normal(scale=_NOISE, size=(FRAMES, 3))
    return World(np.stack([x, y], axis=2).transpose(1, 0, 2), looks + wavering, there, noise)


def followed(clip: World, rule: MemoryRule) -> NDArray[np.bool_]:
    """Frames (T,) on which the rule has the target where it is seen, and says nothing where it is hidden."""
    from vtlab.trackers.masks.sam2.memory import Seen

    rule.prompt(0)
    memories: dict[int, tuple[NDArray[np.float64], Sequence[NDArray[np.float64]]]] = {}
    memories[0] = (clip.looks[0, 0], [])
    right = np.ones(FRAMES, bool)
    for t in range(1, FRAMES):
        discs = [_disc(*clip.at[t, k]) & bool(clip.there[t, k]) for k in (0, 1)]
        # The three candidates of a mask decoder: this, that, or both.
        masks = np.stack([*discs, discs[0] | discs[1]])
        read = [memories[f] for f, _ in rule.memories(t) if f in memories]
        sure = np.array([_alike(clip.looks[t, k], read) if clip.there[t, k] else 0.0 for k in (0, 1)])
        # Both together is never the surest by itself.
        ious = np.clip(np.append(sure, sure.mean() - 0.1) + clip.noise[t], 0, 1)
        appears = 10 * (float(ious.max()) - 0.45)
        masks &= appears > rule.appears_above
        taken = rule.choose(t, Seen(ious, appears, _boxes(masks), masks))
        rule.follow(t)
        mask = masks[taken]
        within = [k for k in (0, 1) if clip.there[t, k] and (mask & discs[k]).any()]
        if within:
            outside = [clip.looks[t, k] for k in (0, 1) if clip.there[t, k] and k not in within]
            memories[t] = (np.mean([clip.looks[t, k] for k in within], axis=0), outside)
        right[t] = within == ([0] if clip.there[t, 0] else [])
        kept = rule.kept(t)[0]
        memories = {f: m for f, m in memories.items() if f in kept}
    return right


def share_followed(make: Callable[[], MemoryRule], seeds: Sequence[int]) -> float:
    """Mean share of frames on which a rule is right, over the clips of some seeds."""
    return float(np.mean([followed(world(seed), make()).mean() for seed in seeds]))


def _alike(
    looks: NDArray[np.float64],
    read: Sequence[tuple[NDArray[np.float64], Sequence[NDArray[np.float64]]]],
) -> float:
    """How sure the stand-in is of a disc: near to the inside of the memories, far from their outside."""

    def near(a: NDArray[np.float64]) -> float:
        return float(np.exp(-_SHARPNESS * np.sum((looks - a) ** 2)))

    inside = float(np.mean([near(own) for own, _ in read]))
    outside = float(np.mean([max((near(o) for o in others), default=0.0) for _, others in read]))
    return float(np.clip(0.95 * inside - 0.6 * max(outside - inside / 2, 0.0), 0, 1))


def _disc(x: float, y: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    disc: NDArray[np.bool_] = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= RADIUS**2
    return disc


def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    found = np.zeros((len(masks), 4), np.int64)
    for box, mask in zip(found, masks, strict=True):
        if mask.any():
            rows, columns = np.nonzero(mask)
            box[:] = columns.min(), rows.min(), columns.max(), rows.max()
    return found
