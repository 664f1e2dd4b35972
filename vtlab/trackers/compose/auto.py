"""Auto Track: each prompt's geometry chooses the method; mixed geometries run together.

The table of methods is a parameter. Handed evidence (`vtlab lab learn`), it takes for each box what was worth most on
objects like it, says how much and what comes next, and goes by the table where the evidence can't tell (`evidence.py`).
What a method lacks on this machine (weights, a package) lets the next one of its row take over, with a notice. Objects that
leave are noticed and end instead of drifting (`leaving.py`).

An oriented box is followed through its upright extent where the method knows only boxes: it keeps its angle and its
proportions, and its corners are the object's points.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import OfflineTracker, OnlineTracker, Tracker
from vtlab.errors import InputError, MissingDependencyError, VtlabWarning, WeightsError, near
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.prompts.shapes import corners_within
from vtlab.registry import TRACKERS, register
from vtlab.trackers.compose.evidence import AHEAD, Advice, Evidence, features_of
from vtlab.trackers.compose.leaving import Leaving, Watch
from vtlab.trackers.create import create_tracker
from vtlab.tracks import FrameTracks
from vtlab.weights.here import lacking

if TYPE_CHECKING:
    from vtlab.video import Frame

_POINTS = ("bootstapir-online", "tapnext", "lucas-kanade")
_BOXES = ("mcitrack-t224", "mixformer-cvt", "nanotrack-v3", "nanotrack-v2", "csrt")
_MASKS = ("sam2.1-tiny", "xmem", "flow")
TABLE: dict[str, tuple[str, ...]] = {
    "box": _BOXES,
    "oriented box": _BOXES,
    "mask": _MASKS,
    "click": _MASKS,
    "points": _POINTS,
    "polyline": _POINTS,
    "polygon": _POINTS,
    "skeleton": _POINTS,
}
"""Geometry -> methods, the preferred first; the last of each needs no download."""
_LEAVING = Leaving()
SHIPPED = Path(__file__).with_name("evidence.json")
"""Evidence of our own runs, small; its `about` says of what (docs/box_trackers.md)."""


@register(
    "auto",
    family="multi",
    summary="Chooses the method by each prompt's geometry; objects that leave end instead of drifting.",
    accepts={BoxPrompt, MaskPrompt, ClickPrompt, PointPrompt, SkeletonPrompt},
    emits={"boxes", "masks", "points"},
    licence="that of the methods chosen",
)
class Auto(OfflineTracker):
    """Follows objects of any geometry, each group by a method of its own.

    `events` tells which method each object got and which objects left, when and why.

    Args:
        table: Geometry -> methods in order of preference; geometries left out keep the default (`TABLE`).
        evidence: What trackers of boxes were worth on other objects, as `vtlab lab learn` writes it: a file, or "shipped"
            for the small table that comes with vtlab. None: boxes go by the table, too.
        budget_ms: Most milliseconds a frame and object of what is chosen by evidence, as they were measured there.
        leaving: Rules for objects that leave, as `Leaving` or a mapping of its fields; None = objects never end.

    Raises:
        InputError: An unknown geometry or method in the table, or an unknown field in `leaving`; a file that is no
            evidence; a budget without evidence.
    """

    def __init__(
        self,
        *,
        table: Mapping[str, Sequence[str]] | None = None,
        evidence: str | Path | None = None,
        budget_ms: float | None = None,
        leaving: Leaving | Mapping[str, float] | None = _LEAVING,
    ):
        for geometry, names in (table or {}).items():
            if geometry not in TABLE:
                raise InputError(f"auto: unknown geometry {geometry!r}. {near(geometry, TABLE)}")
            for name in names:
                TRACKERS.card(name)
        known = set(TRACKERS.names())
        self.table = {
            g: tuple(n for n in names if n in known) for g, names in {**TABLE, **(table or {})}.items()
        }
        try:
            self.leaving = Leaving(**dict[str, Any](leaving)) if isinstance(leaving, Mapping) else leaving
        except TypeError as error:
            raise InputError(
                f"auto: leaving: {error}; it has {', '.join(Leaving.__dataclass_fields__)}."
            ) from None
        if budget_ms is not None and (evidence is None or not budget_ms > 0):
            raise InputError(
                f"auto: budget_ms={budget_ms!r} needs evidence, and is above 0: it says what trackers cost."
            )
        self.budget_ms = budget_ms
        self.evidence = (
            None if evidence is None else Evidence.load(SHIPPED if evidence == "shipped" else evidence)
        )
        self.advice: dict[int, Advice] = {}
        self.events: list[dict[str, Any]] = []
        self._made: list[Tracker] = []

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Run every group over the same frames, a window apart at most, and join their answers."""
        self.events, self.advice = [], {}
        if self.evidence is not None:
            given = set(prompts.frames)
            for frame in frames:
                if frame.index in given:
                    break
                n_frames -= 1
                yield frame.index, FrameTracks.empty()
            else:
                return
            ahead = [frame, *itertools.islice(frames, AHEAD)]
            frames = itertools.chain(ahead, frames)
            self._ask(self.evidence, ahead, prompts, n_frames)
        groups = self._groups(prompts)
        watch = Watch(self.leaving, prompts, self.events) if self.leaving else None
        # The copies of the stream hold as many frames as the slowest method's window.
        copies = itertools.tee(frames, len(groups) + 1)
        runs = [
            _oriented(_steps(tracker, copy, mine, n_frames), mine)
            for copy, (tracker, mine) in zip(copies[1:], groups, strict=True)
        ]
        for frame, *answers in zip(copies[0], *runs, strict=True):
            answer = FrameTracks.concat([a for _, a in answers])
            yield frame.index, watch.check(frame, answer) if watch else answer

    def close(self) -> None:
        """Close the methods in use."""
        for tracker in self._made:
            tracker.close()
        self._made = []

    def _groups(self, prompts: Prompts) -> list[tuple[Tracker, Prompts]]:
        alike: dict[tuple[str, str], list[Prompt]] = {}
        for object_id in prompts.object_ids:
            mine = list(prompts.of(object_id))
            advised = self.advice[object_id].tracker if object_id in self.advice else ""
            alike.setdefault((_geometry(mine), advised), []).extend(mine)
        chosen: dict[str, tuple[Tracker, list[Prompt]]] = {}
        for (geometry, advised), mine in alike.items():
            row = [*filter(None, [advised]), *self.table[geometry]]
            name, tracker = self._choose(geometry, row, {n: t for n, (t, _) in chosen.items()})
            fits = [p for p in mine if type(p) in tracker.card.accepts]
            chosen.setdefault(name, (tracker, []))[1].extend(fits)
            for object_id in sorted({p.object_id for p in fits}):
                first = min(p.frame for p in fits if p.object_id == object_id)
                self.events.append(
                    {
                        "frame": first,
                        "object_id": object_id,
                        "event": "method",
                        "reason": f"{geometry}: {name}{self._why(name, object_id)}",
                    }
                )
        return [(tracker, Prompts(mine)) for tracker, mine in chosen.values()]

    def _ask(self, evidence: Evidence, ahead: Sequence[Frame], prompts: Prompts, n_frames: int) -> None:
        """What the evidence says of the boxes that are prompted on the first of these frames."""
        images, took = [f.image for f in ahead], abs(ahead[-1].timestamp - ahead[0].timestamp)
        # 25 where there is a single frame to tell it from.
        fps = (len(ahead) - 1) / took if took > 0 else 25.0
        now = prompts.by_frame()[ahead[0].index]
        together = len({p.object_id for p in now if isinstance(p, BoxPrompt)})
        usual = next((name for name in self.table["box"] if _here(name)), None)
        among = [name for name in evidence.quality if name in TRACKERS.names() and _here(name)]
        for object_id in prompts.object_ids:
            first = next((p for p in now if p.object_id == object_id), None)
            if not isinstance(first, BoxPrompt) or _geometry(list(prompts.of(object_id))) != "box":
                continue
            seen = features_of(
                images,
                first.box(*images[0].shape[:2]),
                fps=fps,
                seconds=max(n_frames, 1) / fps,
                together=together,
            )
            self.advice[object_id] = evidence.advise(seen, among, instead_of=usual, budget_ms=self.budget_ms)

    def _why(self, name: str, object_id: int) -> str:
        """The reason of a choice beside its geometry, in words."""
        if self.evidence is None:
            return " (by the fixed table)"
        advice = self.advice.get(object_id)
        if advice is None:
            return " (by the fixed table: the evidence is of boxes that are prompted first)"
        if advice.tracker != name:
            return (
                f" (by the fixed table; the evidence {advice.reason})"
                if not advice.tracker
                else " (by the fixed table)"
            )
        low, high = (f"{v:.2f}" for v in (advice.low, advice.high))
        after = (
            f"; next {advice.runner_up} {advice.table[advice.runner_up][0]:.2f}" if advice.runner_up else ""
        )
        told = f"{self.evidence.metric} {advice.expected:.2f} [{low}, {high}]"
        return f" (by evidence: {told} expected, {advice.reason}{after})"

    def _choose(
        self, geometry: str, names: Sequence[str], made: Mapping[str, Tracker]
    ) -> tuple[str, Tracker]:
        lacking = []
        for name in names:
            if name in made:
                return name, made[name]
            try:
                tracker = create_tracker(name)
            except (WeightsError, MissingDependencyError) as error:
                lacking.append(f"{name} ({str(error).split('. ')[0].rstrip('.')})")
                continue
            self._made.append(tracker)
            if lacking:
                warnings.warn(
                    f"auto: {geometry} is followed by {name}, because of {'; '.join(lacking)}.",
                    VtlabWarning,
                    stacklevel=2,
                )
            return name, tracker
        raise WeightsError(
            f"auto: no method for {geometry} can run here: {'; '.join(lacking) or 'the row is empty'}."
        )


