"""TrackPlayer: plays a video with the tracks of one or several trackers drawn on it, side by side and in step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from vtlab.errors import VtlabError
from vtlab.show import draw
from vtlab.studio.link import Link
from vtlab.studio.player_data import PlayerData
from vtlab.studio.scripts import script, styles
from vtlab.studio.still import StillWidget
from vtlab.tracks import Tracks
from vtlab.video import Image, open_video


class TrackPlayer(StillWidget):
    """A player in a notebook cell.

    Frames travel as small JPEG pictures, some at a time and only when they are to be shown, and the browser keeps a
    bounded number of them, so that a long video opens at once and memory stays small on both sides.

    Args:
        video: Anything `open_video` takes.
        tracks: One `Tracks`, or name -> tracks for panels side by side.
        truth: Ground truth, drawn in white and compared in the timeline.
        width: Width of the pictures sent, in pixels.

    Attributes:
        frame: The frame shown; set it to go there.
    """

    _esm = script("player.js")
    _css = styles("player.css", "notice.css")
    info = traitlets.Dict().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        video: Any,
        tracks: Tracks | Mapping[str, Tracks],
        *,
        truth: Tracks | None = None,
        width: int = 720,
        **kwargs: Any,
    ):
        panels = {tracks.name: tracks} if isinstance(tracks, Tracks) else tracks
        self.data = PlayerData(open_video(video), panels, truth=truth, width=width)
        self._link = Link()
        super().__init__(info=self.data.info(), **kwargs)
        self.on_msg(self._answer)

    def _answer(self, _: Any, content: Any, __: Any) -> None:
        """Send the frames that the browser asks for, or a sign of life."""
        if not isinstance(content, dict):
            return
        if content.get("do") == "beat":
            self.send(self._link.beat(content))
        if content.get("do") != "frames":
            return
        indices = content.get("frames")
        indices = [i for i in indices if isinstance(i, int)] if isinstance(indices, list) else []
        try:
            overlays, pictures = self.data.frames(indices)
        except VtlabError as error:
            self.send({"do": "error", "text": str(error)})
            return
        self.send({"do": "frames", "overlays": overlays}, pictures)

    def still(self) -> Image:
        """The frame that is shown, with the tracks of each panel."""
        data, frame = self.data, min(max(self.frame, 0), len(self.data.video) - 1)
        image = data.video[frame]
        panels = [
            draw.overlay(image, tracks, frame, truth=data.truth, title=name if len(data.tracks) > 1 else "")
            for name, tracks in data.tracks.items()
        ]
        return draw.side_by_side(panels)
