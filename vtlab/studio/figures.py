"""The widget that shows a frame and figures on it, and hands a person's edits to a state."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from vtlab.errors import InputError, VtlabError
from vtlab.show import draw
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.studio.link import Link, placed, with_free_id
from vtlab.studio.scripts import script, styles
from vtlab.studio.still import StillWidget
from vtlab.video import Image

JPEG_QUALITY = 92
"""Of frames that are sent: edges stay clear, at a fraction of PNG's size."""
COLOURS = [draw.hex_of(c) for c in draw.PALETTE]


class FigureWidget(StillWidget):
    """Shows the frame and the figures of a state, and hands it the edits that a person makes.

    Args:
        state: What is shown: it has `video`, `frame`, `view()`, `overlay()` and `act(edit)`.
    """

    _esm = script("annotator.js")
    _css = styles("annotator.css", "notice.css")
    image = traitlets.Bytes(b"").tag(sync=True)
    mask = traitlets.Bytes(b"").tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    room = traitlets.Unicode("").tag(sync=True)

    def __init__(self, state: AnnotatorState):
        self._state = state
        self._shown: tuple[Any, int] | None = None
        self._lock = threading.Lock()  # work in the background refreshes too
        self._link = Link()
        super().__init__(room=_room(type(self).__name__, state))
        self.on_msg(lambda _, message, __: self._hear(message))
        self.refresh()

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit, as the browser sends it: {"do": "box", "xyxy": [1, 2, 30, 40]}.

        With "at": {"frame": 3, "object_id": 2} it is about another frame and object than those shown, and with "fresh" it
        makes that object, or, where there is one of that id, the next.
        """
        try:
            self._act(with_free_id(edit, self._state.made_ids)[0] if edit.get("fresh") else edit)
        finally:
            self.refresh()

    def _act(self, edit: Mapping[str, Any]) -> None:
        try:
            with placed(self._state, edit) as what:
                self._state.act(what)
        except (VtlabError, KeyError, TypeError, ValueError) as error:  # no such place
            self._state.message = f"The edit {edit.get('do')!r} can't be carried out: {error}"
        except KeyboardInterrupt:
            self._state.message = "Interrupted: the last edit was not carried out."
            raise
        except Exception as error:  # of a segmenter, say: seen by the person, and in the kernel's log
            self._state.message = f"{type(error).__name__}: {error}"
            raise

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Answer a word of the browser, see link.js."""
        if "link" not in message:
            self.act(message)
            return
        news = self._state.catch_up()  # of another widget on the same work: it may have taken an id
        if message.get("do") == "beat":
            if news:
                self.refresh()
            self.send(self._link.beat(message))
        elif message.get("do") == "adopt":
            self._take_over(message)
        elif (edit := self._link.take(message, self._state.made_ids)) is not None:
            self.act(edit)

    def _take_over(self, message: Mapping[str, Any]) -> None:
        """Carry out what a view that was closed had no answer to."""
        view, done, left = str(message["client"]), 0, []
        for edit, repeat in self._link.take_over(view, message["edits"], self._state):
            if repeat:
                self._act(edit)
                done += 1
            else:
                left.append(edit)
        if done:
            edits = "1 edit" if done == 1 else f"{done} edits"
            self._state.message = f"{edits} that had no answer yet carried out. {self._state.message}".strip()
        self.send({"do": "adopted", "to": message["link"], "client": view, "left": left})
        self.refresh()

    def refresh(self) -> None:
        """Send what changed to the browser."""
        state = self._state
        overlay = state.overlay()
        with self._lock, self.hold_sync():
            if self._shown is None or self._shown[0] is not state.video or self._shown[1] != state.frame:
                frame = state.video.frame(state.frame)
                state.video.look(frame)
                self.image = encode(".jpg", frame.image)
                self._shown = state.video, state.frame
            self.mask = b"" if overlay is None else encode(".png", overlay)
            self.view = state.view() | {"answered": dict(self._link.answered), "palette": COLOURS}
        self.still_changed()

    def still(self) -> Image:
        """The frame that is shown with its figures."""
        state = self._state
        image, overlay = state.video[state.frame], state.overlay()
        if overlay is not None:
            share = overlay[..., 3:] / 255.0
            image = np.round(image * (1 - share) + overlay[..., :3] * share).astype(np.uint8)
        return draw.figures(image, [p for p in state.at(state.frame) if p.object_id not in state.hidden])


def _room(kind: str, state: AnnotatorState) -> str:
    """Name under which the browser keeps edits without an answer: the same for the same work, also in another kernel."""
    work = uuid.uuid4().hex if state.file is None else f"{kind} {state.file}"
    return hashlib.sha256(work.encode()).hexdigest()[:16]


def encode(suffix: str, image: NDArray[np.uint8]) -> bytes:
    """RGB or RGBA image -> bytes of a JPEG or PNG file."""
    import cv2

    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_PNG_COMPRESSION, 1]
    ok, data = cv2.imencode(
        suffix, cv2.cvtColor(image, code), options[:2] if suffix == ".jpg" else options[2:]
    )
    if not ok:
        raise InputError(f"A frame of {image.shape[1]} x {image.shape[0]} px can't be encoded as {suffix}.")
    return data.tobytes()
