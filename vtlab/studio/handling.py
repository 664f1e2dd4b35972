"""What a person does with objects as a whole: several at once, locked, coloured by class, copied, leafed through."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np

from vtlab.errors import InputError, PromptError
from vtlab.prompts import Prompt
from vtlab.show.draw import Colour, colour, hex_of
from vtlab.studio.labels import Labels
from vtlab.video import Video

THUMBNAILS, THUMBNAIL_HEIGHT = 15, 64
"""Key figures around the present frame that are shown as pictures, and their height in pixels."""
AT_ONCE = frozenset({"delete", "show", "label", "lock", "propagate"})
"""Edits that may be done to several objects as one step."""


class Handling(ABC):
    """The part of an annotator's state that deals with objects as a whole; `AnnotatorState` has the rest.

    Attributes:
        hidden: Objects that are not drawn.
        locked: Objects that no edit changes.
        by_class: Whether colours tell classes, not objects.
    """

    video: Video
    labels: Labels
    frame: int
    selected: int
    message: str
    guarded: ClassVar[frozenset[str]] = frozenset({
        "label", "box", "click", "polygon", "paint", "points", "add_point", "nodes", "add_node", "delete",
        "duplicate", "propagate",
    })  # fmt: skip
    """Edits that a locked object refuses."""

    def __init__(self) -> None:
        self.hidden: set[int] = set()
        self.locked: set[int] = set()
        self.by_class = False
        self._thumbnails = False
        self._cut_out: dict[tuple[int, tuple[int, ...]], str] = {}

    @property
    @abstractmethod
    def names(self) -> Mapping[int, str]:
        """Label of each object that has one."""

    @property
    @abstractmethod
    def figures(self) -> Mapping[tuple[int, int, str], Prompt]:
        """What a person drew, by (object id, frame, kind)."""

    @abstractmethod
    def go(self, frame: int) -> None:
        """Show a frame."""

    @abstractmethod
    def at(self, frame: int) -> list[Prompt]:
        """Figures on a frame."""

    @abstractmethod
    def duplicate(self, object_id: int, frame: int, source: int | None = None) -> None:
        """Copy an object's figures to another frame."""

    @abstractmethod
    def _one_step(self) -> AbstractContextManager[None]:
        """What is done within it is one step of undo."""

    def lock(self, object_id: int, locked: bool) -> None:
        """Protect an object from edits, or no longer."""
        (self.locked.add if locked else self.locked.discard)(int(object_id))

    def many(self, what: str, object_ids: Sequence[int], **values: Any) -> None:
        """Do to several objects what `what` does to one, as one step: delete, show, label, lock, propagate."""
        if what not in AT_ONCE:
            raise InputError(f"{what!r} can't be done to several objects at once.")
        ids = [int(i) for i in object_ids]
        free = ids if what not in self.guarded else [i for i in ids if i not in self.locked]
        with self._one_step():
            for i in free:
                getattr(self, what)(object_id=i, **values)
        if len(free) < len(ids):
            self.message = f"{len(ids) - len(free)} of {len(ids)} objects are locked and stay as they are."

    def propagate(self, object_id: int, frame: int) -> None:
        """Copy an object's figures from this frame to each frame up to another one."""
        start, end = self.frame, int(frame)
        if end == start or not 0 <= end < len(self.video):
            raise PromptError(
                f"Give a frame from 0 to {len(self.video) - 1} other than {start} to copy up to, got {end}."
            )
        step = 1 if end > start else -1
        with self._one_step():
            for f in self._copied_to(start, end, step):
                self.duplicate(object_id, f, start)
        self.message = f"Object {object_id} is copied to frame {end}."

    def _copied_to(self, start: int, end: int, step: int) -> Iterator[int]:
        yield from range(start + step, end + step, step)

    def key_figure(self, step: int) -> None:
        """Show the next (1) or the previous (-1) frame on which something is said of the selected object."""
        frames = self._key_frames(self.selected)
        there = [f for f in frames if (f > self.frame if int(step) > 0 else f < self.frame)]
        if not there:
            side = "after" if int(step) > 0 else "before"
            raise InputError(f"Object {self.selected} has no key figure {side} frame {self.frame}.")
        self.go(min(there) if int(step) > 0 else max(there))

    def colour_by(self, what: str) -> None:
        """Colour objects one by one ("object") or by their labels ("class")."""
        if what not in ("object", "class"):
            raise InputError(f"Colours are by 'object' or by 'class', got {what!r}.")
        self.by_class = what == "class"

    def thumbnails(self, shown: bool) -> None:
        """Show pictures of the selected object's key figures, or no longer."""
        self._thumbnails = bool(shown)

    def _refused(self, name: str, values: Mapping[str, Any]) -> str:
        """Why a locked object keeps an edit from being made; "" where none does."""
        if name not in self.guarded:
            return ""
        touched = {values.get("object_id", self.selected), values.get("other", self.selected)}
        found = sorted(self.locked & touched)
        return f"Object {found[0]} is locked: unlock it first (Shift+L)." if found else ""

    def _key_frames(self, object_id: int) -> list[int]:
        return sorted({f for i, f, _ in self.figures if i == object_id})

    def _colour(self, object_id: int) -> Colour:
        return self.labels.colour(self.names.get(object_id)) if self.by_class else colour(object_id)

    def _work_view(self) -> dict[str, Any]:
        """What the browser's tools need, besides figures."""
        stamps = self.video.timestamps
        used = [name for name in dict.fromkeys(self.names.values()) if name not in self.labels.colours]
        return {
            "seconds": float(stamps[self.frame]),
            "total": float(stamps[-1]),
            "fps": float(self.video.fps or 25.0),
            "classes": [[name, hex_of(self.labels.colour(name))] for name in (*self.labels.names, *used)],
            "by": "class" if self.by_class else "object",
            "thumbnails": self._thumbnail_strip() if self._thumbnails else None,
        }

    def _thumbnail_strip(self) -> list[dict[str, Any]]:
        """Pictures of the selected object's figures, those next to the present frame."""
        frames = self._key_frames(self.selected)
        near = sorted(sorted(frames, key=lambda f: abs(f - self.frame))[:THUMBNAILS])
        found = []
        for f in near:
            drawn = next((p for (i, g, _), p in self.figures.items() if (i, g) == (self.selected, f)), None)
            found.append({"frame": f, "src": self._picture(f, drawn) if drawn is not None else ""})
        return found

    def _picture(self, frame: int, p: Prompt) -> str:
        """What a figure holds, with a margin, as an address that a browser shows."""
        import cv2

        height, width = self.video.height, self.video.width
        x1, y1, x2, y2 = p.box(height, width).tolist()
        margin = 0.25 * max(x2 - x1, y2 - y1, 16.0)  # a point has no size
        left, right = (int(np.clip(v, 0, width)) for v in (x1 - margin, x2 + margin))
        top, bottom = (int(np.clip(v, 0, height)) for v in (y1 - margin, y2 + margin))
        place = frame, (left, top, right, bottom)
        if place not in self._cut_out:
            cut = self.video[frame][top : max(bottom, top + 1), left : max(right, left + 1)]
            scale = THUMBNAIL_HEIGHT / cut.shape[0]
            small = cv2.resize(cut, (max(round(cut.shape[1] * scale), 1), THUMBNAIL_HEIGHT))
            data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
            self._cut_out[place] = "data:image/jpeg;base64," + base64.b64encode(bytes(data)).decode("ascii")
        return self._cut_out[place]
