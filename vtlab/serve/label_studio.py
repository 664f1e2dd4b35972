"""Label Studio's door: an ML backend that carries boxes through a video.

The contract is that of label-studio-ml: `/setup`, `/predict`, `/health`. The boxes of the regions that come with a request
(the interactive context, or the task's first annotation) are what is followed; the answer has one region for each, under
its id, with every frame from its first box to the video's end.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree

import numpy as np

from vtlab.errors import FormatError
from vtlab.formats.borders import crop_boxes
from vtlab.formats.label_studio_plan import Plan
from vtlab.formats.label_studio_read import read_task
from vtlab.formats.ledger import column
from vtlab.prompts import BoxPrompt, Prompt, Prompts
from vtlab.serve.door import Call, Door, Handler, Later
from vtlab.serve.fetch import open_fetched
from vtlab.serve.follow import choose
from vtlab.serve.guard import fields_of
from vtlab.serve.jobs import Job, RefusedError
from vtlab.trackers.loop import stream
from vtlab.tracks import Tracks
from vtlab.video import Video

_SAMPLE = BoxPrompt((0, 0, 2, 2))


class LabelStudio(Door):
    """The backend.

    Attributes:
        key: Of Label Studio's API, sent to allowed hosts alone; by default the environment's `LABEL_STUDIO_API_KEY`.
    """

    name = "label-studio"
    key: str | None = None

    def routes(self) -> Mapping[str, Handler]:
        """See `Door`."""
        return {
            "POST /predict": self.predict,
            "POST /setup": lambda _: {"model_version": self.version},
            "POST /webhook": lambda _: {},
            "GET /versions": lambda _: {"versions": [self.version]},
        }

    @property
    def version(self) -> str:
        """What is shown of the model."""
        return f"vtlab {choose(_SAMPLE, self.core.trackers)}"

    def predict(self, call: Call) -> Later:
        """Follow the boxes of the tasks' regions."""
        body = fields_of(call.body, "The request", ("tasks",))
        tasks = body["tasks"]
        if not isinstance(tasks, list) or not 0 < len(tasks) <= 100:
            raise RefusedError("tasks should be a list of 1 to 100 tasks.")
        asked = [fields_of(task, "A task", ("data",)) for task in tasks]
        context = fields_of(body.get("params") or {}, "params").get("context") or {}
        given = [_regions(task, context) for task in asked]
        name = _video_of(body.get("label_config"))
        addresses = [
            self._address(task, name) if regions else None for task, regions in zip(asked, given, strict=True)
        ]
        objects = sum(len({r.get("id") for r in regions}) for regions in given)
        if objects > self.core.limits.objects:
            raise RefusedError(f"{objects} objects, at most {self.core.limits.objects} are followed at once.")

        def work(job: Job) -> None:
            for task, regions, address in zip(asked, given, addresses, strict=True):
                found = self._follow(job, task, regions, address) if address is not None else []
                job.about["results"].append(
                    {"result": found, "score": _score(found), "model_version": self.version}
                )
                job.put(steps=1)

        job = self.core.jobs.submit(call.client, work, len(asked), door=self.name, results=[])

        def then() -> dict[str, Any]:
            if job.state != "finished":
                raise RefusedError(job.error or "It was stopped.", 400 if job.error else 503)
            return {"results": job.about["results"]}

        return Later(job, then)

    def _address(self, task: Mapping[str, Any], name: str) -> str:
        """Where a task's video is; one without a host is at the first host that may be asked."""
        data = fields_of(task["data"], "data")
        value = data.get(name)
        if not isinstance(value, str):
            raise RefusedError(f"The task's data lacks the video {name!r}.")
        if value.startswith("/") and self.way.hosts:
            value = urljoin(self.way.hosts[0], value)
        self.way.check(value)
        return value

    def _follow(
        self, job: Job, task: Mapping[str, Any], regions: list[dict[str, Any]], address: str
    ) -> list[dict[str, Any]]:
        key = self.key or os.environ.get("LABEL_STUDIO_API_KEY")
        headers = {} if key is None else {"Authorization": f"Token {key}"}
        with open_fetched(self.way, address, self.core.limits.body_bytes, headers) as video:
            if len(video) > self.core.limits.frames:
                raise RefusedError(
                    f"The video has {len(video)} frames, at most {self.core.limits.frames} are followed."
                )
            drawn = _drawn(regions, (video.height, video.width))
            prompts = Prompts(_prompts(drawn))
            job.keeps(len(video) * len(prompts.object_ids), self.core.limits)
            tracker = choose(_SAMPLE, self.core.trackers)
            with (
                self.core.pool.lend(tracker) as made,
                stream(video, prompts, made, cancel=job.cancel, measured=False) as run,
            ):
                for _ in run:
                    job.check()
                tracks = run.tracks
            return _told(tracks, drawn, regions, video)


