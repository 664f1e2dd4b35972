"""A page of results: one HTML file that needs no network. It is given data and measures nothing."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vtlab import provenance
from vtlab.files import write_whole
from vtlab.show.intervals import CSS as CHART
from vtlab.video import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIDEO_LIMIT = 24 << 20
"""Bytes of a video that a page holds at most."""


class Part(Protocol):
    """A part of a page under a title of its own, such as a `Board`."""

    @property
    def title(self) -> str:
        """Its heading."""
        ...

    def to_html(self) -> str:
        """What it shows; what others named stands in it as text."""
        ...


@dataclass(frozen=True)
class Page:
    """What stands on a page, from the answer down to how it was made.

    Attributes:
        title: Heading.
        subtitle: What was looked at, in one line.
        answer: The answer in sentences.
        boards: Tables, and what else is shown under a title of its own.
        figures: (caption, plot), taken as the page is written.
        pictures: (caption, RGB image (H, W, 3)), taken as the page is written; a text in place of an image says why there
            is none.
        videos: (caption, an H.264 file), read as the page is written, likewise; one above `VIDEO_LIMIT` is named only.
        code: Program that makes it again; "" if there is none.
        facts: How it was made: versions, parameters, hashes.
    """

    title: str
    subtitle: str = ""
    answer: tuple[str, ...] = ()
    boards: tuple[Part, ...] = ()
    figures: Iterable[tuple[str, Figure]] = ()
    pictures: Iterable[tuple[str, Image | str]] = ()
    videos: Iterable[tuple[str, Path | str]] = ()
    code: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_html(self) -> str:
        """Return the page; what others named stands in it as text, so no markup of theirs works."""
        title = html.escape(self.title)
        body = [f"<h1>{title}</h1>"]
        if self.subtitle:
            body.append(f"<p class=sub>{html.escape(self.subtitle)}</p>")
        if self.answer:
            items = "".join(f"<li>{html.escape(s)}</li>" for s in self.answer)
            body.append(f"<ul class=answer>{items}</ul>")
        body += [f"<h2>{html.escape(board.title)}</h2>\n{board.to_html()}" for board in self.boards]
        plots = [_svg(sheet, caption) for caption, sheet in self.figures]
        pictures = [missing(c, i) if isinstance(i, str) else jpeg(i, c) for c, i in self.pictures]
        videos = [missing(c, v) if isinstance(v, str) else _video(v, c) for c, v in self.videos]
        for heading, kind, parts in (
            ("Plots", "plots", plots),
            ("Frames", "gallery", pictures),
            ("Side by side", "gallery", videos),
        ):
            body += [f"<h2>{heading}</h2><div class={kind}>", *parts, "</div>"] if parts else []
        if self.code:
            body.append(f"<h2>Repeat it</h2><pre>{html.escape(self.code)}</pre>")
        if self.facts:
            text = html.escape(json.dumps(provenance.plain(dict(self.facts)), indent=1))
            summary = f"<summary>{html.escape(', '.join(self.facts))}</summary>"
            body.append(f"<h2>Provenance</h2><details>{summary}<pre>{text}</pre></details>")
        head, tail = _PAGE.split("{body}")
        return head.replace("{title}", title).replace("{chart}", CHART) + "\n".join(body) + tail

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all; return its path.

        Raises:
            WriteError: The file can't be written.
        """
        return write_whole(path, self.to_html())


def _svg(sheet: Figure, caption: str) -> str:
    """A plot that stays sharp at any size: the same plot is the same text."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "vtlab"}):
        sheet.savefig(buffer, format="svg", metadata={"Date": None})
    return _figure("img", "image/svg+xml", buffer.getvalue(), caption)


def jpeg(image: Image, caption: str) -> str:
    """An RGB image (H, W, 3) with its caption, as HTML."""
    import cv2

    # OpenCV writes BGR.
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return _figure("img", "image/jpeg", bytes(data), caption)


def _video(path: Path, caption: str) -> str:
    if path.stat().st_size > VIDEO_LIMIT:
        return missing(caption, "the video is too large for this page.")
    return _figure("video controls autoplay muted loop playsinline", "video/mp4", path.read_bytes(), caption)


def _figure(tag: str, kind: str, data: bytes, caption: str) -> str:
    text, code = html.escape(caption), base64.b64encode(data).decode("ascii")
    named = "alt" if tag == "img" else "title"
    shown = f"<{tag} {named}='{text}' src='data:{kind};base64,{code}'></{tag.split()[0]}>"
    # HTML's img has no end tag.
    return f"<figure>{shown.removesuffix('</img>')}<figcaption>{text}</figcaption></figure>"


def missing(caption: str, reason: str) -> str:
    """A note in place of a picture, as HTML."""
    return f"<p class=note>{html.escape(f'{caption}: {reason}')}</p>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --faint: color-mix(in srgb, CanvasText 62%, Canvas) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1360px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.sub, .note, figcaption { color: var(--faint); font-size: .88rem }
.answer { background: var(--soft); border-radius: 8px; padding: .9rem 1rem .9rem 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
.board th, .board td { padding: .3rem .45rem } .board th { vertical-align: bottom }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line) }
th, td:first-child { white-space: nowrap }
.gallery { display: flex; flex-wrap: wrap; gap: .4rem 1rem }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: .4rem 1.2rem }
.plots img { display: block; width: 100% }
figure { margin: .6rem 0; max-width: 100% }
img, video { max-width: 100%; height: auto; border-radius: 6px; background: #fff }
pre { background: var(--soft); padding: 1rem; overflow: auto; font-size: .78rem; border-radius: 8px }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
.span { margin: .5rem 0 }
.span svg { display: block; width: 100%; height: 44px; border-radius: 4px;
  background: color-mix(in srgb, CanvasText 7%, transparent) }
.under { display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere }
.under { color: var(--faint); font-size: .8rem }
.tick { fill: none; stroke-width: 2px; vector-effect: non-scaling-stroke; stroke: #1976d2 }
.tick.again { stroke: #e8710a; stroke-width: 3px } .tick.unsure { stroke: #999; stroke-dasharray: 4 4 }
path.apart { fill: #8886 } rect.known { fill: #2e9e4f }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; color: var(--faint); font-size: .85rem; margin: .3rem 0 .8rem }
.legend i { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem;
  border-radius: 2px; background: #1976d2 }
.legend .again { background: #e8710a } .legend .unsure { background: #999 } .legend .known { background: #2e9e4f }
.legend .apart { background: #8886 }
.gallery.small { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)) }
.gallery.small img { display: block; width: 100% }
@media (max-width: 640px) {
  body { margin: 1rem auto; padding: 0 .8rem } th, td { padding: .3rem .4rem } td:first-child { white-space: normal }
  .gallery.small { grid-template-columns: repeat(2, minmax(0, 1fr)) }
}
@media (prefers-color-scheme: dark) { /* plots are drawn on white: turned over, each colour keeps its hue */
  .plots img { background: none; filter: invert(.93) hue-rotate(180deg) }
}
{chart}</style></head><body>
{body}
</body></html>
"""
