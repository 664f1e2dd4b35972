"""Whether what comes back from a format differs from what was written exactly by what its ledger says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.formats import FEATURES, Loss
from vtlab.formats.base import frame_count
from vtlab.formats.ledger import column, row_of_points, shaped
from vtlab.testing.columns import sampled
from vtlab.tracks import IdMap, Maker, PointRows, Record, Source, Tracks
from vtlab.tracks.columns import COLUMNS, EXTRAS, Number, Polygons

SIZE, COUNT = (40, 56), 9
"""(height, width) and number of frames of the random tracks."""
NEAR = 1e-6
"""Pixels by which a coordinate may differ where nothing is rounded: percent and fractions of the frame."""
_EXACT = ("score",)
"""Numbers that no format computes with, so that they come back bit for bit."""
_MADE = ("velocity", "angle", "occluded", "outside", "key", "time", "attributes", "polygons", "rle")
"""Columns that the figures below fill in themselves; any other gets values by its kind."""


def random_tracks(seed: int) -> Tracks:
    """Tracks with every feature there is: rotated boxes, masks, outlines, skeletons; objects that leave and return."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    points: list[tuple[int, int, int, float, float, bool, float]] = []
    hosts = IdMap(["7d1e", 4, 11, "street-2", 2**70])
    ids = [hosts[h] for h in ("7d1e", 4, 11, "street-2", 2**70)]
    for host, shape in zip(ids, ("box", "turned", "mask", "outline", "joints"), strict=True):
        present = random.random(COUNT) < 0.7
        present[random.integers(COUNT)] = True
        for frame in np.flatnonzero(present).tolist():
            row = _figure(random, shape, apart=seed % 3 == 2)
            if shape == "joints":
                points += [
                    (frame, host, k, *random.uniform(2, 38, 2), bool(random.random() < 0.8), _score(random))
                    for k in range(3)
                ]
            row |= _more(random, frame, host, shape)
            rows.append(row)
    columns: dict[str, Any] = {
        name: [r.get(name, COLUMNS[name].fill) for r in rows] for name in COLUMNS if name != "rle"
    }
    columns["boxes"] = np.array([r.get("boxes", (np.nan,) * 4) for r in rows])
    columns["velocity"] = random.normal(size=(len(rows), 2))
    columns |= {name: sampled(name, len(rows), seed) for name in EXTRAS if name not in _MADE}
    p = np.array(points)
    where = p[:, :3].astype(np.int64).T
    made = Tracks.of(
        columns.pop("frame"),
        columns.pop("object_id"),
        **columns,
        masks=[r.get("mask") for r in rows],
        points=PointRows.of(where[0], where[1], where[2], p[:, 3:5], p[:, 5] > 0, score=p[:, 6]),
        size=SIZE,
        step_seconds=random.random(COUNT),
        record=Record(
            frames=COUNT,
            annotated=tuple(range(COUNT)) if seed % 2 else None,
            tracker=Maker(name="mine"),
            id_map=hosts.entry(),
            objects={str(ids[0]): {"colour": "red"}},
            edges={str(ids[4]): [[0, 1], [1, 2]]},
            source=Source(name="walk", frames=COUNT, start=10, step=2, width=SIZE[1], height=SIZE[0]),
        ),
    )
    return made.replace(boxes=np.where(np.isnan(made.boxes), _extent(made), made.boxes))


def _extent(tracks: Tracks) -> NDArray[np.float64]:
    """Boxes of masks; rows of points have none."""
    return Tracks.of(
        tracks.frame,
        tracks.object_id,
        masks=None if tracks.rle is None else tracks.rle.tolist(),
        size=tracks.size,
    ).boxes


def _score(random: np.random.Generator) -> float:
    # The ends, which formats round to, and three digits, which all of them keep.
    return float(random.choice([0.0, 1.0, round(random.random(), 3)]))


