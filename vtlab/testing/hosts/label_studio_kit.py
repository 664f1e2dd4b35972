"""What Label Studio relies on in an ML backend that follows boxes through a video, as checks of any backend.

The backend must be allowed to fetch the video from the fake host on this machine: `vtlab serve label-studio -t csrt
--allow-private --allow-host http://127.0.0.1:8801`, and `vtlab check host label-studio --url http://127.0.0.1:8000
--fake-port 8801`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vtlab.testing.contract import Contract
from vtlab.testing.hosts.base import Client, absent, equal
from vtlab.testing.hosts.dataloop import FRAMES, FakeDataloop

CONFIG = (
    '<View><Labels name="l" toName="video"><Label value="car"/></Labels><Video name="video" value="$video"/>'
    '<VideoRectangle name="box" toName="video"/></View>'
)
BOX = {"x": 12.5, "y": 25.0, "width": 18.75, "height": 25.0, "rotation": 0}
"""The square on frame 0 of the clip, in per cent."""


def region(name: str = "a", frame: int = 1, **more: Any) -> dict[str, Any]:
    """A region that a person drew: a box on a frame, which counts from 1."""
    key = {"frame": frame, "time": (frame - 1) / 25, "enabled": True, **BOX, **more}
    value = {"framesCount": FRAMES, "duration": FRAMES / 25, "labels": ["car"], "sequence": [key]}
    return {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}


class Backend:
    """The backend under test, and the host that has the video.

    Args:
        url: Its address; a token may be part of the path.
        fake: The host.
        token: Of the backend.
    """

    def __init__(self, url: str, fake: FakeDataloop, token: str | None = None):
        self.client, self.fake = Client(url, token), fake

    def task(self, emptied: bool = False) -> dict[str, Any]:
        """A task of the clip, or of the one that becomes empty."""
        stream = self.fake.emptied if emptied else self.fake.stream
        return {"id": 1, "data": {"video": f"{stream}?jwt={self.fake.token()}"}}

    def ask(self, *regions: Any, task: Any = None, **more: Any) -> tuple[int, Any]:
        """Status and answer of a prediction for drawn regions."""
        params = {"login": None, "password": None, "context": {"result": list(regions)}}
        body = {"tasks": [task or self.task()], "label_config": CONFIG, "project": "1.1", "params": params}
        return self.client.post("/predict", {**body, **more})

    def follow(self, *regions: Any, task: Any = None) -> dict[str, Any]:
        """Id -> region of what is answered."""
        status, told = self.ask(*regions, task=task)
        assert status == 200, f"/predict is answered with {status}: {told!r:.160}"
        return {r["id"]: r for r in told["results"][0]["result"]}


def frames(found: Any) -> list[int]:
    """Frames of a region's sequence."""
    return [key["frame"] for key in found["value"]["sequence"]]


def inside(found: dict[str, Any]) -> None:
    """AssertionError unless all boxes lie in the frame, in per cent."""
    for one in found.values():
        for key in one["value"]["sequence"]:
            for low, size in (("x", "width"), ("y", "height")):
                assert 0 <= key[low] <= key[low] + key[size] <= 100.001, (
                    f"{low} {key[low]}, {size} {key[size]}"
                )


@contextlib.contextmanager
def opened(
    url: str, token: str | None = None, fake: FakeDataloop | None = None, fake_port: int = 0
) -> Iterator[Backend]:
    """The backend at an address, and a host."""
    if fake is not None:
        yield Backend(url, fake, token)
    else:
        with FakeDataloop(port=fake_port) as made:
            yield Backend(url, made, token)


