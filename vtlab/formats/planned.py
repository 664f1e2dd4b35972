"""What the writers of annotation platforms ask of tracks, and their ledgers tell: one label, one maker for each object."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from hashlib import sha1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.formats.base import Loss, given, lost
from vtlab.formats.figures import drawn_otherwise, extents_of, shapes
from vtlab.formats.ledger import column, pointed, renumbered
from vtlab.tracks import IdMap, Tracks

Rows = NDArray[np.int64]
_SPACE = uuid.NAMESPACE_OID.bytes


class Planned:
    """Tracks that are written object by object.

    Attributes:
        given: The tracks.
        order: (N,) rows by object, then by frame.
        written: (N,) rows that are written.
        ids: Objects of which something is written, ascending.
        labels: Object id -> its one label, the first that a row has; None where none has one.
    """

    def __init__(self, tracks: Tracks, written: NDArray[np.bool_]):
        self.given, self.written = tracks, written
        self.order = np.lexsort((tracks.frame, tracks.object_id))
        self.ids: list[int] = np.unique(tracks.object_id[written]).tolist()
        named: dict[int, str] = {}
        for row in np.flatnonzero(given(tracks.label, len(tracks))).tolist():
            named.setdefault(int(tracks.object_id[row]), tracks.label[row])
        self.labels = {i: named.get(i) for i in self.ids}

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """Each object that is written, with its rows that are, in the order of their frames."""
        owner = self.given.object_id[self.order]
        for i in self.ids:
            low, high = np.searchsorted(owner, [i, i + 1])
            rows = self.order[low:high]
            yield i, rows[self.written[rows]]

    def manual(self) -> Rows:
        """Objects of which a person said something."""
        said = ((self.given.source == "manual") | column(self.given, "key")) & self.written
        return np.unique(self.given.object_id[said])

    def keyed(self) -> Rows:
        """Objects of which somebody said which figures are key figures."""
        return np.unique(self.given.object_id[column(self.given, "key") & self.written])

    def of(self, objects: Rows) -> NDArray[np.bool_]:
        """(N,) rows of these objects."""
        return np.isin(self.given.object_id, objects)

    def runs(self, free: NDArray[np.bool_], on_a_line: Callable[[Rows], bool]) -> NDArray[np.bool_]:
        """(N,) rows that a reader finds between others, so that they need not be said.

        Args:
            free: (N,) rows that may be left out.
            on_a_line: Whether those between the first and the last of some rows are what a reader finds there.
        """
        found = np.zeros(len(free), bool)
        ordered = free[self.order]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], ordered, [False]]).astype(np.int8)))
        for low, high in edges.reshape(-1, 2).tolist():
            if not low or high >= len(self.order):
                continue
            rows = self.order[low - 1 : high + 1]
            frame, owner = self.given.frame[rows], self.given.object_id[rows]
            if (owner == owner[0]).all() and (np.diff(frame) == 1).all() and on_a_line(rows):
                found[rows[1:-1]] = True
        return found

    def lost_labels(self, unlabelled: str = "") -> dict[str, Loss]:
        """Labels of rows that are not their object's; and rows without one, which get it (or `unlabelled`)."""
        tracks = self.given
        own = np.array([self.labels.get(int(i)) or unlabelled for i in tracks.object_id], dtype=object)
        named = given(tracks.label, len(tracks))
        found = lost(
            "labels", tracks, "{} labels (an object has one)", named & self.written & (own != tracks.label)
        )
        told = f"{{}} rows without a label (they read as {unlabelled!r} or as their object's)"
        bare = ~named & self.written & (own != "")
        return found | lost("unlabelled", tracks, told, bare)

    def lost_makers(self, key: NDArray[np.bool_], source: NDArray[Any]) -> dict[str, Loss]:
        """Who said rows, and which are key figures, where a reader takes them to be otherwise; (N,) each as it does."""
        tracks = self.given
        found = lost("source", tracks, "who said {} rows", (source != tracks.source) & self.written)
        told = "whether {} rows are key figures"
        return found | lost("key", tracks, told, (key != column(tracks, "key")) & self.written)

    def lost_ids(self, hosts: dict[int, Any]) -> dict[str, Loss]:
        """Objects that are called otherwise by a reader; `hosts`: object id -> what it is called in the file."""
        back = IdMap(hosts.values())
        found = renumbered({i: back[h] for i, h in hosts.items() if back[h] != i})
        if (self.given.record.id_map or None) != back.entry():
            found |= lost("host_ids", self.given)
        return found

    def lost_lines(
        self, lines: list[list[int]], jointed: list[int], hosts: dict[int, Any]
    ) -> dict[str, Loss]:
        """Lines between points, where a reader finds the same `lines` for each of the objects `jointed` that is written."""
        back = IdMap(hosts.values())
        said = {str(back[hosts[i]]): lines for i in jointed if i in hosts} if lines else {}
        return lost("edges", self.given) if (self.given.record.edges or {}) != said else {}


