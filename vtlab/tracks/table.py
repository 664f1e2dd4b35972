"""Tracks: the one result type, columnar; what every tracker returns and every metric, plot and format takes.

One row is one object on one frame. Masks are kept run-length encoded, points as a second table. Which columns there
are is said in `vtlab.tracks.columns`, where they come from in `vtlab.tracks.record`, how they lie on disk in
`vtlab.tracks.files`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab import masks as _masks
from vtlab.errors import InputError, TracksError
from vtlab.tracks import columns as _columns
from vtlab.tracks import files, given
from vtlab.tracks.columns import COLUMNS, Columns
from vtlab.tracks.identity import check_identity
from vtlab.tracks.order import one_size, settled
from vtlab.tracks.outline import mask_of
from vtlab.tracks.points import PointRows
from vtlab.tracks.record import Record, Source
from vtlab.video import Video

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv


@dataclass(frozen=True, kw_only=True)
class Tracks(Columns):
    """Objects over a video, columnar, ordered by frame and object. Make one with `Tracks.of` or a `TracksBuilder`.

    Attributes:
        frame, object_id, label, boxes, ...: The columns, see `vtlab.tracks.columns.Columns`.
        points: The second table, `PointRows`.
        size: (height, width) of the video's frames in pixels; needed as soon as there are masks.
        record: Where the tracks come from: tracker, parameters, weights, versions, hardware, video.
        step_seconds: (S,) float64, wall time of each step of the tracker in the order they ran.
    """

    points: PointRows = field(default_factory=PointRows.empty)
    size: tuple[int, int] | None = None
    record: Record = field(default_factory=Record)
    step_seconds: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(
        cls,
        frame: ArrayLike,
        object_id: ArrayLike,
        boxes: ArrayLike | None = None,
        score: ArrayLike = 1.0,
        visible: ArrayLike = True,
        *,
        masks: Sequence[Any] | None = None,
        points: PointRows | None = None,
        size: tuple[int, int] | None = None,
        record: Record | None = None,
        meta: Mapping[str, Any] | None = None,
        step_seconds: ArrayLike = (),
        **columns: Any,
    ) -> Tracks:
        """Make tracks from columns in any row order; scalars are repeated.

        Args:
            frame: (N,) 0-based frames.
            object_id: (N,) identities.
            boxes: (N, 4) xyxy; the extents of masks or polygons (or NaN) when omitted.
            score: (N,) in [0, 1].
            visible: (N,) bool.
            masks: N masks (H, W), or their encodings as bytes, or None for a row without one. Rows without one that
                have polygons get what they draw, where `size` is known.
            points: Table of points.
            size: (height, width) of the frames.
            record: Provenance; or its entries as a dict in `meta`.
            meta: Entries of the record.
            step_seconds: Wall time of each step.
            columns: Any other column of `vtlab.tracks.columns.Columns`, which says what each holds (`source`: one of
                `SOURCES`).

        Raises:
            TracksError: Columns of different lengths or unknown names, an object twice on one frame, a negative
                frame, infinite or inverted boxes, an unknown source, masks of different sizes, damaged encodings.
        """
        frames = _columns.as_column(frame, None, np.int64, "frame").reshape(-1)
        n = len(frames)
        told = {"object_id": object_id, "boxes": boxes, "score": score, "visible": visible, **columns}
        made = given.read({k: v for k, v in told.items() if v is not None}, n)
        size, outlines = given.size_of(size), made.get("polygons")
        rle, size = (None, size) if masks is outlines is None else _encode_all(masks, outlines, n, size)
        made |= {"frame": frames}
        made |= {k: kind.blank(n) for k, kind in COLUMNS.items() if not kind.optional and k not in made}
        others = {
            "points": points if points is not None else PointRows.empty(),
            "record": record if record is not None else Record.of({} if meta is None else meta),
            "step_seconds": step_seconds,
        }
        tracks = settled(cls(**made, rle=rle, size=size, **given.read(others, n)))
        if boxes is not None and tracks.rle is None:
            return tracks
        extents = _extents(tracks)  # reads every mask, so that a damaged one is found
        return tracks if boxes is not None else replace(tracks, boxes=extents)

    @classmethod
    def empty(cls, **kwargs: Any) -> Tracks:
        """Tracks without rows."""
        return cls.of([], [], np.empty((0, 4)), **kwargs)

    def __repr__(self) -> str:
        what = [f"{len(self)} rows", f"{len(self.object_ids)} objects"]
        if len(self):
            what.append(f"frames {self.frame[0]}-{self.frame[-1]}")
        if self.rle is not None:
            what.append("masks")
        if len(self.points):
            what.append(f"{len(self.points)} points")
        name = self.record.tracker and self.record.tracker.name
        return f"Tracks({', '.join(what)}{f', by {name}' if name else ''})"

    @property
    def name(self) -> str:
        """Name of the tracker that made these tracks, or 'tracks'."""
        return (self.record.tracker and self.record.tracker.name) or "tracks"

    @property
    def meta(self) -> dict[str, Any]:
        """The record's entries as JSON has them; a copy, so changing it changes nothing (see `replace`)."""
        return self.record.to_dict()

    def take(self, index: ArrayLike) -> Tracks:
        """The rows at `index` (positions or a bool mask), with the points of those rows."""
        keep = np.sort(_columns.positions(index, len(self)))
        rows = {name: values[keep] for name, values in self.columns().items()}
        return self._with(rows, self.points.of_rows(rows["frame"], rows["object_id"]))

    def _with(self, rows: Mapping[str, NDArray[Any]], points: PointRows) -> Tracks:
        return Tracks(
            **rows, points=points, size=self.size, record=self.record, step_seconds=self.step_seconds
        )

    def at(self, frame: int) -> Tracks:
        """The rows of one frame."""
        frame = given.number(frame, "a frame")
        low, high = np.searchsorted(self.frame, [frame, frame + 1])
        return self.take(np.arange(low, high))

    def of_object(self, object_id: int) -> Tracks:
        """The rows of one object."""
        return self.take(self.object_id == given.number(object_id, "an object's id"))

    def by_object(self) -> Iterator[tuple[int, Tracks]]:
        """Each object's (id, rows), ids ascending: one pass over the rows in all, where `of_object` takes one each time."""
        points = self.points.object_rows()
        for object_id, mine in self.object_rows().items():
            rows = {name: values[mine] for name, values in self.columns().items()}
            yield object_id, self._with(rows, self.points.take(points.get(object_id, np.empty(0, np.int64))))

    def between(self, start: int, stop: int) -> Tracks:
        """The rows of frames start <= frame < stop."""
        ends = [given.number(end, "a frame") for end in (start, stop)]
        low, high = np.searchsorted(self.frame, ends)
        return self.take(np.arange(low, high))

    def seen(self) -> Tracks:
        """The rows that are visible."""
        return self.take(self.visible)

    def renamed(self, ids: Mapping[int, int]) -> Tracks:
        """The same tracks with object ids replaced, in the record too; ids not in `ids` stay."""

        if not isinstance(ids, Mapping):
            raise TracksError(f"Tracks: expected {{old id: new id}}, got {ids!r}.")

        def new(column: NDArray[np.int64]) -> NDArray[np.int64]:
            found = [ids.get(int(i), int(i)) for i in column]
            return _columns.as_column(found, column.shape, np.int64, "object_id")

        return self.replace(
            object_id=new(self.object_id),
            points=self.points.replace(object_id=new(self.points.object_id)),
            record=self.record.renamed(ids),
        )

    def replace(self, **attributes: Any) -> Tracks:
        """A copy with some attributes (or the record's entries, as `meta`) replaced, sorted and validated."""
        if "meta" in attributes:
            attributes["record"] = Record.of(attributes.pop("meta"))
        n = len(_columns.as_column(attributes.get("frame", self.frame), None, np.int64, "frame").reshape(-1))
        kept = [name for name in self.columns() if name not in attributes]
        if n != len(self) and kept:
            raise TracksError(
                f"Tracks: expected {len(self)} values in 'frame', as many as in {kept[0]!r}, got {n}."
            )
        tracks = settled(replace(self, **given.read(attributes, n)), attributes)
        if {"rle", "size"} & set(attributes):
            tracks.runs()
        return tracks

    def mask(self, row: int) -> _masks.Mask | None:
        """The mask (H, W) of a row, or None."""
        row = int(_columns.positions([given.number(row, "a row")], len(self))[0])
        if self.rle is None or self.rle[row] is None or self.size is None:
            return None
        return _masks.decode(self.rle[row], *self.size)

    def runs(self) -> _masks.Runs:
        """The masks of all rows as runs; a row without a mask has none. Raises `TracksError` for a damaged one."""
        rle = [None] * len(self) if self.rle is None else self.rle.tolist()
        try:
            return _masks.Runs.of(rle, *(self.size or (0, 0)), name=self._name_of_mask)
        except InputError as error:
            raise TracksError(f"Tracks: {error}") from None

    def _name_of_mask(self, row: int) -> str:
        return f"the mask of object {self.object_id[row]} on frame {self.frame[row]}"

    def masks_at(self, frame: int) -> dict[int, _masks.Mask]:
        """Object id -> mask (H, W) on one frame, for the objects that have one."""
        frame = given.number(frame, "a frame")
        low, high = np.searchsorted(self.frame, [frame, frame + 1])
        found = {int(self.object_id[row]): self.mask(row) for row in range(low, high)}
        return {i: m for i, m in found.items() if m is not None}

    @classmethod
    def concat(
        cls,
        parts: Iterable[Tracks],
        *,
        meta: Mapping[str, Any] | None = None,
        record: Record | None = None,
    ) -> Tracks:
        """All rows of several tracks of one video; raises `TracksError` if an object is twice on a frame.

        The record is the one given (or of the entries `meta`), else the first's with what the others say of objects.
        """
        items = given.tables(parts, cls)
        told = record if record is not None or meta is None else Record.of(meta)
        if not items:
            return cls.empty(record=told)
        joined = cls(
            **_columns.join([t.columns() for t in items], [len(t) for t in items]),
            points=PointRows.concat([t.points for t in items]),
            size=one_size(items),
            record=told if told is not None else items[0].record.joined([t.record for t in items[1:]]),
            step_seconds=np.concatenate([t.step_seconds for t in items]),
        )
        return settled(joined, ("frame", "object_id", "points"))

    def annotated_frames(self, n_frames: int, dense: bool) -> NDArray[np.int64]:
        """Frames below `n_frames` that somebody looked at, ascending: what a metric may count.

        They are those that the record names. Where it says nothing, they are all frames if `dense` (text of
        multi-object tracking), else those that hold a row (an object that is absent has a row with visible=False).
        """
        if self.record.annotated is not None:
            looked = np.unique(np.array(self.record.annotated, dtype=np.int64))
        else:
            looked = (
                np.arange(given.number(n_frames, "a number of frames"), dtype=np.int64)
                if dense
                else self.frames
            )
        return looked[(looked >= 0) & (looked < n_frames)]

    def on(self, video: Video | Source) -> Tracks:
        """These tracks with the frame numbers of the clip `video` (or the one that a source names), as the record says.

        What was made on the whole video, or on another cut of it, is cut to the clip. Tracks whose record says
        nothing of their source are taken to have the clip's numbers already.

        Raises:
            InputError: They were made on another video (see `check_identity`), or don't cover the clip.

        Warns:
            VtlabWarning: It is another file with the same frames, or nobody can tell.
        """
        source, record = self.record.source, self.record
        if source is None:
            return self
        check_identity(source, video, "Tracks")
        if source.is_clip(Source.of_clip(video, digest=False)):
            return self
        clip = Source.of_clip(video, digest=source.digest is not None)
        source.check(clip, "Tracks", whole=record.annotated is None)
        events = record.events and [
            e | {"frame": f}
            for e, f in zip(
                record.events,
                source.places(clip, [e.get("frame", -1) for e in record.events]).tolist(),
                strict=True,
            )
            if f >= 0
        ]
        annotated, files = None, record.files
        if record.annotated is not None:
            places = source.places(clip, record.annotated)
            order = [i for i in np.argsort(places, kind="stable").tolist() if places[i] >= 0]
            annotated = tuple(places[order].tolist())
            files = None if files is None else [files[i] for i in order]
        points = self.points.replace(frame=source.places(clip, self.points.frame))
        frames = source.places(clip, self.frame)
        rows = {name: values[frames >= 0] for name, values in self.columns().items()}
        kept = self._with(rows | {"frame": frames[frames >= 0]}, points.take(points.frame >= 0))
        told = record.replace(
            source=source.moved(clip),
            frames=None if record.frames is None else clip.length,
            annotated=annotated,
            files=files,
            events=events,
        )
        return settled(replace(kept, record=told), ("frame", "points"))

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame with the columns frame, object_id, label, x1, y1, x2, y2, score, visible, source, and the
        optional ones that there are, in the order of `vtlab.tracks.columns.Columns`: velocities as vx,
        vy, attributes as JSON text; but for masks and polygons."""
        import pandas as pd

        data: dict[str, NDArray[Any]] = {}
        for name, values in self.columns().items():
            if COLUMNS[name].shown:
                data |= COLUMNS[name].shown_as(name, values)
        return pd.DataFrame(data)

    def points_frame(self) -> pd.DataFrame:
        """A DataFrame of the points: frame, object_id, point_id, x, y, visible, score."""
        import pandas as pd

        p = self.points
        columns = {"point_id" if name == "id" else name: values for name, values in p.columns().items()}
        return pd.DataFrame({"frame": p.frame, "object_id": p.object_id, **columns})

    def join(self, other: Tracks) -> pd.DataFrame:
        """Rows of both tables matched by frame and object; columns of `other` end in `_other`; unmatched are NaN."""
        (other,) = given.tables(other, Tracks) if not isinstance(other, Tracks) else (other,)
        return self.to_frame().merge(
            other.to_frame(), on=["frame", "object_id"], how="outer", suffixes=("", "_other")
        )

    def to_supervision(self, frame: int) -> sv.Detections:
        """The visible objects of one frame as `supervision.Detections`, `tracker_id` = object id.

        `class_id` numbers the labels of all the tracks in alphabetical order, as supervision's annotators want it.
        """
        import supervision as sv

        now = self.at(frame).seen()
        masks = None
        if now.rle is not None and len(now) and all(r is not None for r in now.rle):
            masks = np.stack([m for m in (now.mask(i) for i in range(len(now))) if m is not None])
        named = np.array([x if x is not None else "" for x in now.label], dtype=str)
        order = {name: i for i, name in enumerate(sorted({x or "" for x in self.label.tolist()}))}
        return sv.Detections(
            xyxy=now.boxes,
            mask=masks,
            confidence=now.score,
            class_id=np.array([order[name] for name in named.tolist()], dtype=int),
            tracker_id=now.object_id,
            data={"label": named, "class_name": named},
        )

    def player(self, video: Any, *, truth: Tracks | None = None, width: int = 720) -> Any:
        """A widget that plays the video with these tracks drawn on it (in a notebook); see `vtlab.TrackPlayer`."""
        import vtlab

        return vtlab.TrackPlayer(video, self, truth=truth, width=width)

    def save(self, path: str | Path, layout: Any = None) -> Path:
        """Write one file (whole or not at all) and return its path; the ending of its name says in which form.

        .parquet and .json hold all; .csv is for spreadsheets (no masks, size, record); others are those of `vtlab.formats`.
        `layout` names the format where an ending is that of several ("motchallenge" for .txt).

        Raises `InputError` for an ending that nothing has, `TracksError` for what the format can't hold, `WriteError`; warns
        (`VtlabWarning`) of what it can't hold in part.
        """
        return files.save(self, path, layout)

    @classmethod
    def load(cls, path: str | Path, layout: Any = None) -> Tracks:
        """Read what `save` wrote, or any format that vtlab knows by its look or by `layout`; raises `FormatError`."""
        return files.load(cls.of, path, layout)


def _extents(tracks: Tracks) -> NDArray[np.float64]:
    """Boxes by the other columns: the extent of the polygons, else of the mask, else NaN."""
    boxes = np.full((len(tracks), 4), np.nan) if tracks.rle is None else tracks.runs().boxes()
    for row, rings in enumerate(tracks.polygons if tracks.polygons is not None else ()):
        if rings is not None:
            xy = np.concatenate(rings)
            boxes[row] = np.concatenate([xy.min(axis=0), xy.max(axis=0)])
    return boxes


def _encode_all(
    masks: Sequence[Any] | None,
    polygons: NDArray[np.object_] | None,
    n: int,
    size: tuple[int, int] | None,
) -> tuple[NDArray[np.object_] | None, tuple[int, int] | None]:
    """Encode masks, and the polygons of rows without one; (None, size) where there are neither."""
    if masks is not None and len(masks) != n:
        raise TracksError(f"Tracks: expected {n} masks, got {len(masks)}.")
    column = np.empty(n, dtype=object)
    for i, mask in enumerate(masks if masks is not None else ()):
        if mask is None or isinstance(mask, bytes):
            column[i] = mask
            continue
        array = _masks.as_mask(mask)
        size = size or array.shape
        if array.shape != size:
            raise TracksError(
                f"Tracks: mask {i} has size {array.shape}, the frames are {size} (height, width)."
            )
        column[i] = _masks.encode(array)
    if polygons is not None and size is not None:
        for i, rings in enumerate(polygons):
            if rings is not None and column[i] is None:
                column[i] = _masks.encode(mask_of(rings, *size))
    if masks is None and all(m is None for m in column):
        return None, size
    if size is None and any(m is not None for m in column):
        raise TracksError("Tracks: encoded masks need `size` = (height, width) of the frames.")
    return column, size
