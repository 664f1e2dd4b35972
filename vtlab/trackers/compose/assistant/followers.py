"""Who follows the assistant's objects between the looks: one online tracker for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vtlab.contracts import OnlineTracker
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt, Prompts
from vtlab.trackers.compose.assistant.objects import Object
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    from vtlab.contracts import Tracker
    from vtlab.video import Frame


class Followers:
    """Makes trackers and hands them to objects.

    Args:
        make: Makes one tracker.

    Raises:
        InputError: What it makes is not online, or takes neither boxes nor masks.
    """

    def __init__(self, make: Callable[[], Tracker]):
        self._make = make
        self._spare: OnlineTracker | None = self._new()

    def _new(self) -> OnlineTracker:
        made = self._make()
        if not isinstance(made, OnlineTracker) or not made.card.accepts & {BoxPrompt, MaskPrompt}:
            raise InputError(
                f"Assistant: {made.card.name!r} can't follow: it must be online and take boxes or masks."
            )
        return made

    def start(self, item: Object, frame: Frame, time: float, prompt: Prompt | None = None) -> None:
        """(Re)start an object's follower from its box, or from a person's prompt."""
        if item.follower is None:
            # The one that was made to see whether it can follow serves the first object.
            item.follower, self._spare = self._spare or self._new(), None
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
        _read(item, item.follower.init(frame, Prompts([begin])), time)

    def follow(self, item: Object, frame: Frame, time: float) -> None:
        """Go to the next frame with an object."""
        if item.follower is not None:
            _read(item, item.follower.step(frame), time)
            item.source = "tracked"

    def stop(self, item: Object) -> None:
        """Stop following; the follower is kept for the next object. What no look has confirmed is taken back."""
        item.take_back()
        if item.follower is not None and self._spare is None:
            self._spare = item.follower
        elif item.follower is not None:
            item.follower.close()
        item.follower, item.mask, item.visible = None, None, False


def _read(item: Object, answer: FrameTracks, time: float) -> None:
    """Take over what the follower says; an object it doesn't see goes on as it went between the last looks."""
    item.mask = None
    if not len(answer) or not bool(answer.visible[0]) or not np.isfinite(answer.boxes[0]).all():
        item.visible = False
        if item.anchor is not None and item.speed is not None and not item.manual:
            item.box = item.anchor[1] + item.speed * (time - item.anchor[0])
        return
    item.box, item.score, item.visible = answer.boxes[0].copy(), float(answer.scores[0]), True
    item.mask = None if answer.masks is None else answer.masks[0]
