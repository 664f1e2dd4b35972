"""Supervisely's door: the requests that its video annotation tool, Auto Track and Predict send to a tracking app.

The contract is that of the SDK's `nn/inference/tracking` (6.74). Where the official apps are faulty this door isn't: a wrong
request is answered with 400 before anything starts, both ends are clipped, each frame is told once, a stop takes effect
within one frame, `/track-api` gives N rows of K entries with null for what is lost, and every geometry is delivered by
`/track_async`. Requests of Auto Track itself are not here (`supervisely_absent`): it keeps the timeline that they change
and calls `/track-api` of a tracking app for the frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import vtlab.provenance as provenance
from vtlab.prompts import Prompt
from vtlab.registry import TRACKERS
from vtlab.serve.door import Call, Door, Handler, Later
from vtlab.serve.follow import Found, Order, choose, follow, span
from vtlab.serve.guard import fields_of, read_body
from vtlab.serve.jobs import Job, RefusedError
from vtlab.serve.sources import EncodedFrames
from vtlab.serve.supervisely_absent import absent
from vtlab.serve.supervisely_detection import Detection, settings
from vtlab.serve.supervisely_figures import SAMPLES, Shape, to_geometry, to_prompt, waiting_row
from vtlab.serve.supervisely_host import Host, Teller
from vtlab.trackers.compose.leaving import Leaving
from vtlab.video import Video

_STAGES = {
    "waiting": "Preparing model for inference...",
    "running": "Running inference...",
    "finished": "Finished",
    "stopped": "Cancelled",
    "failed": "Error",
}
# Auto Track's own warnings of objects that left begin so.
_OFF_SCREEN = "[Off-Screen Detection]"


@dataclass(frozen=True)
class _Asked:
    """Figures to follow: the host's id -> what is on the frame; and what a prompt doesn't say of them."""

    prompts: dict[Hashable, Prompt] = field(default_factory=dict)
    shapes: dict[Hashable, Shape] = field(default_factory=dict)
    objects: dict[Hashable, Any] = field(default_factory=dict)

    def add(self, host: Hashable, kind: Any, geometry: Any, size: tuple[int, int], where: str) -> None:
        self.prompts[host], self.shapes[host] = to_prompt(kind, geometry, size, where)

    def written(self, found: Found, size: tuple[int, int]) -> dict[str, Any] | None:
        """Kind and geometry of what was found; None for nothing."""
        shape = self.shapes[found.host]
        geometry = None if found.figure is None else to_geometry(found.figure, shape, size)
        return None if geometry is None else {"type": shape.kind, "data": geometry}


class Supervisely(Door):
    """Tracking of figures, and of what a detector finds.

    Attributes:
        detection: What tracking by detection uses; None = the server has none.
    """

    name = "supervisely"
    detection: Detection | None = None

    def routes(self) -> Mapping[str, Handler]:
        """See `Door`."""
        posts: dict[str, Handler] = {
            "track": self.track,
            "track-api": self.track_api,
            "track-api-files": self.track_api_files,
            "track_async": self.track_async,
            "pop_tracking_results": self.pop,
            "stop_tracking": self.stop,
            "clear_tracking_results": self.clear,
            "tracking_by_detection": self.tracking_by_detection,
            "get_tracking_settings": lambda _: {"botsort": settings()} if self.detection else {},
            "get_session_info": self.info,
            "get_deploy_info": self.deployed,
            "get_custom_inference_settings": lambda _: {"settings": {}},
            "available_geometries": lambda _: self.geometries(),
            "is_running": lambda _: {"running": True, "mode": "production"},
            "is_ready": lambda _: {"status": "ready"},
        }
        return {f"POST /{path}": handler for path, handler in (posts | absent()).items()}

    def uploads(self) -> frozenset[str]:
        """See `Door`."""
        return frozenset({"POST /track-api-files"})

    def geometries(self) -> list[str]:
        """Geometries that a tracker of this server follows."""
        found = []
        for kind, sample in SAMPLES.items():
            try:
                choose(sample, self.core.trackers)
            except RefusedError:
                continue
            found.append(kind)
        return found

    def info(self, _: Call) -> dict[str, Any]:
        """What a client asks of an app before it uses it."""
        return {
            "app_name": "vtlab",
            "session_id": None,
            "number_of_classes": None,
            "sliding_window_support": None,
            "videos_support": True,
            "async_video_inference_support": True,
            "tracking_on_videos_support": self.detection is not None,
            "async_image_inference_support": False,
            "tracking_algorithms": ["botsort"] if self.detection else [],
            "batch_inference_support": False,
            "max_batch_size": None,
            "task type": "tracking",
            "session_tags": ["sly_video_tracking"],
            "allowed_shapes": self.geometries(),
            "version": provenance.versions().get("vtlab"),
        }

    def track_now(self, context: Mapping[str, Any], address: str, token: str) -> None:
        """Track as `/track` does, and return when it has ended: for the SDK's legacy apps, `callback("track")`.

        Raises:
            RefusedError: The context is wrong, or the tracking failed; the tool was told.
        """
        call = Call(body={"context": dict(context), "server_address": address, "api_token": token})
        try:
            self.track(call)
        except RefusedError as error:
            host, _ = self._host(call)
            Teller(host, context).error(str(error))
            host.close()
            raise
        job = self.core.jobs.find(track_id=str(context.get("trackId")))
        job.wait()
        if job.state == "failed":
            raise RefusedError(job.error)

    def deployed(self, _: Call) -> dict[str, Any]:
        """What the SDK's client asks of a model: the trackers stand for it."""
        names = ", ".join(TRACKERS.card(t).name for t in self.core.trackers)
        return {
            **dict.fromkeys(("checkpoint_name", "model_name", "architecture"), names),
            **dict.fromkeys(("checkpoint_url", "custom_checkpoint_path", "model_precision", "hardware"), ""),
            "model_source": "vtlab",
            "runtime": "vtlab",
            "device": "auto",
            "task_type": "tracking",
            "deploy_params": {},
        }

    def track(self, call: Call) -> dict[str, Any]:
        """Follow figures of the host's, write what is found there."""
        context = _context(call, ("videoId", "objectIds", "figureIds", "frameIndex", "frames", "trackId"))
        figures, objects = (_ids(context, name) for name in ("figureIds", "objectIds"))
        if len(figures) != len(objects):
            raise RefusedError(
                f"figureIds has {len(figures)} ids, objectIds {len(objects)}; each figure has one object."
            )
        self._count(context, len(figures))
        host, client = self._host(call)

        def asked(size: tuple[int, int]) -> _Asked:
            found = _Asked()
            for figure_id, object_id in zip(figures, objects, strict=True):
                info = host.figure(figure_id)
                where = f"figure {figure_id}"
                found.add(figure_id, info.get("geometryType"), info.get("geometry"), size, where)
                found.objects[figure_id] = object_id
            return found

        def deliver(rows: Sequence[dict[str, Any]], track_id: str) -> Sequence[Any]:
            made = {"trackId": track_id, "nnCreated": True, "nnUpdated": True}
            host.add(context["videoId"], [{**row, **made} for row in rows])
            return ()

        self._start(context, host, client, asked, deliver)
        return {"message": "Track task started."}

    def track_async(self, call: Call) -> dict[str, Any]:
        """Follow figures that came with the request; results wait until they are popped."""
        context = _context(call, ("videoId", "figures", "frameIndex", "frames", "trackId"))
        given = context["figures"]
        if not isinstance(given, list) or not given:
            raise RefusedError("figures should be a list of at least one figure.")
        self._count(context, len(given))
        told: list[Mapping[str, Any]] = [
            fields_of(f, "A figure", ("id", "objectId", "geometryType", "geometry")) for f in given
        ]
        if len({f["id"] for f in told if isinstance(f["id"], int | str)}) < len(told):
            raise RefusedError("figures have one id twice, or an id that is none.")
        host, client = self._host(call)

        def asked(size: tuple[int, int]) -> _Asked:
            found = _Asked()
            for figure in told:
                where = f"figure {str(figure['id'])[:40]}"
                found.add(figure["id"], figure["geometryType"], figure["geometry"], size, where)
                found.objects[figure["id"]] = figure["objectId"]
            return found

        job = self._start(
            context, host, client, asked, lambda rows, _: [waiting_row(r) for r in rows], kept=len(told)
        )
        return {"message": "Inference has started.", "inference_request_uuid": job.id}

    def _start(
        self,
        context: Mapping[str, Any],
        host: Host,
        client: str,
        asked: Callable[[tuple[int, int]], _Asked],
        deliver: Callable[[Sequence[dict[str, Any]], str], Sequence[Any]],
        *,
        kept: int = 0,
    ) -> Job:
        """Queue a tracking whose tool is told of each frame; of `kept` objects the results wait."""
        backward = _backward(context)
        teller, track_id = Teller(host, context), str(context["trackId"])

        def work(job: Job) -> None:
            try:
                with host.video(context["videoId"], self.core.limits.frames * 100) as video:
                    last = span(
                        context["frameIndex"], context["frames"], backward, len(video), self.core.limits
                    )
                    job.keeps(abs(last - context["frameIndex"]) * kept, self.core.limits)
                    given = asked((video.height, video.width))
                    off = Leaving() if context.get("detectOffScreen") else None
                    order = Order(
                        video, given.prompts, context["frameIndex"], last, self.core.trackers, leaving=off
                    )
                    self._deliver(job, order, given, teller, lambda rows: deliver(rows, track_id))
            except Exception as error:
                if not job.cancel.is_set():
                    teller.error(str(error) or type(error).__name__)
                raise
            finally:
                host.close()

        # Until the video's length is known: frames asked for times figures, as the official app counts.
        total = context["frames"] * max(len(context.get("figureIds") or context.get("figures") or ()), 1)
        return self.core.jobs.submit(client, work, total, track_id=track_id, door=self.name)

    def _deliver(
        self,
        job: Job,
        order: Order,
        given: _Asked,
        teller: Teller,
        deliver: Callable[[Sequence[dict[str, Any]]], Sequence[Any]],
    ) -> None:
        size, events = (order.video.height, order.video.width), list[dict[str, Any]]()
        job.total = len(order) * len(given.prompts)
        tracked = {str(host): 0 for host in given.prompts}
        for answers in follow(order, self.core.pool, job, events):
            rows = []
            for found in answers:
                written = given.written(found, size)
                if written is not None:
                    tracked[str(found.host)] += 1
                    rows.append(
                        {
                            "objectId": given.objects[found.host],
                            "geometryType": written["type"],
                            "geometry": written["data"],
                            # The official apps say so of boxes only: of masks True, of points nothing.
                            "meta": {"frame": found.frame, "sourceFigureId": found.host},
                        }
                    )
            job.put(*deliver(rows), steps=len(answers))
            for event in events:
                if event["event"] == "left":
                    teller.warning(
                        f"{_OFF_SCREEN} Figure {event['host']}, frame {event['frame']}: {event['reason']}."
                    )
            events.clear()
            frame = answers[0].frame
            if teller.progress((frame, frame), job.done, job.total, tracked):
                job.stop()

    def track_api(self, call: Call) -> Later:
        """Follow geometries through a video of the host's: a row for each frame, an entry for each geometry."""
        context = _context(call, ("videoId", "frameIndex", "frames", "input_geometries"))
        self._count(context, len(_geometries(context)))
        host, client = self._host(call)

        def work(job: Job) -> None:
            try:
                with host.video(context["videoId"], self.core.limits.frames * 100) as video:
                    last = span(
                        context["frameIndex"],
                        context["frames"],
                        _backward(context),
                        len(video),
                        self.core.limits,
                    )
                    self._rows(job, video, context["frameIndex"], last, _geometries(context))
            finally:
                host.close()

        return _rows_later(self.core.jobs.submit(client, work, context["frames"], door=self.name))

    def track_api_files(self, call: Call) -> Later:
        """The same through images that came with the request, in the order of tracking."""
        told = fields_of(
            read_body(call.fields.get("settings", "").encode(), self.core.limits.json_bytes, "settings"),
            "settings",
            ("input_geometries",),
        )
        geometries = _geometries(told)
        _backward(told)
        frames = told.get("frames", len(call.files) - 1)
        if len(call.files) < 2 or frames != len(call.files) - 1:
            raise RefusedError(
                f"{len(call.files)} images and frames {str(frames)[:40]!r}: one image more than frames is needed, the first "
                "with the objects."
            )
        self._count({"frameIndex": 0, "frames": frames}, len(geometries))

        def work(job: Job) -> None:
            with Video(EncodedFrames(call.files)) as video:
                self._rows(job, video, 0, len(call.files) - 1, geometries)

        size = sum(map(len, call.files))
        return _rows_later(self.core.jobs.submit(call.client, work, frames, size=size, door=self.name))

    def _rows(
        self, job: Job, video: Video, start: int, last: int, geometries: Sequence[Mapping[str, Any]]
    ) -> None:
        given, size = _Asked(), (video.height, video.width)
        for number, entry in enumerate(geometries):
            given.add(number, entry["type"], entry["data"], size, f"input_geometries[{number}]")
        job.total = abs(last - start)
        job.keeps(job.total * len(geometries), self.core.limits)
        for answers in follow(
            Order(video, given.prompts, start, last, self.core.trackers), self.core.pool, job
        ):
            job.put([given.written(found, size) for found in answers], steps=1)

    def pop(self, call: Call) -> dict[str, Any]:
        """Results that wait, of `frameRange` if it is given, once; and how it stands."""
        context, job = self._job(call)
        low, high = float("-inf"), float("inf")
        if context.get("frameRange") is not None:
            wanted = context["frameRange"]
            if not (isinstance(wanted, list) and len(wanted) == 2 and all(type(f) is int for f in wanted)):
                raise RefusedError(f"frameRange should be two frames, got {str(wanted)[:40]!r}.")
            low, high = wanted
        # The frame is the ninth entry of a `waiting_row`.
        rows = job.pop(lambda row: not low <= row[8] <= high)
        stage = _STAGES[job.state]
        progress = {
            "status": stage,
            "message": stage,
            "current": job.done,
            "total": job.total,
            "is_size": False,
        }
        failed = job.state == "failed"
        return {
            "uuid": job.id,
            "stage": stage,
            "progress": progress,
            "preparing_progress": progress,
            "pending_results": rows,
            "final_result": None,
            "result": None,
            "has_result": False,
            "exception": {"type": "TrackingError", "message": job.error, "traceback": ""} if failed else None,
            "is_inferring": not job.ended,
            "stopped": job.cancel.is_set(),
            "cancel_inference": job.cancel.is_set(),
            "paused": False,
            "finished": job.ended,
            "created_at": job.created,
            "updated_at": job.updated,
        }

    def stop(self, call: Call) -> dict[str, Any]:
        """Stop a tracking within one frame; what was found stays."""
        self._job(call)[1].stop()
        return {"message": "Inference will be stopped.", "success": True}

    def clear(self, call: Call) -> dict[str, Any]:
        """Stop a tracking and forget what it found."""
        self.core.jobs.forget(self._job(call)[1])
        return {"message": "Inference results cleared.", "success": True}

    def _job(self, call: Call) -> tuple[Mapping[str, Any], Job]:
        body = fields_of(call.body, "The request")
        context = {**_object(body.get("state")), **_object(body.get("context"))}
        name = context.get("inference_request_uuid")
        if name is None and context.get("trackId") is not None:
            return context, self.core.jobs.find(track_id=str(context["trackId"]))
        if name is None:
            raise RefusedError("The context lacks 'inference_request_uuid'.")
        return context, self.core.jobs.get(name)

    def tracking_by_detection(self, call: Call) -> dict[str, Any]:
        """Find and follow objects by themselves, write them to the host."""
        body = fields_of(call.body, "The request")
        state = {**_object(body.get("state")), **_object(body.get("context"))}
        if self.detection is None:
            raise RefusedError("This server has no detector. Remedy: start it with --detector.")
        plan = self.detection.plan(state, self.core.limits)
        host, client = self._host(call)
        teller = Teller(host, state)

        def work(job: Job) -> None:
            try:
                plan.run(job, host, teller, self.core)
            except Exception as error:
                if not job.cancel.is_set():
                    teller.error(str(error) or type(error).__name__)
                raise
            finally:
                host.close()

        self.core.jobs.submit(client, work, 1, track_id=str(state.get("trackId")), door=self.name)
        return {"message": "Track task started."}

    def _host(self, call: Call) -> tuple[Host, str]:
        """The host that a request names, if it may be asked; and who asks, by the token."""
        body = fields_of(call.body, "The request", ("server_address", "api_token"))
        token = body["api_token"]
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > 4096:
            raise RefusedError("api_token should be a text.")
        link = self.way.connect(body["server_address"])
        return Host(link, token), hashlib.sha256(token.encode()).hexdigest()[:16]

    def _count(self, context: Mapping[str, Any], objects: int) -> None:
        """Refuse what is too much before anything starts; the video's own length is told later."""
        span(context["frameIndex"], context["frames"], _backward(context), 2**31, self.core.limits)
        if not 0 < objects <= self.core.limits.objects:
            raise RefusedError(f"{objects} objects, 1 to {self.core.limits.objects} are followed at once.")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _context(call: Call, needed: Sequence[str]) -> Mapping[str, Any]:
    body = fields_of(call.body, "The request", ("context",))
    context = fields_of(body["context"], "The context", needed)
    video = context["videoId"]
    if isinstance(video, bool) or not isinstance(video, int) or not 0 <= video < 2**53:
        raise RefusedError(f"videoId should be a whole number, got {str(video)[:40]!r}.")
    return context


def _backward(context: Mapping[str, Any]) -> bool:
    direction = context.get("direction", "forward")
    if direction not in ("forward", "backward"):
        raise RefusedError(f"direction should be 'forward' or 'backward', got {str(direction)[:40]!r}.")
    return bool(direction == "backward")


def _ids(context: Mapping[str, Any], name: str) -> list[int]:
    given = context[name]
    if not isinstance(given, list) or not all(type(i) is int and 0 <= i < 2**53 for i in given):
        raise RefusedError(f"{name} should be a list of whole numbers, got {str(given)[:40]!r}.")
    if name == "figureIds" and len(set(given)) < len(given):
        raise RefusedError("figureIds has one id twice.")
    return given


def _geometries(context: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    given = context["input_geometries"]
    if not isinstance(given, list) or not given:
        raise RefusedError("input_geometries should be a list of at least one geometry.")
    return [fields_of(entry, f"input_geometries[{n}]", ("type", "data")) for n, entry in enumerate(given)]


def _rows_later(job: Job) -> Later:
    def then() -> list[Any]:
        if job.state == "failed":
            raise RefusedError(job.error)
        if job.state == "stopped":
            raise RefusedError("It was stopped.", 503)
        return job.rows()

    return Later(job, then)