class OneFigure(Planned):
    """Tracks of which one figure a row is written: the outline, else the mask, else the points, else the box.

    An outline of several rings is written as a mask where there is one; a mask without a pixel is nothing.

    Attributes:
        shapes: (N,) "outline", "mask", "points", "box", or "" for rows that are not written.
    """

    def __init__(self, tracks: Tracks):
        self.shapes = np.array(_one_figure(tracks), dtype=object)
        super().__init__(tracks, self.shapes != "")

    def lost_beside(self) -> dict[str, Loss]:
        """Figures that a row has beside the one that is written."""
        tracks, boxed = self.given, np.isfinite(self.given.boxes).all(axis=1)
        plain = tracks.replace(polygons=None) if tracks.polygons is not None else tracks
        extents = np.where((self.shapes == "outline")[:, None], extents_of(tracks), extents_of(plain))
        extents[self.shapes == "points"] = np.nan
        own = boxed & self.written & (self.shapes != "box") & ~(extents == tracks.boxes).all(axis=1)
        found = lost("boxes", tracks, "{} boxes of rows that have another figure, too", own)
        found |= lost(
            "masks", tracks, "{} masks beside outlines", drawn_otherwise(tracks) & (self.shapes == "outline")
        )
        told = "{} outlines of several rings (they are written as masks)"
        found |= lost("polygons", tracks, told, several_rings(tracks) & (self.shapes == "mask"))
        covered = pointed(tracks) & (self.shapes != "points")
        return found | lost(
            "points", tracks, "{} rows whose points stand beside a mask or an outline", covered
        )


def several_rings(tracks: Tracks) -> NDArray[np.bool_]:
    """(N,) rows whose outline has several rings."""
    if tracks.polygons is None:
        return np.zeros(len(tracks), bool)
    return np.array([rings is not None and len(rings) > 1 for rings in tracks.polygons], bool)


def _one_figure(tracks: Tracks) -> list[str]:
    found = shapes(tracks)
    if tracks.rle is None:
        return found
    for row in np.flatnonzero(several_rings(tracks)).tolist():
        if tracks.rle[row] is not None:
            found[row] = "mask"
    if "mask" in found:
        full = tracks.runs().areas() > 0
        found = ["" if s == "mask" and not f else s for s, f in zip(found, full.tolist(), strict=True)]
    return found


def key_of(*parts: object) -> str:
    """A key of 32 digits that is the same for the same parts: the hex of `uuid.uuid5`, in a tenth of its time."""
    text = "/".join(map(str, parts)).encode()
    found = bytearray(sha1(_SPACE + text, usedforsecurity=False).digest()[:16])
    # Version 5 and the variant, where RFC 4122 has them.
    found[6], found[8] = found[6] & 0x0F | 0x50, found[8] & 0x3F | 0x80
    return found.hex()


def text_hosts(tracks: Tracks, ids: list[int]) -> dict[int, str]:
    """Object id -> its name in a file whose names are texts: the host's where it has one, else the number."""
    known = IdMap.of(tracks.record)
    found = {i: str(known.host(i)) for i in ids}
    return found if len({*found.values()}) == len(ids) else {i: str(i) for i in ids}
