"""Assistant: labels a video with little help. A detector discovers objects, a tracker follows them.

Every `every` seconds (and on each frame while a new object waits to be confirmed, and on the last frame) the detectors look
at the frame. What they see of a followed object is merged with its tracker's answer; what nobody follows becomes a new
object, or an old one that was lost and looks the same. What a person drew is followed from its prompt on and never deleted.

Answers come late, when looks have judged them: what a look says of a follower's error is spread over the frames since the
look before; frames where the follower did not see the object are interpolated; what was followed after the last look that
saw an object is taken back; and a new object keeps the frames before it was confirmed. Names no paper: it is the flow of
annotation platforms (discover, follow, merge, confirm, find again), with its decisions in a report.

    assistant = vtlab.create_tracker("assistant", detector="fastestdet", follower="nanotrack-v2")
    tracks = vtlab.track(video, prompts, assistant)
    assistant.report()                         # when and by what each object was born, lost and found
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.association.parts.assignment import assign
from vtlab.association.parts.reid import make_embedder, unit
from vtlab.contracts import OfflineTracker
from vtlab.contracts.parts import embed
from vtlab.errors import InputError
from vtlab.geometry import box_iou
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt, Prompts
from vtlab.registry import register
from vtlab.trackers.compose.assistant.answers import Answers
from vtlab.trackers.compose.assistant.followers import Followers
from vtlab.trackers.compose.assistant.looking import Looker, Seen
from vtlab.trackers.compose.assistant.objects import Object
from vtlab.trackers.create import create_tracker, make_detector
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    import pandas as pd

    from vtlab.video import Frame

COLUMNS = ("object_id", "frame", "seconds", "event", "reason", "label")
# Part of its old vector that an object keeps at each look: one bad crop must not make it another.
_MEMORY = 0.8


@register(
    "assistant",
    family="multi",
    summary="Labels a video: a detector discovers objects, a tracker follows them, people's prompts are kept.",
    accepts=[],
    optional=[BoxPrompt, MaskPrompt],
    emits=["boxes"],
    licence="Apache-2.0",
)
class Assistant(OfflineTracker):
    """The labelling assistant.

    Args:
        detector: A detector (see `ByDetection`) or a list of several, whose findings are joined by weighted box fusion
            (`vtlab.detectors.fusion`). Which of them pay on a clip, few labels tell: `compare` takes each of
            `combinations`, and `vtlab.verdict` asks for the labels.
        trust: Of several detectors how much each counts; all alike by default.
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
        lost_looks: Looks in a row that miss an object before it is lost, from the last one that saw it.
        forget: Seconds after which a lost object can no longer be found again.
        embedder: Appearance by which lost objects are found again, see `association.parts.reid.make_embedder`.
        appearance: Lowest cosine for that; None: what the embedder calls alike.
        most: Most objects that are followed at once; further ones are not begun.

    Attributes:
        events: What happened to each object, see `report`.
        looks: How often the detectors have looked.
    """

    discovers = True

    def __init__(
        self,
        *,
        detector: Any = "auto",
        trust: Sequence[float] | None = None,
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
        forget: float = 20.0,
        embedder: Any = "histogram",
        appearance: float | None = None,
        most: int = 100,
    ):
        self._check(every=every, forget=forget)
        self._check(confirm=confirm - 1, lost_looks=lost_looks - 1, most=most - 1)
        several = detector if isinstance(detector, Sequence) and not isinstance(detector, str) else [detector]
        if not several or (len(several) > 1 and detector_params):
            raise InputError(
                "Assistant: detector_params goes with exactly one detector; give instances of several."
            )
        if trust is not None and (len(trust) != len(several) or not all(t > 0 for t in trust)):
            raise InputError(
                f"Assistant: trust={trust!r}: a number above 0 for each of {len(several)} detectors."
            )
        self._looker = Looker([make_detector(d, detector_params) for d in several], float(duplicate), trust)
        self._followers = Followers(lambda: create_tracker(follower, **(follower_params or {})))
        self._every, self._confirm, self._new, self._same = float(every), confirm, float(new), float(same)
        self._refresh, self._duplicate, self._lost_looks = float(refresh), float(duplicate), lost_looks
        self._forget, self._most = float(forget), most
        self._embedder = make_embedder(embedder)
        least = self._embedder.threshold
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
        self._live: list[Object] = []
        self._lost: list[Object] = []
        self._answers = Answers()
        self.events: list[dict[str, Any]] = []
        self.looks = 0
        self._next_id, self._next_serial = 1, 1
        self._looked: float | None = None
        self._time = 0.0
        self._count = 0  # of frames so far

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Yield the answers in the order of frames, each as soon as no later look can change it."""
        self._looker.reset()
        self._forget_all()
        given, last = prompts.by_frame(), None
        try:
            for frame in frames:
                self._time += 0.0 if last is None else abs(frame.timestamp - last)
                last = frame.timestamp
                self._count += 1
                self._step(frame, given.get(frame.index, Prompts()), final=self._count == n_frames)
                yield from self._settled()
        except GeneratorExit:
            raise
        except Exception:
            yield from self._rest()  # what was done is kept
            raise
        yield from self._rest()

    def _step(self, frame: Frame, prompts: Prompts, *, final: bool) -> None:
        """Follow all objects, take the person's prompts, look for new objects when it is time, note all rows."""
        prompted = {p.object_id for p in prompts}
        for item in self._live:
            if item.object_id not in prompted or item.object_id is None:
                self._followers.follow(item, frame, self._time)
        for prompt in prompts:
            self._take(prompt, frame)
        waiting = any(o.object_id is None for o in self._live)
        # At once where something waits for its confirmation, and on the last frame, which nothing confirms later.
        if self._looked is None or waiting or final or self._time - self._looked >= self._every - 1e-9:
            self._looked = self._time
            self._look(frame)
        self._answers.hold(frame.index, [o.note(self._time, self._count) for o in self._live])

    def _settled(self) -> Iterator[tuple[int, FrameTracks]]:
        """Hand out the held frames that no followed object may still change."""
        return self._answers.settled(min((o.first for o in self._live), default=self._count + 1))

    def _rest(self) -> Iterator[tuple[int, FrameTracks]]:
        """Hand out all held frames, less what the last looks did not see."""
        for item in self._live:
            if item.misses and not item.manual:
                item.take_back()
        return self._answers.settled(None)

    def close(self) -> None:
        """Free the followers; the report stays."""
        for item in [*self._live, *self._lost]:
            if item.follower is not None:
                item.follower.close()
                item.follower = None

    def report(self) -> pd.DataFrame:
        """What happened to each object: object_id, frame, seconds, event, reason, label.

        Events: "drawn" and "corrected" (by a person), "born" (by a detector, on the frame that first saw it), "lost" (on
        the look that gave it up), "found" (by appearance or a person), "removed" (as a duplicate).
        """
        import pandas as pd

        return pd.DataFrame(self.events, columns=list(COLUMNS))

    def _take(self, prompt: Prompt, frame: Frame) -> None:
        """Begin, correct or find an object as the person says."""
        known = next((o for o in [*self._live, *self._lost] if o.object_id == prompt.object_id), None)
        height, width = frame.image.shape[:2]
        box = prompt.box(height, width)
        event = "drawn" if known is None else "corrected" if known in self._live else "found"
        if known is None:
            known = Object(self._serial(), prompt.object_id, True, box, first=self._count)
            self._next_id = max(self._next_id, prompt.object_id + 1)
        self._lost = [o for o in self._lost if o is not known]
        if known not in self._live:
            self._live.append(known)
        if not known.manual:
            known.settle(self._time, box, known.box)
        known.manual, known.box, known.misses, known.lost_at = True, box, 0, None
        known.source = "manual"
        if prompt.label is not None:
            known.votes = {prompt.label: float("inf")}
        self._followers.start(known, frame, self._time, prompt)
        known.box, known.score, known.visible = box, 1.0, True
        if isinstance(prompt, MaskPrompt):
            known.mask = prompt.mask(height, width)
        self._note(known, frame, event, "person")

    def _look(self, frame: Frame) -> None:
        self.looks += 1
        seen = self._looker.look(frame)
        boxes = np.array([o.box for o in self._live]).reshape(-1, 4)
        overlap = box_iou(boxes, seen.boxes)
        # A low bound: a follower that drifted half off is corrected, not doubled.
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

    def _agree(self, item: Object, seen: Seen, column: int, overlap: float, frame: Frame) -> None:
        """Merge a detection with the object it shows."""
        box, score, label = seen.boxes[column], float(seen.scores[column]), seen.labels[column]
        item.hits, item.misses = item.hits + 1, 0
        if label is not None:
            item.votes[label] = item.votes.get(label, 0.0) + score
        if not item.manual:
            followed, mine = item.box, item.score if item.visible else 0.0
            # By confidence: detections know where the edges are, followers which object it is.
            weight = score / max(score + mine, 1e-9)
            item.settle(self._time, weight * box + (1 - weight) * followed, followed)
            if overlap < self._refresh or not item.visible:
                item.box = box.copy()
                self._followers.start(item, frame, self._time)
            assert item.anchor is not None
            item.box, item.score, item.visible = item.anchor[1].copy(), max(score, mine), True
            item.source = "detected"
        self._describe(item, frame)
        if item.object_id is None and item.hits >= self._confirm:
            self._name(item, seen.by[column])

    def _name(self, item: Object, by: str) -> None:
        """Confirm a new object."""
        item.object_id, self._next_id = self._next_id, self._next_id + 1
        self._write(item, item.born, "born", by)

    def _discover(self, columns: list[int], drifted: list[Object], seen: Seen, frame: Frame) -> None:
        """Find lost objects, and those whose follower drifted off, by appearance; begin new ones with the rest."""
        if not columns:
            return
        vectors = embed(self._embedder, frame.image, seen.boxes[columns], frame=frame.index)
        taken: dict[int, Object] = {}
        pool = [o for o in [*self._lost, *drifted] if o.vector is not None]
        if pool:
            likeness = np.array([o.vector for o in pool]) @ vectors.T
            rows, found = assign(likeness.astype(np.float64), self._appearance, rule="gain")
            # Lost objects first: a new one is begun only where none comes back.
            taken = {c: pool[r] for r, c in zip(rows.tolist(), found.tolist(), strict=True)}
        for i, column in enumerate(columns):
            if i in taken:
                self._revive(taken[i], seen, column, frame)
            elif len(self._live) < self._most:
                self._begin(seen, column, vectors[i], frame)

    def _revive(self, item: Object, seen: Seen, column: int, frame: Frame) -> None:
        """Follow a lost object, or one whose follower drifted off, from a detection on."""
        item.take_back()
        item.box, item.score = seen.boxes[column].copy(), float(seen.scores[column])
        item.misses, item.source = 0, "detected"
        self._followers.start(item, frame, self._time)
        item.box, item.visible = seen.boxes[column].copy(), True
        item.anchor, item.speed = (self._time, item.box), None
        if item.lost_at is not None:
            self._lost = [o for o in self._lost if o is not item]
            self._live.append(item)
            item.lost_at = None
            self._note(item, frame, "found", "appearance")

    def _begin(self, seen: Seen, column: int, vector: Any, frame: Frame) -> None:
        label, score, box = seen.labels[column], float(seen.scores[column]), seen.boxes[column].copy()
        item = Object(self._serial(), None, False, box, (frame.index, frame.timestamp), score, vector=vector)
        item.first, item.source, item.anchor = self._count, "detected", (self._time, box)
        if label is not None:
            item.votes[label] = score
        self._followers.start(item, frame, self._time)
        item.box, item.score, item.visible = box.copy(), score, True
        self._live.append(item)
        if self._confirm == 1:
            self._name(item, seen.by[column])

    def _describe(self, item: Object, frame: Frame) -> None:
        vector = embed(self._embedder, frame.image, item.box[None], frame=frame.index)
        if item.vector is not None:
            vector = unit(_MEMORY * np.asarray(item.vector)[None] + (1 - _MEMORY) * vector)
        item.vector = vector[0]

    def _tidy(self, frame: Frame) -> None:
        """Drop what was not confirmed, lose what the looks miss, remove duplicates."""
        for item in list(self._live):
            # A new object must be seen by looks in a row.
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

    def _twins(self) -> list[tuple[Object, Object]]:
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

    def _lose(self, item: Object, frame: Frame, by: str) -> None:
        self._drop(item)
        if item.object_id is not None:
            item.lost_at = self._time
            self._lost.append(item)
            self._note(item, frame, "lost", by)

    def _drop(self, item: Object) -> None:
        self._live = [o for o in self._live if o is not item]
        self._followers.stop(item)

    def _note(self, item: Object, frame: Frame, event: str, reason: str) -> None:
        self._write(item, (frame.index, frame.timestamp), event, reason)

    def _write(self, item: Object, when: tuple[int, float], event: str, reason: str) -> None:
        values = (item.object_id, *when, event, reason, item.label)
        self.events.append(dict(zip(COLUMNS, values, strict=True)))

    def _serial(self) -> int:
        self._next_serial += 1
        return self._next_serial - 1
