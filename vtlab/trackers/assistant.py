"""Assistant: labels a video with little help. A detector discovers objects, a tracker follows them.

Every `every` seconds (and on each frame while a new object waits to be confirmed) the detectors look at the frame. What
they see of a followed object is merged with its tracker's answer; what nobody follows becomes a new object, or an old one
that was lost and looks the same. What a person drew is followed from its prompt on and never deleted. Names no paper: it is
the flow of annotation platforms (discover, follow, merge, confirm, find again), with its decisions in a report.

    assistant = vtlab.create_tracker("assistant", detector="fastestdet", follower="nanotrack-v2")
    tracks = vtlab.track(video, prompts, assistant)
    assistant.report()                         # when and by what each object was born, lost and found
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.assignment import assign
from vtlab.association.reid import make_embedder, unit
from vtlab.errors import InputError
from vtlab.geometry import box_iou, paired_iou
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt, Prompts
from vtlab.protocols import OnlineTracker
from vtlab.registry import register
from vtlab.trackers.by_detection import make_detector
from vtlab.trackers.per_object import create_tracker
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    import pandas as pd

    from vtlab.video import Frame

Array = NDArray[np.float64]
COLUMNS = ("object_id", "frame", "seconds", "event", "by", "label")
_MEMORY = 0.8  # part of its old vector that an object keeps at each look


@dataclass
class _Object:
    """One object that is followed or was lost."""

    serial: int
    object_id: int | None  # None while it is not confirmed
    manual: bool
    box: Array
    score: float = 1.0
    visible: bool = True
    mask: NDArray[np.bool_] | None = None
    source: str = "tracked"
    hits: int = 1
    misses: int = 0
    unseen_since: float | None = None
    lost_at: float | None = None
    vector: Any = None
    follower: OnlineTracker | None = None
    votes: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str | None:
        """The class with most confidence so far."""
        return max(self.votes, key=self.votes.__getitem__) if self.votes else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the detectors saw on a frame: boxes (n, 4), scores (n,), labels and the detector of each."""

    boxes: Array
    scores: Array
    labels: list[str | None]
    by: list[str]


