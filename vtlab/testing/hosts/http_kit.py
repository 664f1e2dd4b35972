"""What a client of jobs over plain HTTP relies on, as checks of any server of that contract (`vtlab.serve.http`).

`vtlab serve http -t csrt` and `vtlab check host http --url http://127.0.0.1:8000 --token TOKEN`. Videos are uploaded: no
host is asked.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from vtlab.prompts import BoxPrompt, PointPrompt, Prompts
from vtlab.testing.contract import Contract, NotAsked
from vtlab.testing.hosts.base import Client, equal
from vtlab.testing.hosts.dataloop import FRAMES, clip

BOX = (20.0, 30.0, 50.0, 60.0)
_ENDED = ("finished", "stopped", "failed")


class Server:
    """The server under test.

    Args:
        url: Its address; a token may be part of the path.
        token: Of the server.
    """

    def __init__(self, url: str, token: str | None = None):
        self.client = Client(url, token)

    def create(self, video: bytes | None = None, **job: Any) -> tuple[int, Any]:
        """Ask for a tracking of an uploaded video: status and answer."""
        given = {"prompts": boxes(BOX), **job}
        return self.client.form(
            "/jobs", [("video", movie() if video is None else video)], job=json.dumps(given)
        )

    def started(self, video: bytes | None = None, **job: Any) -> str:
        """The id of a tracking that was taken."""
        status, told = self.create(video, **job)
        assert status == 201, f"POST /jobs is answered with {status}: {told!r:.120}"
        return str(told["id"])

    def lines(self, job: str) -> tuple[list[Any], Mapping[str, Any]]:
        """The lines of a job's results, and the last one, which says how it ended."""
        status, told = self.client.ask("GET", f"/jobs/{job}/results")
        equal(status, 200)
        *rows, last = [json.loads(line) for line in told.splitlines()] if isinstance(told, str) else [told]
        return rows, last

    def run(self, **job: Any) -> dict[int, list[Any]]:
        """Frame -> objects of a tracking that ends as it should."""
        rows, last = self.lines(self.started(**job))
        equal(last.get("state"), "finished")
        return {row["frame"]: row["objects"] for row in rows}


@cache
def movie(blank: int = FRAMES) -> bytes:
    """A video file of a moving square, with nothing on it from frame `blank` on."""
    return clip(range(blank, FRAMES))


def boxes(*corners: tuple[float, float, float, float], frame: int = 0) -> Any:
    """Prompts as JSON: boxes of objects 1, 2, ..."""
    made = [BoxPrompt(xyxy, object_id=n, frame=frame) for n, xyxy in enumerate(corners, 1)]
    return json.loads(Prompts(made).to_json())


@contextlib.contextmanager
def opened(url: str, token: str | None = None, fake_port: int = 0) -> Iterator[Server]:
    """A server by its address."""
    yield Server(url, token)


