"""PerObject: runs one single-object tracker for each object, so every single-object method is multi-object."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import Card, Observation, OnlineTracker, SingleObjectTracker
from vtlab.contracts.answers import check_observation
from vtlab.prompts import MaskPrompt, Prompt, Prompts
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    from vtlab.video import Form, Frame


_NO_PROMPTS = Prompts()
_NOBODY = FrameTracks.empty()
_NO_POINTS = (
    _NOBODY.point_owners,
    _NOBODY.point_ids,
    _NOBODY.points,
    _NOBODY.point_visible,
    _NOBODY.point_scores,
)


class PerObject(OnlineTracker):
    """An online tracker made of independent single-object trackers.

    A prompt for a known object starts that object's tracker afresh on the prompt; the others go on undisturbed.

    Args:
        make: Makes one single-object tracker.
        card: Card of the method.
        forms: Forms of a frame that the method looks at.
    """

    def __init__(self, make: Callable[[], SingleObjectTracker], card: Card, forms: tuple[Form, ...] = ()):
        self.card = card  # type: ignore[misc]
        self.forms = forms
        self._make = make
        self._trackers: dict[int, SingleObjectTracker] = {}
        self._labels: dict[int, str | None] = {}

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Start one tracker for each prompted object."""
        self._trackers, self._labels = {}, {}
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = _NO_PROMPTS) -> FrameTracks:
        """Step every object's tracker, or start it on its prompt."""
        given = {} if prompts is _NO_PROMPTS else {p.object_id: p for p in prompts}
        seen: dict[int, Observation] = {}
        for object_id, tracker in self._trackers.items():
            if object_id not in given:
                seen[object_id] = tracker.step(frame)
        size = frame.image.shape[:2]
        for object_id, prompt in given.items():
            tracker = self._make()
            seen[object_id] = tracker.init(frame, prompt) or echo(prompt, *size)
            self._trackers[object_id] = tracker
            self._labels[object_id] = prompt.label or self._labels.get(object_id)
        index, name = frame.index, self.card.name
        for object_id, answer in seen.items():
            check_observation(answer, object_id, index, size, name)
        return self._gather(seen, given, size)

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects."""
        for object_id in object_ids:
            self._trackers.pop(object_id, None)

    def _gather(
        self, seen: Mapping[int, Observation], manual: Container[int], size: tuple[int, int]
    ) -> FrameTracks:
        ids = sorted(seen)
        if not ids:
            return FrameTracks.empty()
        observations = [seen[i] for i in ids]
        labels = tuple([self._labels[i] for i in ids])
        told = labels if any(labels) else None
        source = tuple(["manual" if i in manual else "tracked" for i in ids]) if manual else "tracked"
        for o in observations:
            if o.box is None or o.mask is not None:
                return self._gather_masks(ids, observations, labels=told, source=source, size=size)
        # What `FrameTracks.of` would make of them. They are checked already, and the frame has put all of Python out of the
        # processor's caches: each call that is spared here is a hundredth of a quick tracker's step.
        return FrameTracks(
            np.array(ids, np.int64),
            np.array([o.box for o in observations], np.float64),
            np.array([o.score for o in observations], np.float64),
            np.array([o.visible for o in observations], np.bool_),
            None,
            told,
            source,
            None,
            *_NO_POINTS,
        )

    def _gather_masks(
        self, ids: Sequence[int], observations: Sequence[Observation], *, size: tuple[int, int], **said: Any
    ) -> FrameTracks:
        """The same where somebody gives a mask, or no box."""
        masks = None
        if any(o.mask is not None for o in observations):
            masks = np.stack([o.mask if o.mask is not None else np.zeros(size, bool) for o in observations])
        boxes: Any = None
        if masks is None or any(o.box is not None for o in observations):
            boxes = [o.box if o.box is not None else np.full(4, np.nan) for o in observations]
        return FrameTracks.of(
            ids,
            boxes,
            [o.score for o in observations],
            [o.visible and not _blank(o) for o in observations],
            masks=masks,
            **said,
        )


def _blank(seen: Observation) -> bool:
    """Whether a mask without a pixel is all that is said of an object: it is not seen, whatever the default says."""
    return seen.box is None and seen.mask is not None and not seen.mask.any()


def echo(prompt: Prompt, height: int, width: int) -> Observation:
    """What a prompt itself says of the object on its frame."""
    mask = prompt.mask(height, width) if isinstance(prompt, MaskPrompt) else None
    return Observation(prompt.box(height, width), 1.0, True, mask)