def _figure(random: np.random.Generator, shape: str, apart: bool) -> dict[str, Any]:
    """Box, mask or outline of one row; masks and outlines meet now and then, unless they are to lie apart."""
    x, y = random.uniform(1, 20, 2)
    if apart:
        x = x / 4 + (30 if shape == "outline" else 1)
    w, h = random.uniform(4, 15, 2)
    if shape in ("box", "turned"):
        angle = float(random.uniform(-1.5, 1.5)) if shape == "turned" else 0.0
        return {"boxes": (x, y, x + w, y + h), "angle": angle}
    if shape == "mask":
        mask = masks.from_box((x, y, x + w, y + h), *SIZE)
        mask[int(y) + 1, int(x) + 1] = False
        return {"mask": mask}
    if shape == "outline":
        ring = [(x, y), (x + w, y + 1), (x + w / 2, y + h + 3)]
        hole = [(x + w / 3, y + 3), (x + w / 2, y + 3), (x + w / 2, y + 4)]
        return {"polygons": [ring] if random.random() < 0.5 else [ring, hole]}
    return {}


def _more(random: np.random.Generator, frame: int, host: int, shape: str) -> dict[str, Any]:
    """What a row says beside its figure."""
    return {
        "frame": frame,
        "object_id": host,
        "label": str(random.choice(["pedestrian", "car"])) if shape != "mask" else "car",
        "score": _score(random),
        "visible": bool(random.random() < 0.8),
        "source": str(random.choice(["manual", "tracked", "interpolated", "detected"])),
        "occluded": bool(random.random() < 0.3),
        "outside": bool(random.random() < 0.1),
        "key": bool(random.random() < 0.4),
        "time": float(frame / 25),
        "attributes": {"pose": str(random.choice(["up", "down"]))} if random.random() < 0.5 else None,
    }


class _Seen:
    """Differences found, each with the kinds of loss that explain it."""

    def __init__(self, losses: Mapping[str, Loss]):
        self.losses, self.kinds = losses, set[str]()
        self.silent: list[str] = []

    def add(self, count: int | np.bool_, what: str, kinds: Iterable[str]) -> None:
        """Note that something differs `count` times, and that any of `kinds` explains it."""
        if not count:
            return
        told = set(kinds) & set(self.losses)
        self.kinds |= told
        if not told:
            self.silent.append(f"{what} ({count}): no row of {sorted(kinds)}")


def check_ledger(given: Tracks, back: Tracks, losses: Mapping[str, Loss]) -> None:
    """Raise AssertionError unless `back` differs from `given` exactly by what the ledger says.

    Args:
        given: What was written.
        back: What was read again.
        losses: Kind -> row, as `Format.losses` gives them; object ids that changed are matched by its map.
    """
    changed = losses["ids"].changed if "ids" in losses else {}
    ids = {int(i): int(n) for i, n in changed.items()}
    gone = set(ids.values()) - ids.keys()  # objects that are not in the output, whose numbers others got
    if "skeletons" in losses and "points" not in losses:
        gone |= set(given.object_ids.tolist()) - set(given.points.object_id.tolist())
    renamed = given.renamed(ids | {i: -i for i in gone})
    seen = _Seen(losses)
    a, b = _matched(renamed, back)
    _rows(renamed, back, (a, b), seen)
    _columns(renamed, back, (a, b), seen)
    _points(renamed.take(a), back.take(b), seen)
    _about(given, back, seen)
    assert not seen.silent, f"lost in silence: {'; '.join(seen.silent)}"
    there = renamed.take(a)
    told_by_another = {"ids", "hidden", "absent"}
    told_by_another |= {"point_scores", "unseen", "skeletons"} if "points" in losses else set()
    told_by_another |= (
        {"point_scores", "unseen"} if "skeletons" in losses else set()
    )  # only the first is compared
    more = [kind for kind in losses.keys() - seen.kinds - told_by_another if FEATURES[kind].count(there)]
    assert not more, f"said to be lost, and not: {[losses[k] for k in more]}"


