"""ByDetection: a detector finds objects on each frame, an associator gives them identities. Needs no prompts.

Papers: those of the associators (`vtlab/association`). Every detector joins every associator:

    vtlab.track(video, tracker="bytetrack", detector="hog-people", high=0.5)
    vtlab.track(video, tracker=ByDetection(my_detector, ByteTrack(high=0.5)))

A detector that reads text finds what is asked for, and labels it so:

    vtlab.track(video, TextPrompt("dog"), "bytetrack", detector="owlv2")

When all of a video has been tracked, `backfill=True` gives objects the frames before they were confirmed, and `post` mends
gaps, broken identities and short tracks:

    vtlab.track(video, tracker="bytetrack", backfill=True, post=["relink", "interpolate_gaps"])
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.mend import Post, apply_steps, read_steps
from vtlab.association.parts import turned
from vtlab.contracts import Associator, Detector, OnlineTracker
from vtlab.contracts.parts import associate, detect
from vtlab.errors import PromptError, VtlabWarning
from vtlab.prompts import Prompts, TextPrompt
from vtlab.registry import ASSOCIATORS, register
from vtlab.trackers.create import make_detector
from vtlab.tracks import FrameTracks, Tracks, TracksBuilder

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame, Video

# Settings that scores are held against.
_THRESHOLDS = ("confidence", "new", "high", "low")
# Score from which a key point counts as seen: more likely than not.
_SEEN = 0.5
# Frames whose detections are kept at most for tracks that are not confirmed yet: ten seconds, a bound on memory.
_HOLD = 300


@dataclass
class _Seen:
    """What the detector said in a run, to tell why nothing came of it."""

    frames: int = 0
    detections: int = 0
    largest: float | None = None
    least: float | None = None  # what the detector asks of a score

    def add(self, found: sv.Detections) -> None:
        """Count the detections of a frame."""
        self.frames += 1
        self.detections += len(found)
        self.least = found.metadata.get("confidence", self.least)
        scores = [] if found.confidence is None else found.confidence.tolist()
        more = [found.metadata["largest_score"]] if "largest_score" in found.metadata else []
        self.largest = max([*scores, *more, *([] if self.largest is None else [self.largest])], default=None)

    def told(self, detector: Detector, associator: Associator) -> str:
        """Why nothing was tracked, with the largest score and the settings above it."""
        who: Detector | Associator = associator if self.detections else detector
        what = f"{self.detections or 'no'} detections in {self.frames} frames by {detector.card.name!r}"
        if self.largest is None:
            return f"{what}, which saw nothing that has a score."
        settings = who.params if self.detections or self.least is None else {"confidence": self.least}
        missed = [
            f"{name}={value:g}"
            for name, value in settings.items()
            if name in _THRESHOLDS and isinstance(value, (int, float)) and value > self.largest
        ]
        why = (
            f"below {', '.join(missed)} of {who.card.name!r}. Remedy: lower it"
            if missed
            else (
                f"which no threshold of {who.card.name!r} misses. Look at its other settings "
                f"(min_hits={who.params.get('min_hits')})"
            )
        )
        return f"{what}; the largest score seen is {self.largest:.3g}, {why}."


class ByDetection(OnlineTracker):
    """Tracks what a detector finds.

    Args:
        detector: Name, `file.py:Class`, class or instance of a detector; "auto" is FastestDet where its weights can be
            had, otherwise HOG people with a warning.
        associator: Name, `file.py:Class`, class or instance of an associator.
        detector_params: Parameters of the detector's constructor.
        post: How the tracks of the whole video are mended at the end: names of functions of
            `vtlab.association.mend`, or name -> parameters, in the order in which they are to work.
        params: Parameters of the associator's constructor, such as `velocities=True` for the columns vx, vy, or
            `backfill=True`: at the end objects get the frames before they were confirmed.

    Raises:
        RegistryError: Unknown detector, associator or parameter.
        InputError: `post` names no such step or parameter.
    """

    def __init__(
        self,
        detector: Any = "auto",
        associator: Any = "bytetrack",
        *,
        detector_params: Mapping[str, Any] | None = None,
        post: Post = (),
        **params: Any,
    ):
        self._post = read_steps(post)
        self.rereads = bool(self._post)
        self._detector = make_detector(detector, detector_params)
        self._associator: Associator = ASSOCIATORS.create(associator, **params)
        self.card = replace(type(self).card, name=self._associator.card.name)  # type: ignore[misc]
        self._begin()

    def _begin(self) -> None:
        self._detector.reset()
        self._associator.reset()
        self._gone: set[int] = set()
        self._votes: dict[int, dict[str, float]] = {}
        # Detections of frames that tentative tracks may still claim; each object's last oriented box.
        self._held: dict[int, sv.Detections] = {}
        self._turns: dict[int, NDArray[np.float64]] = {}
        self._late = TracksBuilder()
        self._seen = _Seen()
        self._asked: dict[str, str] = {}  # text -> label of what it finds

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget everything and answer for the first frame."""
        self._begin()
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Detect on the frame and link; objects have `source` "detected" and their detection's box and score."""
        self._ask(prompts)
        seen = detect(self._detector, frame)
        self._seen.add(seen)
        found = associate(self._associator, seen, frame)
        self._backfill(frame.index, found)
        return self._answer(found, np.asarray(found.tracker_id))

    def _ask(self, prompts: Prompts) -> None:
        """Have the detector look for what the texts name, beside what was asked for before."""
        if not len(prompts):
            return
        texts = [p for p in prompts if isinstance(p, TextPrompt)]
        if len(texts) < len(prompts):
            raise PromptError(
                f"{self.card.name!r} finds its objects by a detector and takes no prompts but texts; got "
                f"{len(prompts) - len(texts)} others."
            )
        self._asked |= {p.text: p.name for p in texts}
        self._detector.look_for(tuple(self._asked))

    def _backfill(self, index: int, found: sv.Detections) -> None:
        """Answer late for what tracks saw before they were confirmed."""
        ids: dict[int, NDArray[np.int64]] = {}
        for past, row, object_id in self._associator.late:
            if past in self._held:
                ids.setdefault(past, np.full(len(self._held[past]), -1))[row] = object_id
        for past, given in ids.items():
            self._late.add(past, self._answer(self._held[past], given))
        waiting = self._associator.waiting()
        held = {past: seen for past, seen in [*self._held.items(), (index, found)] if past in waiting}
        self._held = dict(list(held.items())[-_HOLD:])

    def finish(self, tracks: Tracks, video: Video) -> Tracks:
        """Add what was answered late, and mend the tracks as `post` says; says why, where nothing was tracked."""
        if len(self._late):
            tracks = Tracks.concat([tracks, self._late.build()])
        if not len(tracks) and not self._gone and self._seen.frames:
            told = self._seen.told(self._detector, self._associator)
            warnings.warn(
                f"{self.card.name!r} tracked nothing on {video.name!r}: {told}", VtlabWarning, stacklevel=2
            )
        return apply_steps(tracks, video, self._post)

    def remove(self, object_ids: Iterable[int]) -> None:
        """Answer no more for these objects."""
        self._gone.update(int(i) for i in object_ids)

    def _answer(self, detections: sv.Detections, ids: NDArray[np.int64]) -> FrameTracks:
        """The rows that have an id as tracks of the frame."""
        keep = np.flatnonzero((ids > 0) & ~np.isin(ids, list(self._gone)))
        ids = ids[keep]
        confidence = detections.confidence
        scores = (
            np.ones(len(ids)) if confidence is None else np.clip(confidence[keep].astype(np.float64), 0, 1)
        )
        mask = detections.mask
        masks = None if mask is None or not len(keep) else np.asarray(mask)[keep].astype(bool)
        velocity = detections.data.get("velocity")
        boxes, angle = self._boxes(ids, detections, keep)
        answer = FrameTracks.of(
            ids,
            boxes,
            scores,
            True,
            masks=masks,
            labels=self._labels(ids, detections, keep, scores),
            source="detected",
            velocities=None if velocity is None else np.asarray(velocity)[keep],
            angle=angle,
        )
        return _with_points(answer, detections, keep)

    def _boxes(
        self, ids: NDArray[np.int64], detections: sv.Detections, keep: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Boxes (N, 4) and, of oriented ones, their angles (N,), which go on from frame to frame without a jump."""
        if not turned.is_turned(detections):
            return detections.xyxy[keep].astype(np.float64), None
        boxes = turned.of_detections(detections)[keep]
        before = [self._turns.get(i, box) for i, box in zip(ids.tolist(), boxes, strict=True)]
        # One oriented box has several names: the one nearest to the last keeps the angle from jumping.
        boxes = turned.like(boxes, np.reshape(before, (-1, 5)))
        self._turns.update(zip(ids.tolist(), boxes, strict=True))
        return boxes[:, :4], boxes[:, 4]

    def _labels(
        self,
        ids: NDArray[np.int64],
        detections: sv.Detections,
        keep: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> list[str] | None:
        """Each object's class by vote: the one with the largest sum of confidences so far."""
        names = detections.data.get("class_name")
        if names is None:
            return None
        labels = []
        for object_id, name, score in zip(
            ids.tolist(), np.asarray(names)[keep].tolist(), scores.tolist(), strict=True
        ):
            name = self._asked.get(name, name)
            votes = self._votes.setdefault(object_id, {})
            votes[name] = votes.get(name, 0.0) + score
            labels.append(max(votes, key=votes.__getitem__))
        return labels


def _with_points(answer: FrameTracks, detections: sv.Detections, keep: NDArray[np.int64]) -> FrameTracks:
    """The answer with the key points (N, K, 2) that the detector found on its objects, each seen from `_SEEN` on."""
    if "keypoints" not in detections.data or not len(keep):
        return answer
    points = np.asarray(detections.data["keypoints"], dtype=np.float64)[keep]
    count, each = points.shape[:2]
    scores = detections.data.get("keypoint_scores")
    sure = np.ones((count, each)) if scores is None else np.asarray(scores, dtype=np.float64)[keep]
    return replace(
        answer,
        point_owners=np.repeat(answer.object_ids, each),
        point_ids=np.tile(np.arange(each, dtype=np.int64), count),
        points=points.reshape(-1, 2),
        point_visible=sure.ravel() >= _SEEN,
        point_scores=sure.ravel(),
    )


def _register() -> None:
    """Offer every associator as a tracker that has its card."""
    for card in ASSOCIATORS.cards():
        facts = {f.name: getattr(card, f.name) for f in fields(card)}
        facts |= {
            "family": "mot",
            "optional": frozenset({TextPrompt}),
            "summary": f"Links what a detector finds. {card.summary}",
            "options": {"associator": card.name},
        }
        register(**facts)(ByDetection)


_register()
