"""Text in which boxes are corners where left, top, width, height belong: told by the numbers as far as they can tell."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, VtlabWarning


def refuse_corners(
    table: NDArray[np.float64], where: str, size: tuple[int, int] | None, first: int = 1
) -> None:
    """Refuse a file whose left, top, width, height are x1, y1, x2, y2, as far as its numbers tell.

    Args:
        table: (N, 4) of its lines.
        where: The file, for messages.
        size: Image (width, height), beyond which corners read as sizes lead; without it only a box that moves tells, as
            its second corner moves with the first.
        first: Number of the file's column that `table` begins with.

    Raises:
        FormatError: They are corners.

    Warns:
        VtlabWarning: They may be, and nothing tells.
    """
    good = table[np.isfinite(table).all(axis=1)]
    place, extent = good[:, :2], good[:, 2:]
    if len(good) < 20 or not (extent > place).all():
        return
    columns = [f"{first + i} and {first + i + 1}" for i in (0, 2)]
    remedy = f"subtract columns {columns[0]} from {columns[1]}"
    if size is not None:
        corners = (place + extent > 1.1 * np.array(size)).any(axis=1).mean() > 0.3
    elif (place.min(axis=0) < 0.5 * extent.max(axis=0)).all():
        return  # a large object near the corner of an image of unknown size
    else:
        moves = float(extent.var(axis=0).sum())
        corners = moves > 0 and float((extent - place).var(axis=0).sum()) < 0.25 * moves
        if not corners:
            warnings.warn(
                f"{where}: columns {columns[1]} exceed columns {columns[0]} in every line, as in x1, y1, x2, y2; they are "
                f"read as width and height, for the size of the frames, which would tell, isn't known. Remedy: if they "
                f"are corners, {remedy}; if not, there is nothing to do.",
                VtlabWarning,
                stacklevel=4,
            )
    if corners:
        raise FormatError(
            f"{where}: columns {columns[1]} exceed columns {columns[0]} in every line, as in x1, y1, x2, y2. Expected left, "
            f"top, width, height: {remedy}."
        )
