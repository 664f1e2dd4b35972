"""What Supervisely's annotation tool relies on in a tracking app, as checks of any server, vtlab's or another.

The server must be allowed to ask the fake host on this machine: `vtlab serve supervisely -t csrt --allow-private
--allow-host http://127.0.0.1:8801`, and `vtlab check host supervisely --url http://127.0.0.1:8000 --fake-port 8801`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from vtlab.testing.contract import Contract, NotAsked
from vtlab.testing.hosts.base import MOST_WAIT, Client, until
from vtlab.testing.hosts.supervisely import GEOMETRIES, RING, TOKEN, VIDEO, FakeSupervisely

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


SUPERVISELY = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host supervisely`."""


@SUPERVISELY.check
def says_what_it_is(app: App) -> None:
    """says what it is when asked for its session"""
    status, told = app.client.post("/get_session_info", app.body({}))
    assert status == 200
    assert isinstance(told, dict), f"got {told!r:.80}"
    assert told.get("task type") == "tracking", f"'task type' is {told.get('task type')!r}"


@SUPERVISELY.check
def goes_forward(app: App) -> None:
    """goes forward: each frame after that of the figure, once, under its object"""
    written = app.track(app.context({501: 601}))
    _equal([f["meta"]["frame"] for f in written], [4, 5, 6, 7])
    _equal({f["objectId"] for f in written}, {601})


@SUPERVISELY.check
def goes_backward(app: App) -> None:
    """goes backward: frames are numbered downward"""
    written = app.track(app.context({501: 601}, direction="backward", frames=3))
    _equal([f["meta"]["frame"] for f in written], [2, 1, 0])


@SUPERVISELY.check
def clips_the_end(app: App) -> None:
    """stops at the end of the video"""
    written = app.track(app.context({501: 601}, frameIndex=9, frames=50))
    _equal([f["meta"]["frame"] for f in written], [10, 11])
    _equal(_outside(app), [])


@SUPERVISELY.check
def clips_the_beginning(app: App) -> None:
    """stops at the beginning of the video, and asks for no frame before it"""
    written = app.track(app.context({501: 601}, direction="backward", frames=9))
    _equal([f["meta"]["frame"] for f in written], [2, 1, 0])
    _equal(_outside(app), [])


@SUPERVISELY.check
def marks_what_it_made(app: App) -> None:
    """marks figures as made by a machine, from which figure and in which track"""
    for figure in app.track(app.context({501: 601})):
        assert figure["nnCreated"] is True, "nnCreated should be true"
        assert figure["nnUpdated"] is True, "nnUpdated should be true"
        _equal(figure["geometryType"], app.kind)
        if "sourceFigureId" in figure["meta"]:
            _equal(figure["meta"]["sourceFigureId"], 501)


@SUPERVISELY.check
def tells_each_frame(app: App) -> None:
    """tells the tool of each frame, and ends with all done"""
    app.track(app.context({501: 601, 502: 602}))
    told = app.fake.told("progress")
    _equal(len(told), FRAMES)
    _equal(told[-1]["progress"], {"current": 2 * FRAMES, "total": 2 * FRAMES})
    covered = {f for d in told for f in range(d["frameRange"][0], d["frameRange"][1] + 1)}
    assert {4, 5, 6, 7} <= covered, f"frames {sorted(covered)} were told"


@SUPERVISELY.check
def stops_within_a_frame(app: App) -> None:
    """stops within one frame when the tool answers that it should"""
    app.fake.stop_after = 2
    app.track(app.context({501: 601}, frames=8))
    time.sleep(0.2)
    frames = {f["meta"]["frame"] for f in app.fake.written}
    assert len(frames) <= 3, f"{len(frames)} frames were written, 2 were told before the stop"


@SUPERVISELY.check
def tells_a_session_directly(app: App) -> None:
    """tells the tool's session directly where `useDirectProgressMessages` is true, and else not"""
    app.track(app.context({501: 601}, sessionId="S1", useDirectProgressMessages=True))
    _equal({form for form, _, _ in app.fake.messages}, {"direct"})
    app.fake.messages.clear()
    app.track(
        app.context({999: 1}, sessionId="S1", useDirectProgressMessages=False, figureIds=[998], trackId="T2")
    )
    _equal({(form, kind) for form, kind, _ in app.fake.messages}, {("notify", "error")})


@SUPERVISELY.check
def tells_of_an_unknown_figure(app: App) -> None:
    """tells the tool of a figure that isn't there, with the track and the video"""
    app.track(app.context({501: 601}, figureIds=[999]))
    errors = app.fake.told("error")
    assert errors, "the tool was told no error"
    _equal((errors[0]["trackId"], errors[0].get("videoId")), ("T1", VIDEO))
    assert errors[0]["error"]["message"], "the message is empty"


