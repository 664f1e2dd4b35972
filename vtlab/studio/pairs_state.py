"""Questions about identities as a queue, without a browser: two frames side by side, a box on each, the way back."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np

from vtlab.decision import IdentityPairs, Pair, View
from vtlab.errors import InputError, WriteError
from vtlab.prompts import BoxPrompt
from vtlab.show.intervals import chart, rows_of
from vtlab.studio.queue_state import QueueState, choice, footage_of
from vtlab.video import FrameSource, Image, Video

WIDEST = 1100
"""Pixels of one of the two frames at most; larger ones are made smaller."""
GAP = 8
MARK = (255, 214, 0)


class Sides(FrameSource):
    """Two frames of a clip side by side, each with its box, and below them what the boxes hold, enlarged.

    The right side can be leafed through; its box stands on its own frame alone. With one box there is one side.

    Args:
        video: The footage.
        pair: What is asked.
    """

    def __init__(self, video: Video, pair: Pair):
        self._video, self._pair = video, pair
        self.scale = min(WIDEST / video.width, 1.0)
        self.side = round(video.width * self.scale)
        self._tall = round(video.height * self.scale)
        self.left = 0 if pair.second is None else self.side + GAP
        """Where the right side begins."""
        self.name, self.source = video.name, video.source
        self.width = self.left + self.side
        self.height = self._tall + GAP + self._tall // 2
        self.fps, self.timestamps = video.fps, video.timestamps

    @property
    def asked(self) -> View:
        """What the right side is about."""
        return self._pair.second or self._pair.first

    def get(self, index: int) -> Image:
        """The sides, the right one at the frame `index`."""
        sheet = np.full((self.height, self.width, 3), 24, np.uint8)
        if self.left:
            self._put(sheet, 0, self._pair.first, self._pair.first.frame)
        self._put(sheet, self.left, self.asked, index)
        return sheet

    def digest(self) -> str:
        """That of the footage."""
        return self._video.digest()

    def _put(self, sheet: Image, left: int, view: View, frame: int) -> None:
        """One side: the frame, and its box and what it holds where they are of this frame."""
        image = self._video[frame]
        side = cv2.resize(image, (self.side, self._tall), interpolation=cv2.INTER_AREA)
        if view.box is not None and frame == view.frame:
            x1, y1, x2, y2 = (round(v * self.scale) for v in view.box)
            for shade, thick in (((0, 0, 0), 5), (MARK, 2)):
                cv2.rectangle(side, (x1, y1), (x2, y2), shade, thick)
            inset = _enlarged(image, view.box, self.side, self._tall // 2)
            top, at = self._tall + GAP, left + (self.side - inset.shape[1]) // 2
            sheet[top : top + inset.shape[0], at : at + inset.shape[1]] = inset
        sheet[: self._tall, left : left + self.side] = side


def _enlarged(image: Image, box: tuple[float, ...], width: int, height: int) -> Image:
    """What a box holds with some of its surroundings, as large as fits."""
    h, w = image.shape[:2]
    x1, y1, x2, y2 = box
    more = 0.25 * max(x2 - x1, y2 - y1) + 2
    left, top = round(min(max(x1 - more, 0), w - 2)), round(min(max(y1 - more, 0), h - 2))
    right, bottom = round(min(max(x2 + more, left + 2), w)), round(min(max(y2 + more, top + 2), h))
    cut = image[top:bottom, left:right]
    scale = min(width / cut.shape[1], height / cut.shape[0])
    size = max(int(cut.shape[1] * scale), 1), max(int(cut.shape[0] * scale), 1)
    big = cv2.resize(cut, size, interpolation=cv2.INTER_CUBIC)
    edges = [round(v * scale) for v in (x1 - left, y1 - top, x2 - left, y2 - top)]
    cv2.rectangle(big, (edges[0], edges[1]), (edges[2], edges[3]), MARK, 1)
    return np.asarray(big, np.uint8)


class PairState(QueueState):
    """The questions of `IdentityPairs`, one after the other; each answer is written by it at once.

    Args:
        pairs: What asks.

    Raises:
        InputError: The footage of a clip isn't known.
    """

    usual_seconds: ClassVar[float] = 6.0
    edits: ClassVar[frozenset[str]] = frozenset({
        "go", "home", "back", "later", "more", "box", "delete", "undo", "redo", "say", "take",
    })  # fmt: skip

    def __init__(self, pairs: IdentityPairs):
        self.pairs = pairs
        self._footage = {name: footage_of(name, clip.video) for name, clip in pairs.clips.items()}
        self._history: list[Pair] = []
        self._round = pairs.next()
        self._pair: Pair | None = None
        super().__init__(next(iter(self._footage.values())))
        self._ask()

    @property
    def tools(self) -> list[str]:
        """A box, where an object is looked for."""
        return ["box"] if self._pair is not None and self._pair.kind == "find" and not self.done else []

    @property
    def place(self) -> int:
        """The frame of the right side's box."""
        return self.frame if self._pair is None else (self._pair.second or self._pair.first).frame

    def progress(self) -> tuple[int, int | None]:
        """Questions that are settled, and all before the next look."""
        return self.pairs.progress

    def view(self) -> dict[str, Any]:
        """As of any queue; there is one object, the one that is asked for."""
        return super().view() | {"fixed": True, "undo": bool(self._undo or self._history)}

    def question(self) -> dict[str, Any]:
        """The question in words, and what may be said."""
        pair = self._pair
        if pair is None:
            return {"ask": "", "pictures": [], "choices": []}
        keys = {"yes": "y", "no": "n", "none": "x", "unsure": "u"}
        choices = [choice(keys[what], words, "say", answer=what) for what, words in pair.says.items()]
        ask = pair.text
        if pair.kind == "find":
            ask += " Draw a box around it on the right."
            choices = [choice("Enter", "Done, next", "take", main=True), *choices]
        choices += [choice("l", "Later", "later"), choice("j", "Back", "back")]
        return {"ask": ask, "pictures": [], "choices": choices}

    def answer(self) -> dict[str, Any]:
        """What the answers say by now."""
        shown = chart(rows_of(self.pairs.table, notes=True), self.pairs.metric)
        choices = [choice("j", "Back", "back")]
        if self.pairs.next():
            choices = [choice("Enter", f"{len(self.pairs.next())} more questions", "more"), *choices]
        return {
            "sentence": self.pairs.sentence, "chart": shown, "notes": [], "choices": choices,
        }  # fmt: skip

    def _ask(self) -> None:
        """Open the next question of this round, or show the answer where it is over."""
        said = self.pairs.said
        left = [p for p in self._round if p.key not in said]
        if not left and not self._settled():
            left = self._round = (
                self.pairs.next()
            )  # of an object that was looked for in vain, on another frame
        self.done = not left
        if left:
            self._show(left[0])

    def _settled(self) -> bool:
        """Whether this round's draws are all settled, so that there is something new to be said."""
        settled, total = self.pairs.progress
        return settled == total or self.pairs.reached in self.pairs.looks

    def _show(self, pair: Pair) -> None:
        self._pair, self.done, self.selected = pair, False, 1
        view = pair.second or pair.first
        self._open(Video(Sides(self._footage[view.clip], pair)), view.frame)
        said = self.pairs.said.get(pair.key)
        if isinstance(said, tuple):
            sides = self._sides()
            x1, y1, x2, y2 = (v * sides.scale for v in said)
            box = BoxPrompt((x1 + sides.left, y1, x2 + sides.left, y2), frame=view.frame)
            self._now = type(self._now)({(1, view.frame, "box"): box})

    def _sides(self) -> Sides:
        if self._pair is None:
            raise InputError("Nothing is asked now.")
        return Sides(self._footage[self._pair.first.clip], self._pair)

    def say(self, answer: str) -> None:
        """Answer the question in words."""
        if self._pair is None or self.done:
            raise InputError("Nothing is asked now.")
        self._add(answer)

    def take(self) -> None:
        """Take the box that is drawn as the answer."""
        sides = self._sides()
        drawn = [p for p in self.at(self.place) if isinstance(p, BoxPrompt)]
        if not drawn:
            raise InputError(
                "Draw a box around the object on the right, or say that it isn't to be seen here (n)."
            )
        corners = drawn[0].corners()
        low, high = corners.min(axis=0), corners.max(axis=0)
        right = np.array([sides.width, sides.height * 2 // 3])
        low, high = np.maximum(low, [sides.left, 0]), np.minimum(high, right)
        if (high <= low).any():
            raise InputError("The box lies beside the right frame.")
        box = np.concatenate([low, high]) - [sides.left, 0, sides.left, 0]
        self._add([float(v) for v in box / sides.scale])

    def _add(self, answer: str | list[float]) -> None:
        pair, word = self._pair, ""
        if pair is None:
            return
        try:
            self.pairs.add(pair.key, answer)
        except WriteError as error:  # the answer is taken; the file is written with the next one
            word = f"Not saved: {error}"
        if pair not in self._history:
            self._history.append(pair)
            self._answered()
        self._ask()
        self.message = word

    def later(self) -> None:
        """Put this question behind the others of this round."""
        if self._pair in self._round:
            self._round = [p for p in self._round if p != self._pair] + [self._pair]
            self._ask()

    def back(self) -> None:
        """Go back to the question answered before."""
        shown = None if self.done else self._pair
        at = self._history.index(shown) if shown in self._history else len(self._history)
        if at == 0:
            self.message = "There is no answer before this one."
            return
        self._show(self._history[at - 1])

    def more(self) -> None:
        """Go on with the next round."""
        self._round = self.pairs.next()
        self._ask()
