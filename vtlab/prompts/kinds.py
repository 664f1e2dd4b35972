"""Kinds of prompt: what a person gave on one frame for one object.

Geometry follows vtlab's convention: 0-based frames, continuous pixel edges, boxes `xyxy`, points `(x, y)`.
Prompts are immutable and hashable; their geometry is checked when they are made, and against a video by
`Prompts.check`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab import masks
from vtlab.errors import InputError, PromptError

Points = tuple[tuple[float, float], ...]


class Sized(Protocol):
    """What `Prompts.check` needs to know of a video; length 0 = unknown."""

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    def __len__(self) -> int: ...


def _points(values: ArrayLike, what: str, at_least: int) -> Points:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise PromptError(f"{what}: expected numbers, got {values!r}.") from None
    if array.ndim == 1 and array.size == 2:
        array = array[None]
    if array.size == 0:
        array = array.reshape(0, 2)
    if array.ndim != 2 or array.shape[1] != 2:
        raise PromptError(f"{what}: expected points of shape (K, 2) as (x, y), got shape {array.shape}.")
    if len(array) < at_least:
        raise PromptError(f"{what}: at least {at_least} point(s) are needed, got {len(array)}.")
    if not np.isfinite(array).all():
        raise PromptError(
            f"{what}: coordinates must be finite, got {array.tolist()}. Remove the NaN or infinite value."
        )
    return tuple((float(x), float(y)) for x, y in array)


def _are_edges(value: Any) -> bool:
    """Whether these are four finite floats in a tuple, as a table of thousands of boxes has them."""
    return type(value) is tuple and [*map(type, value)] == [float] * 4 and math.isfinite(sum(value))


def _row(values: Any, what: str) -> list[Any]:
    """The values of a list; raises `PromptError` for anything else."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise PromptError(f"{what} must be a list, one for each point, got {values!r}.")
    return list(values)


def _marks(values: Any, what: str) -> tuple[bool, ...]:
    """Marks of points; raises `PromptError` for what is neither True nor False (the text "False" would be True)."""
    marks = _row(values, what)
    for mark in marks:
        if not isinstance(mark, (bool, int, np.bool_, np.integer)) or mark not in (0, 1):
            raise PromptError(f"{what} must hold True or False for each point, got {mark!r}.")
    return tuple(bool(mark) for mark in marks)


def _edges(values: Any, what: str) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers of nodes."""
    try:
        found = np.array([tuple(edge) for edge in values], dtype=object).reshape(-1, 2).tolist()
        if all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for edge in found for i in edge):
            return tuple((int(a), int(b)) for a, b in found)
    except (TypeError, ValueError):
        pass
    raise PromptError(f"{what}: edges must be pairs of whole numbers of nodes, got {values!r}.")


@dataclass(frozen=True)
class Prompt(ABC):
    """What all prompts have.

    Attributes:
        object_id: Identity of the object, a positive int; several prompts with one id are one object.
        frame: 0-based frame on which the prompt was given.
        label: Class or name of the object, or None.
    """

    kind: ClassVar[str] = ""
    object_id: int = field(default=1, kw_only=True)
    frame: int = field(default=0, kw_only=True)
    label: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name, low in (("object_id", 1), ("frame", 0)):
            value = getattr(self, name)
            if type(value) is int and low <= value < 2**63:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
                raise PromptError(f"{self}: {name} must be an int of at least {low}, got {value!r}.")
            if value >= 2**63:
                raise PromptError(f"{self}: {name} must be a whole number of 64 bits, got {value!r}.")
            object.__setattr__(self, name, int(value))
        if self.label is not None and not isinstance(self.label, str):
            raise PromptError(f"{self}: label must be a str or None, got {self.label!r}.")

    def __str__(self) -> str:
        return f"{self.kind} prompt of object {self.object_id} on frame {self.frame}"

    @abstractmethod
    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """Tight xyxy extent of the prompt on a frame of that size, shape (4,)."""

    @abstractmethod
    def _xy(self) -> NDArray[np.float64]:
        """Every coordinate pair of the prompt, for the check against the frame's edges: (K, 2), K = 0 for a text."""

    def check(self, video: Sized) -> None:
        """Raise `PromptError` unless the prompt lies on an existing frame and touches the image."""
        if len(video) and self.frame >= len(video):
            raise PromptError(
                f"{self}: the video has {len(video)} frames, so its last frame is {len(video) - 1}. "
                "Frames count from 0."
            )
        xy = self._xy()
        if not len(xy):
            return  # a text
        low, high = xy.min(axis=0), xy.max(axis=0)
        if high[0] <= 0 or high[1] <= 0 or low[0] >= video.width or low[1] >= video.height:
            raise PromptError(
                f"{self} lies outside the frame of {video.width} x {video.height} px: it spans x "
                f"{low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}. Give coordinates of the full-size frame."
            )