@SUPERVISELY.check
def tells_of_a_wrong_geometry(app: App) -> None:
    """tells the tool of a geometry that it doesn't follow"""
    lacking = [kind for kind in GEOMETRIES if kind not in app.kinds]
    context = app.context({501: 601})
    app.fake.draw(501, 601, lacking[0]) if lacking else app.fake.draw(
        501, 601, "rectangle", {"points": "none"}
    )
    assert not app.track(context)
    assert app.fake.told("error"), "the tool was told no error"


@SUPERVISELY.check
def works_after_an_error(app: App) -> None:
    """works as before after an error"""
    app.track(app.context({501: 601}, figureIds=[999]))
    assert len(app.track(app.context({501: 601}, trackId="T2"))) == FRAMES


@SUPERVISELY.check
def refuses_what_lacks_something(app: App) -> None:
    """answers 400, with the error's form, to a request that lacks something, before it starts"""
    whole = app.context({501: 601})
    for name in ("frames", "figureIds", "videoId", "frameIndex"):
        app.fake.traffic.clear()
        _refused(
            app.client.post("/track", app.body({k: v for k, v in whole.items() if k != name})),
            f"without {name}",
        )
    _refused(app.client.post("/track", whole), "without a context")
    time.sleep(0.1)
    assert not app.fake.traffic, "it asked the host all the same"


@SUPERVISELY.check
def refuses_what_is_none(app: App) -> None:
    """answers 400 to values that are none"""
    for name, value in {
        "frames": 0,
        "frameIndex": -1,
        "direction": "up",
        "figureIds": "501",
        "videoId": "x",
    }.items():
        _refused(
            app.client.post("/track", app.body(app.context({501: 601}, **{name: value}))), f"{name}={value!r}"
        )


@SUPERVISELY.check
def answers_rows_of_frames(app: App) -> None:
    """/track-api: a row for each frame, an entry for each geometry"""
    status, rows = app.api([app.kind, app.kind])
    _equal((status, [len(row) for row in rows or ()]), (200, [2] * FRAMES))
    _equal({entry["type"] for row in rows for entry in row if entry}, {app.kind})


@SUPERVISELY.check
def answers_rows_to_the_end(app: App) -> None:
    """/track-api: as many rows as the video has frames left"""
    status, rows = app.api([app.kind], frameIndex=9, frames=10)
    _equal((status, len(rows or ())), (200, 2))


@SUPERVISELY.check
def answers_an_error_to_a_wrong_geometry(app: App) -> None:
    """/track-api: 400 to a geometry that is none, or no geometry"""
    _refused(app.api([]), "no geometries")
    span = {"videoId": VIDEO, "frameIndex": START, "frames": FRAMES}
    for entry in ({"type": "nothing", "data": {}}, {"type": app.kind, "data": {}}, 5):
        _refused(app.client.post("/track-api", app.body({**span, "input_geometries": [entry]})), repr(entry))


@SUPERVISELY.check
def keeps_a_row_for_what_is_lost(app: App) -> None:
    """/track-api: what isn't seen is null in its place, never left out"""
    if "bitmap" not in app.kinds:
        raise NotAsked("it follows no bitmaps")
    edge = {"bitmap": {"origin": [157, 116], "data": RING}, "shape": "bitmap", "geometryType": "bitmap"}
    pair = [{"type": "bitmap", "data": edge}, {"type": "bitmap", "data": GEOMETRIES["bitmap"]}]
    status, rows = app.api([], input_geometries=pair)
    _equal((status, [len(row) for row in rows or ()]), (200, [2] * FRAMES))


@SUPERVISELY.check
def answers_for_files(app: App) -> None:
    """/track-api-files: the same for images that come with the request"""
    status, rows = app.files()
    _equal((status, [len(row) for row in rows or ()]), (200, [2, 2, 2]))


@SUPERVISELY.check
def refuses_wrong_files(app: App) -> None:
    """/track-api-files: 400 to settings or files that are wrong"""
    _refused(
        app.client.form("/track-api-files", [("files", app.fake.frame(0))], settings="{}"), "no settings"
    )
    _refused(app.client.form("/track-api-files", [], settings="{}"), "no files")
    images = [("files", b"no image"), ("files", b"none")]
    settings = {
        "frame_index": 0,
        "frames": 1,
        "input_geometries": [{"type": app.kind, "data": GEOMETRIES[app.kind]}],
    }
    _refused(app.client.form("/track-api-files", images, settings=json.dumps(settings)), "no images")


@SUPERVISELY.check
def keeps_results_until_they_are_popped(app: App) -> None:
    """/track_async: results of every geometry wait, are popped once, and those of `frameRange` alone"""
    for kind in app.kinds:
        name = app.start_async(kind)
        app.wait(name)
        status, told = app.pop(name, frameRange=[4, 5])
        _equal((status, [row[8] for row in told["pending_results"]]), (200, [4, 5]))
        _equal([row[8] for row in app.pop(name)[1]["pending_results"]], [6, 7])
        status, told = app.pop(name)
        _equal((status, told["pending_results"], told["exception"]), (200, [], None))