def _matched(given: Tracks, back: Tracks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of both that are one object on one frame."""
    where = {k: i for i, k in enumerate(zip(back.frame.tolist(), back.object_id.tolist(), strict=True))}
    pairs = [
        (i, where[k])
        for i, k in enumerate(zip(given.frame.tolist(), given.object_id.tolist(), strict=True))
        if k in where
    ]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _shapes(tracks: Tracks, row: int) -> set[str]:
    """Kinds of what the row has that a format may lack."""
    found = set()
    if tracks.rle is not None and tracks.rle[row] is not None:
        found |= {"masks", "overlap"}
    if tracks.polygons is not None and tracks.polygons[row] is not None:
        found |= {"polygons", "masks", "overlap"}
    if not found and np.isfinite(tracks.boxes[row]).all():
        found.add("boxes")
    if (
        (tracks.points.frame == tracks.frame[row]) & (tracks.points.object_id == tracks.object_id[row])
    ).any():
        found |= {"points", "skeletons"}
    return found


def _rows(given: Tracks, back: Tracks, both: tuple[Any, Any], seen: _Seen) -> None:
    has = shaped(given)
    for row in sorted(set(range(len(given))) - set(both[0].tolist())):
        why = _shapes(given, row) if has[row] else {"absent"}
        why |= set() if given.visible[row] else {"hidden", "outside"}
        why |= {"outside"} if column(given, "outside")[row] else set()
        where = f"object {given.object_id[row]} on frame {given.frame[row]}"
        seen.add(1, f"no row of {where} {sorted(_shapes(given, row))}", why | {"off_grid"})
    extra = sorted(set(range(len(back))) - set(both[1].tolist()))
    places = [(int(back.frame[r]), int(back.object_id[r])) for r in extra[:3]]
    seen.add(len(extra), f"new rows {places}", {"gaps", "returns", "unlooked", "skeletons"})


def _same_rings(x: Any, y: Any) -> bool:
    if x is None or y is None:
        return x is y
    return len(x) == len(y) and all(
        np.shape(p) == np.shape(q) and np.allclose(p, q, rtol=0, atol=NEAR) for p, q in zip(x, y, strict=True)
    )


def _near(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) rows of numbers (N,) or (N, K) that are the same within `NEAR`, NaN where the other is."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    with np.errstate(invalid="ignore"):
        same = (a == b) | (np.abs(a - b) <= NEAR) | (np.isnan(a) & np.isnan(b))
    return np.asarray(same if same.ndim == 1 else same.all(axis=1))


def differing(name: str, x: NDArray[Any], y: NDArray[Any]) -> list[int]:
    """Rows of the column `name` of two tables that differ."""
    kind = COLUMNS[name]
    if isinstance(kind, Number) and kind.dtype is np.float64 and name not in _EXACT:
        return np.flatnonzero(~_near(x, y)).tolist()
    if x.dtype != object:
        return np.flatnonzero(x != y).tolist()
    same = _same_rings if isinstance(kind, Polygons) else lambda p, q: bool(p == q)
    return [row for row, (p, q) in enumerate(zip(x, y, strict=True)) if not same(p, q)]


def _columns(given: Tracks, back: Tracks, both: tuple[Any, Any], seen: _Seen) -> None:
    a, b = given.take(both[0]), back.take(both[1])
    shapes = [_shapes(a, row) for row in range(len(a))]
    shown = shaped(b)

    for row in differing("visible", a.visible, b.visible):
        gone = set() if shown[row] else shapes[row] | {"absent"}
        unseen = {"unseen"} if "points" in shapes[row] else set[str]()
        unseen |= {"hidden"} if column(a, "outside")[row] else set()
        seen.add(1, f"visible of {_told(a, row)}", gone | unseen if a.visible[row] else {"hidden"})
    for row in differing("score", a.score, b.score):
        gone = set() if shown[row] else shapes[row] | {"absent"}
        kinds = {"flags"} if a.score[row] == 0 else {"scores"} if a.score[row] < 1 else gone
        seen.add(1, f"score {a.score[row]} -> {b.score[row]} of {_told(a, row)}", kinds)
    for row in differing("label", a.label, b.label):
        kinds = {"labels" if a.label[row] else "unlabelled"}
        seen.add(1, f"label {a.label[row]!r} -> {b.label[row]!r} of {_told(a, row)}", kinds)
    for row in differing("source", a.source, b.source):
        seen.add(1, f"source {a.source[row]} -> {b.source[row]} of {_told(a, row)}", {"source"})
    for row in differing("boxes", a.boxes, b.boxes):
        _box(a, b, row, shapes[row], seen)
    for row in differing("rle", column(a, "rle"), column(b, "rle")):
        m, n = a.mask(row), b.mask(row)
        kinds = (
            {"masks", "overlap", "hidden", "polygons", "size", "rounding"} if m is not None else set[str]()
        )
        seen.add(m is None or n is None or (m != n).any(), f"mask of {_told(a, row)}", kinds)
    _extras(a, b, seen)


def _told(tracks: Tracks, row: int) -> str:
    return f"object {tracks.object_id[row]} on frame {tracks.frame[row]}"


def _extras(a: Tracks, b: Tracks, seen: _Seen) -> None:
    """Optional columns of equal rows."""
    for name in ("velocity", *EXTRAS):
        if name not in a.columns() and name not in b.columns():
            continue
        x, y = column(a, name), column(b, name)
        kinds = {name, "rounding"} if name == "polygons" else {name}
        for row in differing(name, x, y):
            hidden = {"hidden"} if name == "polygons" and not a.visible[row] else set[str]()
            what = f"{name} of {_told(a, row)}: {str(x[row])[:60]} -> {str(y[row])[:60]}"
            seen.add(1, what, kinds | hidden)


def _box(a: Tracks, b: Tracks, row: int, shapes: set[str], seen: _Seen) -> None:
    x, y = a.boxes[row], b.boxes[row]
    kinds = {"rounding"} if np.abs(x - y).max(initial=0) <= 1.0 + NEAR or np.isnan(x).any() else set()
    turned = a.angle is not None and a.angle[row] != 0
    kinds |= {"angle"} if turned else set()
    kinds |= {"boxes"} if "boxes" in shapes or np.isnan(y).any() or shapes else set()
    kinds |= {"hidden"} if not a.visible[row] else set()
    kinds |= shapes
    seen.add(
        1, f"box of object {a.object_id[row]} on frame {a.frame[row]}: {x.round(3)} -> {y.round(3)}", kinds
    )


def _points(a: Tracks, b: Tracks, seen: _Seen) -> None:
    p, q = a.points, b.points
    if "skeletons" in seen.losses and "points" not in seen.losses:
        seen.add(1, "points of a skeleton", {"skeletons"})
        p, q = p.take(p.point_id == 0), q
    there = {
        k: i
        for i, k in enumerate(zip(q.frame.tolist(), q.object_id.tolist(), q.point_id.tolist(), strict=True))
    }
    seen_rows = a.visible[row_of_points(a)] if p is a.points else np.ones(len(p), bool)
    for i, key in enumerate(zip(p.frame.tolist(), p.object_id.tolist(), p.point_id.tolist(), strict=True)):
        hidden = {"unseen"} if seen_rows[i] and not p.visible[i] else {"unseen", "hidden"}
        j = there.pop(key, None)
        if j is None:
            seen.add(1, f"point {key}", {"points", *hidden} if not p.visible[i] else {"points", "hidden"})
            continue
        if not _near(p.xy[i : i + 1], q.xy[j : j + 1]).all():
            seen.add(
                1,
                f"place of point {key}: {p.xy[i]} -> {q.xy[j]}",
                {"rounding", *(() if p.visible[i] else hidden)},
            )
        if p.visible[i] != q.visible[j]:
            seen.add(1, f"visible of point {key}", hidden)
        if p.score[i] != q.score[j]:
            seen.add(1, f"score of point {key}", {"point_scores"})
    if "skeletons" not in seen.losses or "points" in seen.losses:
        seen.add(len(there), "new points", {"absent"})


def _about(given: Tracks, back: Tracks, seen: _Seen) -> None:
    """What belongs to no row."""
    x, y = given.record, back.record
    seen.add(given.size != back.size, f"size {given.size} -> {back.size}", {"size"})
    seen.add((x.objects or None) != (y.objects or None), f"tags {x.objects} -> {y.objects}", {"tags"})
    seen.add((x.edges or None) != (y.edges or None), f"edges {x.edges} -> {y.edges}", {"edges"})
    seen.add((x.id_map or None) != (y.id_map or None), f"ids {x.id_map} -> {y.id_map}", {"host_ids"})
    seen.add(len(given.step_seconds) != len(back.step_seconds), "times of steps", {"seconds"})
    seen.add(x.tracker is not None and x.tracker != y.tracker, "tracker", {"maker"})
    spans = [(0, 1) if r.source is None else r.source.span for r in (x, y)]
    seen.add(spans[0] != spans[1], f"span {spans}", {"span"})
    counts = [frame_count(t) for t in (given, back)]
    looked = [
        t.annotated_frames(n, dense=bool(t.record.dense)).tolist()
        for t, n in zip((given, back), counts, strict=True)
    ]
    seen.add(looked[0] != looked[1], f"frames looked at {looked}", {"unlooked", "gaps"})
