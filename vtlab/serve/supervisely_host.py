"""A Supervisely server, asked: its videos, figures and frames; what was found is written, and the annotation tool told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vtlab.serve.guard import Connection, HostError, as_json, read_body
from vtlab.serve.sources import HostFrames, decoded
from vtlab.video import Video

_MOST_JSON = 32 * 2**20
"""Bytes of an answer: figures of a long video fit."""
# The SDK's apps write no more at once.
_ADDED = 100  # figures of a request
_FIELDS = ("id", "objectId", "geometry", "geometryType", "meta")


class Host:
    """One server, asked with the token of whoever started the tracking.

    Args:
        link: To its origin.
        token: Goes into the header `x-api-key`, and nowhere else.
    """

    def __init__(self, link: Connection, token: str):
        self._link, self._token = link, token

    def call(self, method: str, payload: Mapping[str, Any]) -> Any:
        """The JSON with which the server answers a method."""
        _, data = self._ask(method, payload, _MOST_JSON)
        return read_body(data, _MOST_JSON, f"The answer to {method}")

    def _ask(self, method: str, payload: Mapping[str, Any], most: int) -> tuple[Mapping[str, str], bytes]:
        headers = {"x-api-key": self._token, "Content-Type": "application/json"}
        return self._link.ask("POST", f"/public/api/v3/{method}", as_json(payload), headers, most)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def video(self, video_id: int, limit: int) -> Video:
        """A video whose frames are fetched as they are needed; of at most `limit` frames."""
        info = self.call("videos.info", {"id": video_id, "forceMetadataForLinks": True})
        if not isinstance(info, Mapping):
            raise HostError(f"The server says no more of video {video_id} than {str(info)[:60]!r}.")
        count = info.get("framesCount") or (info.get("fileMeta") or {}).get("framesCount")
        if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= limit:
            raise HostError(f"Video {video_id} has framesCount {str(count)[:40]!r}; 1 to {limit} are taken.")

        def fetch(frames: Sequence[int]) -> Mapping[int, bytes]:
            return self.frames(video_id, frames)

        size = decoded(fetch([0])[0], "frame 0").shape[:2]
        name = str(info.get("name") or video_id)[:200]
        return Video(HostFrames(fetch, name, (size[0], size[1]), _times(info, count)))

    def frames(self, video_id: int, frames: Sequence[int]) -> Mapping[int, bytes]:
        """Encoded images of frames, in one request."""
        method = "videos.bulk.download-frame"
        headers, data = self._ask(method, {"videoId": video_id, "frames": list(frames)}, 256 * 2**20)
        return _parts(headers.get("content-type", ""), data)

    def figure(self, figure_id: int) -> Mapping[str, Any]:
        """A figure that a person drew."""
        found = self.call("figures.info", {"id": figure_id, "fields": list(_FIELDS)})
        if not isinstance(found, Mapping) or "geometry" not in found:
            raise HostError(f"The server knows no figure {figure_id}.")
        return found

    def add(self, video_id: int, figures: Sequence[Mapping[str, Any]]) -> None:
        """Write figures."""
        for first in range(0, len(figures), _ADDED):
            self.call(
                "figures.bulk.add", {"entityId": video_id, "figures": list(figures[first : first + _ADDED])}
            )

    def objects(self, dataset_id: Any, video_id: int, class_ids: Sequence[Any]) -> list[int]:
        """Make objects of these classes; their ids."""
        made = [{"classId": class_id, "entityId": video_id} for class_id in class_ids]
        found = self.call("annotation-objects.bulk.add", {"datasetId": dataset_id, "annotationObjects": made})
        ids = [entry.get("id") for entry in found] if isinstance(found, list) else []
        if len(ids) != len(made) or not all(isinstance(i, int) for i in ids):
            raise HostError("The server made other objects than it was asked for.")
        return ids


class Teller:
    """Messages to the annotation tool about one tracking: as notifications, or directly to the tool's session.

    Args:
        host: The server.
        context: Of the request: `trackId`, `videoId`, `sessionId`, and `useDirectProgressMessages`, whose truth chooses.
    """

    def __init__(self, host: Host, context: Mapping[str, Any]):
        self._host = host
        self._about = {"trackId": context.get("trackId"), "videoId": context.get("videoId")}
        self._session = context.get("sessionId")
        # In the official app a false useDirectProgressMessages makes errors direct, too.
        self._direct = bool(context.get("useDirectProgressMessages")) and self._session is not None

    @property
    def track_id(self) -> Any:
        """The tool's id of the tracking."""
        return self._about["trackId"]

    def progress(
        self, span: Sequence[int], done: int, total: int, tracked: Mapping[str, int] | None = None
    ) -> bool:
        """Tell which frames have new figures; True when the person wants it to stop."""
        data = {"frameRange": list(span), "progress": {"current": done, "total": total}}
        if self._direct:
            return _stops(self._act(data))
        more = {} if tracked is None else {"trackedFigures": dict(tracked)}
        return _stops(self._notify("videos:fetch-figures-in-range", {**data, **more}))

    def error(self, message: str) -> None:
        """Show an error."""
        if self._direct:
            self._act({"type": "error", "error": {"message": message}})
        else:
            self._notify("videos:tracking-error", {"error": {"message": message}})

    def warning(self, message: str) -> None:
        """Show a warning."""
        if self._direct:
            self._act({"type": "warning", "message": message})
        else:
            self._notify("videos:tracking-warning", {"message": message})

    def _act(self, more: Mapping[str, Any]) -> Any:
        action = "figures/setDirectTrackingProgress"
        payload = {"sessionId": self._session, "action": action, "payload": {**self._about, **more}}
        return self._host.call("annotation-tool.run-action", payload)

    def _notify(self, kind: str, more: Mapping[str, Any]) -> Any:
        return self._host.call(
            "videos.notify-annotation-tool", {"type": kind, "data": {**self._about, **more}}
        )


def _stops(answer: Any) -> bool:
    return isinstance(answer, Mapping) and answer.get("stopped") is True


def _times(info: Mapping[str, Any], count: int) -> Any:
    """Seconds of each frame: the server's where they are times, else 25 a second."""
    meta = info.get("fileMeta")
    said = info.get("framesToTimecodes") or (
        meta.get("framesToTimecodes") if isinstance(meta, Mapping) else None
    )
    if isinstance(said, list) and len(said) == count and all(type(t) in (int, float) for t in said):
        times = np.asarray(said, np.float64)
        if np.isfinite(times).all() and (np.diff(times) > 0).all():
            return times - times[0]
    return np.arange(count) / 25.0


def _parts(kind: str, data: bytes) -> dict[int, bytes]:
    """Files of a multipart body by the frames that name them."""
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if found is None:
        raise HostError(f"Frames should come as multipart/form-data, got {kind[:60]!r}.")
    images: dict[int, bytes] = {}
    for part in data.split(b"--" + found[1].encode())[1:-1]:
        head, gap, body = part.partition(b"\r\n\r\n")
        name = re.search(rb'(?:^|[\s;])name="?(\d{1,9})"?', head)
        if gap and name is not None:
            images[int(name[1])] = body.removesuffix(b"\r\n")
    return images
