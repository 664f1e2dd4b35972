"""Reader of CVAT for video XML 1.1: a stream of elements, so that memory holds figures and not the file.

Nothing of XML beyond elements and text is taken: a document type, and with it every entity, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from vtlab.errors import FormatError, InputError
from vtlab.formats.base import MOST_FRAMES
from vtlab.formats.borders import ellipse_ring, from_crop, from_row_runs
from vtlab.formats.figures import MOST_FIGURES, Figure, Point, filled
from vtlab.masks import MAX_PIXELS, encode

PART = "part"
"""Value of the attribute `vtlab` of a track that goes on with its group's object in another kind of figure."""
GAP = "gap"
"""Value of the attribute `vtlab` of an outside figure that only ends a run of figures: there is no row for it."""
_DEPTH, _TEXT, _BLOCK = 16, 1 << 20, 1 << 20
"""Elements within each other, characters of a text and bytes at once: CVAT writes far less; a bomb asks for more."""
_SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")


@dataclass
class Label:
    """A label of the task: attributes by name as (mutable, input type), and the lines of a skeleton."""

    name: str = ""
    parent: str = ""
    attributes: dict[str, tuple[bool, str]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Track:
    """One track of the file, with its figures in the order of their frames."""

    id: int
    label: str
    source: str
    group: int
    figures: list[Figure] = field(default_factory=list)
    masks: bool = True
    polyline: int = 0
    part: bool = False
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass
class Task:
    """What a file says.

    Attributes:
        start, step: Frame i is frame `start + i * step` of the video.
        frames: Number of frames; None where it is not said.
        size: (height, width).
        keyed: Whether some figure is no key figure, so that the others are told to be some.
        unread: What can't be kept, and how often.
    """

    start: int = 0
    step: int = 1
    frames: int | None = None
    size: tuple[int, int] | None = None
    name: str | None = None
    labels: dict[str, Label] = field(default_factory=dict)
    tracks: list[Track] = field(default_factory=list)
    keyed: bool = False
    unread: dict[str, int] = field(default_factory=dict)


class Reader:
    """Reads one file; see `read`."""

    def __init__(self, path: Path):
        self.path, self.task = path, Task()
        self._meta: dict[str, str] = {}
        self._open: list[str] = []
        self._text: list[str] = []
        self._chars = self._count = 0
        self._label = Label()
        self._attribute: dict[str, str] = {}
        self._track: Track | None = None
        self._shape: dict[str, str] | None = None
        self._joints: list[tuple[dict[str, str], list[Point]]] = []
        self._values: dict[str, str] = {}
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    def read(self) -> Task:
        """The task; raises `FormatError` naming file, line and what is wrong."""
        try:
            with self.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    self._parser.Parse(block, False)
                self._parser.Parse(b"", True)
        except OSError as error:
            raise FormatError(f"{self.path}: can't be read ({error.strerror or error}).") from None
        except LookupError as error:  # an encoding that Python doesn't know
            raise self._wrong(str(error)) from None
        except expat.ExpatError as error:
            raise self._wrong(f"not XML ({expat.errors.messages.get(error.code, error.code)})") from None
        return self.task

    def _wrong(self, what: str) -> FormatError:
        return FormatError(f"{self.path}, line {self._parser.CurrentLineNumber}: {what}.")

    def _refuse_doctype(self, *_: Any) -> None:
        raise self._wrong(
            "a document type is declared, which annotations of CVAT have none of; it is not read"
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._open.append(tag)
        self._text, self._chars = [], 0
        if len(self._open) > _DEPTH:
            raise self._wrong(f"more than {_DEPTH} elements within each other")
        if len(self._open) == 1 and tag != "annotations":
            raise self._wrong(f"expected the element annotations, got {tag[:40]}")
        if "meta" in self._open:
            return self._start_meta(tag, attributes)
        if tag == "track":
            whole = [self._whole(attributes, name, 0) for name in ("id", "group_id")]
            self._track = Track(whole[0], attributes.get("label", ""), attributes.get("source", ""), whole[1])
            self._track.part = attributes.get("vtlab") == PART
        elif tag == "image":
            raise self._wrong("this is CVAT for images; expected CVAT for video (tracks)")
        elif tag == "attribute":
            self._attribute = attributes
        elif tag in _SHAPES and self._track is not None:
            self._start_shape(tag, attributes)
        return None

    def _start_meta(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "label":
            self._label = Label()
        elif tag == "attribute":
            self._attribute = {}

    def _start_shape(self, tag: str, attributes: dict[str, str]) -> None:
        if self._shape is None:
            self._shape, self._joints, self._values = {**attributes, "": tag}, [], {}
        elif self._shape[""] == "skeleton" and tag == "points":
            self._joints.append((attributes, self._xy(attributes.get("points", ""))))
        else:
            raise self._wrong(f"a {tag} within a {self._shape['']}")

    def _characters(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > _TEXT:
            raise self._wrong(f"a text of more than {_TEXT} characters")
        self._text.append(text)

    def _end(self, tag: str) -> None:
        text = "".join(self._text)
        self._text, self._chars = [], 0
        self._open.pop()
        if tag == "meta":
            self._frames()
        elif "meta" in self._open:
            self._end_meta(tag, text)
        elif tag == "attribute" and self._shape is not None and self._open[-1] == self._shape[""]:
            self._values[self._attribute.get("name", "")] = text
        elif tag in _SHAPES and self._shape is not None and self._open[-1] == "track":
            shape, self._shape = self._shape, None
            self._figure(shape)
        elif tag == "track" and self._track is not None:
            self._close(self._track)

    def _end_meta(self, tag: str, text: str) -> None:
        above = self._open[-1]
        if tag == "attribute":
            kind = (
                self._attribute.get("mutable", "True").lower() != "false",
                self._attribute.get("input_type", "text"),
            )
            self._label.attributes[self._attribute.get("name", "")] = kind
        elif above == "attribute":
            self._attribute[tag] = text
        elif tag == "label":
            self.task.labels[self._label.name] = self._label
        elif above == "label":
            self._of_label(tag, text)
        elif above in ("task", "job", "original_size"):
            self._meta.setdefault(tag, text)

    def _of_label(self, tag: str, text: str) -> None:
        if tag in ("name", "parent"):
            setattr(self._label, tag, text)
        elif tag == "svg":
            self._label.nodes, self._label.lines = _svg(text)

    def _frames(self) -> None:
        """Take what the task says of its frames."""
        meta, task = self._meta, self.task
        task.start = self._whole(meta, "start_frame", 0)
        rule = meta.get("frame_filter", "").replace(" ", "")
        task.step = self._whole({"step": rule.removeprefix("step=")}, "step", 1) if rule else 1
        if task.step < 1:
            raise self._wrong(f"the step from frame to frame must be at least 1, got {task.step}")
        if meta.get("size"):
            task.frames = self._whole(meta, "size", 0)
        elif meta.get("stop_frame"):
            task.frames = max((self._whole(meta, "stop_frame", 0) - task.start) // task.step + 1, 0)
        sides = [self._whole(meta, name, 0) for name in ("height", "width")]
        if (
            max(task.frames or 0, task.start, task.step, *sides) > MOST_FRAMES
            or sides[0] * sides[1] > MAX_PIXELS
        ):
            raise self._wrong(f"{task.frames} frames of {sides[1]} x {sides[0]} pixels are no video's")
        task.size = (sides[0], sides[1]) if all(sides) else None
        task.name = meta.get("name") or None

    def _whole(self, entries: dict[str, str], name: str, missing: int) -> int:
        text = entries.get(name, "").strip()
        if not text:
            return missing
        if not text.removeprefix("-").isdecimal() or len(text) > 18:
            raise self._wrong(f"{name} should be a whole number, got {text[:40]!r}")
        return int(text)

    def _number(self, entries: dict[str, str], name: str) -> float:
        try:
            value = float(entries[name])
        except (KeyError, ValueError):
            value = np.nan
        # So written, and not as "> 1e9", NaN is refused, too.
        if not abs(value) < 1e9:
            raise self._wrong(f"{name} should be a number, got {entries.get(name, 'nothing')[:40]!r}")
        return value

    def _xy(self, text: str) -> list[Point]:
        try:
            found = [(n, *map(float, pair.split(",")), True) for n, pair in enumerate(text.split(";"))]
        except ValueError:
            found = []
        if not found or any(len(p) != 4 or not abs(p[1]) + abs(p[2]) < 1e9 for p in found):
            raise self._wrong(f"points should be x,y;x,y and so on, got {text[:40]!r}")
        return found  # type: ignore[return-value]

    def _figure(self, shape: dict[str, str]) -> None:
        track, task = self._track, self.task
        tag, flags = shape[""], {name: shape.get(name) == "1" for name in ("outside", "occluded")}
        if track is None or shape.get("vtlab") == GAP:
            self._ends(track, shape)
            return
        if tag == "skeleton" and self._joints:
            flags = {n: all(j.get(n) == "1" for j, _ in self._joints) for n in flags}
        frame = self._frame(shape, flags["outside"])
        if frame is None:
            return
        self._count += 1
        if self._count > MOST_FIGURES:
            raise self._wrong(f"more than {MOST_FIGURES} figures")
        key = shape.get("keyframe", "1") == "1"
        task.keyed |= not key
        made = "tracked" if track.source == "auto" else "manual"
        figure = Figure(
            frame,
            0,
            visible=not flags["outside"],
            occluded=flags["occluded"],
            outside=flags["outside"],
            key=key and made == "manual",  # of files from elsewhere, see `Task.keyed`
            source=made if key else "interpolated",
            label=track.label or None,
        )
        _TAKE.get(tag, Reader._take_points)(self, shape, figure)
        track.masks &= tag == "mask"
        self._take_values(track, figure)
        if track.figures and track.figures[-1].frame >= frame:
            raise self._wrong(
                f"frame {shape.get('frame')} of track {track.id} comes twice, or after a later one"
            )
        track.figures.append(figure)

    def _ends(self, track: Track | None, shape: dict[str, str]) -> None:
        """Mark that there is nothing after the last figure, which one without a row says."""
        frame = self._frame(shape, True)
        if track is not None and frame is not None:
            track.figures.append(Figure(frame, -1, outside=True))

    def _frame(self, shape: dict[str, str], ends: bool) -> int | None:
        """Number of a figure's frame; None for the end of one that lasts to the last frame."""
        task, given = self.task, self._whole(shape, "frame", -1)
        # CVAT's import divides and drops the rest, so frames off the grid collapse silently (cvat issue 764).
        index, rest = divmod(given - task.start, task.step)
        if rest or index < 0 or given < 0:
            raise self._wrong(
                f"frame {given} is none of the task's frames, which are {task.start} and on in steps of {task.step}"
            )
        if index >= (MOST_FRAMES if task.frames is None else task.frames):
            if ends:
                return None
            raise self._wrong(f"frame {given} lies beyond the last of the task's {task.frames} frames")
        return index

    def _take_values(self, track: Track, figure: Figure) -> None:
        label = self.task.labels.get(track.label, Label())
        told = {
            name: _value(text, *label.attributes.get(name, (True, "text"))[1:])
            for name, text in self._values.items()
        }
        fixed = {name for name in told if not label.attributes.get(name, (True, ""))[0]}
        for name in fixed:
            track.tags.setdefault(name, told[name])
        figure.attributes = {n: v for n, v in told.items() if n not in fixed} or None

    def _take_box(self, shape: dict[str, str], figure: Figure) -> None:
        x1, y1, x2, y2 = (self._number(shape, name) for name in ("xtl", "ytl", "xbr", "ybr"))
        if x2 < x1 or y2 < y1:
            raise self._wrong(f"the box {(x1, y1, x2, y2)} is not xtl <= xbr, ytl <= ybr")
        figure.box = (x1, y1, x2, y2)
        if "rotation" in shape:
            figure.angle = _radians(self._number(shape, "rotation"))

    def _take_polygon(self, shape: dict[str, str], figure: Figure) -> None:
        points = self._xy(shape.get("points", ""))
        if len(points) < 3:
            raise self._wrong(f"a polygon has at least 3 points, got {len(points)}")
        figure.rings = [np.array([p[1:3] for p in points])]

    def _take_points(self, shape: dict[str, str], figure: Figure) -> None:
        figure.points = [(k, x, y, figure.visible) for k, x, y, _ in self._xy(shape.get("points", ""))]
        if self._track is not None and shape[""] == "polyline":
            self._track.polyline = max(self._track.polyline, len(figure.points))

    def _take_skeleton(self, shape: dict[str, str], figure: Figure) -> None:
        known = [
            name
            for name, label in self.task.labels.items()
            if self._track and label.parent == self._track.label
        ]
        numbers = joint_numbers([*known, *(j.get("label", "") for j, _ in self._joints)])
        points = []
        for joint, xy in self._joints:
            _, x, y, _ = xy[0]
            gone = joint.get("outside") == "1" and not figure.outside
            place = (np.nan, np.nan) if gone else (x, y)
            points.append(
                (numbers[joint.get("label", "")], *place, joint.get("occluded") != "1" and not gone)
            )
        figure.points, figure.occluded = points, False

    def _take_mask(self, shape: dict[str, str], figure: Figure) -> None:
        left, top, width, height = (
            self._whole(shape, name, -1) for name in ("left", "top", "width", "height")
        )
        if min(width, height) < 1 or width * height > MAX_PIXELS or self.task.size is None:
            raise self._wrong(f"a mask of {width} x {height} pixels in a task of size {self.task.size}")
        try:
            runs = np.array(shape.get("rle", "").split(","), np.int64)
            part = from_row_runs(runs.tolist(), height, width)
        except (ValueError, OverflowError, InputError) as error:
            raise self._wrong(f"the mask can't be read ({str(error)[:200].rstrip('.')})") from None
        mask = from_crop(part, left, top, self.task.size)
        figure.rle = encode(mask) if mask.any() else None

    def _take_ellipse(self, shape: dict[str, str], figure: Figure) -> None:
        cx, cy, rx, ry = (self._number(shape, name) for name in ("cx", "cy", "rx", "ry"))
        turn = _radians(self._number(shape, "rotation")) if "rotation" in shape else 0.0
        figure.rings = [ellipse_ring(cx, cy, rx, ry, turn)]
        self._note("ellipse")

    def _take_cuboid(self, shape: dict[str, str], figure: Figure) -> None:
        names = [f"{side}{n}" for n in "12" for side in ("tl", "bl", "tr", "br")]
        x, y = ([self._number(shape, axis + n) for n in names] for axis in "xy")
        figure.box = (min(x), min(y), max(x), max(y))
        self._note("cuboid")

    def _note(self, what: str) -> None:
        self.task.unread[what] = self.task.unread.get(what, 0) + 1

    def _close(self, track: Track) -> None:
        """Fill a track between its key figures and up to the end, as CVAT does when it reads the file."""
        own = [f for f in track.figures if f.owner >= 0]
        seen = [f for f in own if not f.outside]
        if track.masks and track.group > 0 and (len(own) == 1 or len(seen) == 1):
            track.figures = seen or own  # one of the masks of an object; what ends it says nothing
        else:
            stop = self.task.frames
            last = track.figures[-1].frame + 1 if track.figures else 0
            told = filled(track.figures, last if stop is None else stop, f"{self.path}, track {track.id}")
            self._count += len(told) - len(track.figures)
            if self._count > MOST_FIGURES:
                raise self._wrong(f"more than {MOST_FIGURES} figures with those between key figures")
            self.task.keyed |= len(told) > len(track.figures)
            track.figures = [f for f in told if f.owner >= 0]
        self.task.tracks.append(track)
        self._track = None


_TAKE: dict[str, Callable[[Reader, dict[str, str], Figure], None]] = {
    name: getattr(Reader, f"_take_{name}")
    for name in ("box", "polygon", "mask", "ellipse", "cuboid", "skeleton")
}


def joint_numbers(names: list[str]) -> dict[str, int]:
    """Numbers of the points of a skeleton by their names: the names themselves where all are numbers, else their order."""
    names = list(dict.fromkeys(names))
    if all(n.isdecimal() and len(n) < 10 for n in names):
        return {n: int(n) for n in names}
    return {n: i for i, n in enumerate(names)}


def _svg(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Names of nodes by their ids, and pairs of ids, in the picture of a skeleton; what is no picture says nothing."""
    nodes: dict[str, str] = {}
    lines: list[tuple[str, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "circle":
            node = attributes.get("data-node-id", "")
            nodes[node] = attributes.get("data-label-name", node)
        elif tag == "line":
            lines.append((attributes.get("data-node-from", ""), attributes.get("data-node-to", "")))

    def refuse(*_: Any) -> None:
        raise ValueError("a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, refuse
    try:
        parser.Parse(f"<svg>{text}</svg>".encode(), True)
    except (expat.ExpatError, ValueError):
        return {}, []
    return nodes, lines


def _value(text: str, kind: str) -> Any:
    """An attribute's text as the value that its input type says."""
    if kind == "checkbox" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "number":
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) and value == value else text
    return text


def _radians(degrees: float) -> float:
    """An angle from -pi to pi."""
    return float(np.deg2rad((degrees + 180.0) % 360.0 - 180.0))
