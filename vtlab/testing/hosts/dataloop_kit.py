"""What Dataloop's studio relies on in a tracker's service, as checks of any class with its `run`.

`vtlab check host dataloop --url main.py:ServiceRunner` makes the class without arguments; it must take streams at
http://127.0.0.1, where the fake host is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vtlab.registry import load_file
from vtlab.testing.contract import Contract
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
    """answers from the first frame on, that one included, under the annotation's id"""
    found = it.run(start=2, duration=4)
    _equal(list(found), ["ann-a"])
    _equal([int(f) for f in found["ann-a"]], [2, 3, 4, 5])


@DATALOOP.check
def starts_on_the_box(it: Service) -> None:
    """gives the box itself on the first frame, as two corners of whole numbers"""
    _equal(next(iter(it.run()["ann-a"].values())), [{"x": 20, "y": 30}, {"x": 50, "y": 60}])


@DATALOOP.check
def survives_json(it: Service) -> None:
    """gives what JSON can say"""
    found = it.run()
    again = json.loads(json.dumps(found))
    _equal([int(f) for f in again["ann-a"]], [int(f) for f in found["ann-a"]])


@DATALOOP.check
def takes_texts(it: Service) -> None:
    """takes numbers and boxes as text, too"""
    _equal(it.run(json.dumps({"ann-a": BOX}), "0", "4"), it.run())


@DATALOOP.check
def ends_with_the_video(it: Service) -> None:
    """ends where the video does"""
    _equal([int(f) for f in it.run(start=FRAMES - 3, duration=60)["ann-a"]], [9, 10, 11])


@DATALOOP.check
def takes_one_frame(it: Service) -> None:
    """a duration of 1 is the first frame alone"""
    _equal([int(f) for f in it.run(start=3, duration=1)["ann-a"]], [3])


@DATALOOP.check
def keeps_ids(it: Service) -> None:
    """many boxes keep their ids, also such that are numbers"""
    names = [f"{n}" for n in range(20)]
    found = it.run(
        {name: [{"x": 10 + n, "y": 20}, {"x": 40 + n, "y": 50}] for n, name in enumerate(names)}, duration=2
    )
    _equal(list(found), names)
    _equal([next(iter(found[n].values()))[0]["x"] for n in names], [10 + n for n in range(20)])


@DATALOOP.check
def tells_per_cent(it: Service) -> None:
    """tells per cent that grow to 100"""
    told = Percent()
    it.run(progress=told)
    assert told.said, "nothing was told"
    assert told.said == sorted(told.said), f"it told {told.said}"
    _equal(told.said[-1], 100)


@DATALOOP.check
def refuses_what_is_none(it: Service) -> None:
    """raises an error for boxes without an area, no boxes, and frames beyond the video"""
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
    """the same call is answered the same"""
    _equal(it.run(), it.run())


def _equal(found: Any, wanted: Any) -> None:
    assert found == wanted, f"expected {wanted!r:.120}, got {found!r:.200}"