@dataclass(frozen=True)
class BoxPrompt(Prompt):
    """A box on one frame.

    Attributes:
        xyxy: Edges x1, y1, x2, y2 in pixels, before rotation.
        angle: Rotation about the box's centre in radians, clockwise on the screen (y is down); 0 = upright.
    """

    kind: ClassVar[str] = "box"
    xyxy: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    angle: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        x1, y1, x2, y2 = self.xyxy if _are_edges(self.xyxy) else self._edges()
        if x2 <= x1 or y2 <= y1:
            raise PromptError(
                f"{self}: the box {(x1, y1, x2, y2)} has no area. Boxes are xyxy: x1 < x2 and y1 < y2 "
                "(convert left, top, width, height with vtlab.geometry.xywh_to_xyxy)."
            )
        if not isinstance(self.angle, (int, float, np.number)) or not math.isfinite(self.angle):
            raise PromptError(f"{self}: the angle must be finite, got {self.angle!r}.")
        object.__setattr__(self, "xyxy", (x1, y1, x2, y2))
        object.__setattr__(self, "angle", float(self.angle))

    def _edges(self) -> tuple[float, float, float, float]:
        """The edges from whatever was given: numbers in a list or array, or two pairs."""
        edges = self.xyxy if isinstance(self.xyxy, Iterable) and not isinstance(self.xyxy, str) else ()
        flat = [
            v for edge in edges for v in (edge if isinstance(edge, (list, tuple, np.ndarray)) else (edge,))
        ]
        if len(flat) != 4:
            raise PromptError(f"{self}: expected numbers x1, y1, x2, y2, got {self.xyxy!r}.")
        (x1, y1), (x2, y2) = _points([flat[:2], flat[2:]], str(self), 2)
        return x1, y1, x2, y2

    def corners(self) -> NDArray[np.float64]:
        """The four corners (4, 2), clockwise from the one that is top left before rotation."""
        x1, y1, x2, y2 = self.xyxy
        centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        offsets = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) - centre
        c, s = math.cos(self.angle), math.sin(self.angle)
        return centre + offsets @ np.array([[c, s], [-s, c]])

    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """Tight upright xyxy extent, shape (4,)."""
        if not self.angle:
            return np.array(self.xyxy)
        corners = self.corners()
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])

    def _xy(self) -> NDArray[np.float64]:
        return self.corners()