LABEL_STUDIO = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host label-studio`."""


@LABEL_STUDIO.check
def is_set_up(it: Backend) -> None:
    """setup: /health, and /setup with a model version"""
    equal(it.client.ask("GET", "/health")[0], 200)
    status, told = it.client.post("/setup", {"project": "1.1", "schema": CONFIG, "extra_params": ""})
    equal(status, 200)
    assert told.get("model_version"), f"/setup is answered {told!r:.80}"


@LABEL_STUDIO.check
def goes_forward(it: Backend) -> None:
    """forward: a box on every frame from the drawn one on, which is the first"""
    found = it.follow(region(frame=3, x=17.5))["a"]
    equal((frames(found)[0], found["type"]), (3, "videorectangle"))
    assert frames(found) == sorted(set(frames(found))), "frames come twice, or in disorder"
    assert abs(found["value"]["sequence"][0]["x"] - 17.5) < 0.01, "the first box isn't the drawn one"


@LABEL_STUDIO.check
def keeps_to_the_ends(it: Backend) -> None:
    """ends: a box on the last frame is answered alone, one beyond it is refused or left out"""
    equal(frames(it.follow(region(frame=FRAMES))["a"]), [FRAMES])
    status, told = it.ask(region(frame=FRAMES + 5))
    assert 400 <= status < 500 or not told["results"][0]["result"], f"answered with {status}: {told!r:.80}"


@LABEL_STUDIO.check
def answers_nothing_to_nothing(it: Backend) -> None:
    """unknown: no regions are answered with none, for each task"""
    status, told = it.ask()
    equal((status, [r["result"] for r in told["results"]]), (200, [[]]))


@LABEL_STUDIO.check
def leaves_other_kinds(it: Backend) -> None:
    """geometry: regions of other kinds aren't followed; boxes that are none are refused"""
    other = {**region("b"), "type": "timelinelabels"}
    equal(list(it.follow(region(), other)), ["a"])
    for wrong in ({"x": "far"}, {"width": None}, {"frame": -3}):
        status, told = it.ask(region(**wrong))
        assert 400 <= status < 500, f"{wrong} is answered with {status}: {told!r:.80}"


@LABEL_STUDIO.check
def bears_empty_frames(it: Backend) -> None:
    """empty: frames without anything end or keep the sequence, inside the frame"""
    inside(it.follow(region(), task=it.task(emptied=True)))


@LABEL_STUDIO.check
def loses_what_leaves(it: Backend) -> None:
    """lost: a box that leaves the frame ends, or stays inside it"""
    inside(it.follow(region(x=92.5, width=7.5)))


@LABEL_STUDIO.check
def has_one_form_of_errors(it: Backend) -> None:
    """error: JSON with a message and a status from 400 on, below 500, for whatever is wrong"""
    for body in ("{}", '{"tasks": 5}', '{"tasks": []}', '{"tasks": [5]}', '{"tasks": [{}]}'):
        status, told = it.client.ask("POST", "/predict", body.encode())
        assert 400 <= status < 500, f"{body} is answered with {status}"
        assert isinstance(told, dict), f"{body}: {told!r:.80}"
        assert told.get("error") or told.get("detail"), f"{body}: the error says nothing"


@LABEL_STUDIO.check
def keeps_ids(it: Backend) -> None:
    """ids: each region comes back under its id, with its labels and the names of the interface"""
    found = it.follow(region("zz"), region("aa", x=50.0))
    equal(set(found), {"zz", "aa"})
    for name, low in (("zz", 12.5), ("aa", 50.0)):
        one = found[name]
        assert abs(one["value"]["sequence"][0]["x"] - low) < 0.01, f"{name!r} begins elsewhere"
        equal((one["value"]["labels"], one["from_name"], one["to_name"]), (["car"], "box", "video"))


@LABEL_STUDIO.check
def follows_many(it: Backend) -> None:
    """many: thirty regions at once"""
    equal(len(it.follow(*(region(f"r{n}", frame=FRAMES - 1) for n in range(30)))), 30)


@LABEL_STUDIO.check
def works_again(it: Backend) -> None:
    """restart: works as before after an error and after /setup"""
    before = it.follow(region())
    it.ask(region(x="far"))
    it.client.post("/setup", {"project": "1.1", "schema": CONFIG})
    equal(it.follow(region()), before)


@LABEL_STUDIO.check
def keeps_two_apart(it: Backend) -> None:
    """isolation: two predictions at once are answered as each alone"""
    asked = (region(), region(x=50.0))
    alone = [it.follow(one) for one in asked]
    with ThreadPoolExecutor(2) as pool:
        equal(list(pool.map(it.follow, asked)), alone)


@LABEL_STUDIO.check
def answers_the_same_again(it: Backend) -> None:
    """determinism: the same request is answered the same"""
    equal(it.follow(region()), it.follow(region()))


@LABEL_STUDIO.check
def ends_with_the_file(it: Backend) -> None:
    """eof: no box after the video's end, and framesCount is its length"""
    found = it.follow(region())["a"]
    assert frames(found)[-1] <= FRAMES, f"frame {frames(found)[-1]} of {FRAMES}"
    equal(found["value"]["framesCount"], FRAMES)


@LABEL_STUDIO.check
def asks_its_host_alone(it: Backend) -> None:
    """token: no other server than an allowed one is asked for a video"""
    with FakeDataloop() as stranger:
        status, _ = it.ask(region(), task={"data": {"video": stranger.stream}})
        assert not stranger.traffic, "a server that nobody allowed was asked"
        assert 400 <= status < 500, f"it is answered with {status}"


@LABEL_STUDIO.check
def refuses_too_much(it: Backend) -> None:
    """limits: an error of its own to an announced gigabyte and to hostile JSON"""
    equal(it.client.announce("/predict", 2**30)[0], 413)
    it.client.refuses_hostile("/predict", "tasks")


absent(
    LABEL_STUDIO,
    backward="a region goes from its first box to the video's end",
    stop="the contract has no stop; a request that nobody waits for any longer ends",
)
