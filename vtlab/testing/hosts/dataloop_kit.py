"""What Dataloop's studio relies on in a tracker's service, as checks of any class with its `run`.

`vtlab check host dataloop --url main.py:ServiceRunner` makes the class without arguments; it must take streams at
http://127.0.0.1, where the fake host is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from vtlab.registry import load_file
from vtlab.testing.contract import Contract
from vtlab.testing.hosts.base import absent, equal, refused
from vtlab.testing.hosts.dataloop import FRAMES, FakeDataloop, Percent

BOX = [{"x": 20, "y": 30, "z": 0}, {"x": 50, "y": 60, "z": 0}]


@dataclass
class Service:
    """The service under test, and the fake host."""

    service: Any
    fake: FakeDataloop

    def run(self, bbs: Any = None, start: Any = 0, duration: Any = 4, progress: Any = None) -> Any:
        """Call it."""
        given = {"ann-a": BOX} if bbs is None else bbs
        return self.service.run(self.fake, self.fake.stream, given, start, duration, progress)


@contextlib.contextmanager
def opened(url: Any, fake: FakeDataloop | None = None, **_: Any) -> Iterator[Service]:
    """A service of a `file.py:Class`, or a ready one."""
    made = load_file(url, "service")() if isinstance(url, str) else url
    if fake is not None:
        yield Service(made, fake)
        return
    with FakeDataloop() as host:
        yield Service(made, host)


DATALOOP = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host dataloop`."""


@DATALOOP.check
def includes_the_first_frame(it: Service) -> None:
    """forward: answers from the first frame on, that one included, under the annotation's id"""
    found = it.run(start=2, duration=4)
    equal(list(found), ["ann-a"])
    equal([int(f) for f in found["ann-a"]], [2, 3, 4, 5])


@DATALOOP.check
def starts_on_the_box(it: Service) -> None:
    """geometry: gives the box itself on the first frame, as two corners of whole numbers"""
    equal(next(iter(it.run()["ann-a"].values())), [{"x": 20, "y": 30}, {"x": 50, "y": 60}])


@DATALOOP.check
def survives_json(it: Service) -> None:
    """json: gives what it can say"""
    found = it.run()
    again = json.loads(json.dumps(found))
    equal([int(f) for f in again["ann-a"]], [int(f) for f in found["ann-a"]])


@DATALOOP.check
def takes_texts(it: Service) -> None:
    """json: takes numbers and boxes as text, too"""
    equal(it.run(json.dumps({"ann-a": BOX}), "0", "4"), it.run())


@DATALOOP.check
def ends_with_the_video(it: Service) -> None:
    """eof: ends where the video does"""
    equal([int(f) for f in it.run(start=FRAMES - 3, duration=60)["ann-a"]], [9, 10, 11])


@DATALOOP.check
def takes_one_frame(it: Service) -> None:
    """ends: a duration of 1 is the first frame alone"""
    equal([int(f) for f in it.run(start=3, duration=1)["ann-a"]], [3])


@DATALOOP.check
def keeps_ids(it: Service) -> None:
    """ids: many boxes keep theirs, also such that are numbers"""
    names = [f"{n}" for n in range(20)]
    found = it.run(
        {name: [{"x": 10 + n, "y": 20}, {"x": 40 + n, "y": 50}] for n, name in enumerate(names)}, duration=2
    )
    equal(list(found), names)
    equal([next(iter(found[n].values()))[0]["x"] for n in names], [10 + n for n in range(20)])


@DATALOOP.check
def tells_per_cent(it: Service) -> None:
    """progress: tells per cent that grow to 100"""
    told = Percent()
    it.run(progress=told)
    assert told.said, "nothing was told"
    assert told.said == sorted(told.said), f"it told {told.said}"
    equal(told.said[-1], 100)


@DATALOOP.check
def refuses_what_is_none(it: Service) -> None:
    """error: an exception for boxes without an area, no boxes, and frames beyond the video"""
    flat = {"ann-a": [{"x": 20, "y": 30}, {"x": 20, "y": 60}]}
    wrong: tuple[dict[str, Any], ...] = (
        {"bbs": {}},
        {"bbs": flat},
        {"start": FRAMES},
        {"start": -1},
        {"duration": 0},
        {"bbs": {"a": 5}},
    )
    for arguments in wrong:
        try:
            it.run(**arguments)
        except Exception:  # noqa: S112 (whichever error it is)
            continue
        raise AssertionError(f"{arguments} was taken")


@DATALOOP.check
def answers_the_same_again(it: Service) -> None:
    """determinism: the same call is answered the same"""
    equal(it.run(), it.run())


@DATALOOP.check
def bears_empty_frames(it: Service) -> None:
    """empty: on frames without anything a box is left out, or lies in the frame"""
    _inside(it.service.run(it.fake, it.fake.emptied, {"ann-a": BOX}, 0, FRAMES))


@DATALOOP.check
def loses_what_leaves(it: Service) -> None:
    """lost: a box that leaves the frame is left out, or lies in the frame"""
    _inside(it.run({"ann-a": [{"x": 148, "y": 30}, {"x": 160, "y": 60}]}, duration=FRAMES))


@DATALOOP.check
def follows_many(it: Service) -> None:
    """many: fifty boxes at once, as many as a recipe allows"""
    corners = [{"x": 20, "y": 30}, {"x": 50, "y": 60}]
    found = it.run({f"a{n}": corners for n in range(50)}, duration=3)
    equal({name: len(frames) for name, frames in found.items()}, {f"a{n}": 3 for n in range(50)})


@DATALOOP.check
def starts_again(it: Service) -> None:
    """restart: works as before after an error"""
    before = it.run()
    refused(lambda: it.run(start=FRAMES), "a frame beyond the video")
    equal(it.run(), before)


@DATALOOP.check
def keeps_two_calls_apart(it: Service) -> None:
    """isolation: two calls at once are answered as each alone"""
    calls = ({"start": 0, "duration": 6}, {"start": 3, "duration": 6})
    alone = [it.run(**call) for call in calls]
    with ThreadPoolExecutor(2) as pool:
        equal(list(pool.map(lambda call: it.run(**call), calls)), alone)


@DATALOOP.check
def refuses_too_much(it: Service) -> None:
    """limits: ends with the video for more frames than numbers count, or an error"""
    try:
        found = it.run(duration=10**15)
    except Exception:
        return
    equal(len(found["ann-a"]), FRAMES)


absent(
    DATALOOP,
    backward="the studio asks for frames after the first alone",
    unknown="the boxes come with the call",
    stop="the platform ends the execution",
)


def _inside(found: Any) -> None:
    for frame, corners in found["ann-a"].items():
        (x1, y1), (x2, y2) = ((c["x"], c["y"]) for c in corners)
        assert 0 <= x1 < x2 <= 160, f"columns {x1} to {x2} on frame {frame}"
        assert 0 <= y1 < y2 <= 120, f"rows {y1} to {y2} on frame {frame}"
