"""Sequence: a video with ground truth, prompts and ignore regions. Dataset: an iterable of sequences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, overload

import numpy as np

from vtlab.errors import InputError, near
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts
from vtlab.tracks import PointRows, Source, Tracks
from vtlab.tracks.groups import first_of_each
from vtlab.video import StreamVideo, Video


@dataclass(frozen=True)
class Sequence:
    """One item of a benchmark.

    Truth, prompts and ignore regions that were made on the whole video or on another cut of it get the frame numbers
    of `video` (see `Tracks.on`), or an `InputError` names both ranges. What says nothing of its source has the video's
    numbers: a frame beyond its end, or another number of frames, is an `InputError`. Truth carries the rule and the
    clip from then on.

    Attributes:
        name: Unique within its dataset.
        video: The frames.
        truth: Ground truth; None where there is none.
        prompts: What trackers start from: of each object every kind that the truth allows (box, mask, points).
        ignore: Regions that are not scored, as rows of boxes or masks by frame; None where there are none.
        benchmark: Name of the rule by which the benchmark scores (see `vtlab.metrics.rules`), "" for none.
        attributes: Tags such as "occlusion" or "fast motion", as the benchmark names them.
    """

    name: str
    video: Video
    truth: Tracks | None = None
    prompts: Prompts = field(default_factory=Prompts)
    ignore: Tracks | None = None
    benchmark: str = ""
    attributes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.video, Video):
            raise InputError(
                f"{self.name!r}: video must be a Video (open_video), got {type(self.video).__name__}."
            )
        for name, kind in (("truth", Tracks), ("prompts", Prompts), ("ignore", Tracks)):
            made = getattr(self, name)
            if not isinstance(made, kind) and (made is not None or name == "prompts"):
                raise InputError(f"{self.name!r}: {name} must be {kind.__name__}, got {type(made).__name__}.")
            object.__setattr__(self, name, None if made is None else made.on(self.video))
        if not isinstance(self.video, StreamVideo):
            self._check_length()
        if self.truth is not None:
            record = self.truth.record
            source = record.source or Source.of_video(self.video, digest=False)
            known = record.replace(source=source, rule=record.rule or self.benchmark or None)
            if known != record:
                object.__setattr__(self, "truth", replace(self.truth, record=known))

    def _check_length(self) -> None:
        """Raise `InputError` where truth, prompts or ignore regions can't be of this video."""
        n = len(self.video)
        tables = [(w, t) for w, t in (("truth", self.truth), ("ignore", self.ignore)) if t is not None]
        reached = [(what, int(t.frame.max(initial=-1))) for what, t in tables]
        for what, last in (*reached, ("prompts", max((p.frame for p in self.prompts), default=-1))):
            if last >= n:
                raise InputError(
                    f"{self.name!r}: the {what} reach frame {last} (counted from 0), the video has {n} frames. Remedy: "
                    "open all of the video, or cut both alike."
                )
        said = self.truth and self.truth.record.frames
        if said and said != n:
            raise InputError(f"{self.name!r}: the truth is of {said} frames, the video has {n}.")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.video)

    def __repr__(self) -> str:
        objects = "no truth" if self.truth is None else f"{len(self.truth.object_ids)} objects"
        return f"Sequence({self.name!r}, {self.video!r}, {objects})"


class Dataset(ABC):
    """Sequences of one layout on disk, found when the dataset is made and read one by one.

    Attributes:
        root: Folder or file given.
        names: Names of the sequences, in the benchmark's order.
    """

    layout: ClassVar[str] = ""
    root: Path
    names: tuple[str, ...]

    @abstractmethod
    def load(self, name: str) -> Sequence:
        """Read the sequence `name`, one of `names`."""

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sequence]:
        return (self.load(name) for name in self.names)

    @overload
    def __getitem__(self, key: int | str) -> Sequence: ...
    @overload
    def __getitem__(self, key: slice) -> list[Sequence]: ...
    def __getitem__(self, key: int | str | slice) -> Sequence | list[Sequence]:
        """Return a sequence by position or name, or a list of them by a slice."""
        if isinstance(key, slice):
            return [self.load(name) for name in self.names[key]]
        if isinstance(key, str):
            if key not in self.names:
                raise InputError(f"{self!r} has no sequence {key!r}. {near(key, self.names)}")
            return self.load(key)
        return self.load(self.names[key])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r}, {len(self)} sequences)"


def from_one(truth: Tracks) -> Tracks:
    """Truth whose ids prompts can have: where its file counts objects from 0, or from below, all are higher by as much.

    What the file calls them stands in `Record.id_map`.
    """
    ids = truth.object_ids.tolist()
    higher = 1 - min(ids, default=1)
    if higher <= 0:
        return truth
    known = truth.record.id_map or {}
    moved = truth.renamed({i: i + higher for i in ids})
    hosts = {str(i + higher): known.get(str(i), i) for i in ids}
    return moved.replace(record=moved.record.replace(id_map=hosts))


def first_prompts(truth: Tracks) -> Prompts:
    """Make the prompts that truth allows: for each object a box, a mask and its points where it is first seen.

    A box needs an area inside the frame, a mask a pixel, points need all of the object's points to be visible at
    once; each kind is given on the first frame that has it.
    """
    found: list[Prompt] = []
    labels, points, boxes = truth.labels, truth.points.object_rows(), _first_boxes(truth)
    masked = {} if truth.rle is None else truth.object_rows()
    for object_id in truth.object_ids.tolist():
        label = labels.get(object_id)
        if object_id in boxes:
            frame, box = boxes[object_id]
            found.append(BoxPrompt(box, object_id=object_id, frame=frame, label=label))
        seen = (row for row in masked.get(object_id, ()) if truth.visible[row])
        masks = (_mask_prompt(truth, int(row), object_id, label) for row in seen)
        found += [p for p in (next((m for m in masks if m is not None), None),) if p is not None]
        if object_id in points:
            found += _point_prompt(truth.points.take(points[object_id]), object_id, label)
    return Prompts(found, source=truth.record.source)


def _first_boxes(truth: Tracks) -> dict[int, tuple[int, tuple[float, float, float, float]]]:
    """Object id -> frame and xyxy of its first visible box with an area, of those that have one."""
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    good = (sides > 0) & (sides < np.inf)
    rows = np.flatnonzero(good[:, 0] & good[:, 1] & truth.visible)
    ids, first = first_of_each(truth.object_id[rows])
    first = rows[first]
    edges = ((x1, y1, x2, y2) for x1, y1, x2, y2 in truth.boxes[first].tolist())
    return dict(zip(ids.tolist(), zip(truth.frame[first].tolist(), edges, strict=True), strict=True))


def _mask_prompt(truth: Tracks, row: int, object_id: int, label: str | None) -> Prompt | None:
    mask = truth.mask(row)
    if mask is None or not mask.any():
        return None
    return MaskPrompt.of(mask, object_id=object_id, frame=int(truth.frame[row]), label=label)


def _point_prompt(points: PointRows, object_id: int, label: str | None) -> list[Prompt]:
    count = len(np.unique(points.point_id))
    seen = points.take(points.visible & np.isfinite(points.xy).all(axis=1))
    frames, counts = np.unique(seen.frame, return_counts=True)
    whole = frames[counts == count]
    if not whole.size or not count:
        return []
    now = seen.take(seen.frame == whole[0])
    xy = tuple((float(x), float(y)) for x, y in now.xy[np.argsort(now.point_id)])
    return [PointPrompt(xy, object_id=object_id, frame=int(whole[0]), label=label)]
