"""What callers give for a table, read and checked once: for making one, for replacing its columns, for choosing rows."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from vtlab.errors import TracksError, near
from vtlab.tracks.columns import COLUMNS, as_column
from vtlab.tracks.points import PointRows
from vtlab.tracks.record import Record

_OTHERS = {"points": PointRows, "record": Record}
ATTRIBUTES = (*COLUMNS, *_OTHERS, "size", "step_seconds")


def read(given: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Attributes of a table of `n` rows as it holds them; None for an optional column that it shall lack.

    Raises:
        TracksError: An attribute that tables don't have, of another type or length.
    """
    unknown = sorted(set(given) - set(ATTRIBUTES))
    if unknown:
        raise TracksError(f"Tracks have no column {unknown[0]!r}. {near(unknown[0], ATTRIBUTES)}")
    return {name: _one(name, value, n) for name, value in given.items()}


def _one(name: str, value: Any, n: int) -> Any:
    kind = COLUMNS.get(name)
    if kind is not None:
        return None if value is None and kind.optional else kind.read(value, n, name)
    if name in _OTHERS:
        if not isinstance(value, _OTHERS[name]):
            raise TracksError(
                f"Tracks: {name!r} must be {_OTHERS[name].__name__}, got {type(value).__name__}."
            )
        return value
    if name == "step_seconds":
        return as_column(value, None, np.float64, name).reshape(-1)
    return size_of(value)


def size_of(value: Any) -> tuple[int, int] | None:
    """(height, width), or None; raises `TracksError` for anything else."""
    if value is None:
        return None
    try:
        height, width = value
        if all(
            isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 0 for v in (height, width)
        ):
            return int(height), int(width)
    except (TypeError, ValueError):
        pass
    raise TracksError(f"Tracks: 'size' must be (height, width) in whole pixels, got {value!r}.")


def number(value: Any, what: str) -> Any:
    """A frame or an id to look for; raises `TracksError` naming `what` for anything that is no number."""
    if isinstance(value, (Real, np.number)) and not isinstance(value, bool):
        return value
    raise TracksError(f"Tracks: expected a number as {what}, got {value!r}.")


def tables(parts: Any, kind: type) -> list[Any]:
    """The tables of an iterable of `kind`; raises `TracksError` for anything else."""
    try:
        found = list(parts)
    except TypeError:
        found = [parts]
    for part in found:
        if not isinstance(part, kind):
            raise TracksError(f"Expected {kind.__name__}, or several in a list, got {part!r}.")
    return found