@dataclass(frozen=True)
class MaskPrompt(Prompt):
    """A mask on one frame, given as run-length encoding or as a polygon; make one with `MaskPrompt.of`.

    Attributes:
        counts: Compressed counts of COCO's run-length encoding, or empty when `polygon` is given.
        size: (height, width) in pixels of the encoded mask; (0, 0) when `polygon` is given.
        polygon: Vertices ((x, y), ...), or empty when `counts` is given.
    """

    kind: ClassVar[str] = "mask"
    counts: bytes = b""
    size: tuple[int, int] = (0, 0)
    polygon: Points = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        polygon = _row(self.polygon, f"{self}: the polygon")
        if not isinstance(self.counts, bytes) or bool(self.counts) == bool(polygon):
            raise PromptError(f"{self}: give either a mask (MaskPrompt.of) or a polygon.")
        if self.counts:
            height, width = self.size
            try:
                area = masks.area(self.counts, height, width)
            except InputError as error:
                raise PromptError(f"{self}: {error}") from None
            if not area:
                raise PromptError(f"{self}: the mask is empty. Mark at least one pixel of the object.")
            object.__setattr__(self, "size", (int(height), int(width)))
        else:
            corners = _points(self.polygon, str(self), 3)
            if (np.ptp(np.asarray(corners), axis=0) <= 0).any():
                raise PromptError(f"{self}: the polygon has no area.")
            object.__setattr__(self, "polygon", corners)

    @classmethod
    def of(
        cls, mask: ArrayLike, *, object_id: int = 1, frame: int = 0, label: str | None = None
    ) -> MaskPrompt:
        """Make a prompt from a mask of shape (H, W), any dtype, non-zero = object."""
        array = masks.as_mask(mask)
        height, width = array.shape
        return cls(masks.encode(array), (height, width), object_id=object_id, frame=frame, label=label)

    def mask(self, height: int, width: int) -> masks.Mask:
        """The mask, bool (height, width); raises `PromptError` if it was drawn on another size."""
        if self.polygon:
            return masks.from_polygon(self.polygon, height, width)
        if self.size != (height, width):
            raise PromptError(
                f"{self}: the mask is {self.size[1]} x {self.size[0]} px, the frame {width} x {height} px. "
                "Draw the mask on the full-size frame."
            )
        return masks.decode(self.counts, height, width)

    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """Tight xyxy extent of the mask, shape (4,)."""
        return masks.to_box(self.mask(height, width))

    def _xy(self) -> NDArray[np.float64]:
        if self.polygon:
            return np.asarray(self.polygon)
        return masks.box(self.counts, *self.size).reshape(2, 2)

    def check(self, video: Sized) -> None:
        """Raise `PromptError` unless the mask has the frame's size and covers at least one pixel."""
        if self.counts and self.size != (video.height, video.width):
            self.mask(video.height, video.width)
        super().check(video)
        if self.polygon and not self.mask(video.height, video.width).any():
            raise PromptError(f"{self}: the polygon covers no pixel centre of the frame. Draw it larger.")


@dataclass(frozen=True)
class ClickPrompt(Prompt):
    """Clicks on an object (positive) and beside it (negative), with an optional box around it.

    Attributes:
        points: Clicked positions ((x, y), ...).
        positive: One bool for each point; True = on the object. All True when omitted.
        xyxy: Optional box around the object.
    """

    kind: ClassVar[str] = "click"
    points: Points = ()
    positive: tuple[bool, ...] = ()
    xyxy: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        points = _points(self.points, str(self), 1)
        positive = _marks(self.positive, f"{self}: positive") or (True,) * len(points)
        if len(positive) != len(points):
            raise PromptError(f"{self}: {len(points)} points but {len(positive)} positive/negative marks.")
        if not any(positive) and self.xyxy is None:
            raise PromptError(f"{self}: at least one positive click (or a box) is needed.")
        if self.xyxy is not None:
            object.__setattr__(
                self, "xyxy", BoxPrompt(self.xyxy, object_id=self.object_id, frame=self.frame).xyxy
            )
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "positive", positive)

    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """The given box, else the extent of the positive clicks (which may have no area), shape (4,)."""
        if self.xyxy is not None:
            return np.asarray(self.xyxy)
        xy = np.asarray(self.points)[list(self.positive)]
        return np.concatenate([xy.min(axis=0), xy.max(axis=0)])

    def _xy(self) -> NDArray[np.float64]:
        return np.asarray(self.points)

    def check(self, video: Sized) -> None:
        """Raise `PromptError` unless every click lies inside the frame."""
        super().check(video)
        for x, y in self.points:
            if not (0 <= x <= video.width and 0 <= y <= video.height):
                raise PromptError(
                    f"{self}: the click ({x:g}, {y:g}) lies outside the frame of {video.width} x {video.height} px."
                )


@dataclass(frozen=True)
class PointPrompt(Prompt):
    """Points to follow.

    Attributes:
        points: Positions ((x, y), ...); their order is their `point_id`, from 0.
        shape: What the points are together: separate "points", an open "polyline", or a closed "polygon".
    """

    kind: ClassVar[str] = "point"
    points: Points = ()
    shape: Literal["points", "polyline", "polygon"] = "points"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least = {"points": 1, "polyline": 2, "polygon": 3}.get(str(self.shape))
        if at_least is None:
            raise PromptError(f"{self}: shape must be 'points', 'polyline' or 'polygon', got {self.shape!r}.")
        object.__setattr__(self, "points", _points(self.points, str(self), at_least))

    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """Extent of the points, shape (4,); without area for a single point."""
        xy = self._xy()
        return np.concatenate([xy.min(axis=0), xy.max(axis=0)])

    def _xy(self) -> NDArray[np.float64]:
        return np.asarray(self.points)


