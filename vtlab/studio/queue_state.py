"""What a queue of questions knows, without a browser: what is asked on which frame, how far it is, the way back."""

from __future__ import annotations

import base64
import statistics
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from vtlab.contracts import Segmenter
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, Prompt
from vtlab.prompts.skeletons import Skeleton
from vtlab.show import draw
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.video import Image, Video

DRAWING = frozenset(
    {"box", "click", "polygon", "paint", "points", "add_point", "nodes", "add_node", "delete"}
)


def choice(
    key: str, text: str, what: str, *, main: bool = False, on: bool = False, **values: Any
) -> dict[str, Any]:
    """A button of the panel: its key, its words, the edit that it sends; whether it is the usual one, and is pressed."""
    return {"key": key, "text": text, "do": {"do": what, **values}, "main": main, "on": on}


def data_url(image: Image) -> str:
    """An RGB image as an address that a browser shows."""
    import cv2

    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(bytes(data)).decode("ascii")


class QueueState(AnnotatorState):
    """Questions one after the other, on frames that are asked for.

    Args:
        video: Footage of the first question.
        segmenter: Turns clicks into a mask.
        skeleton: Template for points.
    """

    edits: ClassVar[frozenset[str]] = DRAWING | {
        "go",
        "select",
        "show",
        "undo",
        "redo",
        "home",
        "back",
        "later",
        "more",
    }

    usual_seconds: ClassVar[float] = 20.0
    """What an answer takes, until the person's own pace is known."""

    def __init__(self, video: Video, *, segmenter: Segmenter | None = None, skeleton: Skeleton | None = None):
        super().__init__(video, segmenter=segmenter, skeleton=skeleton)
        self.done = False
        """Whether an answer is shown instead of a question."""
        self._paces: list[float] = []
        self._since = time.monotonic()

    @property
    @abstractmethod
    def place(self) -> int:
        """The frame that is asked."""

    @abstractmethod
    def progress(self) -> tuple[int, int | None]:
        """How many questions are answered, and how many there will be at the next look."""

    @abstractmethod
    def question(self) -> dict[str, Any]:
        """What is asked: "ask" (text), "pictures" (address, caption), "choices" (see `choice`)."""

    @abstractmethod
    def answer(self) -> dict[str, Any]:
        """What is known: "sentence", "chart" (HTML of `vtlab.show.intervals`), "notes", "choices"."""

    def view(self) -> dict[str, Any]:
        """What the browser needs to draw: JSON values only, and nothing of a tracker before there is an answer."""
        done, total = self.progress()
        panel = self.answer() if self.done else self.question()
        panel |= {
            "answer": self.done,
            "place": self.place,
            "here": self.frame == self.place,
            "done": done,
            "total": total,
            "left": "" if self.done or total is None else self._time_left(total - done),
        }
        return super().view() | {"queue": panel, "labels": [], "work": None}

    def _time_left(self, questions: int) -> str:
        known = self._paces[-9:] if len(self._paces) > 2 else [*self._paces, self.usual_seconds]
        pace = statistics.median(known)
        minutes = questions * pace / 60
        return "less than a minute left" if minutes < 0.75 else f"about {round(minutes)} min left"

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit; figures are drawn on the frame that is asked, and on no other."""
        if edit.get("do") in DRAWING and (self.done or self.frame != self.place):
            self.message = (
                "Nothing is asked now."
                if self.done
                else f"Frame {self.place} is asked: Home goes back to it."
            )
            return
        super().act(edit)

    def undo(self) -> None:
        """Take back the last edit on this frame, or go back to the answer before."""
        if self._undo:
            super().undo()
        else:
            self.back()

    def home(self) -> None:
        """Show the frame that is asked."""
        self.go(self.place)

    @abstractmethod
    def back(self) -> None:
        """Go back to the answer before."""

    @abstractmethod
    def later(self) -> None:
        """Put the question behind the others of this round."""

    @abstractmethod
    def more(self) -> None:
        """Go on asking after an answer."""

    def _answered(self) -> None:
        self._paces.append(min(time.monotonic() - self._since, 120.0))

    def _open(self, video: Video, frame: int) -> None:
        """Show a frame without figures, and forget the edits of the one before."""
        self.video, self.frame = video, frame
        self._now, self._undo, self._redo = type(self._now)(), [], []
        self._since = time.monotonic()


def footage_of(name: str, video: Video | None) -> Video:
    """The footage of a clip; `InputError` where nobody said what it is."""
    if video is None:
        raise InputError(f"The footage of {name!r} isn't known: give .annotator(video).")
    return video


def portrait(image: Image, prompt: Prompt, side: int = 96) -> Image:
    """The surroundings of a prompted object, with the prompt on it."""
    h, w = image.shape[:2]
    x1, y1, x2, y2 = prompt.box(h, w).tolist()
    reach = max(0.75 * max(x2 - x1, y2 - y1), 24.0)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = (round(max(v, 0)) for v in (x - reach, y - reach))
    cut = (draw.figures(image, [prompt]) if isinstance(prompt, BoxPrompt) else image)[
        top : max(round(y + reach), top + 1), left : max(round(x + reach), left + 1)
    ]
    return draw.resized(cut, side)
