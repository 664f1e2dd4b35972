"""MOTChallenge text as arrays, checked line by line: the one reader of truth, results and detections.

Layout and conventions: see `vtlab.formats.motchallenge`. Text is parsed by pyarrow; ids keep their 64 bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.files.arrow import values_of
from vtlab.formats.base import MOST_FRAMES
from vtlab.formats.corners import refuse_corners

Kind = Literal["truth", "results", "detections"]


@dataclass(frozen=True)
class MotRows:
    """A MOTChallenge file as arrays, in the order of its lines, in vtlab's convention.

    Attributes:
        frame: (N,) int64, 0-based.
        object_id: (N,) int64; -1 in detections.
        boxes: (N, 4) float64 xyxy, edges.
        confidence: (N,) float64; in truth the flag: 0 = not counted.
        class_id: (N,) int64; 1 where the file has no class.
        visibility: (N,) float64 in [0, 1]; 1 where the file has none.
        has_classes: The file is truth with a class column (MOT16 and later).
    """

    frame: NDArray[np.int64]
    object_id: NDArray[np.int64]
    boxes: NDArray[np.float64]
    confidence: NDArray[np.float64]
    class_id: NDArray[np.int64]
    visibility: NDArray[np.float64]
    has_classes: bool = False

    def __len__(self) -> int:
        return len(self.frame)


def read_mot_rows(
    source: str | Path | bytes,
    kind: Kind = "results",
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    first_frame: int = 1,
    name: str | None = None,
) -> MotRows:
    """Read a MOTChallenge text file into arrays and check it.

    Args:
        source: Path of the file, or its bytes.
        kind: What the file holds: `truth`, `results` or `detections` (ids may be -1 and repeat).
        frames: Number of frames of the sequence; a later frame is an error.
        size: Image (width, height); boxes that look like x1, y1, x2, y2 are then told apart reliably.
        first_frame: Index of the first frame in the file: 1 by the format's rule.
        name: Name of the file in messages, where `source` is bytes.

    Raises:
        FormatError: The file is missing or wrong; the message names the file, the line and what was expected.
    """
    where = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    data = _read_bytes(source, where)
    if not data.strip():
        return _as_rows(_Table(np.empty((0, 9)), np.empty(0, np.int64)), kind, first_frame)
    table = _parse(data, where)
    _check(table, kind, where, data=data, frames=frames, size=size, first_frame=first_frame)
    return _as_rows(table, kind, first_frame)


def unit_scores(
    confidence: NDArray[np.float64], where: str, *, logistic: bool | None = None
) -> NDArray[np.float64]:
    """Confidences of a file, (N,), as scores in [0, 1].

    A file that says -1 (or another negative number) throughout has no scores: 1.0. Values up to 100 are per cent, larger
    ones a part of the largest, and a -1 among others is a row without a score: a warning says so. Others that leave
    [0, 1] are unbounded (the DPM detections of MOT17 go from -0.5 to 5): the logistic function squashes them.

    Args:
        confidence: As in the file.
        where: Name of the file, for messages.
        logistic: Whether to squash; by default where values leave [0, 1] as said above.

    Raises:
        InputError: Values leave [0, 1] though `logistic` is False.
    """
    low, high = confidence.min(initial=0.0), confidence.max(initial=0.0)
    if low < 0 and (confidence == low).all():
        return np.ones_like(confidence)
    if logistic:
        return _logistic(confidence)
    none = confidence == -1
    if none.any() and confidence[~none].min() >= 0:
        _warn(f"{where}: {int(none.sum())} of {len(none)} scores are -1; those rows count as certain (1.0).")
        return np.where(none, 1.0, unit_scores(np.where(none, 0.0, confidence), where, logistic=logistic))
    if low >= 0 and high <= 1 + 1e-3:
        return np.minimum(confidence, 1.0)
    if low >= 0 and high > 10:
        scale, what = (100.0, "read as per cent") if high <= 100 else (high, f"divided by {high:g}")
        _warn(f"{where}: scores go up to {high:g}; they are {what}. Write scores in [0, 1] to be sure.")
        return confidence / scale
    if logistic is False:
        raise InputError(
            f"{where}: scores from {low:g} to {high:g} leave [0, 1]. Leave out logistic=False, or scale them."
        )
    return _logistic(confidence)


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-values))


def _warn(text: str) -> None:
    warnings.warn(text, VtlabWarning, stacklevel=4)


def _read_bytes(source: str | Path | bytes, where: str) -> bytes:
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        return data.removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise FormatError(f"{where}: can't be read ({error.strerror or error}).") from None


@dataclass(frozen=True)
class _Table:
    """Lines as numbers (N, C) float64, NaN where a cell is empty, and the ids (N,) with all their 64 bits."""

    cells: NDArray[np.float64]
    ids: NDArray[np.int64]


def _parse(data: bytes, where: str) -> _Table:
    """Parse numbers in columns."""
    first = data.lstrip().split(b"\n", 1)[0].strip()
    if b"," not in first:
        empty = b"\t\t" in data  # a cell between two tabs
        data = (
            data.replace(b"\t", b",")
            if empty
            else b"\n".join(b",".join(x.split()) for x in data.splitlines())
        )
        first = data.lstrip().split(b"\n", 1)[0].strip()
    columns = first.count(b",") + 1
    table = _read_csv(data, columns)
    if table is None:
        data, columns = _filled_up(data, columns)
        table = _read_csv(data, columns)
    if table is None:
        raise _bad_line(data, columns, where) from None
    if columns > 7 and table.column(columns - 1).null_count == table.num_rows:  # lines that end in a comma
        columns -= 1
    if columns < 6:
        raise FormatError(
            f"{where}, line 1: expected at least 6 columns (frame, id, left, top, width, height), got {columns}."
        )
    cells = np.empty((columns, table.num_rows))
    for i in range(columns):
        cells[i] = values_of(table.column(i))
    if str(table.schema.field(1).type) == "int64":
        return _Table(cells.T, values_of(table.column(1), fill=0))
    exact = np.abs(cells[1]) <= 2**53  # written as 7.0 or 1e3
    return _Table(cells.T, np.where(exact, cells[1], 0).astype(np.int64))


def _read_csv(data: bytes, columns: int) -> Any:
    """The cells by number of column as pyarrow reads them, ids as whole numbers where they are; None if it can't."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(i) for i in range(columns)]
    types = dict.fromkeys(names, pa.float64())
    for ids in (pa.int64(), pa.float64()):
        try:
            return csv.read_csv(
                pa.py_buffer(data),
                csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 26),
                convert_options=csv.ConvertOptions(column_types=types | {"1": ids}),
            )
        except pa.ArrowInvalid:
            continue
    return None


