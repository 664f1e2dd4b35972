"""Tracks made elsewhere, as the predictions of a session: read in any format, checked against the video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import InputError
from vtlab.geometry import paired_iou
from vtlab.tracks import Tracks
from vtlab.video import Video

SAME = 0.5
"""Overlap, averaged over the frames that two tracks share, from which they are taken for one object."""


def as_tracks(tracks: Any, layout: str | None = None) -> Tracks:
    """Tracks, or the file of any format that holds them.

    Raises:
        FormatError: The file is missing, damaged, or of no known format.
    """
    if isinstance(tracks, Tracks):
        return tracks
    if not isinstance(tracks, (str, os.PathLike)):
        raise InputError(f"Expected tracks or their file, got {tracks!r}.")
    return Tracks.load(Path(tracks), layout)


def as_predictions(tracks: Tracks, video: Video) -> Tracks:
    """Rows that no person of this session made, on the frames of the video, with ids from 1 on.

    Raises:
        InputError: They can't be of this video: frames that differ or that it lacks, images of another size, another cut.

    Warns:
        VtlabWarning: They were made on another file, with the same frames, or nobody can tell.
    """
    rows, size = tracks.on(video), (video.height, video.width)
    if len(rows) and rows.frame[-1] >= len(video):
        raise InputError(
            f"The tracks speak of frame {rows.frame[-1]}; {video.name!r} has frames 0 to {len(video) - 1}. "
            "Frames count from 0. Remedy: give the video that they were made on."
        )
    if rows.size not in (None, size):
        raise InputError(
            f"The tracks are of images of {rows.size} (height, width), {video.name!r} has {size}."
        )
    rows = numbered(rows)
    kinds = rows.source.copy()
    kinds[kinds == "manual"] = "tracked"  # a person's word is a key figure of the session
    return rows.replace(source=kinds, size=size)


def numbered(tracks: Tracks) -> Tracks:
    """The tracks with ids from 1 on, as figures need them; the ids that they had stand in the record's `id_map`."""
    ids = tracks.object_ids.tolist()
    bad = [i for i in ids if i < 1]
    if not bad:
        return tracks
    free = (i for i in range(1, len(ids) + max([*ids, 0]) + 1) if i not in set(ids))
    new = {i: next(free) for i in bad}
    hosts = {str(new[i]): (tracks.record.id_map or {}).get(str(i), i) for i in bad}
    rows = tracks.renamed(new)
    return rows.replace(record=rows.record.replace(id_map={**(rows.record.id_map or {}), **hosts}))


def newcomers(found: Tracks, known: Tracks) -> Tracks:
    """What was found of objects that are not known yet, with ids after the known ones.

    A found object is a known one where both overlap by `SAME` on average over the frames that they share.
    """
    keep, free = {}, max([*known.object_ids.tolist(), 0]) + 1
    seen = [theirs for _, theirs in known.seen().by_object()]
    for i, mine in found.by_object():
        if not _is_known(mine.seen(), seen):
            keep[i] = free
            free += 1
    rows = found.take(np.isin(found.object_id, list(keep)))
    return rows.renamed(keep)


def _is_known(mine: Tracks, known: list[Tracks]) -> bool:
    for theirs in known:
        _, a, b = np.intersect1d(mine.frame, theirs.frame, return_indices=True)
        if len(a) and np.nan_to_num(paired_iou(mine.boxes[a], theirs.boxes[b])).mean() >= SAME:
            return True
    return False
