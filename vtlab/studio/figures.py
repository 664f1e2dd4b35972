"""The widget that shows a frame and figures on it, and hands a person's edits to a state."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.studio.scripts import FIGURES, joined

JPEG_QUALITY = 92


class FigureWidget(anywidget.AnyWidget):
    """Shows the frame and the figures of a state, and hands it the edits that a person makes.

    Args:
        state: What is shown: it has `video`, `frame`, `view()`, `overlay()` and `act(edit)`.
    """

    _esm = joined(*FIGURES)
    _css = joined("annotator.css")
    image = traitlets.Bytes(b"").tag(sync=True)
    mask = traitlets.Bytes(b"").tag(sync=True)
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, state: AnnotatorState):
        self._state = state
        self._shown: tuple[Any, int] | None = None
        self._lock = threading.Lock()  # work in the background refreshes too
        super().__init__()
        self.on_msg(lambda _, edit, __: self.act(edit))
        self.refresh()

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit, as the browser sends it: {"do": "box", "xyxy": [1, 2, 30, 40]}."""
        try:
            self._state.act(edit)
        except Exception as error:  # of a segmenter, say: seen by the person, and in the kernel's log
            self._state.message = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.refresh()

    def refresh(self) -> None:
        """Send what changed to the browser."""
        state = self._state
        overlay = state.overlay()
        with self._lock, self.hold_sync():
            if self._shown is None or self._shown[0] is not state.video or self._shown[1] != state.frame:
                self.image = encode(".jpg", state.video[state.frame])
                self._shown = state.video, state.frame
            self.mask = b"" if overlay is None else encode(".png", overlay)
            self.view = state.view()


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
