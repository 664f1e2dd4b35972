"""What CVAT's agent relies on in a tracking function, as checks of any function file.

`vtlab check host cvat --url func.py`, with `-P tracker=csrt` where the file has `create(tracker)`. The kit is the agent;
where CVAT's SDK isn't installed, stand-ins of its two classes are used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vtlab.testing.contract import Contract, NotAsked
from vtlab.testing.hosts.base import absent, equal, refused, square
from vtlab.testing.hosts.cvat import SHAPES, Agent, sdk

HEIGHT, WIDTH = 120, 160


@contextlib.contextmanager
def opened(url: Any, token: str | None = None, fake_port: int = 0, **params: Any) -> Iterator[Agent]:
    """An agent with a function, by its file or itself."""
    with sdk():
        yield Agent(url, **params)


CVAT = Contract(lambda _, params: params, around=lambda params: opened(**params))
"""Checks of `vtlab check host cvat`."""


def kinds(agent: Agent) -> list[str]:
    """Shapes that it follows, of those that are known here."""
    found = [kind for kind in SHAPES if kind in agent.shapes]
    if not found:
        raise NotAsked("it follows no shape that is known here")
    return found


def followed(agent: Agent, kind: str, frames: Sequence[int], points: list[float] | None = None) -> list[Any]:
    """What it says of a shape that is drawn on the first of some frames."""
    state = agent.start(square(frames[0]), kind, points or SHAPES[kind])
    return [agent.go_on(square(n), state)[0] for n in frames[1:]]


def sound(kind: str, points: list[float] | None, vertices: int | None = None) -> None:
    """AssertionError unless a shape is None or one of its type, inside the frame."""
    if points is None:
        return
    assert np.isfinite(points).all(), f"a {kind} has numbers that are none: {points[:6]}"
    if kind == "mask":
        left, top, right, bottom = points[-4:]
        area = (right - left + 1) * (bottom - top + 1)
        assert 0 <= left <= right < WIDTH, f"columns {left} to {right}"
        assert 0 <= top <= bottom < HEIGHT, f"rows {top} to {bottom}"
        equal(sum(points[:-4]), area)
        return
    assert len(points) % 2 == 0, f"a {kind} has {len(points)} numbers"
    if vertices is not None:
        equal(len(points) // 2, vertices)
    xy = np.reshape(points, (-1, 2))
    assert (xy >= 0).all(), f"a {kind} begins at {xy.min(axis=0)}"
    assert (xy <= (WIDTH, HEIGHT)).all(), f"a {kind} ends at {xy.max(axis=0)}"
    if kind == "rectangle":
        assert (xy[1] > xy[0]).all(), f"a rectangle without an area: {points}"


@CVAT.check
def goes_forward(agent: Agent) -> None:
    """forward: each shape comes back as its own type, inside the frame, with as many vertices"""
    for kind in kinds(agent):
        count = None if kind in ("mask", "polygon") else len(SHAPES[kind]) // 2
        for points in followed(agent, kind, range(4)):
            sound(kind, points, count)


@CVAT.check
def goes_backward(agent: Agent) -> None:
    """backward: frames may come in descending order, too"""
    for kind in kinds(agent):
        for points in followed(agent, kind, (3, 2, 1, 0)):
            sound(kind, points)


@CVAT.check
def refuses_other_types(agent: Agent) -> None:
    """geometry: an error for numbers that make no shape"""
    for kind in kinds(agent):
        for points in ([], [1.0], [float("nan")] * 4):
            refused(lambda k=kind, p=points: agent.start(square(0), k, p), f"a {kind} of {points}")  # type: ignore[misc]


@CVAT.check
def bears_empty_frames(agent: Agent) -> None:
    """empty: on frames without anything a shape is None, or inside the frame"""
    for kind in kinds(agent):
        state = agent.start(square(0), kind, SHAPES[kind])
        for _ in range(3):
            sound(kind, agent.go_on(np.zeros((HEIGHT, WIDTH, 3), np.uint8), state)[0])


@CVAT.check
def loses_what_leaves(agent: Agent) -> None:
    """lost: a shape that leaves the frame is None, or inside the frame"""
    # At the right edge of a frame 160 px wide, toward which the square moves.
    edge = {
        "rectangle": [140.0, 30.0, 160.0, 60.0],
        "points": [155.0, 35.0],
        "polyline": [150.0, 35, 159, 55],
    }
    edge |= {"polygon": [140.0, 30.0, 159.0, 30.0, 159.0, 60.0], "mask": [0.0, 9.0, 157.0, 30.0, 159.0, 32.0]}
    for kind in kinds(agent):
        if kind in edge:
            for points in followed(agent, kind, range(30, 38), edge[kind]):
                sound(kind, points)


@CVAT.check
def raises_errors(agent: Agent) -> None:
    """error: an exception with a message, which the agent sends to the server"""
    try:
        agent.start(square(0), kinds(agent)[0], [])
    except Exception as error:
        said = str(error)
    else:
        raise AssertionError("a shape without numbers was taken")
    assert said.strip(), "the error has no message"


@CVAT.check
def keeps_states_apart(agent: Agent) -> None:
    """ids: each state follows its own shape, in whichever order they are asked for"""
    kind = kinds(agent)[0]
    first, other = SHAPES[kind], _moved(kind, SHAPES[kind], 40)
    states = [agent.start(square(0), kind, points) for points in (first, other)]
    found = agent.go_on(square(1), *reversed(states))
    if kind != "mask" and None not in found:
        assert found[0][0] > found[1][0], f"the right one is at {found[0][0]}, the left one at {found[1][0]}"  # type: ignore[index]
    again = [agent.start(square(0), kind, points) for points in (first, other)]
    equal(agent.go_on(square(1), *again), found[::-1])


@CVAT.check
def follows_many(agent: Agent) -> None:
    """many: forty shapes at once, one answer for each state"""
    kind = kinds(agent)[0]
    states = [agent.start(square(0), kind, SHAPES[kind]) for _ in range(40)]
    found = agent.go_on(square(1), *states)
    equal(len(found), 40)
    assert all(points == found[0] for points in found), "equal shapes were followed to different places"


@CVAT.check
def starts_again(agent: Agent) -> None:
    """restart: a new state begins as the first did, also after an error"""
    kind = kinds(agent)[0]
    before = followed(agent, kind, range(3))
    with contextlib.suppress(Exception):
        agent.start(square(0), kind, [])
    equal(followed(agent, kind, range(3)), before)


@CVAT.check
def keeps_images(agent: Agent) -> None:
    """isolation: two shapes that share an image change nothing of it or of each other"""
    kind = kinds(agent)[0]
    alone = followed(agent, kind, range(4))
    mine, other = (agent.start(square(0), kind, SHAPES[kind]) for _ in range(2))
    shared = []
    for n in range(1, 4):
        image = square(n)
        agent.go_on(image, other)
        shared.append(agent.go_on(image, mine)[0])
        assert np.array_equal(image, square(n)), "it changed the image"
    equal(shared, alone)


@CVAT.check
def answers_the_same_again(agent: Agent) -> None:
    """determinism: the same frames are answered the same"""
    for kind in kinds(agent):
        equal(followed(agent, kind, range(3)), followed(agent, kind, range(3)))


@CVAT.check
def bears_far_shapes(agent: Agent) -> None:
    """limits: a shape far outside the frame is an error, or never comes back outside"""
    far = {
        "rectangle": [1e6, 1e6, 2e6, 2e6],
        "points": [1e6, 1e6],
        "mask": [0.0, 9.0, 900.0, 900.0, 902.0, 902.0],
    }
    for kind in kinds(agent):
        if kind in far:
            try:
                found = followed(agent, kind, range(3), far[kind])
            except Exception:  # noqa: S112 (an error is an answer)
                continue
            for points in found:
                sound(kind, points)


absent(
    CVAT,
    ends="the server chooses the frames; a function gets images without numbers",
    unknown="the agent keeps the states and refuses those that it doesn't know",
    stop="the agent asks for one frame at a time and stops between them",
    eof="the server chooses the frames",
)


def _moved(kind: str, points: list[float], right: float) -> list[float]:
    """The same shape further to the right."""
    found = np.array(points)
    if kind == "mask":
        found[[-4, -2]] += right
    else:
        found[::2] += right
    return [float(v) for v in found]
