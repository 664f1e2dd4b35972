"""ByDetection: a detector finds objects on each frame, an associator gives them identities. Needs no prompts.

Papers: those of the associators (`vtlab/association`). Every detector joins every associator:

    vtlab.track(video, tracker="bytetrack", detector="hog-people", high=0.5)
    vtlab.track(video, tracker=ByDetection(my_detector, ByteTrack(high=0.5)))
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, PromptError, VtlabWarning, WeightsError
from vtlab.prompts import Prompts
from vtlab.protocols import Associator, Detector, OfflineTracker, OnlineTracker
from vtlab.registry import ASSOCIATORS, DETECTORS, register
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

_HOLD = 300  # frames that the offline form keeps at most


def make_detector(spec: Any, params: Mapping[str, Any] | None = None) -> Detector:
    """Make a detector.

    Args:
        spec: A name, `file.py:Class`, a class, an instance, or "auto": FastestDet where its weights can be had,
            otherwise HOG people with a warning that says so.
        params: Parameters of its constructor.

    Raises:
        RegistryError: Unknown detector or parameter.
    """
    if spec != "auto":
        made = DETECTORS.create(spec, **(params or {}))
    else:
        try:
            made = DETECTORS.create("fastestdet", **(params or {}))
        except WeightsError as error:
            warnings.warn(
                f"No detector was named and FastestDet can't be loaded, so 'hog-people' is used, which finds only "
                f"upright people. ({error})",
                VtlabWarning,
                stacklevel=3,
            )
            made = DETECTORS.create("hog-people")
    if not isinstance(made, Detector):
        raise InputError(
            f"{type(made).__name__} is not a detector: it must inherit from vtlab.protocols.Detector."
        )
    return made


class _Linked:
    """A detector and an associator with the labels of their objects."""

    def __init__(
        self, detector: Any, associator: Any, detector_params: Mapping[str, Any] | None, params: Any
    ):
        self.detector = make_detector(detector, detector_params)
        self.associator: Associator = ASSOCIATORS.create(associator, **params)
        self.gone: set[int] = set()
        self._votes: dict[int, dict[str, float]] = {}

    @property
    def name(self) -> str:
        """Name of the associator."""
        return self.associator.card.name

    def reset(self) -> None:
        """Forget everything."""
        self.detector.reset()
        self.associator.reset()
        self.gone, self._votes = set(), {}

    def see(self, frame: Frame) -> sv.Detections:
        """Detections of the frame with `tracker_id`."""
        return self.associator.update(self.detector.detect_frame(frame), frame)

    def answer(self, detections: sv.Detections, ids: NDArray[np.int64]) -> FrameTracks:
        """The rows that have an id as tracks of the frame."""
        keep = np.flatnonzero((ids > 0) & ~np.isin(ids, list(self.gone)))
        ids = ids[keep]
        confidence = detections.confidence
        scores = (
            np.ones(len(ids)) if confidence is None else np.clip(confidence[keep].astype(np.float64), 0, 1)
        )
        mask = detections.mask
        masks = None if mask is None or not len(keep) else np.asarray(mask)[keep].astype(bool)
        velocity = detections.data.get("velocity")
        return FrameTracks.of(
            ids,
            detections.xyxy[keep].astype(np.float64),
            scores,
            True,
            masks=masks,
            labels=self._labels(ids, detections, keep, scores),
            source="detected",
            velocities=None if velocity is None else np.asarray(velocity)[keep],
        )

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
            votes = self._votes.setdefault(object_id, {})
            votes[name] = votes.get(name, 0.0) + score
            labels.append(max(votes, key=votes.__getitem__))
        return labels


class ByDetection(OnlineTracker):
    """Tracks what a detector finds.

    Args:
        detector: Name, `file.py:Class`, class or instance of a detector; "auto" is FastestDet where its weights can be
            had, otherwise HOG people with a warning.
        associator: Name, `file.py:Class`, class or instance of an associator.
        detector_params: Parameters of the detector's constructor.
        params: Parameters of the associator's constructor.

    Raises:
        RegistryError: Unknown detector, associator or parameter.
    """

    def __init__(
        self,
        detector: Any = "auto",
        associator: Any = "bytetrack",
        *,
        detector_params: Mapping[str, Any] | None = None,
        **params: Any,
    ):
        self._linked = _Linked(detector, associator, detector_params, params)
        self.card = replace(type(self).card, name=self._linked.name)  # type: ignore[misc]

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget everything and answer for the first frame."""
        self._linked.reset()
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Detect on the frame and link; objects have `source` "detected" and their detection's box and score."""
        _refuse(prompts, self.card.name)
        found = self._linked.see(frame)
        return self._linked.answer(found, np.asarray(found.tracker_id))

    def remove(self, object_ids: Iterable[int]) -> None:
        """Answer no more for these objects."""
        self._linked.gone.update(int(i) for i in object_ids)


