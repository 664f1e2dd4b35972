"""Supervisely's tracking by detection: objects that a detector finds, followed and written to the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from vtlab.association.botsort import SuperviselyBotSortSettings
from vtlab.errors import RegistryError, VtlabError
from vtlab.registry import DETECTORS, TRACKERS
from vtlab.serve.follow import Core
from vtlab.serve.guard import HostError
from vtlab.serve.jobs import Job, Limits, RefusedError
from vtlab.serve.supervisely_figures import Shape, to_geometry
from vtlab.serve.supervisely_host import Host, Teller
from vtlab.trackers.loop import stream
from vtlab.tracks import FrameTracks
from vtlab.video import Video

_OWN = frozenset({"backfill", "velocities"})  # of vtlab's, not of Supervisely's
_DEAD = frozenset({"device", "fp16", "reid_weights", "ablation"})  # theirs, without a meaning here
_COLOUR = "#FF6037"


def settings() -> dict[str, Any]:
    """Names and defaults of BoT-SORT's settings, as Supervisely has them."""
    return {f.name: f.default for f in fields(SuperviselyBotSortSettings) if f.name not in _OWN}


@dataclass(frozen=True)
class Detection:
    """What finds objects.

    Attributes:
        detector: Name of a detector.
        params: Its parameters.
        tracker: Name of the tracker that joins what it finds.
    """

    detector: Any
    params: Mapping[str, Any] = field(default_factory=dict)
    tracker: str = "supervisely-botsort"

    def __post_init__(self) -> None:
        DETECTORS.card(self.detector)
        if TRACKERS.card(self.tracker).family != "mot":
            raise RegistryError(
                f"{self.tracker!r} follows no detections. Remedy: -t botsort, or another of family mot."
            )

    def plan(self, state: Mapping[str, Any], limits: Limits) -> Plan:
        """What a request asks for.

        Raises:
            RefusedError: It asks for something that is none.
        """
        stride, start = _whole(state, "stride", 1, 1), _whole(state, "startFrameIndex", 0, 0)
        direction = state.get("direction", "forward")
        if direction not in ("forward", "backward"):
            raise RefusedError(f"direction should be 'forward' or 'backward', got {str(direction)[:40]!r}.")
        if state.get("tracker") not in (None, "botsort"):
            raise RefusedError(f"tracker should be 'botsort', got {str(state.get('tracker'))[:40]!r}.")
        video = _whole(state, "videoId", None, 0)
        count: int | None = None
        # framesCount before endFrameIndex (exclusive) before duration: the SDK's order.
        if state.get("framesCount") is not None:
            count = _whole(state, "framesCount", None, 1)
        elif state.get("endFrameIndex") is not None:
            count = abs(_whole(state, "endFrameIndex", None, 0) - start)
        seconds = state.get("duration") if count is None else None
        if seconds is not None and not (type(seconds) in (int, float) and 0 < seconds < 1e9):
            raise RefusedError(f"duration should be seconds above 0, got {str(seconds)[:40]!r}.")
        given = state.get("tracker_settings") or {}
        params = self._settings(given) if self.tracker == "supervisely-botsort" else {}
        return Plan(
            self,
            video,
            start,
            stride if direction == "forward" else -stride,
            count,
            seconds,
            params,
            limits.frames,
        )

    @staticmethod
    def _settings(given: Any) -> dict[str, Any]:
        known = settings()
        if not isinstance(given, Mapping) or not set(given) <= set(known) | _DEAD:
            raise RefusedError(
                f"tracker_settings should have names out of {', '.join(known)}; got {str(given)[:80]}."
            )
        params = {name: value for name, value in given.items() if name in known}
        try:
            SuperviselyBotSortSettings(**params).translated()
        except (VtlabError, TypeError, KeyError) as error:
            raise RefusedError(f"tracker_settings: {error}") from None
        return params


def _whole(state: Mapping[str, Any], name: str, default: int | None, low: int) -> int:
    value = state.get(name)
    value = default if value is None else value
    if type(value) is not int or not low <= value < 2**53:
        raise RefusedError(f"{name} should be a whole number from {low} on, got {str(value)[:40]!r}.")
    return value


