"""TracksBuilder: the answers of a tracker, frame by frame, become `Tracks`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vtlab import masks as _masks
from vtlab.tracks.columns import join
from vtlab.tracks.frame import FrameTracks
from vtlab.tracks.points import PointRows
from vtlab.tracks.record import Record
from vtlab.tracks.table import Tracks


class TracksBuilder:
    """Collects the answers of a tracker frame by frame; masks are encoded at once, so memory stays small.

    Args:
        size: (height, width) of the video's frames in pixels.
    """

    def __init__(self, size: tuple[int, int] | None = None):
        self._size = size
        self._frames: list[int] = []
        self._parts: list[FrameTracks] = []
        self._rle: list[bytes | None] = []

    def add(self, frame: int, answer: FrameTracks) -> None:
        """Add the answer for one frame."""
        rle: list[bytes | None] = [None] * len(answer)
        if answer.masks is not None:
            if self._size is None:
                self._size = (answer.masks.shape[1], answer.masks.shape[2])
            # Something seen without a single pixel is an object of another geometry: it has no mask.
            seen = answer.visible.tolist()
            rle = [
                None if s and not m.any() else _masks.encode(m)
                for m, s in zip(answer.masks, seen, strict=True)
            ]
            answer = replace(answer, masks=None)
        self._frames.append(frame)
        self._parts.append(answer)
        self._rle += rle

    def __len__(self) -> int:
        return len(self._frames)

    def build(
        self,
        meta: Mapping[str, Any] | None = None,
        step_seconds: ArrayLike = (),
        *,
        record: Record | None = None,
    ) -> Tracks:
        """All answers so far as `Tracks`, with a record (or `meta`, its entries)."""
        about: dict[str, Any] = {
            "size": self._size,
            "meta": meta,
            "record": record,
            "step_seconds": step_seconds,
        }
        if not self._parts:
            return Tracks.empty(**about)
        counts = [len(p) for p in self._parts]
        columns = join([p.rows() for p in self._parts], counts)
        return Tracks.of(
            np.repeat(np.array(self._frames, dtype=np.int64), counts),
            **columns,  # type: ignore[arg-type]
            masks=self._rle if any(r is not None for r in self._rle) else None,
            points=PointRows.concat(
                [p.point_rows(f) for f, p in zip(self._frames, self._parts, strict=True) if len(p.point_ids)]
            ),
            **about,
        )
