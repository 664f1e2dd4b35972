"""Text with one box a line, `left, top, width, height`: OTB, LaSOT, GOT-10k, TrackingNet, UAV123, DTB70 and their results.

Differs from vtlab's convention: xywh; separators are commas, tabs or blanks, mixed even within a dataset. Whether
pixels count from 0 or 1 is the dataset's affair and is the same in its truth and its results.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import FormatError, TracksError
from vtlab.geometry import xywh_to_xyxy, xyxy_to_xywh


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
    lines = data.decode("utf-8", "replace").replace(",", " ").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
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
    _refuse_corners(table, where, size)
    return xywh_to_xyxy(table)


def write_boxes(boxes: ArrayLike, path: str | Path) -> Path:
    """Write boxes (N, 4) xyxy as `left,top,width,height` lines (whole or not at all); returns the path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    try:
        np.savetxt(temporary, xyxy_to_xywh(boxes), fmt="%.17g", delimiter=",")
        temporary.replace(target)
    except OSError as error:
        raise TracksError(
            f"{target}: could not be written ({error}). Free space or choose another place."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


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


def _refuse_corners(table: NDArray[np.float64], where: str, size: tuple[int, int] | None) -> None:
    """Refuse files whose columns are x1, y1, x2, y2."""
    good = table[np.isfinite(table).all(axis=1)]
    if len(good) < 20 or not ((good[:, 2] > good[:, 0]) & (good[:, 3] > good[:, 1])).all():
        return
    beyond = np.ones(len(good), bool)
    if size is not None:
        beyond = (good[:, 0] + good[:, 2] > 1.1 * size[0]) | (good[:, 1] + good[:, 3] > 1.1 * size[1])
    elif (good[:, :2].min(axis=0) < 0.5 * good[:, 2:].max(axis=0)).all():
        return  # a large object near the corner of an image of unknown size
    if beyond.mean() > 0.3:
        raise FormatError(
            f"{where}: columns 3 and 4 exceed columns 1 and 2 in every line, as in x1, y1, x2, y2. Expected left, "
            "top, width, height: subtract columns 1 and 2 from 3 and 4."
        )