def _regions(task: Mapping[str, Any], context: Any) -> list[dict[str, Any]]:
    """Regions of boxes: those of the context, else those of the task's first annotation."""
    found = context.get("result") if isinstance(context, Mapping) else None
    if not found:
        drawn = task.get("annotations")
        first = drawn[0] if isinstance(drawn, list) and drawn else {}
        found = first.get("result") if isinstance(first, Mapping) else None
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(r, dict) for r in found):
        raise RefusedError("result should be a list of regions.")
    return [r for r in found if str(r.get("type", "")).lower() == "videorectangle"]


def _video_of(config: Any) -> str:
    """Name of the data that the labelling interface shows as its video; `video` where it isn't said."""
    if not isinstance(config, str) or len(config) > 100_000 or "<!" in config:
        return "video"
    try:
        found = ElementTree.fromstring(config).find(".//Video")  # noqa: S314 (no declarations: nothing to expand)
    except ElementTree.ParseError:
        raise RefusedError("label_config is no XML.") from None
    value = "" if found is None else found.get("value", "")
    return value.removeprefix("$") if re.fullmatch(r"\$\w{1,60}", value) else "video"


def _drawn(regions: list[dict[str, Any]], size: tuple[int, int]) -> Tracks:
    task = {"annotations": [{"result": copy.deepcopy(regions)}]}  # its figures are given up as they are read
    try:
        return read_task(task, Path("result"), size, "truth")
    except FormatError as error:
        raise RefusedError(str(error)) from None


def _prompts(drawn: Tracks) -> list[Prompt]:
    """Boxes that stand in the regions, without those that lie between them."""
    angles = column(drawn, "angle")
    found: list[Prompt] = []
    for row in np.flatnonzero(np.array([s != "interpolated" for s in drawn.source])).tolist():
        x1, y1, x2, y2 = drawn.boxes[row].tolist()
        owner, frame = int(drawn.object_id[row]), int(drawn.frame[row])
        box = BoxPrompt(
            (x1, y1, x2, y2), float(angles[row]), object_id=owner, frame=frame, label=drawn.label[row]
        )
        found.append(box)
    return found


def _told(tracks: Tracks, drawn: Tracks, regions: list[dict[str, Any]], video: Video) -> list[dict[str, Any]]:
    """Regions of what was found, under the ids and the names of the interface that were given."""
    record = tracks.record.replace(id_map=drawn.record.id_map, frames=len(video))
    given = {str(r.get("id")): r for r in regions}
    names = ("from_name", "to_name", "original_width", "original_height")
    found = []
    for region in Plan(_cut(tracks.seen(), (video.height, video.width)).replace(record=record)).regions():
        source = given.get(str(region["id"]), {})
        region["value"]["labels"] = (source.get("value") or {}).get("labels") or region["value"]["labels"]
        found.append(
            {**region, **{name: source[name] for name in names if name in source}, "origin": "prediction"}
        )
    return found


def _cut(tracks: Tracks, size: tuple[int, int]) -> Tracks:
    """Without what lies outside the frame; what a person drew, and turned boxes, are never cut, only left out."""
    inside = crop_boxes(tracks.boxes, size)
    whole = (column(tracks, "angle") != 0) | (tracks.source == "manual")
    left = np.isfinite(inside).all(axis=1) | (tracks.source == "manual")
    return tracks.replace(boxes=np.where(whole[:, None], tracks.boxes, inside)).take(left)


def _score(regions: list[dict[str, Any]]) -> float:
    scores = [float(r.get("score", 1.0)) for r in regions]
    return sum(scores) / len(scores) if scores else 0.0
