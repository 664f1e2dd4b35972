"""How tracks are written as a file of CVAT for video, and what of them it can't say: the ledger beyond `holds`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.formats.base import FEATURES, Loss, lost
from vtlab.formats.ledger import column, pointed, row_of_points
from vtlab.formats.planned import OneFigure, Rows, several_rings
from vtlab.tracks import IdMap, Tracks

UNLABELLED = "object"
"""Label of an object that has none: a track of CVAT has one."""
_NEAR = 0.005  # pixels: CVAT itself writes two digits


class Plan(OneFigure):
    """How tracks are written: what the writer writes, and the ledger tells."""

    def __init__(self, tracks: Tracks):
        super().__init__(tracks)
        self.numbers = self._numbered()
        self.names = {i: label or UNLABELLED for i, label in self.labels.items()}
        self.kinds = {i: self._kind(i) for i in np.unique(tracks.points.object_id).tolist()}
        self.keyframes = self._keyframes()
        self.attributes = self._declared()
        source = tracks.record.source
        self.start, self.step = (0, 1) if source is None or source.span[1] < 1 else source.span

    def _numbered(self) -> dict[int, int]:
        """Object id -> number of its track: the host's where they are such numbers, else its own."""
        ids, hosts = self.ids, IdMap.of(self.given.record)
        # A group of 0 is none.
        least = {i: int(self.is_group(rows)) for i, rows in self.rows()}
        for number in ({i: hosts.host(i) for i in ids}, {i: i for i in ids}):
            fits = all(type(n) is int and least[i] <= n < 2**53 for i, n in number.items())
            if fits and len({*number.values()}) == len(number):
                return number
        return {i: n for n, i in enumerate(ids, start=1)}

    def is_group(self, rows: NDArray[np.int64]) -> bool:
        """Whether the rows of an object are several tracks, each mask and each kind of figure one, which a group joins."""
        kinds = {*self.shapes[rows].tolist()}
        return "mask" in kinds or len(kinds) > 1

    def _kind(self, object_id: int) -> str:
        """Of an object with points: points, polyline or skeleton."""
        tracks = self.given.of_object(object_id)
        p, lines = tracks.points, (self.given.record.edges or {}).get(str(object_id))
        frames, counts = np.unique(p.frame, return_counts=True)
        whole = len(frames) and (np.concatenate([np.arange(n) for n in counts]) == p.point_id).all()
        seen = (p.visible == tracks.visible[row_of_points(tracks)]).all() and np.isfinite(p.xy).all()
        if not whole or not seen:
            return "skeleton" if counts.max(initial=0) > 1 or lines else "points"
        chain = [[k, k + 1] for k in range(int(counts.max()) - 1)]
        if lines and [list(pair) for pair in lines] == chain:
            return "polyline"
        return "skeleton" if lines else "points"

    def _keyframes(self) -> NDArray[np.bool_]:
        """(N,) rows that CVAT would not find between the key frames beside them."""
        tracks = self.given
        between = (tracks.source == "interpolated") & ~column(tracks, "key") & ~column(tracks, "outside")
        between &= (self.shapes == "box") & tracks.visible
        return ~self.runs(between, self._on_a_line)

    def _on_a_line(self, rows: Rows) -> bool:
        """Whether rows of one object on frames in a row lie between the first and the last."""
        tracks = self.given
        frame = tracks.frame[rows]
        if (self.shapes[rows] != "box").any() or not tracks.visible[rows].all():
            return False
        share = ((frame - frame[0]) / (frame[-1] - frame[0]))[:, None]
        figure = np.concatenate([tracks.boxes[rows], column(tracks, "angle")[rows, None]], axis=1)
        line = figure[0] + (figure[-1] - figure[0]) * share
        told, hidden = column(tracks, "attributes")[rows[:-1]], column(tracks, "occluded")[rows[:-1]]
        same = all(entry == told[0] for entry in told) and (hidden == hidden[0]).all()
        return bool(same and (np.abs(line - figure) <= _NEAR).all())

    def _declared(self) -> dict[str, dict[str, tuple[bool, str]]]:
        """Label -> attribute -> (mutable, input type)."""
        values: dict[tuple[str, str], list[Any]] = {}
        mutable: set[tuple[str, str]] = set()
        for row, entry in enumerate(self.given.attributes if self.given.attributes is not None else ()):
            if entry and self.written[row]:
                label = self.names[int(self.given.object_id[row])]
                mutable |= {(label, name) for name in entry}
                for name, value in entry.items():
                    values.setdefault((label, name), []).append(value)
        for key, entry in (self.given.record.objects or {}).items():
            label = self.names.get(int(key), "")
            for name, value in entry.items() if label else ():
                values.setdefault((label, name), []).append(value)
        found: dict[str, dict[str, tuple[bool, str]]] = {}
        for (label, name), told in values.items():
            found.setdefault(label, {})[name] = (label, name) in mutable, _input_type(told)
        return found

    def tags(self, object_id: int) -> dict[str, Any]:
        """Attributes of an object that no row says otherwise."""
        declared = self.attributes.get(self.names.get(object_id, ""), {})
        told = (self.given.record.objects or {}).get(str(object_id)) or {}
        return {
            n: v for n, v in told.items() if n in declared and not declared[n][0] and _kept(v, declared[n][1])
        }

    def losses(self) -> dict[str, Loss]:
        """What these tracks say that the file doesn't, beyond what no file of CVAT can say."""
        tracks, n = self.given, len(self.given)
        found = (
            self.lost_ids(self.numbers)
            | self.lost_labels(UNLABELLED)
            | self.lost_beside()
            | self._lost_points()
            | self._lost_words()
        )
        outside = column(tracks, "outside")
        told = "{} rows that are not visible (they read as outside)"
        found |= lost("outside", tracks, told, ~tracks.visible & ~outside & self.written)
        told = "{} visible rows that are outside (they read as not visible)"
        found |= lost("hidden", tracks, told, tracks.visible & outside & self.written)
        manual = self.of(self.manual())
        source = np.where(self.keyframes, np.where(manual, "manual", "tracked"), "interpolated")
        keyed = self.of(self.keyed()) | (~self.keyframes & self.written).any()
        found |= self.lost_makers(self.keyframes & manual & keyed, source)
        joints = np.array([self.kinds.get(int(i)) == "skeleton" for i in tracks.object_id], bool).reshape(n)
        found |= lost("occluded", tracks, "", joints & column(tracks, "occluded") & (self.shapes == "points"))
        if tracks.record.source is not None and tracks.record.source.span[1] < 1:
            found |= lost("span", tracks)
        return found

    def _lost_points(self) -> dict[str, Loss]:
        tracks, p = self.given, self.given.points
        told = "{} outlines of several rings (they are written as masks, or their first ring)"
        found = lost("polygons", tracks, told, several_rings(tracks))
        plainly = np.array([self.kinds[i] != "skeleton" for i in p.object_id.tolist()], bool).reshape(len(p))
        unseen = pointed(tracks, plainly & (p.visible != tracks.visible[row_of_points(tracks)]))
        return found | lost(
            "unseen", tracks, "{} rows whose points are seen otherwise than the object", unseen
        )

    def _lost_words(self) -> dict[str, Loss]:
        tracks = self.given
        declared = [
            self.attributes.get(label, {}) for label in (self.names.get(int(i), "") for i in tracks.object_id)
        ]
        bad = np.zeros(len(tracks), bool)
        for row, entry in enumerate(tracks.attributes if tracks.attributes is not None else ()):
            bad[row] = (
                entry is not None
                and self.written[row]
                and (not entry or any(not _kept(v, declared[row][name][1]) for name, v in entry.items()))
            )
        found = lost("attributes", tracks, "{} rows with attributes that are no text, number or truth", bad)
        tags = tracks.record.objects or {}
        gone = sum(self.tags(int(i)) != entry or not entry for i, entry in tags.items())
        if gone:
            found |= {"tags": Loss("tags", gone, f"attributes of {gone} objects")}
        lines = {i: [list(p) for p in e] for i, e in (tracks.record.edges or {}).items()}
        bare = sum(self._edges_back(int(i)) != pairs for i, pairs in lines.items())
        if bare:
            found |= {"edges": Loss("edges", bare, FEATURES["edges"].told.format(bare))}
        return found

    def _edges_back(self, object_id: int) -> list[list[int]]:
        kind = self.kinds.get(object_id)
        if kind == "skeleton":
            return self.skeletons().get(self.names[object_id], ([], []))[1]
        lines = (self.given.record.edges or {}).get(str(object_id))
        return [list(p) for p in lines] if kind == "polyline" and lines else []

    def skeletons(self) -> dict[str, tuple[list[int], list[list[int]]]]:
        """Label -> numbers of the points of its skeletons, and the lines of the first that has some."""
        found: dict[str, tuple[list[int], list[list[int]]]] = {}
        for i, kind in self.kinds.items():
            if kind == "skeleton" and i in self.names:
                points, lines = found.get(self.names[i], ([], []))
                p = self.given.points
                own = [list(pair) for pair in (self.given.record.edges or {}).get(str(i)) or ()]
                numbers = sorted({*points, *p.point_id[p.object_id == i].tolist()})
                found[self.names[i]] = numbers, lines or own
        return found


def _input_type(values: list[Any]) -> str:
    kinds = {type(v) for v in values}
    if kinds == {bool}:
        return "checkbox"
    return "number" if kinds <= {int, float} else "text"


def _kept(value: Any, kind: str) -> bool:
    """Whether a value comes back from the text of such an attribute."""
    return isinstance(value, str) if kind == "text" else isinstance(value, bool | int | float)
