"""The ledger: what a format can't hold of tracks, as rows that say what, how much, an example, and where.

`FEATURES` has everything that tracks may say and a format may not; a format's `holds` names those that it keeps, and its
own `losses` adds what depends on the tracks (rounding, masks drawn as polygons, key figures).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.masks import Runs
from vtlab.tracks import Tracks
from vtlab.tracks.columns import COLUMNS, EXTRAS
from vtlab.tracks.motion import velocities

Rows = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """One row of the ledger.

    Attributes:
        kind: Key of `FEATURES`.
        count: How much is lost.
        told: The same as a sentence: "3 scores".
        example: The first of it: "0.5".
        place: Where that is: "walk, object 1, frame 3".
        changed: Object id as text -> what it is called in the output, where that is another id.
    """

    kind: str
    count: int
    told: str
    example: str = ""
    place: str = ""
    changed: Mapping[str, Any] = field(default_factory=dict)

    def within(self, name: str) -> Loss:
        """The row, of the sequence (or the tracker's result) called `name`."""
        return replace(self, place=", ".join(filter(None, (name, self.place))))

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return {k: v for k, v in asdict(self).items() if k != "changed" or v}


@dataclass(frozen=True)
class Feature:
    """Something that tracks may hold and a format may not.

    Attributes:
        told: Its sentence, with {} for the number.
        where: The rows that have it, bool (N,); or how much there is, where it belongs to no row.
        show: The example: what a row says.
        amount: How much of it some rows have; their number where None.
    """

    told: str
    where: Callable[[Tracks], Rows | int]
    show: Callable[[Tracks, int], object] = lambda tracks, row: ""
    amount: Callable[[Tracks], int] | None = None

    def count(self, tracks: Tracks) -> int:
        """How much of it the tracks have."""
        return int(np.sum(self.where(tracks))) if self.amount is None else self.amount(tracks)


def lost(kind: str, tracks: Tracks, told: str = "", rows: Rows | None = None) -> dict[str, Loss]:
    """The row of the ledger where all of one kind is lost, by its kind; {} where the tracks have none of it.

    Args:
        kind: Key of `FEATURES`.
        tracks: What is written.
        told: The sentence, with {} for the number, where it isn't the feature's own.
        rows: (N,) what is lost, where it isn't all of it.
    """
    feature = FEATURES[kind]
    found = feature.where(tracks) if rows is None else rows
    count = feature.count(tracks) if rows is None else int(rows.sum())
    if not count:
        return {}
    example, place = "", ""
    if isinstance(found, np.ndarray) and found.any():
        row = int(found.argmax())
        example = str(feature.show(tracks, row))[:120]
        place = f"object {tracks.object_id[row]}, frame {tracks.frame[row]}"
    return {kind: Loss(kind, count, (told or feature.told).format(count), example, place)}


def renumbered(changed: Mapping[int, Any]) -> dict[str, Loss]:
    """The row of objects that are called otherwise in the output; `changed` has those of which this is so."""
    if not changed:
        return {}
    first = next(iter(changed))
    map_ = {str(i): name for i, name in changed.items()}
    told = FEATURES["ids"].told.format(len(map_))
    return {"ids": Loss("ids", len(map_), told, f"{first} -> {changed[first]}", f"object {first}", map_)}


def rounded(tracks: Tracks, grid: float, rows: Rows | None = None) -> dict[str, Loss]:
    """The row of coordinates that aren't multiples of `grid` pixels, of `rows` (N,) where not all are written so.

    A coordinate whose value in the file is within 1e-9 pixels of it is none.
    """
    if not grid:
        return {}
    told = f"{{}} rows with coordinates off the grid of {grid:g} px, by at most {{:.3g}} px"
    return _moved(tracks, lambda values: np.round(values / grid) * grid, told, rows)


def singles(tracks: Tracks) -> dict[str, Loss]:
    """The row of coordinates that numbers of 32 bits don't hold."""
    told = "{} rows with coordinates that 32 bits don't hold, by at most {:.3g} px"
    return _moved(tracks, lambda values: values.astype(np.float32).astype(np.float64), told)


def _moved(
    tracks: Tracks, nearest: Callable[[Numbers], Numbers], told: str, rows: Rows | None = None
) -> dict[str, Loss]:
    """The row of coordinates of which a file has the `nearest`; `told`: number of rows, and pixels by which they move."""

    def off_by(values: Numbers) -> Numbers:
        return np.asarray(np.nan_to_num(np.abs(values - nearest(values))))  # 0 where there is no value

    off = off_by(tracks.boxes).max(axis=1, initial=0.0)
    if len(tracks.points):
        np.maximum.at(off, row_of_points(tracks), off_by(tracks.points.xy).max(axis=1, initial=0.0))
    for row, rings in enumerate(tracks.polygons if tracks.polygons is not None else ()):
        for ring in rings or ():
            off[row] = max(off[row], off_by(ring).max(initial=0.0))
    off = off if rows is None else np.where(rows, off, 0.0)
    bad = off > 1e-9
    return lost("rounding", tracks, told.format("{}", off.max(initial=0.0)), bad) if bad.any() else {}


def given(column: NDArray[np.object_] | None, rows: int) -> Rows:
    """(rows,) where a column of objects is not None."""
    return np.zeros(rows, bool) if column is None else np.array([x is not None for x in column], bool)


def column(tracks: Tracks, name: str) -> NDArray[Any]:
    """A column of the tracks; where they lack it a blank one, which nobody may change."""
    values = getattr(tracks, name)
    return _blank(name, len(tracks)) if values is None else values


@lru_cache(maxsize=16)  # writers ask for one again for every row
def _blank(name: str, rows: int) -> NDArray[Any]:
    values = COLUMNS[name].blank(rows)
    values.flags.writeable = False
    return values


def row_of_points(tracks: Tracks) -> NDArray[np.int64]:
    """(M,) the row to which each point belongs."""
    return tracks.points.rows_in(tracks.frame, tracks.object_id)


def shaped(tracks: Tracks) -> Rows:
    """(N,) rows with a box, a mask or points."""
    return np.isfinite(tracks.boxes).all(axis=1) | given(tracks.rle, len(tracks)) | pointed(tracks)


def pointed(tracks: Tracks, which: Rows | None = None) -> Rows:
    """(N,) rows with points, or with one of the points `which` (M,)."""
    rows = np.zeros(len(tracks), bool)
    where = row_of_points(tracks)
    rows[where if which is None else where[which]] = True
    return rows


def extents(tracks: Tracks) -> NDArray[np.float64]:
    """(N, 4) extents of the masks, NaN where a row has none or an empty one."""
    if tracks.rle is None or tracks.size is None:
        return np.full((len(tracks), 4), np.nan)
    return Runs.of(tracks.rle.tolist(), *tracks.size).boxes()


def overlaps(tracks: Tracks) -> dict[int, int]:
    """Frame -> pixels that belong to two visible objects, of the frames that have any."""
    seen = tracks.seen()
    if seen.rle is None or seen.size is None:
        return {}
    runs = Runs.of(seen.rle.tolist(), *seen.size)
    frames, group = np.unique(seen.frame, return_inverse=True)
    twice = np.bincount(group, runs.areas()).astype(np.int64) - runs.union(group).areas()
    return {int(f): int(n) for f, n in zip(frames, twice, strict=True) if n}


def frame_count(tracks: Tracks) -> int:
    """Frames of the sequence: as its file or the clip says, at least up to the last that has a row or was looked at."""
    record = tracks.record
    clip = None if record.source is None else record.source.length
    last = max(int(tracks.frame.max(initial=-1)), *(record.annotated or ()), -1)
    return max(record.frames or 0, clip or 0, last + 1)


def _own_boxes(tracks: Tracks) -> Rows:
    """Boxes that are not the extent of their row's mask."""
    boxed = np.isfinite(tracks.boxes).all(axis=1)
    if tracks.rle is not None:
        boxed &= ~(np.abs(extents(tracks) - tracks.boxes) <= 0).all(axis=1)
    return np.asarray(boxed)


def _unlooked(tracks: Tracks) -> int:
    """Frames of the sequence that nobody looked at."""
    count = frame_count(tracks)
    return count - len(tracks.annotated_frames(count, dense=bool(tracks.record.dense)))


def _returning(tracks: Tracks) -> Rows:
    """The first row of each object after frames without one."""
    order = np.lexsort((tracks.frame, tracks.object_id))
    frame, owner = tracks.frame[order], tracks.object_id[order]
    rows = np.zeros(len(tracks), bool)
    rows[order[1:]] = (np.diff(owner) == 0) & (np.diff(frame) > 1)
    return rows


def _filled(name: str, tracks: Tracks) -> Rows:
    """Rows that say something in an optional column."""
    values, fill = column(tracks, name), COLUMNS[name].fill
    if values.dtype == object:
        return given(values, len(tracks))
    flat = values if values.ndim > 1 else values[:, None]
    return np.asarray((~np.isnan(flat) if fill != fill else flat != fill).any(axis=1))


def _own_velocity(tracks: Tracks) -> Rows:
    """Rows whose velocity somebody said: not those that are the way since the thing was last seen, by the time it took.

    Every run fills such in, and they can be computed again. The clip's mean frame rate stands for its times, so frames
    may be up to four times as far apart or as close.
    """
    filled, source = _filled("velocity", tracks), tracks.record.source
    if tracks.velocity is None or source is None or not source.fps:
        return filled
    steps = velocities(tracks, np.arange(tracks.frame.max(initial=0) + 1) / source.fps)
    (length, of_step), dot = (
        (np.hypot(*v.T) for v in (tracks.velocity, steps)),
        (tracks.velocity * steps).sum(1),
    )
    alike = dot >= (1 - 1e-9) * length * of_step  # the same direction
    alike &= (length <= 4 * of_step) & (of_step <= 4 * length)
    return filled & ~alike


def _say(name: str, tracks: Tracks, row: int) -> object:
    value = column(tracks, name)[row]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _first_in(owner: NDArray[np.int64]) -> Rows:
    rows = np.zeros(len(owner), bool)
    rows[np.unique(owner, return_index=True)[1]] = True
    return rows


def _numbered(tracks: Tracks) -> Rows:
    """The first row of each object whose id is not its number from 1."""
    ids = tracks.object_ids
    return _first_in(tracks.object_id) & np.isin(tracks.object_id, ids[ids != np.arange(1, len(ids) + 1)])


def _jointed(tracks: Tracks) -> Rows:
    """The first row of each object of several points."""
    several = np.unique(tracks.points.object_id[tracks.points.point_id > 0])
    return _first_in(tracks.object_id) & np.isin(tracks.object_id, several)


def _entry(name: str, tracks: Tracks) -> int:
    return len(getattr(tracks.record, name) or ())


def _told_by(told: str, name: str, where: Callable[[Tracks], Rows]) -> Feature:
    return Feature(told, where, partial(_say, name))


FEATURES: Mapping[str, Feature] = {
    "boxes": _told_by("{} boxes of their own", "boxes", _own_boxes),
    "masks": Feature(
        "{} masks", lambda t: given(t.rle, len(t)), lambda t, row: f"a mask around {t.boxes[row].tolist()}"
    ),
    "points": Feature("{} points", pointed, amount=lambda t: len(t.points)),
    "skeletons": Feature("{} objects of several points", _jointed),
    "unseen": Feature(
        "{} points of visible objects that are not visible",
        lambda t: pointed(t, ~t.points.visible) & t.visible,
        amount=lambda t: int((~t.points.visible & t.visible[row_of_points(t)]).sum()),
    ),
    "point_scores": Feature(
        "{} scores of points",
        lambda t: pointed(t, t.points.score != 1),
        amount=lambda t: int((t.points.score != 1).sum()),
    ),
    "objects": Feature(
        "{} objects after the first of a file",
        lambda t: _first_in(t.object_id) & (t.object_id > t.object_id.min(initial=2**62)),
    ),
    "ids": Feature("{} object ids (objects are numbered from 1)", _numbered, lambda t, r: t.object_id[r]),
    "hidden": Feature("{} rows of objects that are not visible", lambda t: ~t.visible & shaped(t)),
    "absent": Feature("{} rows that say that an object is absent", lambda t: ~shaped(t)),
    "gaps": Feature("{} frames without a row", lambda t: frame_count(t) * len(t.object_ids) - len(t)),
    "returns": Feature("{} times that an object leaves and returns", _returning),
    "unlooked": Feature(
        "{} frames that nobody looked at (they read as frames without the object)", _unlooked
    ),
    "flags": Feature("{} scores of 0", lambda t: t.score == 0, lambda t, row: t.score[row]),
    "scores": Feature("{} scores", lambda t: (t.score > 0) & (t.score < 1), lambda t, row: t.score[row]),
    "labels": _told_by("{} labels", "label", lambda t: given(t.label, len(t))),
    "unlabelled": Feature("{} rows without a label", lambda t: np.zeros(len(t), bool)),
    "overlap": Feature(
        "{} pixels that belong to two objects",
        lambda t: np.isin(t.frame, list(overlaps(t))),
        amount=lambda t: sum(overlaps(t).values()),
    ),
    "size": Feature("the size of the frames", lambda t: int(t.size is not None)),
    "rounding": Feature("{} rounded rows", lambda t: np.zeros(len(t), bool), partial(_say, "boxes")),
    "off_grid": Feature("{} rows on frames that the format doesn't have", lambda t: np.zeros(len(t), bool)),
    "span": Feature(
        "which frames of the video these are",
        lambda t: int(t.record.source is not None and t.record.source.span != (0, 1)),
    ),
    "tags": Feature("attributes of {} objects", partial(_entry, "objects")),
    "edges": Feature("lines between points of {} objects", partial(_entry, "edges")),
    "host_ids": Feature("ids of a host for {} objects", partial(_entry, "id_map")),
    "seconds": Feature("{} times of steps", lambda t: len(t.step_seconds)),
    "maker": Feature("the record of the tracker", lambda t: int(t.record.tracker is not None)),
    "source": Feature("who said {} rows", lambda t: t.source != "manual", lambda t, row: t.source[row]),
    "velocity": _told_by("{} rows with velocity", "velocity", _own_velocity),
    **{name: _told_by(f"{{}} rows with {name}", name, partial(_filled, name)) for name in EXTRAS},
}
"""What tracks may hold and a format may not, by kind."""


def ids_from_one(tracks: Tracks) -> dict[int, int]:
    """Objects that get another number where a format numbers them from 1."""
    return {int(i): n for n, i in enumerate(tracks.object_ids.tolist(), start=1) if i != n}


def sources(tracks: Tracks, read_as: str) -> dict[str, Loss]:
    """The row of what somebody else said than a reader of the output takes to have said it."""
    return lost("source", tracks, f"who said {{}} rows (they read as {read_as})", tracks.source != read_as)
