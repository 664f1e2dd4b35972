"""Ignore regions of formats that give each pixel one meaning: drawn beside the objects, and taken apart from them."""

from __future__ import annotations

import numpy as np

from vtlab.tracks import Tracks

IGNORED = "ignore"
"""Label of a row that is a region, where a file has regions among its objects."""
_FIRST = 10_000_000
"""Ids of regions, which have none of their own, begin beyond those of any file of MOTS (class times 1000 plus instance)."""


def drawn_regions(ignore: Tracks, truth: Tracks) -> Tracks:
    """The regions that have a mask, without the pixels of objects and of regions before them; none that is then empty.

    Objects win: their pixels are the truth that is scored, and what a region lacks counts as background.
    """
    size = ignore.size
    if size is None or (truth.size is not None and size != truth.size):
        return ignore.take([])
    seen, rows = truth.seen(), []
    for frame in np.unique(ignore.frame).tolist():
        taken = np.any([np.zeros(size, bool), *seen.masks_at(frame).values()], axis=0)
        for object_id, mask in ignore.masks_at(frame).items():
            left = mask & ~taken
            taken |= mask
            if left.any():
                rows.append((frame, object_id, left))
    if not rows:
        return ignore.take([])
    frames, ids, left_over = zip(*rows, strict=True)
    return Tracks.of(frames, ids, masks=list(left_over), size=size, source="manual")


def cut_pixels(ignore: Tracks, held: Tracks) -> int:
    """Pixels of regions that are `held` in part."""
    if ignore.rle is None or held.rle is None:
        return 0
    kept = set(zip(held.frame.tolist(), held.object_id.tolist(), strict=True))
    whole = [key in kept for key in zip(ignore.frame.tolist(), ignore.object_id.tolist(), strict=True)]
    return _covered(ignore.take(np.array(whole, bool))) - _covered(held)


def _covered(regions: Tracks) -> int:
    """Pixels of regions; one that two share counts once."""
    _, group = np.unique(regions.frame, return_inverse=True)
    return int(regions.runs().union(group).areas().sum())


def with_regions(truth: Tracks, ignore: Tracks) -> Tracks:
    """Truth with the regions as rows that are labelled so."""
    if not len(ignore):
        return truth
    regions = Tracks.of(
        ignore.frame,
        _FIRST + np.arange(len(ignore)),
        masks=None if ignore.rle is None else ignore.rle.tolist(),
        label=IGNORED,
        source="manual",
        size=ignore.size,
    )
    joined = Tracks.concat([truth.replace(size=ignore.size), regions])
    return joined.replace(record=truth.record)


def without_regions(truth: Tracks) -> tuple[Tracks, Tracks | None]:
    """Truth without its rows that are regions, and these; None where there are none."""
    region = truth.label == IGNORED
    return (truth.take(~region), truth.take(region)) if region.any() else (truth, None)
