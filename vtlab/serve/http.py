"""Jobs over plain HTTP, for those without a platform.

    POST /jobs                 {"video": address, "prompts": ..., "tracker": ..., "params": {...}, "direction": ...,
                               "start": ..., "stop": ...}, or a form: the file, and the same JSON without "video" in
                               the field `job`
    GET  /jobs/ID              how it stands
    GET  /jobs/ID/results      a line of JSON for each frame as it comes, and a last one with the state
    POST /jobs/ID/stop         ends it within one frame
    GET  /jobs/ID/download?format=mot17     the tracks so far in any format that `vtlab convert` writes

Prompts are JSON as `Prompts.to_json` writes it. Of the trackers only those are taken with which the server was started, and
as parameters numbers, booleans and null: a text could name a file.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from vtlab import masks
from vtlab.errors import TrackingError
from vtlab.formats import FORMATS, find_format, write_tracks
from vtlab.prompts import Prompts
from vtlab.prompts.fit import check_figures, check_prompts
from vtlab.registry import TRACKERS
from vtlab.serve.door import Answer, Call, Door, Handler, Lines
from vtlab.serve.fetch import open_bytes, open_fetched
from vtlab.serve.guard import fields_of, read_body
from vtlab.serve.jobs import Job, RefusedError
from vtlab.trackers.loop import stream
from vtlab.tracks import FrameTracks
from vtlab.video import Video

_KNOWN = frozenset({"video", "prompts", "tracker", "params", "direction", "start", "stop"})


class Http(Door):
    """Jobs: create, watch, stop, download."""

    name = "http"

    def routes(self) -> Mapping[str, Handler]:
        """See `Door`."""
        return {
            "POST /jobs": self.create,
            "GET /jobs/{job}": lambda call: _told(self._job(call)),
            "GET /jobs/{job}/results": self.results,
            "POST /jobs/{job}/stop": self.stop,
            "GET /jobs/{job}/download": self.download,
        }

    def uploads(self) -> frozenset[str]:
        """See `Door`."""
        return frozenset({"POST /jobs"})

    def create(self, call: Call) -> Answer:
        """Queue a tracking."""
        asked = call.body
        if call.files or call.fields:
            if len(call.files) != 1:
                raise RefusedError(f"A form has one file, the video; this one has {len(call.files)}.")
            asked = read_body(
                call.fields.get("job", "{}").encode(), self.core.limits.json_bytes, "The field 'job'"
            )
        given = fields_of(asked, "The request", () if call.files else ("video",))
        unknown = sorted(set(given) - _KNOWN)
        if unknown or (call.files and "video" in given):
            raise RefusedError(
                f"{unknown[0] if unknown else 'video'!r} is not taken here. Known: {', '.join(sorted(_KNOWN))}."
            )
        prompts = self._prompts(given.get("prompts"))
        tracker = self._tracker(given.get("tracker"), prompts)
        params = _params(given.get("params"))
        if not call.files:
            self.way.check(given["video"])
        start, stop = (_frame(given.get(name), name) for name in ("start", "stop"))
        direction = given.get("direction", "forward")
        if direction not in ("forward", "backward", "both"):
            raise RefusedError(
                f"direction should be 'forward', 'backward' or 'both', got {str(direction)[:40]!r}."
            )

        def work(job: Job) -> None:
            with self._video(call, given) as video:
                if len(video) > self.core.limits.frames:
                    raise RefusedError(
                        f"The video has {len(video)} frames, at most {self.core.limits.frames} are tracked."
                    )
                with (
                    self.core.pool.lend(tracker, params) as made,
                    stream(
                        video, prompts, made, direction=direction, start=start, stop=stop, cancel=job.cancel
                    ) as run,
                ):
                    job.total = run.total
                    job.keeps(run.total * max(len(prompts.object_ids), 1), self.core.limits)
                    try:
                        for frame, answer in run:
                            job.put(_line(frame, answer), steps=1)
                    except TrackingError as error:
                        job.about["tracks"] = error.tracks
                        raise
                    finally:
                        job.about.setdefault("tracks", run.tracks)

        job = self.core.jobs.submit(call.client, work, 0, size=sum(map(len, call.files)), door=self.name)
        return Answer(_told(job), 201, headers={"Location": f"/jobs/{job.id}"})

    def results(self, call: Call) -> Lines:
        """Results as they come."""
        return Lines(self._job(call), lambda row: row, _told)

    def stop(self, call: Call) -> dict[str, Any]:
        """End it within one frame."""
        job = self._job(call)
        job.stop()
        return _told(job)

    def download(self, call: Call) -> Answer:
        """The tracks so far, as a file of a format; several files as a zip."""
        job, name = self._job(call), call.query.get("format", "parquet")
        if not job.ended:
            raise RefusedError("The job still works. Remedy: wait for its end, or stop it.", 409)
        tracks = job.about.get("tracks")
        if tracks is None:
            raise RefusedError(f"The job has no tracks: {job.error or job.state}.", 404)
        if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
            raise RefusedError(f"{name[:40]!r} is no name of a format. Known: {', '.join(sorted(FORMATS))}.")
        with tempfile.TemporaryDirectory(prefix="vtlab-") as folder:
            write_tracks(tracks, folder, find_format(name), sequence="video", tracker="result")
            files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
            if len(files) == 1:
                body, shown = files[0].read_bytes(), files[0].name
            else:
                body, shown = _zipped(files, Path(folder)), f"{name}.zip"
        header = {"Content-Disposition": f'attachment; filename="{shown}"'}
        return Answer(body, kind="application/octet-stream", headers=header)

    def _job(self, call: Call) -> Job:
        job = self.core.jobs.get(call.path.get("job"))
        if job.about.get("door") != self.name:
            raise RefusedError("There is no such job here.", 404)
        return job

    def _video(self, call: Call, given: Mapping[str, Any]) -> AbstractContextManager[Video]:
        if call.files:
            return open_bytes(call.files[0], "The file")
        return open_fetched(self.way, given["video"], self.core.limits.body_bytes)

    def _prompts(self, given: Any) -> Prompts:
        prompts = Prompts() if given is None else Prompts.from_json(json.dumps(given), where="prompts")
        if len(prompts.object_ids) > self.core.limits.objects:
            raise RefusedError(
                f"{len(prompts.object_ids)} objects, at most {self.core.limits.objects} are followed at once."
            )
        check_figures(prompts, "A server of figures")
        return prompts

    def _tracker(self, name: Any, prompts: Prompts) -> Any:
        """The tracker that was named, or the first that takes the prompts."""
        known = {TRACKERS.card(t).name: t for t in self.core.trackers}
        if name is not None and name not in known:
            raise RefusedError(f"tracker {str(name)[:60]!r} is none of this server's: {', '.join(known)}.")
        fits = [t for t in known.values() if prompts.kinds <= TRACKERS.card(t).takes]
        chosen = known[name] if name is not None else (fits or [self.core.trackers[0]])[0]
        check_prompts(TRACKERS.card(chosen), prompts)
        return chosen


def _params(given: Any) -> dict[str, Any]:
    params = dict(fields_of(given if given is not None else {}, "params"))
    for name, value in params.items():
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,60}", str(name)) or not isinstance(
            value, bool | int | float | None
        ):
            raise RefusedError(
                f"params: {str(name)[:40]!r} should be a number, true, false or null; texts are not taken."
            )
    return params


def _frame(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 2**31:
        raise RefusedError(f"{name} should be a frame from 0 on, got {str(value)[:40]!r}.")
    return value


def _told(job: Job) -> dict[str, Any]:
    """How a job stands."""
    told = {"id": job.id, "state": job.state, "done": job.done, "total": job.total}
    return {**told, **({"error": job.error} if job.error else {})}


def _line(frame: int, answer: FrameTracks) -> dict[str, Any]:
    """What was found on a frame, as JSON: boxes and points in pixels, masks as COCO's runs."""
    labels = answer.labels or (None,) * len(answer)
    objects = []
    for row, i in enumerate(answer.object_ids.tolist()):
        box = answer.boxes[row].tolist()
        told: dict[str, Any] = {
            "id": i,
            "box": box if all(v == v for v in box) else None,
            "score": float(answer.scores[row]),
            "visible": bool(answer.visible[row]),
        }
        if labels[row] is not None:
            told["label"] = labels[row]
        if answer.masks is not None and answer.masks[row].any():
            counts = masks.encode(answer.masks[row]).decode("ascii")
            told["mask"] = {"size": list(answer.masks[row].shape), "counts": counts}
        mine = answer.point_owners == i
        if mine.any():
            xy, seen = answer.points[mine].tolist(), answer.point_visible[mine].tolist()
            told["points"] = [
                {"id": n, "xy": at if at == at else None, "visible": v}
                for n, at, v in zip(answer.point_ids[mine].tolist(), xy, seen, strict=True)
            ]
        objects.append(told)
    return {"frame": frame, "objects": objects}


def _zipped(files: list[Path], root: Path) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root).as_posix())
    return held.getvalue()
