"""YOLO with track ids: `<sequence>/labels/<sequence>_<frame>.txt`, as `yolo track save_txt=True` of Ultralytics writes them.

A line is `class x y width height [confidence] id`: the centre and the size of a box in fractions of the frame; frames count
from 1. A line of a segment has the corners of a polygon in place of the box. Files of one folder are told apart by the
part of the name before the number; names that are a number only are of the folder above. A frame without objects has no
file, or an empty one (vtlab writes it, so that the length is kept). `data.yaml` beside or above `labels` has the `names` of
the classes; vtlab adds `width` and `height`, since fractions say nothing without them.

Format: Ultralytics 8 (engine/results.py, save_txt; engine/predictor.py, write_results).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, TracksError
from vtlab.files import damage_as, read_yaml, told_as_format, write_whole
from vtlab.formats import json_video as js
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    Result,
    absolute,
    frame_count,
    image_size,
    no_frames,
    open_frames,
    read_text,
    tracker_of,
    video_beside,
    walk,
    whole,
)
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.video import image_files, is_leftover

_FILE = re.compile(r"(?:(.+)_)?(\d{1,9})\.txt")
_DIGITS = 9  # of a pixel: what the division by the size loses is not there when it is multiplied again


@dataclass(frozen=True, kw_only=True)
class Yolo(Format):
    """A text for each frame of a sequence."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every sequence of every folder of texts."""
        return (Place(name, folder, folder) for folder in _folders(root) for name in _sequences(folder))

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """A folder of texts, named after the sequences in it."""
        top, wanted = absolute(root), None if known is None else set(known)
        found = []
        for folder in _folders(top):
            parts = folder.relative_to(top).parts if folder != top else ()
            for name in _sequences(folder):
                if parts[:1] != (TRUTH,) and (wanted is None or name in wanted):
                    own = [p for p in parts if p not in ("labels", name)]
                    tracker = tracker_of(top, top.joinpath(*own, "-")) if own else _owner(top, name)
                    found.append(Result(tracker, name, folder))
        return found

    def sniff(self, path: Path) -> bool:
        """Whether a text has a class, fractions and an id in its lines."""
        for folder in _folders(path):
            texts = (
                read_text(folder / n) for name in _sequences(folder) for n in _files(folder, name).values()
            )
            first = next((text.split("\n", 1)[0] for text in texts if text.strip()), "")
            return _looks(first)
        return False

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; each object is prompted by its box where it first appears."""
        names, told = _about(place.path)
        pictures = _pictures(place.path, place.name)
        size = image_size(pictures[0]) if isinstance(pictures, list) and pictures else told
        video = open_frames(pictures, place) if images else None
        size = (video.height, video.width) if video is not None else size
        texts = _files(place.path, place.name)
        count = len(video) if video is not None else max(texts, default=0)
        if video is None and isinstance(pictures, list):
            count = max(count, len(pictures))
        truth = _read(place.path, texts, size, names, "manual")
        meta = {"format": self.name, "file": str(place.path), "frames": count, "dense": True}
        meta["categories"] = {str(n): name for n, name in names.items()}
        truth = truth.replace(meta=meta)
        video = no_frames(place, count, size) if video is None else video
        truth = from_one(truth) if images else truth
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(place.name, video, truth, prompts, benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result: the texts of one sequence in a folder."""
        there = _sequences(path)
        name = sequence.name if sequence is not None else next(iter(there), "")
        if name not in there or (sequence is None and len(there) > 1):
            raise FormatError(
                f"{path}: it holds texts of {', '.join(there[:3]) or 'nothing'}; which sequence is meant?"
            )
        names, size = _about(path)
        truth = None if sequence is None else sequence.truth
        if truth is not None:
            names, size = names or js.known_categories(truth), truth.size or size
        tracks = _read(path, _files(path, name), size, names, "tracked")
        count = len(sequence) if sequence is not None else max(_files(path, name), default=0)
        if len(tracks) and tracks.frame[-1] >= count:
            raise FormatError(f"{path}: frame {tracks.frame[-1] + 1} of a sequence of {count} frames.")
        return tracks.replace(meta={"format": self.name, "file": str(path), "frames": count})

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a text for each frame into the folder `path`, named after the folder above it, and `data.yaml` beside it.

        Raises:
            TracksError: The size of the frames isn't known.
        """
        if tracks.size is None:
            raise TracksError(f"{path}: YOLO has fractions of the frame; give tracks with the frames' size.")
        seen = tracks.seen()
        seen = seen.take(np.isfinite(seen.boxes).all(axis=1))
        height, width = tracks.size
        sides = np.array([width, height])
        numbers = {label: n for n, label in enumerate(sorted({x or "object" for x in seen.label.tolist()}))}
        centre = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2 / sides
        extent = (seen.boxes[:, 2:] - seen.boxes[:, :2]) / sides
        lines: list[list[str]] = [[] for _ in range(frame_count(tracks))]
        for row, frame in enumerate(seen.frame.tolist()):
            cells = [numbers[seen.label[row] or "object"], *centre[row].tolist(), *extent[row].tolist()]
            cells += [seen.score[row].item()] if kind == "results" else []
            lines[frame].append(" ".join(map(repr, [*cells, int(seen.object_id[row])])) + "\n")
        name = path.parent.name
        for number, text in enumerate(lines, start=1):
            write_whole(path / f"{name}_{number}.txt", "".join(text))
        listed = "".join(f"  {n}: {_quoted(label)}\n" for label, n in numbers.items())
        about = f"width: {width}\nheight: {height}\nnames:{' {}' if not listed else ''}\n{listed}"
        write_whole(path.parent / "data.yaml", about)
        return path

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; a label that stands for none is lost."""
        return super().losses(tracks, kind) | js.label_losses(tracks.seen(), of_rows=True)

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The folder `labels` of the sequence."""
        return root / (tracker or TRUTH) / sequence / "labels"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\n", " ") + "'"


def _owner(top: Path, name: str) -> str:
    """Name of the tracker whose folder, or a folder within it, is the root."""
    own = next((p for p in (top, *top.parents) if p.name not in ("", "labels", name)), top)
    return tracker_of(own, own)


def _folders(root: Path) -> list[Path]:
    """Folders that hold texts of frames."""
    return [f for f, names in walk(root) if any(map(_FILE.fullmatch, names))]


def _sequences(folder: Path) -> list[str]:
    """Names of the sequences that a folder has texts of."""
    above = folder.parent.name if folder.name == "labels" else folder.name
    names = (m for p in folder.glob("*.txt") if (m := _FILE.fullmatch(p.name)) and not is_leftover(p.name))
    return sorted({m[1] or above for m in names})


def _files(folder: Path, name: str) -> dict[int, Path]:
    """Number of a frame, from 1 -> its text."""
    above = folder.parent.name if folder.name == "labels" else folder.name
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*.txt")):
        match = _FILE.fullmatch(path.name)
        if match and (match[1] or above) == name and not is_leftover(path.name):
            number = whole(match[2], path, "the number of a frame")
            if not number or number in found:
                why = "frames count from 1" if not number else f"{found[number].name} is the same frame"
                raise FormatError(f"{path}: {why}.")
            found[number] = path
    return dict(sorted(found.items()))


def _about(folder: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Names of the classes and (height, width) of the frames that a `data.yaml` says."""
    path = next((p / "data.yaml" for p in (folder, *folder.parents[:2]) if (p / "data.yaml").is_file()), None)
    data = {} if path is None else read_yaml(read_text(path), path)
    if not isinstance(data, dict):
        raise FormatError(f"{path}: expected the names of classes under 'names'.")
    names = data.get("names") or {}
    named = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    known = {int(n): str(name) for n, name in named if isinstance(n, int) or str(n).isdecimal()}
    size = js.size_of(data, str(path)) if "width" in data and "height" in data else None
    return known, size


