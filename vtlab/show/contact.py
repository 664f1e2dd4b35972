"""A contact sheet: small pictures of frames, and what the colours in them stand for."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vtlab.show.draw import colour
from vtlab.show.page import jpeg, missing
from vtlab.video import Image

_STYLE = (
    "<style>.contact figure { margin: 0 0 .6rem } .contact img { display: block; width: 100%; height: auto } "
    ".contact figcaption { font-size: .88em; opacity: .75 }</style>"
)


@dataclass(frozen=True)
class Contact:
    """Small pictures of frames.

    Attributes:
        names: Whose answers are drawn, each in the colour of its place: `draw.colour(1)` and so on.
        pictures: (caption, RGB image (H, W, 3), or why there is none), taken as the page is written.
        note: What a reader must know of them.
    """

    names: Sequence[str]
    pictures: Iterable[tuple[str, Image | str]]
    note: str

    def to_html(self) -> str:
        """Return the sheet, which needs no style of a page; "" without a picture. Names stand in it as text."""
        shown = [missing(c, i) if isinstance(i, str) else jpeg(i, c) for c, i in self.pictures]
        if not shown:
            return ""
        grid = "display:grid;gap:0 8px;grid-template-columns:repeat(auto-fill,minmax(min(46%,240px),1fr))"
        keys = "".join(
            f"<span style='white-space:nowrap;margin-right:1.2em'><i style='display:inline-block;width:.8em;height:.8em;"
            f"margin-right:.4em;background:rgb{colour(k + 1)};outline:1px solid #888'></i>{html.escape(name)}</span>"
            for k, name in enumerate(self.names)
        )
        note = f"<p class=note>{html.escape(self.note)}</p>"
        return f"{_STYLE}<p>{keys}</p><div class=contact style='{grid}'>{''.join(shown)}</div>{note}"
