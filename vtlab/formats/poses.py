"""What files of animals' poses share (DeepLabCut, SLEAP): named points of named individuals, and tracks made of them.

Their coordinates are centres of pixels at whole numbers, so that vtlab's are half a pixel higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import told_as_format
from vtlab.formats.base import Loss, lost
from vtlab.formats.ledger import pointed
from vtlab.formats.planned import Planned, text_hosts
from vtlab.tracks import IdMap, PointRows, Record, Tracks

CENTRE = 0.5
"""Pixels from a pixel's upper left corner to its centre."""
MOST_POINTS = 40_000_000
_LONGEST = 10**9
"""Names of individuals that are whole numbers below it are ids."""


@dataclass
class Poses:
    """Poses as they are read, one individual on one frame after the other.

    Attributes:
        frames: Of each pose.
        owners: Name of its individual.
        scores: How sure it is.
        sources: Who said it.
        points: Rows (pose, number of the point, x, y, visible, score), centres of pixels at whole numbers.
    """

    frames: list[int] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    points: list[NDArray[np.float64]] = field(default_factory=list)
    count: int = 0

    def add(
        self, frame: int, owner: str, points: NDArray[np.float64], source: str, score: float = 1.0
    ) -> None:
        """Add a pose; `points` (K, 5): number, x, y, visible, score."""
        self.points.append(np.column_stack([np.full(len(points), len(self.frames)), points]))
        self.count += len(points)
        for column, value in zip(
            (self.frames, self.owners, self.scores, self.sources), (frame, owner, score, source), strict=True
        ):
            column.append(value)  # type: ignore[attr-defined]

    def tracks(
        self,
        where: object,
        record: Record,
        size: tuple[int, int] | None = None,
        lines: Sequence[list[int]] = (),
    ) -> Tracks:
        """The tracks; individuals become objects, their names stand in the record; `lines` join points of each.

        Raises:
            FormatError: An individual has two poses on a frame, or a place is none.
        """
        ids = IdMap(self.owners)
        mine = np.array([ids[o] for o in self.owners], np.int64)
        frame = np.array(self.frames, np.int64)
        p = np.concatenate([np.empty((0, 6)), *self.points])
        row = p[:, 0].astype(np.int64)
        found = PointRows.of(
            frame[row], mine[row], p[:, 1].astype(np.int64), p[:, 2:4] + CENTRE, p[:, 4] > 0, score=p[:, 5]
        )
        edges = {str(i): list(lines) for i in np.unique(mine[row]).tolist()} if lines else None
        record = record.replace(id_map=ids.entry(), edges=edges)
        with told_as_format(where):
            return Tracks.of(
                frame,
                mine,
                score=np.array(self.scores, np.float64),
                source=self.sources or "manual",
                points=found,
                size=size,
                record=record,
            )


def numbered(names: Sequence[str], where: object) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Numbers of points by their names (the names themselves where all are numbers, else their order), and what the
    record says of the names.

    Raises:
        FormatError: A name is there twice.
    """
    if len({*names}) < len(names):
        twice = next(n for n in names if list(names).count(n) > 1)
        raise FormatError(f"{where}: two points are called {twice[:60]!r}.")
    if all(n.isascii() and n.isdecimal() and str(int(n)) == n and int(n) < _LONGEST for n in names):
        return np.array([int(n) for n in names], np.int64), {}
    return np.arange(len(names)), {"point_names": list(names)}


def point_names(tracks: Tracks) -> tuple[str, ...] | None:
    """Names of the points, by their numbers, as the file said that the tracks were read from; None where it didn't."""
    told = tracks.record.extra.get("point_names")
    good = (
        isinstance(told, list)
        and told
        and all(isinstance(n, str) for n in told)
        and len({*told}) == len(told)
    )
    return tuple(told) if good else None  # type: ignore[arg-type]


class PosePlan(Planned):
    """Which rows and points of tracks are written, and under which names.

    Attributes:
        kept: (M,) points that are written.
        names: Names of the points, in the order of their columns.
        column: Number of a point -> its column.
        hosts: Object id -> name of the individual.
        lines: Pairs of columns that lines join.
    """

    def __init__(self, tracks: Tracks, unseen: bool):
        p = tracks.points
        self.kept = np.isfinite(p.xy).all(axis=1) & (p.point_id < _LONGEST) & (p.visible | unseen)
        told = point_names(tracks)
        if told is not None and int(p.point_id.max(initial=0)) < len(told):
            self.names, self.column = [*told], {k: k for k in range(len(told))}
        else:
            numbers = np.unique(p.point_id[self.kept]).tolist()
            self.names, self.column = [str(k) for k in numbers], {k: n for n, k in enumerate(numbers)}
        super().__init__(tracks, tracks.visible & pointed(tracks, self.kept))
        named = text_hosts(tracks, self.ids)
        self.hosts: Mapping[int, str] = named if all(named.values()) else {i: str(i) for i in self.ids}
        joined = next(iter((tracks.record.edges or {}).values()), None)
        known = isinstance(joined, list) and all(k in self.column for pair in joined for k in pair)
        self.lines = [(self.column[a], self.column[b]) for a, b in joined or ()] if known else []

    def losses(self, lines: bool) -> dict[str, Loss]:
        """Rows of the ledger that depend on the tracks; `lines`: the file says which points lines join."""
        tracks = self.given
        p = tracks.points
        gone = ~self.kept & (p.visible | ~np.isfinite(p.xy).all(axis=1))
        found = lost("points", tracks, "{} rows with points that have no place", pointed(tracks, gone))
        numbers = {n: k for k, n in self.column.items()}
        said = [[numbers[a], numbers[b]] for a, b in self.lines]
        if lines:
            found |= self.lost_lines(said, np.unique(p.object_id[self.kept]).tolist(), dict(self.hosts))
        return found | self.lost_ids(dict(self.hosts))

    def poses(self) -> dict[int, list[tuple[int, int, NDArray[np.int64]]]]:
        """Frame -> its poses: object, row, and which points (of all) are its own."""
        tracks, p = self.given, self.given.points
        where = np.flatnonzero(self.kept)
        ids = tracks.object_ids

        def key(frame: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
            return frame * len(ids) + np.searchsorted(ids, owner)

        owner, rows = key(p.frame[where], p.object_id[where]), key(tracks.frame, tracks.object_id)
        low, high = np.searchsorted(owner, rows, "left"), np.searchsorted(owner, rows, "right")
        found: dict[int, list[tuple[int, int, NDArray[np.int64]]]] = {}
        for row in np.flatnonzero(self.written).tolist():
            mine = where[low[row] : high[row]]
            found.setdefault(int(tracks.frame[row]), []).append((int(tracks.object_id[row]), row, mine))
        return found
