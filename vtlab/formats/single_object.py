"""What benchmarks of single objects share: text with one box a line, `left, top, width, height`, in truth and results.

Differs from vtlab's convention: xywh; separators are commas, tabs or blanks, mixed even within a dataset. `read_boxes`
and `write_boxes` know no pixel base; a format's record has it, and both its reader and its writer apply it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import FormatError
from vtlab.files import damage_as, write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Place,
    files,
    frame_count,
    image_size,
    no_frames,
    one_object,
    open_frames,
    read_text,
    video_beside,
    walk,
)
from vtlab.formats.corners import refuse_corners
from vtlab.geometry import xywh_to_xyxy, xyxy_to_xywh
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import image_files


def read_boxes(
    source: str | Path | bytes,
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    name: str | None = None,
) -> NDArray[np.float64]:
    """Read one box a line as xyxy (N, 4); lines of `nan` or without size stay as they are.

    Args:
        source: Path of the file, or its bytes.
        frames: Number of lines expected.
        size: Image (width, height), by which files of x1, y1, x2, y2 are told apart reliably.
        name: Name of the file in messages, where `source` is bytes.

    Raises:
        FormatError: The file is missing or wrong; the message names the file, the line and what was expected.
    """
    where = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise FormatError(f"{where}: can't be read ({error.strerror or error}).") from None
    lines = data.decode("utf-8-sig", "replace").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    _refuse_empty_cells(lines, where)
    lines = [line.replace(",", " ") for line in lines]
    try:
        table = np.array([[float(v) for v in line.split()] for line in lines], dtype=np.float64).reshape(
            -1, 4
        )
        if any(len(line.split()) != 4 for line in lines):
            raise ValueError
    except ValueError:
        raise _bad_line(lines, where) from None
    if frames is not None and len(table) != frames:
        raise FormatError(
            f"{where}: {len(table)} boxes for {frames} frames. Give one line for each frame; is this the result of "
            "another sequence?"
        )
    negative = (table[:, 2:] < 0).any(axis=1)
    if negative.any():
        raise FormatError(
            f"{where}, line {int(np.flatnonzero(negative)[0]) + 1}: width and height must not be negative; expected "
            "left, top, width, height."
        )
    refuse_corners(table, where, size)
    return xywh_to_xyxy(table)


def write_boxes(boxes: ArrayLike, path: str | Path) -> Path:
    """Write boxes (N, 4) xyxy as `left,top,width,height` lines (whole or not at all); returns the path.

    Raises:
        WriteError: The file can't be written.
    """
    table = xyxy_to_xywh(boxes)
    return write_whole(path, lambda part: np.savetxt(part, table, fmt="%.17g", delimiter=","))


_EMPTY = re.compile(r"\s*,|.*,\s*,")


def _refuse_empty_cells(lines: list[str], where: str) -> None:
    """Refuse a line in which a cell is empty: what comes after it would move into its place."""
    for number, line in enumerate(lines, start=1):
        gaps = {len(gap) for gap in re.findall(r"\t+", line.strip())} if "\t\t" in line else set()
        if _EMPTY.match(line) or len(gaps) > 1:
            raise FormatError(
                f"{where}, line {number}: a cell is empty, got {line.strip()[:60]!r}. Write nan where there is no number."
            )


def _bad_line(lines: list[str], where: str) -> FormatError:
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if len(cells) != 4:
            return FormatError(
                f"{where}, line {number}: expected 4 numbers (left, top, width, height), got {len(cells)}."
            )
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                return FormatError(f"{where}, line {number}: expected a number, got {cell!r}.")
    return FormatError(f"{where}: not a file of boxes.")


@dataclass(frozen=True, kw_only=True)
class SingleObject(Format):
    """One object a sequence: truth and results are text with one box a line.

    Attributes:
        truth_file: Name of the truth in the sequence's folder; "" where one folder holds a file for each sequence.
        images: Folder of images in the sequence's folder; "" where they lie in it.
    """

    family: str = "sot"
    truth_file: str = "groundtruth.txt"
    images: str = "img"
    holds: frozenset[str] = frozenset({"boxes", "absent"})

    def places(self, root: Path) -> Iterable[Place]:
        """Folders that hold the truth, or its files themselves."""
        for folder, names in walk(root):
            if self.truth_file in names:
                yield Place(folder.name, folder, folder / self.truth_file)

    def flat(self, root: Path) -> Iterable[Place]:
        """One text file of boxes for each sequence."""
        return (Place(p.stem, p, p) for p in files(root, ".txt"))

    def frames_of(self, place: Place, count: int) -> list[Path] | Path | None:
        """Images of a sequence in order (`count` boxes are known), or its video file."""
        folder = place.path / self.images
        return image_files(folder) or video_beside(place.path, "video")

    def size(self, place: Place, count: int) -> tuple[int, int] | None:
        """(height, width) of the frames where it can be told without opening a video."""
        found = self.frames_of(place, count)
        return image_size(found[0]) if isinstance(found, list) and found else None

    def absent(self, place: Place, count: int) -> NDArray[np.bool_]:
        """(count,) frames on which the files beside the truth call the object absent."""
        return np.zeros(count, bool)

    def attributes(self, place: Place) -> frozenset[str]:
        """Tags of the sequence."""
        return frozenset()

    def read_boxes(self, path: Path, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """Boxes (N, 4) of truth in vtlab's convention."""
        return read_boxes(path, size=size) - self.pixel_base

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence: its target is object 1, prompted by its first box."""
        boxes = self.read_boxes(place.truth or place.path)
        count, video = len(boxes), None
        if images:
            video = open_frames(self.frames_of(place, count), place)
        size = self.size(place, count) if video is None else (video.height, video.width)
        if video is not None and len(video) != count and count != 1:
            raise FormatError(
                f"{place.truth}: {count} boxes for {len(video)} images. Is the sequence complete?"
            )
        area, absent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1), self.absent(place, count)
        boxes[absent & ~area] = np.nan
        truth = Tracks.of(
            np.arange(count),
            1,
            boxes,
            visible=area & ~absent,
            source="manual",
            size=size,
            meta={"format": self.name, "file": str(place.truth), "frames": count},
        )
        video = no_frames(place, count, size) if video is None else video
        prompts = first_prompts(truth)
        # The test part of a benchmark gives the first box only: a prompt, no truth.
        known = truth if len(video) == count else None
        return Sequence(
            place.name, video, known, prompts, benchmark=self.rule, attributes=self.attributes(place)
        )

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result as object 1; lines of `nan` are frames without an answer."""
        size = None if sequence is None else _size_of(sequence)
        boxes = read_boxes(
            path,
            frames=None if sequence is None else len(sequence),
            size=None if size is None else size[::-1],
        )
        boxes -= self.pixel_base
        return Tracks.of(
            np.arange(len(boxes)),
            1,
            boxes,
            visible=np.isfinite(boxes).all(axis=1),
            size=size,
            meta={"format": self.name, "file": str(path), "frames": len(boxes)},
        )

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a line for each frame; in truth an object that is not visible is absent, unless a file beside says so."""
        tracks = one_object(tracks, self)
        boxes = np.full((frame_count(tracks), 4), np.nan)
        hides = kind == "truth" and "hidden" not in self.holds
        keep = tracks.visible if hides else np.ones(len(tracks), bool)
        boxes[tracks.frame[keep]] = tracks.boxes[keep]
        return write_boxes(boxes + self.pixel_base, path)

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in its sequence's folder, a result in its tracker's."""
        if tracker or not self.truth_file:
            return super().path_of(root, sequence, tracker)
        return root / TRUTH / sequence / self.truth_file


