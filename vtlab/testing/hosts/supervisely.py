"""A Supervisely server that is none: one video, figures on it, and an annotation tool that listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt, SkeletonPrompt
from vtlab.serve.supervisely_figures import Shape, to_geometry
from vtlab.testing.hosts.base import FakeHost, Reply, png, square
from vtlab.video import Video

TOKEN = "x" * 64
VIDEO = 77
RING = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44sKHhISMDuxpTYrr03F6gDI"
    "Onq5/LOqeEJgDM5ht6"
)
"""A ring of 3 x 3 pixels, as Supervisely's own client writes it."""
GEOMETRIES: Mapping[str, Any] = {
    "rectangle": {"points": {"exterior": [[20, 30], [49, 59]], "interior": []}},
    "oriented_bbox": {"points": [[20, 30], [49, 59]], "angle": 0.25},
    "bitmap": {"bitmap": {"origin": [20, 30], "data": RING}, "shape": "bitmap", "geometryType": "bitmap"},
    "point": {"points": {"exterior": [[35, 45]], "interior": []}},
    "line": {"points": {"exterior": [[25, 35], [45, 55]], "interior": []}},
    "polygon": {"points": {"exterior": [[20, 30], [49, 30], [49, 59]], "interior": []}},
    "graph": {"nodes": {"a": {"loc": [25, 35]}, "b": {"loc": [45, 55], "disabled": True}}},
}
"""One of each, on any frame."""


