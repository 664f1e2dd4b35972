"""What the VOT toolkit (0.9) relies on in a class of its python protocol, as checks of any such class.

`vtlab check host vot --url vtlab.serve.classes:Vot -P tracker=csrt`, or `file.py:Class`. The kit is the toolkit: frames are
files, regions are tuples (x, y, width, height), methods get as many arguments as they take, parameters are texts.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import InputError
from vtlab.registry import load_file
from vtlab.testing.contract import Contract, NotAsked
from vtlab.testing.hosts.base import absent, equal, png, refused, square

BOX = (20.0, 30.0, 30.0, 30.0)
LENGTH = 6


@dataclass
class Toolkit:
    """What runs a class.

    Attributes:
        made: Makes one tracker.
        folder: Where the frames are.
    """

    made: Any
    folder: Path
    _written: dict[str, str] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether it follows several objects at once."""
        return bool(getattr(self.made(), "multiobject", False))

    def file(self, n: int, blank: bool = False) -> str:
        """A frame of the clip, as a file."""
        name = f"{'blank' if blank else 'color'}-{n:08d}.png"
        if name not in self._written:
            image = np.full_like(square(0), 40) if blank else square(n)
            Path(self.folder, name).write_bytes(png(image))
            self._written[name] = str(Path(self.folder, name))
        return self._written[name]

    def run(self, regions: Sequence[Any] = (BOX,), files: Sequence[str] | None = None) -> list[list[Any]]:
        """The regions of each frame, that of the first included, in the order of the objects."""
        tracker, several = self.made(), self.several
        names = files or [self.file(n) for n in range(LENGTH)]
        given: list[Any] = [(region, {}) for region in regions]
        begin = getattr(tracker, "initialize", None) or tracker.init
        found = [_called(begin, names[0], given if several else given[0])]
        found += [_called(tracker.update, name, [] if several else None) for name in names[1:]]
        return [_regions(told, several, len(regions)) for told in found]


def _called(method: Any, frame: str, new: Any) -> Any:
    """What a method answers, which takes 1 to 3 of frame, new objects and properties."""
    return method(*(frame, new, {})[: min(len(inspect.signature(method).parameters), 3)])


def _regions(told: Any, several: bool, count: int) -> list[Any]:
    entries = told if several else [told]
    assert isinstance(entries, list), f"expected a list of regions, got {told!r:.60}"
    equal(len(entries), count)
    found = [
        e[0] if isinstance(e, tuple) and len(e) == 2 and isinstance(e[1], Mapping) else e for e in entries
    ]
    for region in found:
        _sound(region)
    return found


def _sound(region: Any) -> None:
    """AssertionError unless the protocol can send a region: numbers of a rectangle or a polygon, or a number of old."""
    assert not isinstance(region, np.ndarray), (
        "an array can't be sent by this protocol: give a tuple of numbers"
    )
    numbers = region if isinstance(region, tuple | list) else [region]
    plain = all(isinstance(v, int | float) for v in numbers)
    assert plain, f"a region of other things than numbers: {region!r:.60}"
    assert len(numbers) in (1, 4) or (len(numbers) >= 6 and len(numbers) % 2 == 0), f"{len(numbers)} numbers"
    assert np.isfinite(numbers).all(), f"numbers that are none: {region!r:.60}"


@contextlib.contextmanager
def opened(url: Any, token: str | None = None, fake_port: int = 0, **params: Any) -> Iterator[Toolkit]:
    """A class by its name, or itself."""
    cls = _found(url) if isinstance(url, str) else url
    told = {name: str(value) for name, value in params.items()}
    with tempfile.TemporaryDirectory(prefix="vtlab-") as folder:
        yield Toolkit(lambda: cls(**told), Path(folder))


def _found(url: str) -> Any:
    if ".py:" in url:
        return load_file(url, "tracker")
    module, _, name = url.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{url!r}: {error}. Remedy: give package.module:Class or file.py:Class.") from error