def _here(name: str) -> bool:
    """True if the files and the package of a method are on this machine."""
    return not lacking(TRACKERS.card(name), TRACKERS.find(name))


def _geometry(prompts: Sequence[Prompt]) -> str:
    """Geometry of an object: the richest that it was given."""
    for kind, name in ((MaskPrompt, "mask"), (ClickPrompt, "click"), (SkeletonPrompt, "skeleton")):
        if any(isinstance(p, kind) for p in prompts):
            return name
    for p in prompts:
        if isinstance(p, BoxPrompt):
            return "oriented box" if any(isinstance(q, BoxPrompt) and q.angle for q in prompts) else "box"
    first = prompts[0]
    return first.shape if isinstance(first, PointPrompt) else "points"


def _steps(
    tracker: Tracker, frames: Iterator[Frame], prompts: Prompts, n_frames: int
) -> Iterator[tuple[int, FrameTracks]]:
    """One answer for each frame, empty before the first prompt."""
    given = prompts.by_frame()
    waiting: list[int] = []
    first = None
    for frame in frames:
        if frame.index in given:
            first = frame
            break
        waiting.append(frame.index)
        yield frame.index, FrameTracks.empty()
    if first is None:
        return
    rest = itertools.chain([first], frames)
    if isinstance(tracker, OnlineTracker):
        for frame in rest:
            now = given.get(frame.index, Prompts())
            yield frame.index, tracker.init(frame, now) if frame is first else tracker.step(frame, now)
    else:
        yield from tracker.run(rest, prompts, max(n_frames - len(waiting), 0))


