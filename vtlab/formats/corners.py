"""Text in which boxes are corners where left, top, width, height belong: told by the numbers as far as they can tell."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, VtlabWarning

_FEWEST, _MANY = 5, 20
"""Lines from which on their numbers tell anything, and from which on it is strange that they don't."""


def refuse_corners(
    table: NDArray[np.float64], where: str, size: tuple[int, int] | None, first: int = 1
) -> None:
    """Refuse a file whose left, top, width, height are x1, y1, x2, y2, as far as its numbers tell.

    Args:
        table: (N, 4) of its lines.
        where: The file, for messages.
        size: Image (width, height), beyond which corners read as sizes lead. A box that moves tells without it, as its
            second corner moves with the first.
        first: Number of the file's column that `table` begins with.

    Raises:
        FormatError: They are corners.

    Warns:
        VtlabWarning: They may be, and nothing tells.
    """
    good = table[np.isfinite(table).all(axis=1)]
    place, extent = good[:, :2], good[:, 2:]
    if len(good) < _FEWEST or not (extent > place).all():
        return
    moves, second, between = (float(v.var(axis=0).sum()) for v in (place, extent, extent - place))
    told = second > 0 and between < 0.25 * second
    if size is not None:
        told = told or (place + extent > 1.1 * np.array(size)).any(axis=1).mean() > 0.3
    columns = [f"{first + i} and {first + i + 1}" for i in (0, 2)]
    remedy = f"subtract columns {columns[0]} from {columns[1]}"
    if told:
        raise FormatError(
            f"{where}: columns {columns[1]} exceed columns {columns[0]} in every line, as in x1, y1, x2, y2. Expected left, "
            f"top, width, height: {remedy}."
        )
    if len(good) < _MANY or between > 0.75 * moves > 0:
        return  # the second pair stays while the first moves: sizes
    warnings.warn(
        f"{where}: columns {columns[1]} exceed columns {columns[0]} in every line, as in x1, y1, x2, y2; they are read as "
        f"width and height, for nothing in the file tells. Remedy: if they are corners, {remedy}; if not, there is nothing "
        "to do.",
        VtlabWarning,
        stacklevel=4,
    )
