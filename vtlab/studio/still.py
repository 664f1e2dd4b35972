"""The picture that a widget leaves in a saved notebook, for all who open it without the kernel."""

from __future__ import annotations

import base64
import io
import os
import sys
import threading
from typing import Any

import anywidget

from vtlab.show.draw import resized
from vtlab.video import Image

WIDTH = 640
"""Pixels of the picture at most."""
QUIET = 1.0
"""Seconds after the last change at which the picture is made anew."""
VIEW = "application/vnd.jupyter.widget-view+json"
# Three outputs lie in a row: the picture, this rule, the widget. In JupyterLab and Notebook the picture is seen where the
# widget does not live (a file opened without its kernel, or one whose kernel hasn't answered yet), and then the line in
# the widget's place ("Loading widget...", "model not found") is not; outputs of other kinds name theirs in
# `data-mime-type`. Other viewers show the picture and know nothing of widgets.
ROW = ".jp-OutputArea-child"
RULE = f"""<div class="vt-still"><style>
{ROW}:has(> * > .vt-still), {ROW}:has(.vt-still) {{ display: none; }}
{ROW}:has(+ {ROW} .vt-still):has(+ {ROW} + {ROW} :is(.vt-annotator, .vt-player)) {{ display: none; }}
{ROW}:has(.vt-still) + {ROW}:not(:has([data-mime-type], .vt-annotator, .vt-player)) {{ display: none; }}
</style></div>"""


class StillWidget(anywidget.AnyWidget):
    """A widget that leaves a picture of what it shows; it implements `still`."""

    def __init__(self, **traits: Any):
        self._handle: Any = None
        self._timer: threading.Timer | None = None
        super().__init__(**traits)

    def still(self) -> Image:
        """What is shown, as a picture: RGB (H, W, 3)."""
        raise NotImplementedError

    def still_changed(self) -> None:
        """Make the picture anew, once the hand rests."""
        if self._handle is None or (self._timer is not None and self._timer.is_alive()):
            return
        self._timer = threading.Timer(QUIET, self._update)
        self._timer.daemon = True
        self._timer.start()

    def _update(self) -> None:
        self._handle.update(self._picture(), raw=True)

    def _picture(self) -> dict[str, Any]:
        return {"image/png": _png(self.still()), "text/plain": repr(self)}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and its picture for those who have no widgets."""
        made: Any = super()._repr_mimebundle_(**kwargs)
        data = made[0] if isinstance(made, tuple) else made
        return self._picture() | {VIEW: data[VIEW]}

    def _ipython_display_(self, **_: Any) -> None:
        from IPython.display import display

        view = self._repr_mimebundle_()
        if _one_of_a_bundle():
            display(view, raw=True)
            return
        self._handle = display(self._picture(), raw=True, display_id=True)
        display({"text/html": RULE, "text/plain": ""}, raw=True)
        display({VIEW: view[VIEW], "text/plain": repr(self)}, raw=True)


def _one_of_a_bundle() -> bool:
    """Whether the viewer takes one form of an output's and its page has other names: Colab, VS Code."""
    return "google.colab" in sys.modules or "VSCODE_PID" in os.environ


def _png(image: Image) -> str:
    """A small PNG file, in base64: a palette is enough to see what was there."""
    from PIL import Image as pictures

    small = resized(image, min(image.shape[1], WIDTH))
    file = io.BytesIO()
    pictures.fromarray(small).quantize(256).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