_DATES = {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"}
_PLACE = {"datasetId": 3, "projectId": 2, "tags": [], "customData": {}, **_DATES}
_FIGURE: Mapping[str, Any] = {
    **_PLACE,
    "entityId": VIDEO,
    "videoId": VIDEO,
    "classId": 4,
    "labelingTool": "",
    "area": "900",
    "priority": 1,
    "geometryMeta": {"bbox": [30, 20, 59, 49]},
    "trackId": None,
    "nnCreated": False,
    "nnUpdated": False,
}
"""What the server says of every figure."""


class FakeSupervisely(FakeHost):
    """The server.

    Args:
        frames: Length of its video.
        times: Seconds of each frame; by default 25 a second.
        port: 0 = a free one.
        video: Its video, in place of a moving square of `frames`.

    Attributes:
        figures: Id -> figure; those that were written, too.
        written: What was written, in order.
        messages: What the annotation tool was told, in order: (form, type, data), the form being "notify" or "direct".
        size: Height and width of its video.
        stop_after: Progress messages after which the person presses stop; None = never.
        blank: Frames on which there is nothing.
    """

    def __init__(
        self,
        frames: int = 12,
        times: list[float] | None = None,
        port: int = 0,
        *,
        video: Video | None = None,
    ):
        super().__init__(port)
        self.frames = frames if video is None else len(video)
        self.size = (120, 160) if video is None else (video.height, video.width)
        self._video = video
        self._times = times if times is not None else [i / 25 for i in range(self.frames)]
        self._images: dict[int, bytes] = {}
        self.forget()

    def forget(self) -> None:
        """Be as new."""
        self.stop_after: int | None = None
        self.blank: frozenset[int] = frozenset()
        self.figures: dict[int, dict[str, Any]] = {}
        self.written: list[dict[str, Any]] = []
        self.messages: list[tuple[str, str, dict[str, Any]]] = []
        self.objects: list[dict[str, Any]] = []
        self.classes: list[dict[str, Any]] = [{"id": 4, "name": "car", "title": "car", "shape": "rectangle"}]
        self.traffic.clear()

    def draw(self, figure_id: int, object_id: int, kind: str = "rectangle", geometry: Any = None) -> None:
        """A person draws a figure."""
        self.figures[figure_id] = {
            "id": figure_id,
            "objectId": object_id,
            "geometryType": kind,
            "geometry": GEOMETRIES[kind] if geometry is None else geometry,
            "meta": {"frame": 3},
            **_FIGURE,
        }

    def draw_prompt(self, figure_id: int, object_id: int, prompt: Prompt) -> None:
        """A person draws a box, a mask or a skeleton, as a prompt says it."""
        if isinstance(prompt, MaskPrompt):
            kind = "bitmap"
            prompt = MaskPrompt.of(prompt.mask(*self.size))
        elif isinstance(prompt, SkeletonPrompt):
            kind = "graph"
        else:
            kind = "oriented_bbox" if isinstance(prompt, BoxPrompt) and prompt.angle else "rectangle"
        self.draw(figure_id, object_id, kind, to_geometry(prompt, Shape(kind), self.size))

    def frame(self, index: int) -> bytes:
        """An encoded frame."""
        if index in self.blank:
            return png(np.full((120, 160, 3), 40, np.uint8))
        if index not in self._images:
            self._images[index] = png(square(index) if self._video is None else self._video[index])
        return self._images[index]

    def told(self, kind: str = "") -> list[dict[str, Any]]:
        """Data of the messages of a type: "progress", "error" or "warning"."""
        with self.lock:
            return [data for _, told, data in self.messages if told == kind]

    def answer(self, method: str, path: str, body: Any) -> Reply:
        """See `FakeHost`."""
        name = path.rpartition("/public/api/v3/")[2]
        given = body if isinstance(body, dict) else {}
        answers = {
            "videos.info": self._info,
            "figures.info": self._figure,
            "videos.bulk.download-frame": self._download,
            "figures.bulk.add": self._add,
            "videos.notify-annotation-tool": self._notify,
            "annotation-tool.run-action": self._act,
            "advanced.object_classes.list": lambda _: Reply({"entities": self.classes}),
            "instance.version": lambda _: Reply({"version": "6.15.30"}),
            "videos.download-frame": self._one,
            "projects.meta": lambda _: Reply({"classes": [*self.classes], "tags": []}),
            "projects.meta.update": self._update,
            "annotation-objects.bulk.add": self._objects,
        }
        if name not in answers:
            return Reply({"error": f"not faked: {name}"}, 404)
        return answers[name](given)

    def _info(self, body: dict[str, Any]) -> Reply:
        if body.get("id") != VIDEO:
            return Reply({"error": "no such video"}, 404)
        meta = {
            "framesToTimecodes": self._times,
            "framesCount": self.frames,
            "duration": self._times[-1] + 0.04,
        }
        height, width = self.size
        file = {
            "width": width,
            "height": height,
            "codec": "h264",
            "mime": "video/mp4",
            "ext": "mp4",
            "size": "1000",
        }
        name = {"id": VIDEO, "name": "clip.mp4", "hash": "h", "link": None, "pathOriginal": "/h/clip.mp4"}
        place = {
            "teamId": 1,
            "workspaceId": 1,
            "meta": {},
            "frameWidth": width,
            "frameHeight": height,
            **_PLACE,
        }
        return Reply({**name, **place, **meta, "fileMeta": {**file, **meta, "rotation": 0, "streams": []}})

    def _figure(self, body: dict[str, Any]) -> Reply:
        found = self.figures.get(body.get("id", -1))
        return Reply({"error": "no such figure"}, 404) if found is None else Reply(found)

    def _download(self, body: dict[str, Any]) -> Reply:
        wanted = body["frames"]
        if not all(0 <= f < self.frames for f in wanted):
            return Reply({"error": f"no such frames: {wanted}"}, 400)
        head = b'--BB\r\nContent-Disposition: form-data; name="%d"\r\nContent-Type: image/png\r\n\r\n'
        parts = b"".join(head % f + self.frame(f) + b"\r\n" for f in wanted)
        return Reply(parts + b"--BB--\r\n", kind="multipart/form-data; boundary=BB")

    def _one(self, body: dict[str, Any]) -> Reply:
        if not 0 <= body["frame"] < self.frames:
            return Reply({"error": f"no such frame: {body['frame']}"}, 400)
        return Reply(self.frame(body["frame"]), kind="image/png")

    def _add(self, body: dict[str, Any]) -> Reply:
        if body.get("entityId") != VIDEO or len(body["figures"]) > 100:
            return Reply({"error": "another video, or more than 100 figures"}, 400)
        with self.lock:
            first = 9001 + len(self.written)
            self.written += body["figures"]
        return Reply([{"id": first + n} for n in range(len(body["figures"]))])

    def _notify(self, body: dict[str, Any]) -> Reply:
        kinds = {"videos:fetch-figures-in-range": "progress", "videos:tracking-error": "error"}
        return self._hear("notify", kinds.get(body["type"], "warning"), body["data"])

    def _act(self, body: dict[str, Any]) -> Reply:
        data = body["payload"]
        return self._hear("direct", data.get("type", "progress"), {**data, "sessionId": body["sessionId"]})

    def _hear(self, form: str, kind: str, data: dict[str, Any]) -> Reply:
        with self.lock:
            self.messages.append((form, kind, data))
            heard = sum(told == "progress" for _, told, _ in self.messages)
        return Reply({"stopped": self.stop_after is not None and heard >= self.stop_after})

    def _update(self, body: dict[str, Any]) -> Reply:
        known = {c["title"] for c in self.classes}
        new = [c for c in body["meta"]["classes"] if c["title"] not in known]
        self.classes += [{**c, "id": 100 + n, "name": c["title"]} for n, c in enumerate(new)]
        return Reply({"success": True})

    def _objects(self, body: dict[str, Any]) -> Reply:
        with self.lock:
            first = 7001 + len(self.objects)
            self.objects += body["annotationObjects"]
        return Reply([{"id": first + n} for n in range(len(body["annotationObjects"]))])