@register(
    "assistant",
    family="multi",
    summary="Labels a video: a detector discovers objects, a tracker follows them, people's prompts are kept.",
    accepts=[BoxPrompt, MaskPrompt],
    emits=["boxes"],
    licence="Apache-2.0",
)
class Assistant(OnlineTracker):
    """The labelling assistant.

    Args:
        detector: A detector (see `ByDetection`) or a list of several, whose findings are joined.
        follower: Name, class or `file.py:Class` of an online tracker that takes boxes (or masks); one is made for each
            object.
        detector_params: Parameters of the detector's constructor (of one detector).
        follower_params: Parameters of the follower's constructor.
        every: Seconds between two looks of the detectors.
        confirm: Looks that must see a new object before it is shown and numbered; they come on successive frames.
        new: Lowest confidence of a detection that begins an object.
        same: Lowest IoU at which a detection is a followed object.
        refresh: Below this IoU with its detection a followed object starts afresh from the detection.
        duplicate: IoU above which two followed objects are one; the younger is removed, never what a person drew.
        lost_looks: Looks in a row that miss an object before it is lost.
        lost_seconds: Seconds for which its tracker does not see an object before it is lost.
        forget: Seconds after which a lost object can no longer be found again.
        embedder: Appearance by which lost objects are found again, see `association.reid.make_embedder`.
        appearance: Lowest cosine for that; None: what the embedder calls alike.
        most: Most objects that are followed at once; further ones are not begun.
    """

    def __init__(
        self,
        *,
        detector: Any = "auto",
        follower: Any = "kcf",
        detector_params: Mapping[str, Any] | None = None,
        follower_params: Mapping[str, Any] | None = None,
        every: float = 0.5,
        confirm: int = 2,
        new: float = 0.4,
        same: float = 0.1,
        refresh: float = 0.6,
        duplicate: float = 0.8,
        lost_looks: int = 3,
        lost_seconds: float = 1.0,
        forget: float = 20.0,
        embedder: Any = "histogram",
        appearance: float | None = None,
        most: int = 100,
    ):
        self._check(every=every, lost_seconds=lost_seconds, forget=forget)
        self._check(confirm=confirm - 1, lost_looks=lost_looks - 1, most=most - 1)
        several = detector if isinstance(detector, Sequence) and not isinstance(detector, str) else [detector]
        if not several or (len(several) > 1 and detector_params):
            raise InputError(
                "Assistant: detector_params goes with exactly one detector; give instances of several."
            )
        self._detectors = [make_detector(d, detector_params) for d in several]
        self._make = lambda: create_tracker(follower, **(follower_params or {}))
        self._spare: OnlineTracker | None = self._follower()
        self._every, self._confirm, self._new, self._same = float(every), confirm, float(new), float(same)
        self._refresh, self._duplicate, self._lost_looks = float(refresh), float(duplicate), lost_looks
        self._lost_seconds, self._forget, self._most = float(lost_seconds), float(forget), most
        self._embedder = make_embedder(embedder)
        least = getattr(self._embedder, "threshold", 0.8)
        self._appearance = float(least if appearance is None else appearance)
        self._forget_all()

    @staticmethod
    def _check(**values: float) -> None:
        for name, value in values.items():
            if not value >= 0:
                raise InputError(
                    f"Assistant: {name} is too small, got {value!r} (counts are at least 1, seconds 0)."
                )

    def _forget_all(self) -> None:
        self._live: list[_Object] = []
        self._lost: list[_Object] = []
        self._events: list[tuple[Any, ...]] = []
        self._removed: set[int] = set()
        self._next_id, self._next_serial = 1, 1
        self._looked: float | None = None
        self._time = self._last = 0.0

    # -- the tracker --------------------------------------------------------------------------------------------

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget everything, begin with the prompts, look for objects."""
        for detector in self._detectors:
            detector.reset()
        self._forget_all()
        self._last = frame.timestamp
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Follow all objects, take the person's prompts, and look for new objects when it is time."""
        self._time += abs(frame.timestamp - self._last)
        self._last = frame.timestamp
        prompted = {p.object_id for p in prompts}
        for item in self._live:
            if item.object_id not in prompted or item.object_id is None:
                self._follow(item, frame)
        for prompt in prompts:
            self._take(prompt, frame)
        waiting = any(o.object_id is None for o in self._live)
        if self._looked is None or waiting or self._time - self._looked >= self._every - 1e-9:
            self._looked = self._time
            self._look(frame)
        self._lose_unseen(frame)
        return self._answer()

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects and never find them again."""
        gone = {int(i) for i in object_ids}
        self._removed |= gone
        self._live = [o for o in self._live if o.object_id not in gone]
        self._lost = [o for o in self._lost if o.object_id not in gone]

    def close(self) -> None:
        """Free the followers; the report stays."""
        for item in [*self._live, *self._lost]:
            if item.follower is not None:
                item.follower.close()
                item.follower = None

    def report(self) -> pd.DataFrame:
        """What happened to each object: object_id, frame, seconds, event, by, label.

        Events: "drawn" and "corrected" (by a person), "born" (by a detector), "lost" (by the looks or the follower),
        "found" (by appearance or a person), "removed" (as a duplicate).
        """
        import pandas as pd

        return pd.DataFrame(self._events, columns=list(COLUMNS))

    # -- following ----------------------------------------------------------------------------------------------

    def _follower(self) -> OnlineTracker:
        made = self._make()
        if not isinstance(made, OnlineTracker) or not made.card.accepts & {BoxPrompt, MaskPrompt}:
            raise InputError(
                f"Assistant: {made.card.name!r} can't follow: it must be online and take boxes or masks."
            )
        return made

    def _start(self, item: _Object, frame: Frame, prompt: Prompt | None = None) -> None:
        """(Re)start an object's follower from its box, or from a person's prompt."""
        if item.follower is None:
            item.follower, self._spare = self._spare or self._follower(), None
        accepts = item.follower.card.accepts
        if prompt is not None and type(prompt) in accepts:
            begin: Prompt = prompt
        elif BoxPrompt in accepts:
            begin = BoxPrompt(tuple(item.box.tolist()), object_id=1, frame=frame.index)  # type: ignore[arg-type]
        else:
            x1, y1, x2, y2 = item.box.tolist()
            begin = MaskPrompt(
                polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)), object_id=1, frame=frame.index
            )
        self._read(item, item.follower.init(frame, Prompts([begin])))

    def _follow(self, item: _Object, frame: Frame) -> None:
        if item.follower is not None:
            self._read(item, item.follower.step(frame))
            item.source = "tracked"

    def _read(self, item: _Object, answer: FrameTracks) -> None:
        """Take over what the follower says; a box it doesn't give keeps its last place."""
        if not len(answer) or not bool(answer.visible[0]) or not np.isfinite(answer.boxes[0]).all():
            item.visible, item.mask = False, None
            item.unseen_since = self._time if item.unseen_since is None else item.unseen_since
            return
        item.box, item.score, item.visible = answer.boxes[0].copy(), float(answer.scores[0]), True
        item.mask = None if answer.masks is None else answer.masks[0]
        item.unseen_since = None

    def _take(self, prompt: Prompt, frame: Frame) -> None:
        """Begin, correct or find an object as the person says."""
        known = next((o for o in [*self._live, *self._lost] if o.object_id == prompt.object_id), None)
        height, width = frame.image.shape[:2]
        box = prompt.box(height, width)
        event = "drawn" if known is None else "corrected" if known in self._live else "found"
        if known is None:
            known = _Object(self._serial(), prompt.object_id, True, box)
            self._next_id = max(self._next_id, prompt.object_id + 1)
        self._lost = [o for o in self._lost if o is not known]
        if known not in self._live:
            self._live.append(known)
        known.manual, known.box, known.misses, known.lost_at = True, box, 0, None
        known.source = "manual"
        if prompt.label is not None:
            known.votes = {prompt.label: float("inf")}
        self._start(known, frame, prompt)
        known.box, known.score, known.visible, known.unseen_since = box, 1.0, True, None
        if isinstance(prompt, MaskPrompt):
            known.mask = prompt.mask(height, width)
        self._note(known, frame, event, "person")

    # -- looking ------------------------------------------------------------------------------------------------

    def _look(self, frame: Frame) -> None:
        seen = self._detect(frame)
        boxes = np.array([o.box for o in self._live]).reshape(-1, 4)
        overlap = box_iou(boxes, seen.boxes)
        rows, columns = assign(overlap, self._same, rule="gain") if overlap.size else (np.empty(0, int),) * 2
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            self._agree(self._live[row], seen, column, float(overlap[row, column]), frame)
        matched = set(rows.tolist())
        missed = [item for row, item in enumerate(self._live) if row not in matched]
        for item in missed:
            item.misses += 1
        covered = overlap.max(axis=0, initial=0.0) >= 0.5  # a second detection of what is followed
        free = [c for c in range(len(seen.boxes)) if c not in set(columns.tolist()) and not covered[c]]
        drifted = [o for o in missed if not o.manual and o.object_id is not None]
        self._discover([c for c in free if seen.scores[c] >= self._new], drifted, seen, frame)
        self._tidy(frame)

    def _detect(self, frame: Frame) -> _Seen:
        """Findings of all detectors; of two that overlap above `duplicate` the surer stays."""
        rows: list[tuple[float, Array, str | None, str]] = []
        for detector in self._detectors:
            found = detector.detect_frame(frame)
            scores = np.ones(len(found)) if found.confidence is None else found.confidence
            labels = found.data.get("class_name", [None] * len(found))
            by = getattr(detector, "card", None)
            rows += [
                (
                    float(s),
                    np.asarray(b, dtype=np.float64),
                    None if x is None else str(x),
                    by.name if by else "detector",
                )
                for s, b, x in zip(scores, found.xyxy, labels, strict=True)
                if np.isfinite(b).all() and (b[2:] > b[:2]).all()
            ]
        rows.sort(key=lambda r: -r[0])
        kept: list[tuple[float, Array, str | None, str]] = []
        for row in rows:
            if not kept or paired_iou(np.array([k[1] for k in kept]), row[1]).max() < self._duplicate:
                kept.append(row)
        boxes = np.array([r[1] for r in kept]).reshape(-1, 4)
        return _Seen(boxes, np.array([r[0] for r in kept]), [r[2] for r in kept], [r[3] for r in kept])

    def _agree(self, item: _Object, seen: _Seen, column: int, overlap: float, frame: Frame) -> None:
        """Merge a detection with the object it shows."""
        box, score, label = seen.boxes[column], float(seen.scores[column]), seen.labels[column]
        item.hits, item.misses = item.hits + 1, 0
        if label is not None:
            item.votes[label] = item.votes.get(label, 0.0) + score
        if not item.manual:
            if overlap < self._refresh:
                item.box = box.copy()
                self._start(item, frame)
            weight = score / max(score + item.score, 1e-9)
            item.box = weight * box + (1 - weight) * item.box
            item.score, item.visible, item.unseen_since = max(score, item.score), True, None
            item.source = "detected"
        self._describe(item, frame)
        if item.object_id is None and item.hits >= self._confirm:
            item.object_id, self._next_id = self._next_id, self._next_id + 1
            self._note(item, frame, "born", seen.by[column])

    def _discover(self, columns: list[int], drifted: list[_Object], seen: _Seen, frame: Frame) -> None:
        """Find lost objects, and those whose follower drifted off, by appearance; begin new ones with the rest."""
        if not columns:
            return
        vectors = self._embedder.embed(frame.image, seen.boxes[columns])
        taken: dict[int, _Object] = {}
        pool = [o for o in [*self._lost, *drifted] if o.vector is not None]
        if pool:
            likeness = np.array([o.vector for o in pool]) @ vectors.T
            rows, found = assign(likeness.astype(np.float64), self._appearance, rule="gain")
            taken = {c: pool[r] for r, c in zip(rows.tolist(), found.tolist(), strict=True)}
        for i, column in enumerate(columns):
            if i in taken:
                self._revive(taken[i], seen, column, frame)
            elif len(self._live) < self._most:
                self._begin(seen, column, vectors[i], frame)

    def _revive(self, item: _Object, seen: _Seen, column: int, frame: Frame) -> None:
        """Follow a lost object, or one whose follower drifted off, from a detection on."""
        item.box, item.score = seen.boxes[column].copy(), float(seen.scores[column])
        item.misses, item.source = 0, "detected"
        self._start(item, frame)
        item.box, item.visible, item.unseen_since = seen.boxes[column].copy(), True, None
        if item.lost_at is not None:
            self._lost = [o for o in self._lost if o is not item]
            self._live.append(item)
            item.lost_at = None
            self._note(item, frame, "found", "appearance")

    def _begin(self, seen: _Seen, column: int, vector: Any, frame: Frame) -> None:
        label, score = seen.labels[column], float(seen.scores[column])
        item = _Object(
            self._serial(), None, False, seen.boxes[column].copy(), score, source="detected", vector=vector
        )
        if label is not None:
            item.votes[label] = score
        self._start(item, frame)
        item.box, item.score, item.visible = seen.boxes[column].copy(), score, True
        self._live.append(item)
        if self._confirm == 1:
            item.object_id, self._next_id = self._next_id, self._next_id + 1
            self._note(item, frame, "born", seen.by[column])

    def _describe(self, item: _Object, frame: Frame) -> None:
        vector = self._embedder.embed(frame.image, item.box[None])
        if item.vector is not None:
            vector = unit(_MEMORY * np.asarray(item.vector)[None] + (1 - _MEMORY) * vector)
        item.vector = vector[0]

    # -- losing -------------------------------------------------------------------------------------------------

    def _tidy(self, frame: Frame) -> None:
        """Drop what was not confirmed, lose what the looks miss, remove duplicates."""
        for item in list(self._live):
            if item.object_id is None and item.misses:
                self._drop(item)
            elif not item.manual and item.misses >= self._lost_looks:
                self._lose(item, frame, "looks")
        for older, younger in self._twins():
            if younger in self._live and older in self._live:
                self._drop(younger)
                if younger.object_id is not None:
                    self._note(younger, frame, "removed", f"duplicate of {older.object_id}")
        self._lost = [o for o in self._lost if o.manual or self._time - (o.lost_at or 0.0) <= self._forget]

    def _twins(self) -> list[tuple[_Object, _Object]]:
        """Pairs (kept, removed) of followed objects that lie on each other."""
        items = [o for o in self._live if o.visible]
        if len(items) < 2:
            return []
        overlap = box_iou(np.array([o.box for o in items]), np.array([o.box for o in items]))
        pairs = []
        for a, b in zip(*np.nonzero(np.triu(overlap > self._duplicate, 1)), strict=True):
            kept, gone = sorted(
                (items[a], items[b]), key=lambda o: (not o.manual, o.object_id is None, o.serial)
            )
            if not gone.manual:
                pairs.append((kept, gone))
        return pairs

    def _lose_unseen(self, frame: Frame) -> None:
        for item in list(self._live):
            unseen = item.unseen_since is not None and self._time - item.unseen_since > self._lost_seconds
            if unseen and not item.manual:
                self._lose(item, frame, "follower")

    def _lose(self, item: _Object, frame: Frame, by: str) -> None:
        self._drop(item)
        if item.object_id is not None:
            item.lost_at = self._time
            self._lost.append(item)
            self._note(item, frame, "lost", by)

    def _drop(self, item: _Object) -> None:
        """Stop following; the follower is kept for the next object."""
        self._live = [o for o in self._live if o is not item]
        if item.follower is not None and self._spare is None:
            self._spare = item.follower
        elif item.follower is not None:
            item.follower.close()
        item.follower, item.mask, item.visible = None, None, False

    # -- answering ----------------------------------------------------------------------------------------------

    def _answer(self) -> FrameTracks:
        shown = [o for o in self._live if o.object_id is not None and (o.visible or o.manual)]
        shown.sort(key=lambda o: o.object_id or 0)
        masks = None
        if any(o.mask is not None for o in shown):
            shape = next(o.mask.shape for o in shown if o.mask is not None)
            masks = np.stack([o.mask if o.mask is not None else np.zeros(shape, bool) for o in shown])
        labels = [o.label for o in shown]
        return FrameTracks.of(
            [o.object_id or 0 for o in shown],
            np.array([o.box for o in shown]).reshape(-1, 4),
            [min(max(o.score, 0.0), 1.0) for o in shown],
            [o.visible for o in shown],
            masks=masks,
            labels=labels if any(labels) else None,
            source=[o.source for o in shown],
        )

    def _note(self, item: _Object, frame: Frame, event: str, by: str) -> None:
        self._events.append((item.object_id, frame.index, frame.timestamp, event, by, item.label))

    def _serial(self) -> int:
        self._next_serial += 1
        return self._next_serial - 1