def _pictures(folder: Path, name: str) -> list[Path] | Path | None:
    """Images in the folder `images` beside `labels`, or a video of the sequence's name."""
    beside = [
        p
        for p in image_files(folder.parent / "images")
        if p.stem.startswith(f"{name}_") or p.stem.isdecimal()
    ]
    return beside or video_beside(folder.parent, name) or video_beside(folder.parent.parent, name)


def _looks(line: str) -> bool:
    """Whether a line is a class, fractions and an id."""
    cells = line.split()
    if len(cells) < 6 or not cells[0].isdecimal() or not cells[-1].isdecimal():
        return False
    try:
        return all(-0.5 <= float(c) <= 1.5 for c in cells[1:-1])
    except ValueError:
        return False


def _read(
    folder: Path,
    texts: Mapping[int, Path],
    size: tuple[int, int] | None,
    names: Mapping[int, str],
    source: str,
) -> Tracks:
    """Tracks of the texts of one sequence."""
    rows: list[tuple[int, int, float, str | None]] = []
    boxes: list[Any] = []
    rings: list[Any] = []
    for number, path in texts.items():
        for n, line in enumerate(read_text(path).splitlines(), start=1):
            cells = line.split()
            if not cells:
                continue
            where = f"{path}, line {n}"
            if size is None:
                raise FormatError(
                    f"{where}: fractions of a frame whose size isn't known: no images, no width in data.yaml."
                )
            figure, score, owner = _figure(cells, where)
            label = names.get(whole(cells[0], where, "the class"), cells[0])
            rows.append((number - 1, owner, score, None if label == "object" else label))
            xy = [(round(x * size[1], _DIGITS), round(y * size[0], _DIGITS)) for x, y in figure]
            across, down = zip(*xy, strict=True)
            boxes.append((min(across), min(down), max(across), max(down)))
            rings.append((xy,) if len(figure) > 2 else None)
    frames, owners, scores, labels = zip(*rows, strict=True) if rows else ((), (), (), ())
    with told_as_format(folder):
        return Tracks.of(
            frames,
            owners,
            np.array(boxes).reshape(-1, 4),
            np.array(scores, dtype=float),
            label=list(labels),
            polygons=rings if any(r is not None for r in rings) else None,
            source=source,
            size=size,
        )