HTTP = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host http`."""


@HTTP.check
def says_that_it_lives(it: Server) -> None:
    """health: GET /health is answered without a token"""
    equal(Client(it.client.address).ask("GET", "/health")[0], 200)


@HTTP.check
def goes_forward(it: Server) -> None:
    """forward: a line for each frame from the first on, in order, with the object's id and box"""
    found = it.run()
    equal(list(found), list(range(FRAMES)))
    equal([o["id"] for o in found[1]], [1])
    assert len(found[1][0]["box"]) == 4, f"the box is {found[1][0]['box']!r:.60}"


@HTTP.check
def goes_backward(it: Server) -> None:
    """backward: frames before that of the prompt, in descending order"""
    found = it.run(direction="backward", prompts=boxes((32, 30, 62, 60), frame=3))
    equal(list(found), [3, 2, 1, 0])


@HTTP.check
def keeps_to_the_clip(it: Server) -> None:
    """ends: start and stop bound the frames, and the video's end bounds stop"""
    equal(list(it.run(start=2, stop=5, prompts=boxes(BOX, frame=2))), [2, 3, 4])
    status, told = it.create(stop=FRAMES + 50)
    if status == 201:
        rows, last = it.lines(told["id"])
        assert last["state"] == "failed" or len(rows) == FRAMES, f"{len(rows)} frames of {FRAMES} came"


@HTTP.check
def knows_no_strangers(it: Server) -> None:
    """unknown: 404 for jobs that aren't there"""
    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/stop"), ("GET", "/download")):
        status, told = it.client.ask(method, f"/jobs/nobody{path}")
        equal(status, 404)
        assert told.get("error"), "the error says nothing"


@HTTP.check
def refuses_other_kinds(it: Server) -> None:
    """geometry: 400, or a failed job, for prompts that nothing follows or that are none"""
    line = json.loads(Prompts([PointPrompt(((1, 1), (9, 9)), shape="polyline")]).to_json())
    wrong: tuple[Any, ...] = ({"version": 1, "prompts": "x"}, [], 5)
    for prompts in wrong:
        equal(it.create(prompts=prompts)[0], 400)
    status, told = it.create(prompts=line)
    if status == 201:
        it.lines(told["id"])
    else:
        equal(status, 400)


@HTTP.check
def bears_empty_frames(it: Server) -> None:
    """empty: frames without anything have their lines, too"""
    rows, last = it.lines(it.started(movie(4)))
    equal((len(rows), last["state"]), (FRAMES, "finished"))


@HTTP.check
def loses_what_leaves(it: Server) -> None:
    """lost: an object that isn't seen is told as not visible, or not at all, never as NaN"""
    found = it.run(prompts=boxes((148.0, 30.0, 160.0, 60.0)))
    equal(len(found), FRAMES)
    for objects in found.values():
        for o in objects:
            assert isinstance(o["visible"], bool), f"visible is {o['visible']!r}"
            assert o["box"] is None or len(o["box"]) == 4, f"the box is {o['box']!r:.60}"


@HTTP.check
def stops(it: Server) -> None:
    """stop: a stop is taken at any time, ends the job soon, and what was found stays"""
    job = it.started(prompts=boxes(*[BOX] * 5))
    begin = time.monotonic()
    equal(it.client.ask("POST", f"/jobs/{job}/stop")[0], 200)
    rows, last = it.lines(job)
    assert time.monotonic() - begin < 5, f"it took {time.monotonic() - begin:.1f} s"
    assert last["state"] in _ENDED, f"it is {last['state']!r}"
    equal(len(rows), last["done"])
    equal(it.client.ask("POST", f"/jobs/{job}/stop")[0], 200)


@HTTP.check
def has_one_form_of_errors(it: Server) -> None:
    """error: 400 with a message for whatever is wrong, before anything starts"""
    for job in (
        {"direction": "up"},
        {"start": -1},
        {"stop": True},
        {"params": 5},
        {"no": 1},
        {"tracker": "nobody"},
    ):
        status, told = it.create(**job)
        equal(status, 400)
        assert told.get("error"), f"{job}: the error says nothing"


@HTTP.check
def keeps_ids(it: Server) -> None:
    """ids: objects keep the ids of their prompts on every frame"""
    prompts = boxes(BOX, (60.0, 30.0, 90.0, 60.0))
    for n, prompt in enumerate(prompts["prompts"]):
        prompt["object_id"] = (900, 7)[n]
    for objects in it.run(prompts=prompts).values():
        equal(sorted(o["id"] for o in objects), [7, 900])


@HTTP.check
def follows_many(it: Server) -> None:
    """many: thirty objects at once"""
    found = it.run(prompts=boxes(*[BOX] * 30), stop=3)
    equal([len(objects) for objects in found.values()], [30] * 3)


@HTTP.check
def works_again(it: Server) -> None:
    """restart: works as before after an error and a stop"""
    before = it.run(stop=4)
    it.create(prompts=5)
    it.client.ask("POST", f"/jobs/{it.started()}/stop")
    equal(it.run(stop=4), before)


@HTTP.check
def keeps_jobs_apart(it: Server) -> None:
    """isolation: two jobs at once are answered as each alone"""
    jobs = ({"stop": 6}, {"stop": 6, "prompts": boxes((60.0, 30.0, 90.0, 60.0))})
    alone = [it.run(**job) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        equal(list(pool.map(lambda job: it.run(**job), jobs)), alone)


@HTTP.check
def answers_the_same_again(it: Server) -> None:
    """determinism: the same request is answered the same"""
    equal(it.run(), it.run())


@HTTP.check
def bears_cut_files(it: Server) -> None:
    """eof: a file that is cut ends the job as failed or with the frames that are there, with no 500"""
    for video in (movie()[:200], movie()[: len(movie()) // 2], b"no video", b""):
        status, told = it.create(video)
        if status == 201:
            assert it.lines(told["id"])[1]["state"] in ("failed", "finished")
        else:
            assert 400 <= status < 500, f"answered with {status}"


@HTTP.check
def gives_files(it: Server) -> None:
    """files: the tracks in a format, and 400 for a format that is none"""
    job = it.started(stop=3)
    it.lines(job)
    status, told = it.client.ask("GET", f"/jobs/{job}/download?format=mot17")
    equal((status, len(str(told).splitlines())), (200, 3))
    equal(it.client.ask("GET", f"/jobs/{job}/download?format=nothing")[0], 400)


@HTTP.check
def wants_its_token(it: Server) -> None:
    """token: 401 without it, if the server has one"""
    address = it.client.address
    bare = Client(address.partition("/t/")[0])
    if bare.post("/jobs", {})[0] != 401:
        raise NotAsked("the server asks for no token")
    equal(Client(bare.address, "wrong").post("/jobs", {})[0], 401)


@HTTP.check
def refuses_too_much(it: Server) -> None:
    """limits: an error of its own to an announced terabyte and to hostile JSON"""
    equal(it.client.announce("/jobs", 2**40)[0], 413)
    it.client.refuses_hostile("/jobs", "video")
