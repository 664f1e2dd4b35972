"""How tracks are written as Supervisely's annotation of a video, and what of them it can't say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import TracksError
from vtlab.formats.base import FEATURES, Loss, frame_count, lost
from vtlab.formats.borders import from_inclusive, holes_of, to_inclusive
from vtlab.formats.figures import Figure, collected, drawn_otherwise, extents_of, shapes
from vtlab.formats.ledger import column, pointed, row_of_points
from vtlab.formats.planned import Planned, key_of
from vtlab.formats.supervisely_geometry import pixels, rectangles, take, to_bitmap
from vtlab.tracks import IdMap, Record, Tracks

UNLABELLED = "object"
"""Class of an object that has no label."""


class Plan(Planned):
    """How tracks are written."""

    def __init__(self, tracks: Tracks):
        if tracks.size is None:
            raise TracksError("Supervisely states the size of the frames; give tracks with a size.")
        self.shapes = np.array(self._shapes(tracks), dtype=object)
        super().__init__(tracks, (self.shapes != "") & ~column(tracks, "outside"))
        self.size = tracks.size
        self.hosts = self._numbered()
        # Rounded here: the SDK cuts a coordinate's fraction off.
        self.corners = rectangles(tracks.boxes, self.shapes == "box")
        self.machine = ~((tracks.source == "manual") | column(tracks, "key"))
        self.chains = {i: self._chain(i) for i in np.unique(tracks.points.object_id).tolist()}

    @staticmethod
    def _shapes(tracks: Tracks) -> list[str]:
        """Outlines of one part are polygons, others masks; a mask without a pixel is nothing."""
        found = shapes(tracks)
        for row, rings in enumerate(tracks.polygons if tracks.polygons is not None else ()):
            if rings is not None and holes_of(rings) != [False] + [True] * (len(rings) - 1):
                found[row] = "mask" if tracks.rle is not None and tracks.rle[row] is not None else "outline"
        if tracks.rle is not None and "mask" in found:
            full = tracks.runs().areas() > 0
            found = ["" if s == "mask" and not f else s for s, f in zip(found, full.tolist(), strict=True)]
        return found

    def _numbered(self) -> dict[int, int]:
        hosts = IdMap.of(self.given.record)
        for found in ({i: hosts.host(i) for i in self.ids}, {i: i for i in self.ids}):
            if len({*found.values()}) == len(found) and all(
                type(n) is int and 0 < n < 2**53 for n in found.values()
            ):
                return found
        return {i: n for n, i in enumerate(self.ids, start=1)}

    def _chain(self, object_id: int) -> str:
        """Geometry of an object of points: point, line or graph."""
        p = self.given.points.take(self.given.points.object_id == object_id)
        lines = [list(pair) for pair in (self.given.record.edges or {}).get(str(object_id)) or ()]
        _, counts = np.unique(p.frame, return_counts=True)
        whole = (np.concatenate([np.arange(n) for n in counts]) == p.point_id).all() and np.isfinite(
            p.xy
        ).all()
        if not whole or not p.visible.all():
            return "graph"
        if not lines:
            return "point" if (counts == 1).all() else "graph"
        return "line" if lines == [[k, k + 1] for k in range(int(counts.max()) - 1)] else "graph"

    def kind(self, row: int) -> str:
        """Geometry of a row."""
        shape = self.shapes[row]
        if shape == "box":
            return "oriented_bbox" if column(self.given, "angle")[row] else "rectangle"
        names = {"outline": "polygon", "mask": "bitmap"}
        return names.get(shape) or self.chains[int(self.given.object_id[row])]

    def geometry(self, row: int) -> dict[str, Any]:
        """What a row is written as."""
        tracks, kind = self.given, self.kind(row)
        if kind in ("rectangle", "oriented_bbox"):
            points = self.corners[row]
            if kind == "oriented_bbox":
                return {"points": points, "angle": float(column(tracks, "angle")[row])}
            return {"points": {"exterior": points, "interior": []}}
        if kind == "polygon":
            outer, *inner = (pixels(r) for r in column(tracks, "polygons")[row])
            return {"points": {"exterior": outer, "interior": inner}}
        mask = tracks.mask(row) if kind == "bitmap" else None
        if mask is not None:
            return to_bitmap(mask)
        low, high = np.searchsorted(tracks.points.frame, [tracks.frame[row], tracks.frame[row] + 1])
        own = np.flatnonzero(tracks.points.object_id[low:high] == tracks.object_id[row]) + low
        p = tracks.points.take(own[np.isfinite(tracks.points.xy[own]).all(axis=1)])
        if kind != "graph":
            return {"points": {"exterior": pixels(p.xy), "interior": []}}
        told = zip(p.point_id.tolist(), pixels(p.xy), p.visible.tolist(), strict=True)
        return {
            "nodes": {str(k): {"loc": xy, **({} if seen else {"disabled": True})} for k, xy, seen in told}
        }

    def tags(self, object_id: int) -> list[dict[str, Any]]:
        """Attributes of an object, and those of its rows as ranges of frames."""
        fixed = (self.given.record.objects or {}).get(str(object_id)) or {}
        found = [{"name": n, **_said(v)} for n, v in fixed.items() if _kept(v)]
        told: dict[tuple[str, Any], list[list[int]]] = {}
        said = self.given.attributes
        rows = np.flatnonzero((self.given.object_id == object_id) & self.written) if said is not None else ()
        for row in map(int, rows):
            frame = int(self.given.frame[row])
            for name, value in ((said[row] if said is not None else None) or {}).items():
                if not _kept(value):
                    continue
                ranges = told.setdefault((name, value), [])
                if ranges and ranges[-1][1] == frame - 1:
                    ranges[-1][1] = frame
                else:
                    ranges.append([frame, frame])
        found += [{"name": n, **_said(v), "frameRange": r} for (n, v), ranges in told.items() for r in ranges]
        return [tag | {"key": key_of("tag", object_id, n)} for n, tag in enumerate(found)]

    def annotation(self, name: str) -> dict[str, Any]:
        """The annotation of the video."""
        frames: dict[int, list[dict[str, Any]]] = {}
        # The SDK reads no objects and figures without whole ids, each once.
        ids = {row: n for n, row in enumerate(np.flatnonzero(self.written).tolist(), start=1)}
        for row in ids:
            frames.setdefault(int(self.given.frame[row]), []).append(self._figure(row, ids[row], name))
        height, width = self.size
        objects = [
            {
                "key": key_of(name, i),
                "classTitle": self.labels[i] or UNLABELLED,
                "tags": self.tags(i),
                "id": self.hosts[i],
            }
            for i in self.ids
        ]
        return {
            "size": {"height": height, "width": width},
            "description": "",
            "key": key_of(name),
            "tags": [],
            "objects": objects,
            "frames": [{"index": f, "figures": figures} for f, figures in frames.items()],
            "framesCount": frame_count(self.given),
        }

    def _figure(self, row: int, number: int, name: str) -> dict[str, Any]:
        owner, machine = int(self.given.object_id[row]), bool(self.machine[row])
        return {
            "key": key_of(name, owner, self.given.frame[row]),
            "objectKey": key_of(name, owner),
            "geometryType": self.kind(row),
            "geometry": self.geometry(row),
            "id": number,
            "objectId": self.hosts[owner],
            "nnCreated": machine,
            "nnUpdated": machine,
            # The SDK drops it when it reads a project and writes it again.
            **({"trackId": key_of(name, "track", owner)} if machine else {}),
        }

    def classes(self) -> Iterator[dict[str, Any]]:
        """Classes of the objects: of one geometry, or of any."""
        kinds: dict[str, set[str]] = {}
        nodes: dict[str, set[int]] = {}
        for row in np.flatnonzero(self.written).tolist():
            i = int(self.given.object_id[row])
            title, kind = self.labels[i] or UNLABELLED, self.kind(row)
            kinds.setdefault(title, set()).add(kind)
        for title, found in kinds.items():
            shape = next(iter(found)) if len(found) == 1 else "any"
            mine = [
                i
                for i in self.ids
                if (self.labels[i] or UNLABELLED) == title and self.chains.get(i) == "graph"
            ]
            p = self.given.points
            nodes[title] = set(p.point_id[np.isin(p.object_id, mine)].tolist())
            config: dict[str, Any] = {}
            if mine:
                lines = self.template(title)
                config["nodes"] = {
                    str(k): {"label": str(k), "loc": [k, k], "color": "#0000FF"} for k in sorted(nodes[title])
                }
                config["edges"] = [{"src": str(a), "dst": str(b), "color": "#00FF00"} for a, b in lines]
            yield {
                "title": title,
                "shape": shape,
                "color": "#FF6037",
                "geometry_config": config,
                "hotkey": "",
            }

    def template(self, title: str) -> list[list[int]]:
        """Lines of the graphs of a class: those of its first object that has some."""
        for i in self.ids:
            lines = (self.given.record.edges or {}).get(str(i))
            if lines and self.chains.get(i) == "graph" and (self.labels[i] or UNLABELLED) == title:
                return [list(pair) for pair in lines]
        return []

    def edges(self, object_id: int) -> list[list[int]]:
        """Lines of an object as a reader finds them."""
        kind = self.chains.get(object_id)
        if kind == "graph" and object_id in self.ids:
            return self.template(self.labels[object_id] or UNLABELLED)
        if kind != "line" or object_id not in self.ids:
            return []
        return [list(p) for p in (self.given.record.edges or {}).get(str(object_id)) or ()]

    def losses(self) -> dict[str, Loss]:
        """What these tracks say that the files don't, beyond what no annotation of Supervisely can say."""
        tracks = self.given
        found = self.lost_labels(UNLABELLED) | self.lost_ids(self.hosts) | self._lost_figures()
        keyed = bool((self.machine & self.written).any())
        found |= self.lost_makers(~self.machine & keyed, np.where(self.machine, "tracked", "manual"))
        told = column(tracks, "attributes")
        bad = [e is not None and (not e or not all(map(_kept, e.values()))) for e in told]
        found |= lost(
            "attributes", tracks, "{} rows with attributes that are no text or number", np.array(bad, bool)
        )
        tags = tracks.record.objects or {}
        gone = sum(
            not e or int(i) not in self.ids or not all(map(_kept, e.values())) for i, e in tags.items()
        )
        found |= {"tags": Loss("tags", gone, f"attributes of {gone} objects")} if gone else {}
        lines = {int(i): [list(p) for p in e] for i, e in (tracks.record.edges or {}).items()}
        bare = sum(self.edges(i) != e for i, e in lines.items())
        found |= {"edges": Loss("edges", bare, FEATURES["edges"].told.format(bare))} if bare else {}
        return found

    def _lost_figures(self) -> dict[str, Loss]:
        """What rounding and one geometry a row leave out, by making what a reader makes of each row."""
        tracks = self.given
        boxed: NDArray[np.bool_] = np.asarray(np.isfinite(tracks.boxes).all(axis=1))
        rows = np.flatnonzero(self.written & (self.shapes != "box"))
        figures = []
        for row in rows.tolist():
            figure = Figure(
                int(tracks.frame[row]), int(tracks.object_id[row]), visible=bool(tracks.visible[row])
            )
            take(figure, self.kind(row), self.geometry(row), self.size, "")
            figures.append(figure)
        back, own = collected(figures, self.size, Record()), tracks.take(rows)
        off = np.zeros(len(tracks))
        off[rows] = _apart(own, back, self.shapes[rows])
        plain = self.written & (self.shapes == "box")
        off[plain] = np.abs(from_inclusive(to_inclusive(tracks.boxes[plain])) - tracks.boxes[plain]).max(
            axis=1
        )
        told = f"{{}} rows rounded to whole pixels, by at most {off.max(initial=0):.3g} px"
        found = lost("rounding", tracks, told, off > 1e-9)
        extents = extents_of(own)
        beside = np.zeros(len(tracks), bool)
        beside[rows] = boxed[rows] & ~np.asarray((np.abs(extents - own.boxes) <= 0).all(axis=1))
        found |= lost("boxes", tracks, "{} boxes of rows that have another figure, too", beside)
        found |= lost(
            "masks", tracks, "{} masks beside outlines", drawn_otherwise(tracks) & (self.shapes == "outline")
        )
        outlined = np.array([r is not None for r in column(tracks, "polygons")], bool)
        told = "{} outlines of several parts (they are written as masks)"
        found |= lost("polygons", tracks, told, outlined & (self.shapes == "mask"))
        p = tracks.points
        gone = pointed(tracks) & (self.shapes != "points") | pointed(
            tracks, ~np.asarray(np.isfinite(p.xy).all(axis=1))
        )
        found |= lost("points", tracks, "{} rows with points that are not written", gone)
        plain = np.array([self.chains[i] != "graph" for i in p.object_id.tolist()], bool).reshape(len(p))
        hidden = plain & ~tracks.visible[row_of_points(tracks)]
        return found | lost("unseen", tracks, "", pointed(tracks, hidden & ~p.visible))


def _apart(a: Tracks, b: Tracks, kinds: NDArray[np.object_]) -> NDArray[np.float64]:
    """(N,) pixels by which outlines and points of equal rows differ."""
    off = np.zeros(len(a))
    for row in np.flatnonzero(kinds == "outline").tolist():
        rings = zip(column(a, "polygons")[row], column(b, "polygons")[row], strict=True)
        off[row] = max(float(np.abs(p - q).max()) for p, q in rings)
    keep = np.isfinite(a.points.xy).all(axis=1) & (kinds[row_of_points(a)] == "points")
    p = a.points.take(keep)
    if len(p) and len(p) == len(b.points):
        np.maximum.at(off, row_of_points(a)[keep], np.abs(p.xy - b.points.xy).max(axis=1))
    return off


def _kept(value: Any) -> bool:
    """Whether a tag can have this value."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _said(value: Any) -> dict[str, Any]:
    return {"value": value}