VOT = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host vot`."""


@VOT.check
def goes_forward(it: Toolkit) -> None:
    """forward: a region for each frame, the first included, that the protocol can send"""
    equal(len(it.run()), LENGTH)


@VOT.check
def goes_backward(it: Toolkit) -> None:
    """backward: frames in descending order, as from an anchor at the end"""
    files = [it.file(n) for n in reversed(range(LENGTH))]
    equal(len(it.run(((40.0, 30.0, 30.0, 30.0),), files)), LENGTH)


@VOT.check
def ends_at_once(it: Toolkit) -> None:
    """ends: a sequence of one frame"""
    equal(len(it.run(files=[it.file(0)])), 1)


@VOT.check
def refuses_what_is_none(it: Toolkit) -> None:
    """geometry: an exception for a region that is none; a polygon is taken"""
    refused(lambda: it.run([(1.0, 2.0, 3.0)]), "a region of three numbers")
    equal(len(it.run([(20.0, 30.0, 50.0, 30.0, 50.0, 60.0, 20.0, 60.0)])), LENGTH)


@VOT.check
def bears_empty_frames(it: Toolkit) -> None:
    """empty: on frames without anything there are regions, too"""
    files = [it.file(0), *(it.file(n, blank=True) for n in range(1, 4))]
    equal(len(it.run(files=files)), 4)


@VOT.check
def loses_what_leaves(it: Toolkit) -> None:
    """lost: an object that leaves the image keeps a region, of finite numbers"""
    files = [it.file(n) for n in range(29, 29 + LENGTH)]
    equal(len(it.run([(136.0, 30.0, 24.0, 30.0)], files)), LENGTH)


@VOT.check
def raises_errors(it: Toolkit) -> None:
    """error: an exception for a frame that isn't there, which the toolkit shows"""
    refused(lambda: it.run(files=[it.file(0), str(it.folder / "nowhere.png")]), "a frame that isn't there")


@VOT.check
def keeps_the_order(it: Toolkit) -> None:
    """ids: regions come in the order of the objects, one for each"""
    _several(it)
    first = it.run([BOX, (60.0, 30.0, 30.0, 30.0)])
    other = it.run([(60.0, 30.0, 30.0, 30.0), BOX])
    assert [r[0] for r in first] == [r[1] for r in other], "the order of the objects changes what is found"


@VOT.check
def follows_many(it: Toolkit) -> None:
    """many: twenty objects at once, and one that is added on the way"""
    _several(it)
    it.run([BOX] * 20, [it.file(0), it.file(1)])
    tracker = it.made()
    _called(getattr(tracker, "initialize", None) or tracker.init, it.file(0), [(BOX, {})])
    if len(inspect.signature(tracker.update).parameters) >= 2:
        equal(len(_called(tracker.update, it.file(1), [(BOX, {})])), 2)


@VOT.check
def starts_again(it: Toolkit) -> None:
    """restart: the same object starts anew on another sequence, as the toolkit's worker keeps it"""
    tracker, several = it.made(), it.several
    begin = getattr(tracker, "initialize", None) or tracker.init
    given: Any = [(BOX, {})] if several else (BOX, {})
    found = []
    for _ in range(2):
        told = [
            _called(begin, it.file(0), given),
            _called(tracker.update, it.file(1), [] if several else None),
        ]
        found.append([_regions(one, several, 1) for one in told])
    equal(found[1], found[0])


@VOT.check
def keeps_objects_apart(it: Toolkit) -> None:
    """isolation: two trackers at once are answered as each alone"""
    alone = it.run()
    first, other, several = it.made(), it.made(), it.several
    given: Any = [(BOX, {})] if several else (BOX, {})
    mixed = []
    for tracker in (first, other):
        told = _called(getattr(tracker, "initialize", None) or tracker.init, it.file(0), given)
        if tracker is first:
            mixed.append(_regions(told, several, 1))
    for n in range(1, LENGTH):
        _called(other.update, it.file(LENGTH - n), [] if several else None)
        mixed.append(_regions(_called(first.update, it.file(n), [] if several else None), several, 1))
    equal(mixed, alone)


@VOT.check
def answers_the_same_again(it: Toolkit) -> None:
    """determinism: the same sequence is answered the same"""
    equal(it.run(), it.run())


absent(
    VOT,
    unknown="objects have no names: they come in order",
    stop="the toolkit ends the process",
    eof="the toolkit knows the length and asks for no frame beyond it",
    limits="the toolkit's timeout ends the process; a sequence comes from the user's own disk",
)


def _several(it: Toolkit) -> None:
    if not it.several:
        raise NotAsked("the class follows one object")
