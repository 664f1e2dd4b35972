"""A Supervisely app under test: what the platform sends it, and what it does with its host."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from vtlab.testing.contract import NotAsked
from vtlab.testing.hosts.base import MOST_WAIT, Client, until
from vtlab.testing.hosts.supervisely import GEOMETRIES, TOKEN, VIDEO, FakeSupervisely

_QUIET, _STOPPED = 10.0, 1.0  # seconds without a request after which an app is taken to be done
START, FRAMES = 3, 4


class App:
    """The server under test, and the fake host that it works for.

    Args:
        url: Its address; a token may be part of the path.
        fake: The host.
        token: Of the server.
    """

    def __init__(self, url: str, fake: FakeSupervisely, token: str | None = None):
        self.fake, self.client = fake, Client(url, token)
        self._kinds: list[str] | None = None

    def body(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """A request as the platform sends it."""
        return {
            "state": {},
            "context": dict(context),
            "server_address": self.fake.address,
            "api_token": TOKEN,
        }

    @property
    def kinds(self) -> list[str]:
        """Geometries that it follows: as it says, else whichever of the common ones it answers."""
        if self._kinds is None:
            status, said = self.client.post("/available_geometries", self.body({}))
            if status == 200 and isinstance(said, list):
                self._kinds = [kind for kind in said if kind in GEOMETRIES]
            else:
                tried = ("rectangle", "bitmap", "point")
                self._kinds = [kind for kind in tried if self._answers(kind)]
        return self._kinds

    def _answers(self, kind: str) -> bool:
        status, rows = self.api([kind], frames=1)
        return status == 200 and isinstance(rows, list) and bool(rows) and rows[0] is not None

    @property
    def kind(self) -> str:
        """One geometry that it follows."""
        if not self.kinds:
            raise NotAsked("it follows no geometry that is known here")
        return self.kinds[0]

    def context(self, drawn: Mapping[int, int], **more: Any) -> dict[str, Any]:
        """The context of `/track` for figures (id -> object), drawn on the host."""
        for figure_id, object_id in drawn.items():
            self.fake.draw(figure_id, object_id, self.kind)
        ids = {"figureIds": list(drawn), "objectIds": list(drawn.values())}
        span = {"frameIndex": START, "frames": FRAMES, "direction": "forward"}
        return {"teamId": 1, "workspaceId": 1, "videoId": VIDEO, "trackId": "T1", **ids, **span, **more}

    def track(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Track to the end; what was written."""
        status, told = self.client.post("/track", self.body(context))
        assert status == 200, f"/track answered {status}: {told}"
        assert isinstance(told, dict), "/track should answer with a message"
        self.settle(str(context["trackId"]))
        return [f for f in self.fake.written if f["trackId"] == context["trackId"]]

    def settle(self, track_id: str) -> None:
        """Wait until a tracking has ended: all done, an error, or silence."""
        seen, since = -1, time.monotonic()
        ends, quiet = since + MOST_WAIT, _QUIET if self.fake.stop_after is None else _STOPPED
        while time.monotonic() < ends:
            mine = [d for d in self.fake.told("progress") if d["trackId"] == track_id]
            errors = [d for d in self.fake.told("error") if d["trackId"] == track_id]
            if errors or (mine and mine[-1]["progress"]["current"] >= mine[-1]["progress"]["total"]):
                return
            if len(self.fake.traffic) != seen:
                seen, since = len(self.fake.traffic), time.monotonic()
            if time.monotonic() - since > quiet:
                return
            time.sleep(0.01)

    def api(self, kinds: list[str], **more: Any) -> tuple[int, Any]:
        """Ask `/track-api`."""
        span = {"videoId": VIDEO, "frameIndex": START, "frames": FRAMES}
        geometries = [{"type": kind, "data": GEOMETRIES[kind]} for kind in kinds]
        return self.client.post("/track-api", self.body({**span, "input_geometries": geometries, **more}))

    def files(self, count: int = 4, **settings: Any) -> tuple[int, Any]:
        """Ask `/track-api-files`."""
        images = [("files", self.fake.frame(n)) for n in range(count)]
        geometries = [{"type": self.kind, "data": GEOMETRIES[self.kind]}] * 2
        told = {"frame_index": 0, "frames": count - 1, "input_geometries": geometries, **settings}
        return self.client.form("/track-api-files", images, settings=json.dumps(told))

    def start_async(self, kind: str, **more: Any) -> str:
        """Start `/track_async`; its id."""
        figure = {
            "id": 501,
            "objectId": 601,
            "geometryType": kind,
            "geometry": GEOMETRIES[kind],
            "meta": {"frame": START},
        }
        about = {
            "tags": [],
            "videoId": VIDEO,
            "entityId": VIDEO,
            "datasetId": 3,
            "projectId": 2,
            "classId": 4,
        }
        about |= {
            "createdAt": "x",
            "updatedAt": "x",
            "labelingTool": "",
            "area": "1",
            "priority": 1,
            "trackId": None,
        }
        context = self.context({}, figures=[{**figure, **about}], trackId="A1", **more)
        status, told = self.client.post("/track_async", self.body(context))
        assert status == 200, f"/track_async answered {status}: {told}"
        return str(told["inference_request_uuid"])

    def pop(self, name: Any, **more: Any) -> tuple[int, Any]:
        """Ask `/pop_tracking_results`."""
        return self.client.post("/pop_tracking_results", self.body({"inference_request_uuid": name, **more}))

    def wait(self, name: str) -> None:
        """Wait for the end of a tracking without taking a result."""

        def ended() -> bool:
            status, told = self.pop(name, frameRange=[100, 101])
            assert status == 200, f"/pop_tracking_results answered {status}: {told!r:.80}"
            return bool(told["finished"])

        until(ended, "the end")

    def outside(self) -> list[int]:
        """Frames that were asked for and aren't there."""
        asked = [f for body in self.fake.asked("videos.bulk.download-frame") for f in body["frames"]]
        asked += [body["frame"] for body in self.fake.asked("videos.download-frame")]
        return [f for f in asked if not 0 <= f < self.fake.frames]


@contextlib.contextmanager
def opened(
    url: str, token: str | None = None, fake: FakeSupervisely | None = None, fake_port: int = 0
) -> Iterator[App]:
    """The app at an address with a host as new."""
    if fake is not None:
        seen = -1
        while seen != len(fake.traffic):  # what an earlier check started may still be at work
            seen = len(fake.traffic)
            time.sleep(0.05)
        fake.forget()
        yield App(url, fake, token)
    else:
        with FakeSupervisely(port=fake_port) as made:
            yield App(url, made, token)


def refuses(answer: tuple[int, Any], what: str) -> None:
    """AssertionError unless an answer is 400 in the error's form."""
    status, told = answer
    assert status == 400, f"{what}: answered with {status}: {told!r:.80}"
    assert isinstance(told, dict), f"{what}: {told!r:.80}"
    assert told.get("success") is False, f"{what}: {told!r:.80}"
    assert told.get("error"), f"{what}: {told!r:.80}"
