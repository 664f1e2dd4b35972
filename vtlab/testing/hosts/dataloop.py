"""A Dataloop that is none: the stream of one item behind a token, and somebody who is told per cent."""

from __future__ import annotations

import tempfile
from collections.abc import Container
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.testing.hosts.base import FakeHost, Reply, square
from vtlab.video import write_video

FRAMES = 12
_SHOWN = "of-dataloop"


class FakeDataloop(FakeHost):
    """Serves a video at `stream`; stands for the module `dl`, too: `token()`.

    Args:
        content: What the stream holds; by default a clip of 12 frames with a moving square.
        port: 0 = a free one.
    """

    def __init__(self, content: bytes | None = None, port: int = 0):
        super().__init__(port)
        self._content = clip() if content is None else content

    @property
    def emptied(self) -> str:
        """Address of another item's stream, in whose clip there is nothing from frame 4 on."""
        return f"{self.address}/api/v1/items/2/stream"

    @property
    def stream(self) -> str:
        """Address of the item's stream, without a token."""
        return f"{self.address}/api/v1/items/1/stream"

    def token(self) -> str:
        """The token of the session."""
        return _SHOWN

    def answer(self, method: str, path: str, body: Any) -> Reply:
        """See `FakeHost`."""
        if not path.endswith(f"?jwt={_SHOWN}"):
            return Reply({"message": "no token"}, 401)
        return Reply(_emptied() if "/items/2/" in path else self._content, kind="video/mp4")


class Percent:
    """Somebody who is told per cent.

    Attributes:
        said: What was told, in order.
    """

    def __init__(self) -> None:
        self.said: list[int] = []

    def update(self, progress: int, **_: Any) -> None:
        """Be told."""
        self.said.append(progress)


def clip(blank: Container[int] = ()) -> bytes:
    """A video file of `FRAMES` frames of the moving square; there is nothing on the frames `blank`."""
    nothing = np.full_like(square(0), 40)
    with tempfile.TemporaryDirectory(prefix="vtlab-") as folder:
        file = Path(folder, "clip.mp4")
        write_video(file, np.stack([nothing if n in blank else square(n) for n in range(FRAMES)]), fps=25)
        return file.read_bytes()


@cache
def _emptied() -> bytes:
    return clip(range(4, FRAMES))