def _oriented(
    steps: Iterator[tuple[int, FrameTracks]], prompts: Prompts
) -> Iterator[tuple[int, FrameTracks]]:
    """The same answers, with the corners of oriented boxes where the method gave an upright box only."""
    given = prompts.by_frame()
    boxes: dict[int, BoxPrompt] = {}
    for frame, answer in steps:
        for p in given.get(frame, ()):
            boxes.pop(p.object_id, None)
            if isinstance(p, BoxPrompt) and p.angle:
                boxes[p.object_id] = p
        found = [
            (i, corners_within(boxes[i], box), seen, score)
            for i, box, seen, score in zip(
                answer.object_ids.tolist(), answer.boxes, answer.visible, answer.scores, strict=True
            )
            if i in boxes and i not in answer.point_owners and np.isfinite(box).all()
        ]
        for i, corners, seen, score in found:
            four = FrameTracks.of_points([i] * 4, range(4), corners, seen, score)
            answer = replace(
                answer,
                point_owners=np.concatenate([answer.point_owners, four.point_owners]),
                point_ids=np.concatenate([answer.point_ids, four.point_ids]),
                points=np.concatenate([answer.points, four.points]),
                point_visible=np.concatenate([answer.point_visible, four.point_visible]),
                point_scores=np.concatenate([answer.point_scores, four.point_scores]),
            )
        yield frame, answer
