"""What Supervisely's annotation tool relies on in a tracking app, as checks of any server, vtlab's or another.

The server must be allowed to ask the fake host on this machine: `vtlab serve supervisely -t csrt --allow-private
--allow-host http://127.0.0.1:8801`, and `vtlab check host supervisely --url http://127.0.0.1:8000 --fake-port 8801`.
"""

from __future__ import annotations

import json
import time
from typing import Any

from vtlab.testing.contract import Contract, NotAsked
from vtlab.testing.hosts.base import equal, until
from vtlab.testing.hosts.supervisely import GEOMETRIES, RING, TOKEN, VIDEO, FakeSupervisely
from vtlab.testing.hosts.supervisely_app import FRAMES, START, App, opened, refuses

SUPERVISELY = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host supervisely`."""


@SUPERVISELY.check
def says_what_it_is(app: App) -> None:
    """session: says what it is when asked"""
    status, told = app.client.post("/get_session_info", app.body({}))
    assert status == 200
    assert isinstance(told, dict), f"got {told!r:.80}"
    assert told.get("task type") == "tracking", f"'task type' is {told.get('task type')!r}"


@SUPERVISELY.check
def goes_forward(app: App) -> None:
    """forward: each frame after that of the figure, once, under its object"""
    written = app.track(app.context({501: 601}))
    equal([f["meta"]["frame"] for f in written], [4, 5, 6, 7])
    equal({f["objectId"] for f in written}, {601})


@SUPERVISELY.check
def goes_backward(app: App) -> None:
    """backward: frames are numbered downward"""
    written = app.track(app.context({501: 601}, direction="backward", frames=3))
    equal([f["meta"]["frame"] for f in written], [2, 1, 0])


@SUPERVISELY.check
def clips_the_end(app: App) -> None:
    """ends: stops at the end of the video"""
    written = app.track(app.context({501: 601}, frameIndex=9, frames=50))
    equal([f["meta"]["frame"] for f in written], [10, 11])
    equal(app.outside(), [])


@SUPERVISELY.check
def clips_the_beginning(app: App) -> None:
    """ends: stops at the beginning of the video, and asks for no frame before it"""
    written = app.track(app.context({501: 601}, direction="backward", frames=9))
    equal([f["meta"]["frame"] for f in written], [2, 1, 0])
    equal(app.outside(), [])


@SUPERVISELY.check
def marks_what_it_made(app: App) -> None:
    """ids: marks figures as made by a machine, from which figure and in which track"""
    for figure in app.track(app.context({501: 601})):
        assert figure["nnCreated"] is True, "nnCreated should be true"
        assert figure["nnUpdated"] is True, "nnUpdated should be true"
        equal(figure["geometryType"], app.kind)
        if "sourceFigureId" in figure["meta"]:
            equal(figure["meta"]["sourceFigureId"], 501)


@SUPERVISELY.check
def tells_each_frame(app: App) -> None:
    """progress: tells the tool of each frame, and ends with all done"""
    app.track(app.context({501: 601, 502: 602}))
    told = app.fake.told("progress")
    equal(len(told), FRAMES)
    equal(told[-1]["progress"], {"current": 2 * FRAMES, "total": 2 * FRAMES})
    covered = {f for d in told for f in range(d["frameRange"][0], d["frameRange"][1] + 1)}
    assert {4, 5, 6, 7} <= covered, f"frames {sorted(covered)} were told"


@SUPERVISELY.check
def stops_within_a_frame(app: App) -> None:
    """stop: within one frame when the tool answers that it should"""
    app.fake.stop_after = 2
    app.track(app.context({501: 601}, frames=8))
    time.sleep(0.2)
    frames = {f["meta"]["frame"] for f in app.fake.written}
    # The two that were told, and the one that was at work when the answer came.
    assert len(frames) <= 3, f"{len(frames)} frames were written, 2 were told before the stop"


@SUPERVISELY.check
def tells_a_session_directly(app: App) -> None:
    """progress: tells the tool's session directly where `useDirectProgressMessages` is true, and else not"""
    app.track(app.context({501: 601}, sessionId="S1", useDirectProgressMessages=True))
    equal({form for form, _, _ in app.fake.messages}, {"direct"})
    app.fake.messages.clear()
    app.track(
        app.context({999: 1}, sessionId="S1", useDirectProgressMessages=False, figureIds=[998], trackId="T2")
    )
    equal({(form, kind) for form, kind, _ in app.fake.messages}, {("notify", "error")})


@SUPERVISELY.check
def tells_of_an_unknown_figure(app: App) -> None:
    """unknown: tells the tool of a figure that isn't there, with the track and the video"""
    app.track(app.context({501: 601}, figureIds=[999]))
    errors = app.fake.told("error")
    assert errors, "the tool was told no error"
    equal((errors[0]["trackId"], errors[0].get("videoId")), ("T1", VIDEO))
    assert errors[0]["error"]["message"], "the message is empty"


@SUPERVISELY.check
def tells_of_a_wrong_geometry(app: App) -> None:
    """geometry: tells the tool of one that it doesn't follow"""
    lacking = [kind for kind in GEOMETRIES if kind not in app.kinds]
    context = app.context({501: 601})
    app.fake.draw(501, 601, lacking[0]) if lacking else app.fake.draw(
        501, 601, "rectangle", {"points": "none"}
    )
    assert not app.track(context)
    assert app.fake.told("error"), "the tool was told no error"


@SUPERVISELY.check
def works_after_an_error(app: App) -> None:
    """restart: works as before after an error"""
    app.track(app.context({501: 601}, figureIds=[999]))
    assert len(app.track(app.context({501: 601}, trackId="T2"))) == FRAMES


@SUPERVISELY.check
def refuses_what_lacks_something(app: App) -> None:
    """error: 400 and its form to a request that lacks something, before it starts"""
    whole = app.context({501: 601})
    for name in ("frames", "figureIds", "videoId", "frameIndex"):
        app.fake.traffic.clear()
        refuses(
            app.client.post("/track", app.body({k: v for k, v in whole.items() if k != name})),
            f"without {name}",
        )
    refuses(app.client.post("/track", whole), "without a context")
    time.sleep(0.1)
    assert not app.fake.traffic, "it asked the host all the same"


@SUPERVISELY.check
def refuses_what_is_none(app: App) -> None:
    """error: 400 to values that are none"""
    for name, value in {
        "frames": 0,
        "frameIndex": -1,
        "direction": "up",
        "figureIds": "501",
        "videoId": "x",
    }.items():
        refuses(
            app.client.post("/track", app.body(app.context({501: 601}, **{name: value}))), f"{name}={value!r}"
        )


@SUPERVISELY.check
def answers_rows_of_frames(app: App) -> None:
    """forward: /track-api, a row for each frame, an entry for each geometry"""
    status, rows = app.api([app.kind, app.kind])
    equal((status, [len(row) for row in rows or ()]), (200, [2] * FRAMES))
    equal({entry["type"] for row in rows for entry in row if entry}, {app.kind})


@SUPERVISELY.check
def answers_rows_to_the_end(app: App) -> None:
    """eof: /track-api, as many rows as the video has frames left"""
    status, rows = app.api([app.kind], frameIndex=9, frames=10)
    equal((status, len(rows or ())), (200, 2))


@SUPERVISELY.check
def answers_an_error_to_a_wrong_geometry(app: App) -> None:
    """geometry: /track-api, 400 to one that is none, or no geometry"""
    refuses(app.api([]), "no geometries")
    span = {"videoId": VIDEO, "frameIndex": START, "frames": FRAMES}
    for entry in ({"type": "nothing", "data": {}}, {"type": app.kind, "data": {}}, 5):
        refuses(app.client.post("/track-api", app.body({**span, "input_geometries": [entry]})), repr(entry))


@SUPERVISELY.check
def keeps_a_row_for_what_is_lost(app: App) -> None:
    """lost: /track-api, what isn't seen is null in its place, never left out"""
    if "bitmap" not in app.kinds:
        raise NotAsked("it follows no bitmaps")
    edge = {"bitmap": {"origin": [157, 116], "data": RING}, "shape": "bitmap", "geometryType": "bitmap"}
    pair = [{"type": "bitmap", "data": edge}, {"type": "bitmap", "data": GEOMETRIES["bitmap"]}]
    status, rows = app.api([], input_geometries=pair)
    equal((status, [len(row) for row in rows or ()]), (200, [2] * FRAMES))


@SUPERVISELY.check
def answers_for_files(app: App) -> None:
    """forward: /track-api-files, the same for images that come with the request"""
    status, rows = app.files()
    equal((status, [len(row) for row in rows or ()]), (200, [2, 2, 2]))


@SUPERVISELY.check
def refuses_wrong_files(app: App) -> None:
    """error: /track-api-files, 400 to settings or files that are wrong"""
    refuses(app.client.form("/track-api-files", [("files", app.fake.frame(0))], settings="{}"), "no settings")
    refuses(app.client.form("/track-api-files", [], settings="{}"), "no files")
    images = [("files", b"no image"), ("files", b"none")]
    settings = {
        "frame_index": 0,
        "frames": 1,
        "input_geometries": [{"type": app.kind, "data": GEOMETRIES[app.kind]}],
    }
    refuses(app.client.form("/track-api-files", images, settings=json.dumps(settings)), "no images")


@SUPERVISELY.check
def keeps_results_until_they_are_popped(app: App) -> None:
    """results: /track_async, those of every geometry wait, are popped once, and those of `frameRange` alone"""
    for kind in app.kinds:
        name = app.start_async(kind)
        app.wait(name)
        status, told = app.pop(name, frameRange=[4, 5])
        equal((status, [row[8] for row in told["pending_results"]]), (200, [4, 5]))
        equal([row[8] for row in app.pop(name)[1]["pending_results"]], [6, 7])
        status, told = app.pop(name)
        equal((status, told["pending_results"], told["exception"]), (200, [], None))


@SUPERVISELY.check
def numbers_results_backward(app: App) -> None:
    """backward: /track_async, and never a frame before the first"""
    name = app.start_async(app.kind, direction="backward", frames=6)
    app.wait(name)
    equal([row[8] for row in app.pop(name)[1]["pending_results"]], [2, 1, 0])
    equal(app.outside(), [])


@SUPERVISELY.check
def refuses_unknown_jobs(app: App) -> None:
    """unknown: /pop_tracking_results, an error of its own, never 500, for what is unknown or missing"""
    for name in ("nope", None):
        status, told = app.pop(name)
        assert 400 <= status < 500, f"{name!r} is answered with {status}"
        assert told.get("success") is False, f"got {told!r:.80}"


@SUPERVISELY.check
def stops_when_asked(app: App) -> None:
    """stop: /stop_tracking and /clear_tracking_results end it, and forget it"""
    name = app.start_async(app.kind, frames=8)
    context = app.body({"inference_request_uuid": name})
    equal(app.client.post("/stop_tracking", context)[0], 200)
    app.wait(name)
    equal(app.client.post("/clear_tracking_results", context)[0], 200)
    status, _ = app.pop(name)
    assert 400 <= status < 500, f"a job that was cleared is answered with {status}"


@SUPERVISELY.check
def keeps_two_jobs_apart(app: App) -> None:
    """isolation: two trackings at once don't mix"""
    for track, figure in (("T1", 501), ("T2", 502)):
        equal(app.client.post("/track", app.body(app.context({figure: figure + 100}, trackId=track)))[0], 200)
    for track in ("T1", "T2"):
        app.settle(track)
    until(lambda: len(app.fake.written) >= 2 * FRAMES, "both trackings")
    for track, owner in (("T1", 601), ("T2", 602)):
        mine = [f for f in app.fake.written if f["trackId"] == track]
        equal(({f["objectId"] for f in mine}, len(mine)), ({owner}, FRAMES))


@SUPERVISELY.check
def follows_many(app: App) -> None:
    """many: thirty objects at once keep their ids"""
    figures = {500 + n: 900 - n for n in range(30)}
    written = app.track(app.context(figures, frames=2))
    for figure, owner in figures.items():
        mine = [f for f in written if f["objectId"] == owner]
        equal([f["meta"]["frame"] for f in mine], [4, 5])
        assert all(f["meta"].get("sourceFigureId", figure) == figure for f in mine), "figures were mixed"


@SUPERVISELY.check
def answers_the_same_again(app: App) -> None:
    """determinism: the same request is answered the same"""
    equal(app.api([app.kind]), app.api([app.kind]))


@SUPERVISELY.check
def sends_the_token_to_its_host_alone(app: App) -> None:
    """token: asks no other server than an allowed one, and shows the token in the header alone"""
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
    """limits: an error of its own to hostile JSON"""
    app.client.refuses_hostile("/track", "context")


@SUPERVISELY.check
def bears_empty_frames(app: App) -> None:
    """empty: frames without anything are told as all others, and nothing outside the image is written"""
    app.fake.blank = frozenset(range(START + 2, 99))
    written = app.track(app.context({501: 601}, frames=6))
    equal(app.fake.told("error"), [])
    equal(app.fake.told("progress")[-1]["progress"]["current"], 6)
    _inside(written)


@SUPERVISELY.check
def loses_what_leaves(app: App) -> None:
    """lost: of an object that leaves the image nothing outside the image is written"""
    context = app.context({501: 601}, frames=8)
    if app.kind == "rectangle":
        edge = {"points": {"exterior": [[148, 30], [159, 59]], "interior": []}}
        app.fake.draw(501, 601, "rectangle", edge)
    _inside(app.track(context))
    equal(app.fake.told("error"), [])


@SUPERVISELY.check
def starts_again_after_a_stop(app: App) -> None:
    """restart: what was stopped starts again from its figure, and goes to the end"""
    app.fake.stop_after = 1
    app.track(app.context({501: 601}, frames=8))
    time.sleep(0.2)
    app.fake.forget()
    written = app.track(app.context({501: 601}, frames=8))
    equal([f["meta"]["frame"] for f in written], list(range(START + 1, START + 9)))


@SUPERVISELY.check
def refuses_too_much(app: App) -> None:
    """limits: 400 or 413 to a million objects, to more frames than numbers count and to bodies of a gigabyte"""
    ids = list(range(100_000))
    for more in ({"figureIds": ids, "objectIds": ids}, {"frames": 2**70}):
        status, _ = app.client.post("/track", app.body(app.context({501: 601}, **more)))
        assert status in (400, 413), f"answered with {status}"
    status, _ = app.client.announce("/track", 2**30)
    assert status in (400, 413), f"an announced gigabyte is answered with {status}"


def _inside(figures: list[dict[str, Any]]) -> None:
    """AssertionError unless rectangles lie in the image of 160 x 120."""
    for figure in figures:
        if figure["geometryType"] == "rectangle":
            (x1, y1), (x2, y2) = figure["geometry"]["points"]["exterior"]
            assert 0 <= x1 <= x2 < 160, f"columns {x1} to {x2} on frame {figure['meta']['frame']}"
            assert 0 <= y1 <= y2 < 120, f"rows {y1} to {y2} on frame {figure['meta']['frame']}"
