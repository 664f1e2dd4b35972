"""Scripts and style sheets of the widgets: one module for the browser, put together from files of one purpose each."""

from __future__ import annotations

from pathlib import Path

FIGURES = ("parts.js", "link.js", "predict.js", "stage.js", "gestures.js", "annotator.js")
"""What the widget of a frame and its figures needs, in order."""


def joined(*names: str) -> str:
    """The text of files beside this one, as one: names are shared, an `export` stands in one of them."""
    return "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)
