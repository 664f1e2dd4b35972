"""How tracks are written as annotations of Dataloop, and what of them those can't say: the ledger beyond `holds`."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.formats.base import FEATURES, Loss, frame_count, lost
from vtlab.formats.ledger import column, pointed, row_of_points
from vtlab.formats.planned import OneFigure, Rows, key_of, text_hosts
from vtlab.masks import Mask
from vtlab.tracks import Tracks

UNLABELLED = "object"
"""Label of a row that has none: an annotation has one."""
RATE = "fps"
"""Entry of the record's `extra`: frames per second, as the item says."""
ASSUMED = "rateAssumed"
"""Entry of the item's metadata: nobody knew its rate, times are told by `FPS`."""
FPS = 25.0
"""Of times that nobody knows."""
_KINDS = {"outline": "segment", "mask": "binary", "box": "box"}
_MADE = "1970-01-01T00:00:00.000Z"  # the client asks for a time; the record's own is not always known


class Plan(OneFigure):
    """How tracks are written: runs of one object's rows, each an annotation."""

    def __init__(self, tracks: Tracks):
        super().__init__(tracks)
        self.count, self.size = frame_count(tracks), tracks.size
        known = (tracks.record.source.fps if tracks.record.source else None) or tracks.record.extra.get(RATE)
        self.sure = isinstance(known, int | float) and 0 < known < 1e6
        self.fps = float(known) if self.sure else FPS  # type: ignore[arg-type]
        self.hosts = self._named()
        p = tracks.points
        self.points = p.take(np.isfinite(p.xy).all(axis=1) & (self.shapes[row_of_points(tracks)] == "points"))
        order = np.lexsort((self.points.point_id, row_of(tracks, self.points)))
        self.points = self.points.take(order)
        self.spans = np.searchsorted(row_of(tracks, self.points), np.arange(len(tracks) + 1))
        chains = {i: self._chain(i) for i in np.unique(tracks.points.object_id).tolist()}
        self.kinds = np.array(
            [
                chains[i] if shape == "points" else _KINDS.get(shape, "")
                for shape, i in zip(self.shapes, tracks.object_id.tolist(), strict=True)
            ],
            dtype=object,
        )
        self.fixed = (tracks.source == "manual") | column(tracks, "key")
        self.names = np.array([label or UNLABELLED for label in tracks.label], dtype=object)
        self.runs_, self.root, self.automated = self._cut()
        self.held = self._held()

    def _named(self) -> dict[int, str]:
        """Object id -> the host's id where those are digits, else its own."""
        found = text_hosts(self.given, self.ids)
        good = all(host.isascii() and host.isdecimal() for host in found.values())
        return found if good else {i: str(i) for i in self.ids}

    def _chain(self, object_id: int) -> str:
        """Kind of an object of points: point, polyline or pose."""
        tracks = self.given.of_object(object_id)
        p, lines = tracks.points, (self.given.record.edges or {}).get(str(object_id))
        _, counts = np.unique(p.frame, return_counts=True)
        whole = (np.concatenate([np.arange(n) for n in counts]) == p.point_id).all()
        seen = (p.visible == tracks.visible[row_of_points(tracks)]).all() and np.isfinite(p.xy).all()
        if not whole or not seen:
            return "pose"
        if (counts == 1).all():
            return "point"
        chain = [[k, k + 1] for k in range(int(counts.max()) - 1)]
        return "polyline" if lines and [list(pair) for pair in lines] == chain else "pose"

    def _cut(self) -> tuple[list[Rows], NDArray[np.bool_], NDArray[np.bool_]]:
        """Runs of rows that are one annotation, (N,) which rows begin one, and which lie in one that a machine made."""
        tracks, order = self.given, self.order[self.written[self.order]]
        frame, owner, kind = tracks.frame[order], tracks.object_id[order], self.kinds[order]
        goes_on = np.zeros(len(order), bool)
        goes_on[1:] = (np.diff(owner) == 0) & (np.diff(frame) == 1) & (kind[1:] == kind[:-1])
        told = column(tracks, "attributes")[order]
        for k in np.flatnonzero(goes_on & (kind == "pose")).tolist():  # a pose has no snapshots of its own
            same = self.names[order[k]] == self.names[order[k - 1]] and told[k] == told[k - 1]
            goes_on[k] = same
        begins = np.flatnonzero(~goes_on)
        runs = np.split(order, begins[1:]) if len(order) else []
        root, automated = np.zeros(len(tracks), bool), np.zeros(len(tracks), bool)
        root[order[begins]] = True
        for run in runs:
            automated[run] = not self.fixed[run[0]]
        return runs, root, automated

    def _held(self) -> NDArray[np.bool_]:
        """(N,) rows that need no snapshot: the figure before them holds, and nobody said them."""
        tracks = self.given
        free = (tracks.source == "interpolated") & ~self.fixed & self.written & ~self.root
        before = np.zeros(len(tracks), np.int64)
        before[self.order[1:]] = self.order[:-1]
        rows = np.flatnonzero(free)
        last = before[rows]
        plain = np.ones(len(rows), bool)
        for values in (tracks.boxes, column(tracks, "angle")[:, None]):
            plain &= ((values[rows] == values[last]) | (np.isnan(values[rows]) & np.isnan(values[last]))).all(
                axis=1
            )
        plain &= (tracks.visible[rows] == tracks.visible[last]) & (self.names[rows] == self.names[last])
        found = np.zeros(len(tracks), bool)
        told = column(tracks, "attributes")
        for row, one in zip(rows[plain].tolist(), last[plain].tolist(), strict=True):
            found[row] = told[row] == told[one] and self._same_figure(row, one)
        return found

    def _same_figure(self, row: int, other: int) -> bool:
        tracks, kind = self.given, self.kinds[row]
        if kind == "box":
            return True
        if kind == "binary":
            return bool(column(tracks, "rle")[row] == column(tracks, "rle")[other])
        if kind == "segment":
            a, b = column(tracks, "polygons")[row], column(tracks, "polygons")[other]
            return len(a) == len(b) and all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
        p, q = self._own(row), self._own(other)
        same = np.array_equal(p.point_id, q.point_id) and np.array_equal(p.visible, q.visible)
        return same and np.array_equal(p.xy, q.xy)

    def _own(self, row: int) -> Any:
        return self.points.take(np.arange(self.spans[row], self.spans[row + 1]))

    def item(self, name: str) -> dict[str, Any]:
        """The video."""
        size = {} if self.size is None else {"height": self.size[0], "width": self.size[1]}
        system = {"mimetype": "video/mp4", "nb_frames": self.count, "fps": self.fps, **size}
        system["ffmpeg"] = {"nb_frames": self.count, "r_frame_rate": f"{self.fps:g}/1", **size}
        metadata: dict[str, Any] = {"system": system, "fps": self.fps, "startTime": 0}
        metadata |= {} if self.sure else {ASSUMED: True}
        # Ids of Dataloop have 24 hexadecimal digits.
        return {"_id": key_of(name)[:24], "filename": f"/{name}.mp4", "metadata": metadata}

    def annotations(self, name: str) -> Iterator[dict[str, Any]]:
        """The annotations of all objects."""
        for number, run in enumerate(self.runs_):
            if self.kinds[run[0]] == "pose":
                yield from self._pose(name, number, run)
            else:
                yield self._annotation(name, number, run)

    def _annotation(self, name: str, number: int, run: Rows) -> dict[str, Any]:
        first = int(run[0])
        kind, owner = self.kinds[first], int(self.given.object_id[first])
        told = [r for r in run.tolist() if not self.held[r] and (r != first or not self.given.visible[r])]
        snapshots = [self._snapshot(r, kind, self.geometry(r), bool(self.given.visible[r])) for r in told]
        system = {"objectId": self.hosts[owner], "snapshots_": snapshots}
        return self._entry((name, number), kind, run, self.geometry(first), system)

    def _snapshot(self, row: int, kind: str, data: Any, visible: bool, label: str = "") -> dict[str, Any]:
        attributes = {} if label else column(self.given, "attributes")[row] or {}
        return {
            "frame": int(self.given.frame[row]),
            "fixed": bool(self.fixed[row]),
            "label": label or self.names[row],
            "type": kind,
            "objectVisible": visible,
            "data": data,
            "namedAttributes": attributes,
            "attributes": [],
        }

    def _pose(self, name: str, number: int, run: Rows) -> Iterator[dict[str, Any]]:
        """A pose, and an annotation for each of its points and each run of frames that has it."""
        pose, owner = (name, number), int(self.given.object_id[run[0]])
        template = {"templateId": key_of(self.names[run[0]])[:24], "instanceId": key_of(*pose)}
        yield self._entry(
            pose, "pose", run, template, {"objectId": self.hosts[owner], "snapshots_": list[Any]()}
        )
        places: dict[int, list[tuple[int, int]]] = {}
        for row in run.tolist():
            for place in range(self.spans[row], self.spans[row + 1]):
                places.setdefault(int(self.points.point_id[place]), []).append((row, place))
        for joint, found in places.items():
            frames = self.given.frame[[row for row, _ in found]]
            for n, part in enumerate(
                np.split(np.arange(len(found)), np.flatnonzero(np.diff(frames) != 1) + 1)
            ):
                mine = [found[k] for k in part.tolist()]
                yield self._joint((*pose, joint, n), mine, key_of(*pose)[:24], str(joint))

    def _joint(
        self, key: tuple[Any, ...], mine: list[tuple[int, int]], parent: str, label: str
    ) -> dict[str, Any]:
        seen = self.points.visible
        snapshots = [
            self._snapshot(row, "point", self._at(place), bool(seen[place]), label)
            for n, (row, place) in enumerate(mine)
            if (n and not self.held[row]) or (not n and not seen[place])
        ]
        rows = np.array([row for row, _ in mine])
        system = {"parentId": parent, "snapshots_": snapshots}
        return self._entry(key, "point", rows, self._at(mine[0][1]), system)

    def _at(self, place: int) -> dict[str, float]:
        x, y = self.points.xy[place].tolist()
        return {"x": x, "y": y, "z": 0}

    def _entry(
        self,
        key: tuple[Any, ...],
        kind: str,
        run: Rows,
        coordinates: Any,
        system: dict[str, Any],
    ) -> dict[str, Any]:
        row, item = int(run[0]), key_of(key[0])[:24]
        label = "" if "parentId" not in system else str(key[2])  # of a point
        first, last = (int(self.given.frame[r]) for r in (run[0], run[-1]))
        score = self._score(run)
        model = {"user": {"model": {"name": "", "model_id": "", "confidence": score}}} if score < 1 else {}
        return {
            "id": key_of(*key)[:24],
            "itemId": item,
            "datasetId": "",
            "type": kind,
            "label": label or self.names[row],
            "attributes": [],
            "coordinates": coordinates,
            "metadata": {
                "system": {
                    "frame": first,
                    "endFrame": last,
                    "startTime": first / self.fps,
                    "endTime": last / self.fps,
                    "automated": bool(self.automated[row]) if not label else not self.fixed[row],
                    "attributes": {} if label else column(self.given, "attributes")[row] or {},
                    **system,
                },
                **({} if label else model),
            },
            # dtlpy's `from_json` reads none without these.
            "creator": "vtlab",
            "createdAt": _MADE,
            "updatedBy": "vtlab",
            "updatedAt": _MADE,
            "hash": "",
            "source": "sdk",
            "url": "",
            "item": "",
            "dataset": "",
        }

    def _score(self, run: Rows) -> float:
        """The one score of a run; 1 where there are several."""
        scores = self.given.score[run]
        return float(scores[0]) if (scores == scores[0]).all() else 1.0

    def geometry(self, row: int) -> Any:
        """What a row is written as."""
        tracks, kind = self.given, self.kinds[row]
        if kind == "box":
            x1, y1, x2, y2 = tracks.boxes[row].tolist()
            turn = float(np.rad2deg(column(tracks, "angle")[row]))
            found: list[Any] = [{"x": x1, "y": y1, "z": 0}, {"x": x2, "y": y2, "z": 0}]
            return [*found, turn] if turn else found
        if kind == "segment":
            return [[{"x": x, "y": y} for x, y in ring.tolist()] for ring in column(tracks, "polygons")[row]]
        mask = tracks.mask(row) if kind == "binary" else None
        if mask is not None:
            return _picture(mask)
        at = [self._at(place) for place in range(self.spans[row], self.spans[row + 1])]
        return at[0] if kind == "point" else [at]

    def losses(self) -> dict[str, Loss]:
        """What these tracks say that the file doesn't, beyond what no file of Dataloop can say."""
        tracks, write = self.given, self.written
        found = self.lost_ids(self.hosts) | self.lost_beside() | self._lost_points()
        bare = np.array([label is None for label in tracks.label], bool)
        told = f"{{}} rows without a label (they read as {UNLABELLED!r})"
        found |= lost("unlabelled", tracks, told, bare & write)
        machine = np.where(self.automated, "tracked", "interpolated")
        source = np.where(self.held, "interpolated", np.where(self.fixed, "manual", machine))
        found |= self.lost_makers(self.fixed & bool((write & (source != "manual")).any()), source)
        empty = np.array([entry is not None and not entry for entry in column(tracks, "attributes")], bool)
        found |= lost("attributes", tracks, "{} rows with attributes that say nothing", empty & write)
        scored = np.zeros(len(tracks), bool)
        for run in self.runs_:
            scored[run] = self._score(run) == tracks.score[run]
        gone = write & ~scored | ~write
        for name, rows in (("scores", (tracks.score > 0) & (tracks.score < 1)), ("flags", tracks.score == 0)):
            found |= lost(name, tracks, "{} scores that change within an annotation", rows & gone)
        return found

    def _lost_points(self) -> dict[str, Loss]:
        tracks, p = self.given, self.given.points
        told = "{} rows with points without a place"
        found = lost("points", tracks, told, pointed(tracks, np.asarray(np.isnan(p.xy).any(axis=1))))
        seen = np.zeros(len(tracks), bool)
        seen[row_of(tracks, self.points)[self.points.visible]] = True
        poses = (self.kinds == "pose") & self.written
        told = "whether {} skeletons are visible (one is where a point of it is)"
        found |= lost("hidden", tracks, told, poses & ~tracks.visible & seen)
        found |= lost("unseen", tracks, told, poses & tracks.visible & ~seen)
        lines = {int(i): [list(pair) for pair in e] for i, e in (tracks.record.edges or {}).items()}
        lined = {int(i) for i in np.unique(tracks.object_id[(self.kinds == "polyline") & self.written])}
        bare = len(lines.keys() - lined)
        return found | ({"edges": Loss("edges", bare, FEATURES["edges"].told.format(bare))} if bare else {})


def row_of(tracks: Tracks, points: Any) -> NDArray[np.int64]:
    """(M,) the row of tracks to which each of some points belongs."""
    return row_of_points(tracks.replace(points=points)) if len(points) else np.zeros(0, np.int64)


def _picture(mask: Mask) -> str:
    """A mask as a picture of the whole frame, white where it is and clear elsewhere."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.repeat(mask[..., None].astype(np.uint8) * 255, 4, axis=2)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