def _size_of(sequence: Sequence) -> tuple[int, int] | None:
    """(height, width) of its frames; None where only the truth was read, and that doesn't say."""
    known = None if sequence.truth is None else sequence.truth.size
    height, width = sequence.video.height, sequence.video.width
    return known or ((height, width) if height and width else None)


def add_to_list(folder: Path, name: str) -> None:
    """Name a sequence in the `list.txt` of its folder, by which other tools find it."""
    file = folder / "list.txt"
    names = read_text(file).split() if file.is_file() else []
    if name not in names:
        write_whole(file, "\n".join(sorted({*names, name})) + "\n")


def hidden(tracks: Tracks) -> NDArray[np.bool_]:
    """(frames,) whether the object of these tracks is not visible."""
    out = np.ones(frame_count(tracks), bool)
    out[tracks.frame] = ~tracks.visible
    return out


def read_flags(path: Path, frames: int) -> NDArray[np.int64]:
    """Whole numbers, one for each frame, separated by commas, blanks or lines.

    Raises:
        FormatError: There are more or fewer, or something else.
    """
    text = read_text(path)
    _refuse_empty_cells(text.splitlines(), str(path))
    cells = text.replace(",", " ").split()
    if len(cells) != frames or not all(c.lstrip("-").isdecimal() for c in cells):
        raise FormatError(
            f"{path}: expected {frames} whole numbers, one for each frame, got {len(cells)} cells."
        )
    with damage_as(FormatError, path, "flags"):
        return np.array(cells, dtype=np.int64)