def _figure(cells: list[str], where: str) -> tuple[list[tuple[float, float]], float, int]:
    """First and last corner of the box, or all of the polygon, in fractions, the score, and the id of a line."""
    with damage_as(FormatError, where, "class x y width height [confidence] id"):
        values = [float(c) for c in cells[1:]]
    scored = (
        len(values) % 2 == 0
    )  # coordinates come in pairs, so that an even rest has a confidence beside the id
    flat = values[: -2 if scored else -1]
    if len(flat) < 4 or not all(map(math.isfinite, values)):
        raise FormatError(
            f"{where}: expected class x y width height [confidence] id, got {' '.join(cells)[:60]!r}."
        )
    score = values[-2] if scored else 1.0
    if not 0 <= score <= 1:
        raise FormatError(f"{where}: the confidence should be from 0 to 1, got {score:g}.")
    owner = whole(cells[-1], where, "the id of the track", 1 << 53)
    if len(flat) > 4:
        return list(zip(flat[::2], flat[1::2], strict=True)), score, owner
    x, y, w, h = flat
    if w < 0 or h < 0:
        raise FormatError(f"{where}: width and height must not be negative.")
    return [(x - w / 2, y - h / 2), (x + w / 2, y + h / 2)], score, owner


FORMAT = Yolo(
    name="yolo",
    family="mot",
    summary="<sequence>/labels/<sequence>_<frame>.txt with a track id at the end of each line",
    rules={"ultralytics": ""},
    rule="plain",
    frame_base=1,
    holds=frozenset({"boxes", "objects", "ids", "gaps", "labels", "size"}),
    results=frozenset({"boxes", "objects", "ids", "gaps", "labels", "size", "scores", "flags"}),
)