def _filled_up(data: bytes, columns: int) -> tuple[bytes, int]:
    """Lines with all that is read (7 cells and more) but unlike in length, as lines of one length."""
    counts = [line.count(b",") + 1 for line in data.splitlines() if line.strip()]
    if min(counts) < 7 or min(counts) == max(counts):
        return data, columns
    lines = (
        line.rstrip() + b"," * (max(counts) - line.count(b",") - 1) if line.strip() else line
        for line in data.splitlines()
    )
    return b"\n".join(lines), max(counts)


def _bad_line(data: bytes, columns: int, where: str) -> FormatError:
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split(",")
        if not line.strip():
            continue
        if len(cells) != columns:
            return FormatError(
                f"{where}, line {number}: expected {columns} columns as in line 1, got {len(cells)}."
            )
        for position, cell in enumerate(cells, start=1):
            try:
                float(cell or "nan")
            except ValueError:
                return FormatError(
                    f"{where}, line {number}: column {position} should be a number, got {cell!r}."
                )
    return FormatError(f"{where}: not a MOTChallenge text file.")


def _check(
    given: _Table,
    kind: Kind,
    where: str,
    *,
    data: bytes,
    frames: int | None,
    size: tuple[int, int] | None,
    first_frame: int,
) -> None:
    table, frame = given.cells, given.cells[:, 0]

    def fail(bad: Any, message: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            cells = ", ".join(f"{v:g}" for v in table[row, :6])
            raise FormatError(f"{where}, line {_line(data, row)}: {message} Got: {cells}.")

    fail(~np.isfinite(table[:, :6]).all(axis=1), "a value is missing or no number.")
    _check_more(table, kind, fail)
    fail(frame != np.floor(frame), "the frame must be a whole number.")
    fail(
        frame < first_frame,
        f"frames count from {first_frame} in MOTChallenge files. If this file counts from 0, read it with "
        "first_frame=0 (--first-frame 0).",
    )
    fail(frame > MOST_FRAMES, f"a sequence has at most {MOST_FRAMES} frames.")
    if frames is not None:
        fail(
            frame >= frames + first_frame,
            f"the sequence has {frames} frames. Is this the result of another one?",
        )
    fail(
        (table[:, 4:6] < 0).any(axis=1),
        "width and height must not be negative; columns 3-6 are left, top, width, height.",
    )
    refuse_corners(table[:, 2:6], where, size, first=3)
    if kind != "detections":
        fail(table[:, 1] != np.floor(table[:, 1]), "the id must be a whole number.")
        fail(_inexact(given), "the id is too large for 64 bits, or written in a way that loses digits.")
        fail(_repeated(frame, given.ids), "this id occurs twice in this frame.")


def _check_more(table: NDArray[np.float64], kind: Kind, fail: Callable[[Any, str], None]) -> None:
    """Refuse empty cells behind the box: the score, and in truth the class and visibility."""
    for column, what in ((6, "score"), (7, "class"), (8, "visibility"))[: 3 if kind == "truth" else 1]:
        if table.shape[1] > column:
            fail(~np.isfinite(table[:, column]), f"the {what} (column {column + 1}) is missing or no number.")


def _inexact(given: _Table) -> NDArray[np.bool_]:
    """Ids that aren't the number in the file."""
    return (np.abs(given.cells[:, 1]) > 2**53) & (given.ids == 0)


def _repeated(frame: NDArray[np.float64], object_id: NDArray[np.int64]) -> NDArray[np.bool_]:
    bad = np.zeros(len(frame), bool)
    low, high = int(object_id.min()), int(object_id.max())
    if (high - low + 1) * (int(frame.max()) + 1) < 2**62:
        ordered = np.sort(frame.astype(np.int64) * (high - low + 1) + (object_id - low))
        if (ordered[1:] != ordered[:-1]).all():
            return bad
    order = np.lexsort((object_id, frame))
    twice = (np.diff(frame[order]) == 0) & (object_id[order][1:] == object_id[order][:-1])
    bad[order[1:][twice]] = True
    return bad


def _line(data: bytes, row: int) -> int:
    """Line number, from 1, of the row-th line that isn't blank."""
    filled = [n for n, line in enumerate(data.splitlines(), start=1) if line.strip()]
    return filled[row]


def _as_rows(given: _Table, kind: Kind, first_frame: int) -> MotRows:
    table = given.cells
    n, columns = table.shape
    left_top = table[:, 2:4] - 1.0
    # MOT15's truth has ten columns, the last three a place in space (or -1), and no class.
    has_classes = kind == "truth" and columns == 9 and bool((table[:, 7] >= 1).all())
    ones = np.ones(n)
    return MotRows(
        table[:, 0].astype(np.int64) - first_frame,
        given.ids,
        np.concatenate([left_top, left_top + table[:, 4:6]], axis=1),
        table[:, 6] if columns > 6 else ones,
        table[:, 7].astype(np.int64) if has_classes else ones.astype(np.int64),
        np.clip(table[:, 8], 0.0, 1.0) if has_classes else ones,
        has_classes,
    )