@dataclass(frozen=True)
class Plan:
    """One tracking by detection: from frame `start` on in steps of `stride`, `count` frames or `seconds` long."""

    detection: Detection
    video_id: int
    start: int
    stride: int
    count: int | None
    seconds: float | None
    params: Mapping[str, Any]
    most: int

    def run(self, job: Job, host: Host, teller: Teller, core: Core) -> None:
        """Find, follow, write and tell, frame by frame."""
        info = host.call("videos.info", {"id": self.video_id, "forceMetadataForLinks": True})
        with host.video(self.video_id, self.most * 100) as video:
            frames = self._frames(video)
            job.total = len(frames)
            writer = _Writer(host, self.video_id, info, (video.height, video.width), teller)
            detector = {"detector": self.detection.detector, "detector_params": dict(self.detection.params)}
            clip = video[frames.start : frames.stop if frames.stop >= 0 else None : frames.step]
            with (
                core.pool.lend(self.detection.tracker, {**detector, **self.params}) as tracker,
                stream(clip, None, tracker, cancel=job.cancel, measured=False) as run,
            ):
                for (_, answer), frame in zip(run, frames, strict=False):
                    writer.write(frame, answer)
                    job.put(steps=1)
                    if teller.progress((frame, frame), job.done, job.total):
                        job.stop()

    def _frames(self, video: Video) -> range:
        """Frames of the video, the first one included, within its ends."""
        if self.start >= len(video):
            raise RefusedError(
                f"startFrameIndex {self.start} lies beyond the video, which has {len(video)} frames."
            )
        count = self.count
        if count is None:
            count = len(video) if self.seconds is None else max(round(self.seconds * video.fps), 1)
        sign = 1 if self.stride > 0 else -1
        end = min(max(self.start + sign * count, -1), len(video))
        found = range(self.start, end, self.stride)
        if len(found) > self.most:
            raise RefusedError(f"{len(found)} frames, at most {self.most} are followed at once.")
        return found


class _Writer:
    """Writes answers: an object of its class for each track, a rectangle for each box."""

    def __init__(self, host: Host, video_id: int, info: Any, size: tuple[int, int], teller: Teller):
        self._host, self._video, self._size = host, video_id, size
        self._info: Mapping[str, Any] = info if isinstance(info, Mapping) else {}
        self._track = teller.track_id
        self._objects: dict[int, int] = {}
        self._classes: dict[str, Any] | None = None

    def write(self, frame: int, answer: FrameTracks) -> None:
        """Write one frame's boxes."""
        labels = answer.labels or (None,) * len(answer)
        rows = [
            (int(i), box, label or "object")
            for i, box, seen, label in zip(
                answer.object_ids, answer.boxes, answer.visible, labels, strict=True
            )
            if seen and np.isfinite(box).all()
        ]
        self._make([(i, label) for i, _, label in rows if i not in self._objects])
        figures = list(self._figures(frame, rows))
        if figures:
            self._host.add(self._video, figures)

    def _figures(self, frame: int, rows: Sequence[tuple[int, Any, str]]) -> Iterator[dict[str, Any]]:
        from vtlab.prompts import BoxPrompt

        for i, box, _ in rows:
            geometry = to_geometry(BoxPrompt(tuple(box.tolist())), Shape("rectangle"), self._size)
            if geometry is not None:
                yield {
                    "objectId": self._objects[i],
                    "geometryType": "rectangle",
                    "geometry": geometry,
                    "meta": {"frame": frame},
                    "trackId": self._track,
                    "nnCreated": True,
                    "nnUpdated": True,
                }

    def _make(self, new: Sequence[tuple[int, str]]) -> None:
        if not new:
            return
        lacking = sorted({label for _, label in new} - set(self._known()))
        if lacking:
            self._add_classes(lacking)
        classes = self._known()
        ids = self._host.objects(
            self._info.get("datasetId"), self._video, [classes[label] for _, label in new]
        )
        self._objects |= {i: made for (i, _), made in zip(new, ids, strict=True)}

    def _known(self) -> dict[str, Any]:
        """Class name -> id."""
        if self._classes is None:
            asked: dict[str, Any] = {"projectId": self._info.get("projectId"), "filter": []}
            found = self._host.call("advanced.object_classes.list", asked)
            entries = found.get("entities") if isinstance(found, Mapping) else None
            self._classes = {
                str(e["name"]): e["id"]
                for e in entries or ()
                if isinstance(e, Mapping) and {"name", "id"} <= set(e)
            }
        return self._classes

    def _add_classes(self, names: Sequence[str]) -> None:
        project = {"id": self._info.get("projectId")}
        meta = self._host.call("projects.meta", project)
        known = meta.get("classes") if isinstance(meta, Mapping) else None
        if not isinstance(known, list):
            raise HostError("The server says no classes of the project.")
        made = [
            {"title": name, "shape": "rectangle", "color": _COLOUR, "geometry_config": {}} for name in names
        ]
        self._host.call("projects.meta.update", {**project, "meta": {**meta, "classes": [*known, *made]}})
        self._classes = None
        lacking = [name for name in names if name not in self._known()]
        if lacking:
            raise HostError(f"The server took no class {lacking[0]!r}.")
