"""Tracks, truth and prompts carried from one copy of a video to another, with a ledger of what that loses.

A figure goes to every frame of the copy that shows its frame: repeated frames have the same figure, nothing is
interpolated. Coordinates are scaled where the copy has another size. Figures on frames that the copy lacks are lost.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import InputError, VtlabWarning
from vtlab.formats.ledger import Loss, lost
from vtlab.prompts import Prompt, Prompts
from vtlab.tracks import Source, Tracks, check_identity
from vtlab.video import Alignment, Manifest, Marks, check_found

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Carried:
    """Labels on another copy of their video.

    Attributes:
        labels: Tracks or prompts, with the frame numbers and pixels of the copy.
        losses: The ledger; empty where nothing is lost.
        repeated: Figures that were given to a further frame, since the copy shows their frame more than once.
    """

    labels: Tracks | Prompts
    losses: tuple[Loss, ...]
    repeated: int


def carry(labels: Tracks | Prompts, alignment: Alignment) -> Carried:
    """Carry labels of the video `a` of an alignment to its video `b`.

    Args:
        labels: Made on `a`, or on a cut of it; without a source, they are taken to have its numbers.
        alignment: Of `vtlab.video.align`.

    Raises:
        InputError: The two don't show the same, or not the same part of the picture; or the labels are of another video.

    Warns:
        VtlabWarning: Labels lie on frames whose place is not certain.
    """
    check_found(alignment)
    ways = _Ways(alignment)
    source = labels.source if isinstance(labels, Prompts) else labels.record.source
    if source is not None:
        check_identity(source, ways.made, "Prompts" if isinstance(labels, Prompts) else "Tracks")
    frames = [p.frame for p in labels] if isinstance(labels, Prompts) else labels.frame
    rows, there = ways.targets(np.asarray(frames, dtype=np.int64), source)
    _say_unsure(alignment, there)
    found: Tracks | Prompts
    losses: tuple[Loss, ...] = ()
    if isinstance(labels, Prompts):
        found = _prompts(labels, rows, there, ways)
    else:
        found, losses = _tracks(labels, rows, there, ways)
    gone = np.ones(len(labels), bool)
    gone[rows] = False
    if gone.any():
        losses = (_gone(np.asarray(frames)[gone], alignment), *losses)
    return Carried(found, losses, len(rows) - int((~gone).sum()))


class _Ways:
    """Where each frame of a lies in b."""

    def __init__(self, alignment: Alignment):
        self.alignment = alignment
        self.made, self.now = _source(alignment.a), _source(alignment.b)
        self.scale = alignment.b.width / alignment.a.width, alignment.b.height / alignment.a.height
        self.size = alignment.b.height, alignment.b.width
        matched = np.flatnonzero(alignment.matched)
        self._order = matched  # frames of a never fall, so this is their order, too
        self._first = np.searchsorted(alignment.frames[matched], np.arange(len(alignment.a) + 1))

    def targets(self, frames: Ints, source: Source | None) -> tuple[Ints, Ints]:
        """(K,) rows of `frames` (N,), one for each frame of b that shows them, and these frames of b."""
        places = frames if source is None else source.places(self.made, frames)
        known = (places >= 0) & (places < len(self.alignment.a))
        at = np.where(known, places, 0)
        counts = np.where(known, self._first[at + 1] - self._first[at], 0)
        rows = np.repeat(np.arange(len(frames)), counts)
        nth = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self._order[self._first[at[rows]] + nth]

    @property
    def scaled(self) -> bool:
        """Whether b has another size."""
        return self.scale != (1.0, 1.0)

    def mask(self, counts: bytes, size: tuple[int, int]) -> bytes:
        """A mask of a in the size of b, by the nearest pixel."""
        import cv2

        mask = masks.decode(counts, *size).astype(np.uint8)
        # Plain INTER_NEAREST goes by pixels' corners, EXACT by centres, as Pillow does: nothing shifts.
        return masks.encode(cv2.resize(mask, self.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0)


def _source(manifest: Manifest) -> Source:
    """The source of labels on the video of a manifest."""
    return Source(
        name=manifest.name,
        digest=manifest.digest,
        width=manifest.width,
        height=manifest.height,
        frames=len(manifest),
        marks=Marks.of_manifest(manifest).to_dict(),
    )


def _say_unsure(alignment: Alignment, there: Ints) -> None:
    doubt = np.unique(there[~alignment.certain[there]])
    if len(doubt):
        warnings.warn(
            f"{len(doubt)} labelled frames of {alignment.b.name} ({_some(doubt)}) have no certain place in "
            f"{alignment.a.name}: frames there look alike. Look whether the labels fit.",
            VtlabWarning,
            stacklevel=4,
        )


def _gone(frames: Ints, alignment: Alignment) -> Loss:
    """The row of the ledger of figures on frames that b lacks."""
    told = f"{len(frames)} rows on frames that {alignment.b.name} lacks"
    return Loss("off_grid", len(frames), told, f"frames {_some(np.unique(frames))}", f"frame {frames[0]}")


def _some(frames: Ints) -> str:
    told = ", ".join(str(f) for f in frames[:6].tolist())
    return told + (f", ... {frames[-1]}" if len(frames) > 6 else "")


def _tracks(tracks: Tracks, rows: Ints, there: Ints, ways: _Ways) -> tuple[Tracks, tuple[Loss, ...]]:
    losses = lost("seconds", tracks)
    columns: dict[str, Any] = {name: values[rows] for name, values in tracks.columns().items()}
    if tracks.time is not None:
        columns["time"] = ways.alignment.b.times[there]
    which, frame = ways.targets(tracks.points.frame, tracks.record.source)
    points = tracks.points.take(which).replace(frame=frame)
    size = tracks.size
    if ways.scaled:
        losses |= _refuse_or_tell(tracks, ways)
        columns |= _scaled(columns, tracks, ways)
        points = points.replace(xy=points.xy * np.asarray(ways.scale))
        size = ways.size if size is not None else None
    encoded = columns.pop("rle", None)
    found = Tracks.of(
        **columns | {"frame": there},
        masks=None if encoded is None else encoded.tolist(),
        points=points,
        size=size,
        record=_record(tracks, ways),
    )
    return found, tuple(losses.values())


def _scaled(columns: dict[str, Any], tracks: Tracks, ways: _Ways) -> dict[str, Any]:
    """The columns with coordinates, in pixels of b."""
    found: dict[str, Any] = {"boxes": columns["boxes"] * np.tile(ways.scale, 2)}
    if columns.get("velocity") is not None:
        found["velocity"] = columns["velocity"] * np.asarray(ways.scale)
    if columns.get("polygons") is not None:
        found["polygons"] = [
            None if rings is None else [np.asarray(ring) * ways.scale for ring in rings]
            for rings in columns["polygons"]
        ]
    if columns.get("rle") is not None and tracks.size is not None:
        size = tracks.size
        column = np.empty(len(columns["rle"]), dtype=object)
        for row, counts in enumerate(columns["rle"]):
            column[row] = None if counts is None else ways.mask(counts, size)
        found["rle"] = column
    return found


def _refuse_or_tell(tracks: Tracks, ways: _Ways) -> dict[str, Loss]:
    """What another size loses: masks are drawn anew; turned boxes are none any more where the proportions change."""
    x, y = ways.scale
    # Copies round their sides to whole, often even, pixels: 854 x 480 of 1280 x 720 is off by 0.08 %.
    if tracks.angle is not None and tracks.angle.any() and abs(x / y - 1) > 0.01:
        raise InputError(
            f"{ways.now.name!r} has other proportions than {ways.made.name!r} ({x:.3g} times as wide, {y:.3g} times as "
            "high): turned boxes would be none any more. Remedy: make the copy in the same proportions."
        )
    return lost("masks", tracks, "{} masks drawn anew in another size, by the nearest pixel")


def _record(tracks: Tracks, ways: _Ways) -> Any:
    """The record on b."""
    record, source = tracks.record, tracks.record.source
    looked = record.annotated
    if looked is None and record.dense:
        looked = tuple(range(len(ways.alignment.a)))
    if looked is not None:
        looked = tuple(ways.targets(np.asarray(looked, dtype=np.int64), source)[1].tolist())
    events = None
    if record.events:
        rows, there = ways.targets(np.array([e.get("frame", -1) for e in record.events], np.int64), source)
        events = [record.events[r] | {"frame": j} for r, j in zip(rows.tolist(), there.tolist(), strict=True)]
    told = {"name": ways.made.name, "digest": ways.made.digest}
    return record.replace(
        source=ways.now,
        frames=None if record.frames is None else len(ways.alignment.b),
        annotated=looked,
        files=None,
        events=events,
        extra={**record.extra, "carried_from": told},
    )


def _prompts(prompts: Prompts, rows: Ints, there: Ints, ways: _Ways) -> Prompts:
    found = [_moved(prompts[r], j, ways) for r, j in zip(rows.tolist(), there.tolist(), strict=True)]
    return Prompts(found, source=ways.now)


def _moved(prompt: Prompt, frame: int, ways: _Ways) -> Prompt:
    values: dict[str, Any] = {"frame": frame}
    for name in (f.name for f in fields(prompt)) if ways.scaled else ():
        value = getattr(prompt, name)
        if name in ("points", "polygon") and value:
            values[name] = tuple(map(tuple, (np.asarray(value) * ways.scale).tolist()))
        elif name == "xyxy" and value is not None:
            values[name] = tuple((np.asarray(value) * np.tile(ways.scale, 2)).tolist())
        elif name == "counts" and value:
            values |= {"counts": ways.mask(value, prompt.size), "size": ways.size}  # type: ignore[attr-defined]
    return replace(prompt, **values)