@SUPERVISELY.check
def numbers_results_backward(app: App) -> None:
    """/track_async: backward, and never a frame before the first"""
    name = app.start_async(app.kind, direction="backward", frames=6)
    app.wait(name)
    _equal([row[8] for row in app.pop(name)[1]["pending_results"]], [2, 1, 0])
    _equal(_outside(app), [])


@SUPERVISELY.check
def refuses_unknown_jobs(app: App) -> None:
    """/pop_tracking_results: an error of its own, never 500, for what is unknown or missing"""
    for name in ("nope", None):
        status, told = app.pop(name)
        assert 400 <= status < 500, f"{name!r} is answered with {status}"
        assert told.get("success") is False, f"got {told!r:.80}"


@SUPERVISELY.check
def stops_when_asked(app: App) -> None:
    """/stop_tracking and /clear_tracking_results: end it, and forget it"""
    name = app.start_async(app.kind, frames=8)
    context = app.body({"inference_request_uuid": name})
    _equal(app.client.post("/stop_tracking", context)[0], 200)
    app.wait(name)
    _equal(app.client.post("/clear_tracking_results", context)[0], 200)
    status, _ = app.pop(name)
    assert 400 <= status < 500, f"a job that was cleared is answered with {status}"


@SUPERVISELY.check
def keeps_two_jobs_apart(app: App) -> None:
    """two trackings at once don't mix"""
    for track, figure in (("T1", 501), ("T2", 502)):
        _equal(
            app.client.post("/track", app.body(app.context({figure: figure + 100}, trackId=track)))[0], 200
        )
    for track in ("T1", "T2"):
        app.settle(track)
    until(lambda: len(app.fake.written) >= 2 * FRAMES, "both trackings")
    for track, owner in (("T1", 601), ("T2", 602)):
        mine = [f for f in app.fake.written if f["trackId"] == track]
        _equal(({f["objectId"] for f in mine}, len(mine)), ({owner}, FRAMES))


@SUPERVISELY.check
def follows_many(app: App) -> None:
    """many objects at once keep their ids"""
    figures = {500 + n: 900 - n for n in range(30)}
    written = app.track(app.context(figures, frames=2))
    for figure, owner in figures.items():
        mine = [f for f in written if f["objectId"] == owner]
        _equal([f["meta"]["frame"] for f in mine], [4, 5])
        assert all(f["meta"].get("sourceFigureId", figure) == figure for f in mine), "figures were mixed"


@SUPERVISELY.check
def answers_the_same_again(app: App) -> None:
    """the same request is answered the same"""
    _equal(app.api([app.kind]), app.api([app.kind]))


@SUPERVISELY.check
def sends_the_token_to_its_host_alone(app: App) -> None:
    """asks no other server than an allowed one, and shows the token in the header alone"""
    app.track(app.context({501: 601}))
    for _, path, body, headers in app.fake.traffic:
        assert headers.get("x-api-key") == TOKEN, f"{path} came without the token"
        assert TOKEN not in path + json.dumps(body), f"{path} shows the token"
    with FakeSupervisely() as stranger:
        body = {**app.body(app.context({501: 601})), "server_address": stranger.address}
        status, _ = app.client.post("/track", body)
        time.sleep(0.2)
        assert not stranger.traffic, "a server that nobody allowed was asked, with the user's token"
        assert 400 <= status < 500, f"it is answered with {status}"


@SUPERVISELY.check
def refuses_hostile_json(app: App) -> None:
    """answers with an error of its own to hostile JSON"""
    for data in (b"[" * 100_000, b"{", b"\xff", b'{"context": NaN}', b"[]", b"null"):
        status, _ = app.client.ask("POST", "/track", data)
        assert 400 <= status < 500, f"{data[:20]!r} is answered with {status}"


def _equal(found: Any, wanted: Any) -> None:
    assert found == wanted, f"expected {wanted!r:.120}, got {found!r:.200}"


def _refused(answer: tuple[int, Any], what: str) -> None:
    status, told = answer
    assert status == 400, f"{what}: answered with {status}: {told!r:.80}"
    assert isinstance(told, dict), f"{what}: {told!r:.80}"
    assert told.get("success") is False, f"{what}: {told!r:.80}"
    assert told.get("error"), f"{what}: {told!r:.80}"


def _outside(app: App) -> list[int]:
    """Frames that were asked for and aren't there."""
    asked = [f for body in app.fake.asked("videos.bulk.download-frame") for f in body["frames"]]
    asked += [body["frame"] for body in app.fake.asked("videos.download-frame")]
    return [f for f in asked if not 0 <= f < app.fake.frames]