@dataclass(frozen=True)
class SkeletonPrompt(Prompt):
    """Named points joined by edges, some of them occluded.

    Attributes:
        points: Node positions ((x, y), ...); their order is their `point_id`, from 0.
        names: One name for each node.
        edges: Pairs of node indices.
        occluded: One bool for each node; all False when omitted. An occluded node stays in the figure.
    """

    kind: ClassVar[str] = "skeleton"
    points: Points = ()
    names: tuple[str, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()
    occluded: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        points = _points(self.points, str(self), 1)
        names = tuple(str(n) for n in _row(self.names, f"{self}: names")) or tuple(
            f"node {i}" for i in range(len(points))
        )
        occluded = _marks(self.occluded, f"{self}: occluded") or (False,) * len(points)
        edges = _edges(self.edges, str(self))
        if not len(names) == len(occluded) == len(points):
            raise PromptError(
                f"{self}: {len(points)} points, {len(names)} names and {len(occluded)} occlusion marks don't match."
            )
        if len(set(names)) != len(names):
            raise PromptError(f"{self}: node names must differ, got {list(names)}.")
        bad = [edge for edge in edges if not all(0 <= i < len(points) for i in edge)]
        if bad:
            raise PromptError(
                f"{self}: edge {bad[0]} names a node that doesn't exist; there are {len(points)}."
            )
        for name, value in (("points", points), ("names", names), ("edges", edges), ("occluded", occluded)):
            object.__setattr__(self, name, value)

    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """Extent of the nodes, shape (4,)."""
        xy = self._xy()
        return np.concatenate([xy.min(axis=0), xy.max(axis=0)])

    def _xy(self) -> NDArray[np.float64]:
        return np.asarray(self.points)


@dataclass(frozen=True)
class TextPrompt(Prompt):
    """Words for what to find and follow, from a frame on: all objects that they name, each with an id of its own.

    Its `object_id` numbers the text among the texts of a set; the ids of the objects that are found have nothing to do with
    it. What is found has the text as its label, or `label` where that is given.

    Attributes:
        text: A short noun phrase, as "yellow taxi"; blanks around it are taken away.
    """

    kind: ClassVar[str] = "text"
    text: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.text, str) or not self.text.strip() or not self.text.isprintable():
            raise PromptError(
                f"{self}: the text must be words for what to find, as 'yellow taxi'; got {self.text!r}."
            )
        if len(self.text) > MOST_CHARACTERS:
            raise PromptError(
                f"{self}: the text has {len(self.text)} characters, at most {MOST_CHARACTERS} are read. Give a noun phrase; "
                "several things are several prompts."
            )
        object.__setattr__(self, "text", self.text.strip())

    @property
    def name(self) -> str:
        """The label of what is found."""
        return self.label or self.text

    def box(self, height: int, width: int) -> NDArray[np.float64]:
        """A text has no place on the frame: raises `PromptError`."""
        raise PromptError(f"{self}: the text {self.text!r} has no place on the frame. {TEXT_REMEDY}")

    def _xy(self) -> NDArray[np.float64]:
        return np.empty((0, 2))


MOST_CHARACTERS = 200
"""Longest text: networks read 16 to 256 tokens of it."""
TEXT_REMEDY = (
    "Remedy: give a box, clicks, a mask or points, or choose a tracker that reads text, such as 'sam3-text'."
)

KINDS: dict[str, type[Prompt]] = {
    cls.kind: cls for cls in (BoxPrompt, MaskPrompt, ClickPrompt, PointPrompt, SkeletonPrompt, TextPrompt)
}


def edges_of(prompt: Prompt) -> list[tuple[int, int]]:
    """Pairs of points that a figure's lines join: of a polyline, polygon, skeleton or oriented box; else none."""
    if isinstance(prompt, SkeletonPrompt):
        return list(prompt.edges)
    if isinstance(prompt, BoxPrompt) and prompt.angle:
        return [(i, (i + 1) % 4) for i in range(4)]
    if not isinstance(prompt, PointPrompt) or prompt.shape == "points":
        return []
    n = len(prompt.points)
    return [(i, (i + 1) % n) for i in range(n if prompt.shape == "polygon" else n - 1)]
