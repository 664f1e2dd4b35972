"""Videos that are fetched from an address, or came with a request: into a file of our own, of a kind that names no other."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from vtlab.files import write_whole
from vtlab.serve.guard import Origin, Outward
from vtlab.serve.jobs import RefusedError
from vtlab.video import Video, open_video

_KINDS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    # the size before it is no text: "<!--free--><MPD ...", which FFmpeg takes for a playlist, begins as a box, too
    (re.compile(rb"(?s)(?![\t\n\r\x20-\x7e]{4}).{4}(ftyp|moov|mdat|wide|free|skip)"), ".mp4"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), ".mkv"),
    (re.compile(rb"(?s)RIFF.{4}AVI "), ".avi"),
    # MPEG-TS: packets of 188 bytes, each begins with 0x47.
    (re.compile(rb"(?s)\x47.{187}\x47"), ".ts"),
    (re.compile(rb"\x00\x00\x01[\xba\xb3]"), ".mpg"),
    (re.compile(rb"FLV\x01"), ".flv"),
    (re.compile(rb"OggS"), ".ogv"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
)
"""How files of videos begin. Playlists, scripts and lists of other files, which FFmpeg would follow, are none of them."""


@contextlib.contextmanager
def open_bytes(data: bytes, where: str) -> Iterator[Video]:
    """The video of a file's content; the file is one of our own and goes at the end.

    Raises:
        RefusedError: It is no file of a video.
        VideoError: It is damaged.
    """
    suffix = next((suffix for begin, suffix in _KINDS if begin.match(data[:400])), None)
    if suffix is None:
        raise RefusedError(
            f"{where} is no file of a video (MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg or GIF)."
        )
    with (
        tempfile.TemporaryDirectory(prefix="vtlab-") as folder,
        open_video(write_whole(Path(folder, f"video{suffix}"), data)) as video,
    ):
        yield video


@contextlib.contextmanager
def open_fetched(
    way: Outward, address: str, most: int, headers: Mapping[str, str] | None = None
) -> Iterator[Video]:
    """The video at an address, of at most `most` bytes.

    Raises:
        RefusedError: The address may not be asked, or is none of a video's file.
        HostError: It wasn't there.
        VideoError: It is damaged.
    """
    link = way.connect(address)
    parts = urlsplit(address)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        _, data = link.ask("GET", path, headers=headers, most=most)
    finally:
        link.close()
    with open_bytes(data, f"What is at {Origin.of(address)}") as video:
        yield video