class ByDetectionOffline(OfflineTracker):
    """Tracks what a detector finds; an object has its first frames too, though it is confirmed only later.

    Answers are held back while a track that is not confirmed yet may still claim their detections.

    Args:
        detector: As in `ByDetection`.
        associator: As in `ByDetection`; it must take `backfill`.
        detector_params: Parameters of the detector's constructor.
        params: Parameters of the associator's constructor.
    """

    def __init__(
        self,
        detector: Any = "auto",
        associator: Any = "bytetrack",
        *,
        detector_params: Mapping[str, Any] | None = None,
        **params: Any,
    ):
        ready = isinstance(associator, Associator)
        self._linked = _Linked(
            detector, associator, detector_params, params if ready else {"backfill": True, **params}
        )
        if not hasattr(self._linked.associator, "late"):
            raise InputError(
                f"{type(self._linked.associator).__name__} can't fill in first frames: it has no `late`."
            )
        self.card = replace(type(self).card, name=f"{self._linked.name}-offline")  # type: ignore[misc]

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Yield the answers in the order of frames, each as soon as no tentative track refers to it."""
        _refuse(prompts, self.card.name)
        self._linked.reset()
        associator: Any = self._linked.associator
        held: deque[tuple[int, sv.Detections, NDArray[np.int64]]] = deque()
        for frame in frames:
            found = self._linked.see(frame)
            held.append((frame.index, found, np.array(found.tracker_id)))
            ids_of = {index: ids for index, _, ids in held}
            for index, row, object_id in associator.late:
                if index in ids_of:
                    ids_of[index][row] = object_id
            waiting = associator.waiting()
            while held and (held[0][0] not in waiting or len(held) > _HOLD):
                yield self._release(held.popleft())
        while held:
            yield self._release(held.popleft())

    def _release(self, entry: tuple[int, sv.Detections, NDArray[np.int64]]) -> tuple[int, FrameTracks]:
        index, detections, ids = entry
        return index, self._linked.answer(detections, ids)


def _refuse(prompts: Prompts, name: str) -> None:
    if len(prompts):
        raise PromptError(
            f"{name!r} finds its objects by a detector and takes no prompts; got {len(prompts)}."
        )


def _register() -> None:
    for card in ASSOCIATORS.cards():
        shared: dict[str, Any] = {
            "family": "mot",
            "paper": card.paper,
            "paper_url": card.paper_url,
            "code": card.code,
            "licence": card.licence,
            "weights": card.weights,
            "requires": card.requires,
            "options": {"associator": card.name},
            "notice": card.notice,
        }
        register(card.name, summary=f"Links what a detector finds. {card.summary}", **shared)(ByDetection)
        summary = (
            f"As {card.name}, and objects keep the frames before they were confirmed (answers come late)."
        )
        register(f"{card.name}-offline", summary=summary, **shared)(ByDetectionOffline)


_register()
