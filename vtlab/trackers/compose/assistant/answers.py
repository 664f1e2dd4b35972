"""What the assistant holds back until no later look can change it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from vtlab.trackers.compose.assistant.objects import Row
from vtlab.tracks import FrameTracks

# Frames that are held back at most: ten seconds, an upper bound on memory and on how late an answer is.
_HOLD = 300


class Answers:
    """The rows of the last frames, in the order of frames."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, list[Row]]] = deque()
        self._count = 0  # of frames so far

    def hold(self, index: int, rows: list[Row]) -> None:
        """Hold the rows of the next frame, number `index` of the video."""
        self._frames.append((index, rows))
        self._count += 1

    def settled(self, oldest: int | None) -> Iterator[tuple[int, FrameTracks]]:
        """Hand out the frames before the `oldest`-th, the oldest that may still change, or all (None)."""
        while self._frames and (
            oldest is None or self._count - len(self._frames) + 1 < oldest or len(self._frames) > _HOLD
        ):
            yield self._release()

    def _release(self) -> tuple[int, FrameTracks]:
        """The answer for the oldest held frame."""
        index, rows = self._frames.popleft()
        shown = [
            (r.item.object_id, r.item.label, r)
            for r in rows
            if r.item is not None and r.item.object_id is not None and (r.visible or r.item.manual)
        ]
        shown.sort(key=lambda entry: entry[0])
        masks = None
        if any(r.mask is not None for *_, r in shown):
            shape = next(r.mask.shape for *_, r in shown if r.mask is not None)
            masks = np.stack([r.mask if r.mask is not None else np.zeros(shape, bool) for *_, r in shown])
        labels = [label for _, label, _ in shown]
        return index, FrameTracks.of(
            [object_id for object_id, *_ in shown],
            np.array([r.box for *_, r in shown]).reshape(-1, 4),
            [min(max(r.score, 0.0), 1.0) for *_, r in shown],
            [r.visible for *_, r in shown],
            masks=masks,
            labels=labels if any(labels) else None,
            source=[r.source for *_, r in shown],
        )
