"""Dataloop's door: the service that its annotation studio calls to track boxes through a video.

The contract is that of Dataloop's custom AI tracker: a class with `run(dl, item_stream_url, bbs, start_frame,
frame_duration, progress)` that returns `{annotation id: {frame: [top left, bottom right]}}`. The service is deployed with
the files of `vtlab serve --scaffold dataloop FOLDER -t csrt`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from vtlab.formats.borders import crop_boxes
from vtlab.prompts import BoxPrompt, Prompt
from vtlab.serve.fetch import open_fetched
from vtlab.serve.follow import Core, Order, follow
from vtlab.serve.guard import Outward, fields_of, read_body
from vtlab.serve.jobs import Job, Limits, RefusedError
from vtlab.video import Video

HOSTS = ("https://gate.dataloop.ai",)
"""Where Dataloop serves the streams of its items."""
Corner = dict[str, int]


class Tracker:
    """Tracks boxes through a video of Dataloop's; trackers stay warm between calls.

    Args:
        tracker: Name of a tracker that takes boxes.
        hosts: Addresses of servers that a stream may be at; the token goes to these alone.
        private: Whether they may lie in private networks.
        limits: What a call may ask for.
        params: Parameters of the tracker.

    Raises:
        RegistryError: There is no such tracker.
    """

    def __init__(
        self,
        tracker: Any = "csrt",
        *,
        hosts: Sequence[str] = HOSTS,
        private: bool = False,
        limits: Limits | None = None,
        **params: Any,
    ):
        self._core, self._params = Core((tracker,), limits or Limits()), params
        self._way = Outward(tuple(hosts), private=private)

    def run(  # noqa: PLR0917 (the host's own order)
        self,
        dl: Any,
        item_stream_url: str,
        bbs: Any,
        start_frame: Any,
        frame_duration: Any = 60,
        progress: Any = None,
    ) -> dict[str, dict[int, list[Corner]]]:
        """Track boxes.

        Args:
            dl: Dataloop's module, of which the token is taken; None = the stream needs none.
            item_stream_url: Address of the video, without a token.
            bbs: Annotation id -> its corners [{x, y}, {x, y}] on the first frame; also as text of JSON.
            start_frame: First frame; a number or its text.
            frame_duration: Number of frames, the first one included.
            progress: Told per cent by `progress.update(progress=...)`; None = nobody.

        Returns:
            Annotation id -> frame -> corners, whole numbers, from the first frame on; frames on which the object isn't
            seen are left out, and the video's end is the end.

        Raises:
            RefusedError: A value is none, a box has no area, or the stream is at a server that may not be asked.
            TrackingError: The tracker failed.
        """
        boxes = _boxes(bbs, self._core.limits)
        start, count = _whole(start_frame, "start_frame", 0), _whole(frame_duration, "frame_duration", 1)
        if count > self._core.limits.frames:
            raise RefusedError(
                f"frame_duration {count}: at most {self._core.limits.frames} frames are tracked at once."
            )
        with ExitStack() as held:
            video = held.enter_context(self._open(dl, item_stream_url))
            if start >= len(video):
                raise RefusedError(
                    f"start_frame {start} lies beyond the video, which has frames 0 to {len(video) - 1}."
                )
            return self._tracked(video, boxes, start, min(count, len(video) - start), progress)

    def _tracked(
        self, video: Video, boxes: Mapping[Hashable, Prompt], start: int, count: int, progress: Any
    ) -> dict[str, dict[int, list[Corner]]]:
        size = (video.height, video.width)
        for name, box in boxes.items():
            assert isinstance(box, BoxPrompt)
            if not np.isfinite(crop_boxes(box.xyxy, size)).all():
                raise RefusedError(f"bbs: {name!r} lies outside the frame of {size[1]} x {size[0]} px.")
        found: dict[str, dict[int, list[Corner]]] = {str(name): {} for name in boxes}
        for name, box in boxes.items():
            assert isinstance(box, BoxPrompt)
            found[str(name)][start] = _corners(box, size)
        job = Job("dataloop", lambda _: None, count)
        _tell(progress, 1, count)
        order = Order(video, boxes, start, start + count - 1, self._core.trackers, self._params)
        for done, answers in enumerate(follow(order, self._core.pool, job) if count > 1 else (), 2):
            for answer in answers:
                if isinstance(answer.figure, BoxPrompt) and (corners := _corners(answer.figure, size)):
                    found[str(answer.host)][answer.frame] = corners
            _tell(progress, done, count)
        return found

    def _open(self, dl: Any, address: Any) -> Any:
        """The video at an address, fetched whole: seeking in a stream gives other frames than decoding it."""
        if not isinstance(address, str):
            raise RefusedError(f"item_stream_url should be an address, got {str(address)[:40]!r}.")
        self._way.check(address)
        token = dl.token() if dl is not None else None
        full = address if token is None else f"{address}{'&' if urlsplit(address).query else '?'}jwt={token}"
        return open_fetched(self._way, full, self._core.limits.body_bytes)


def _boxes(bbs: Any, limits: Limits) -> dict[Hashable, Prompt]:
    if isinstance(bbs, str):
        bbs = read_body(bbs.encode(), limits.json_bytes, "bbs")
    given = fields_of(bbs, "bbs")
    if not 0 < len(given) <= limits.objects:
        raise RefusedError(f"bbs has {len(given)} boxes, 1 to {limits.objects} are tracked at once.")
    found: dict[Hashable, Prompt] = {}
    for name, corners in given.items():
        try:
            xy = np.array([[float(c["x"]), float(c["y"])] for c in corners])
            if len(xy) < 2 or not np.isfinite(xy).all():
                raise ValueError
            (x1, y1), (x2, y2) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
            found[name] = BoxPrompt((x1, y1, x2, y2))
        except (TypeError, ValueError, KeyError, LookupError):
            raise RefusedError(
                f"bbs: {str(name)[:40]!r} should have two corners {{x, y}} with an area between them, got "
                f"{json.dumps(corners, default=str)[:80]}."
            ) from None
    return found


def _whole(value: Any, name: str, low: int) -> int:
    text = str(value)
    if (
        isinstance(value, bool)
        or not text.isascii()
        or not text.isdecimal()
        or len(text) > 10
        or int(text) < low
    ):
        raise RefusedError(f"{name} should be a whole number from {low} on, got {text[:40]!r}.")
    return int(text)


def _corners(box: BoxPrompt, size: tuple[int, int]) -> list[Corner]:
    """Whole corners, within the frame; empty where nothing is left."""
    cut = crop_boxes(box.xyxy, size)
    if not np.isfinite(cut).all():
        return []
    x1, y1, x2, y2 = (int(v) for v in np.floor(cut + 0.5).tolist())
    return [{"x": x1, "y": y1}, {"x": x2, "y": y2}]


def _tell(progress: Any, done: int, total: int) -> None:
    if progress is not None:
        progress.update(progress=int(100 * done / total))
