"""Values of any column of `Tracks`, made of what its entry says, so that a new one is asked wherever columns are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vtlab.tracks.columns import COLUMNS, Attributes, Blob, Column, Number, Polygons, Text

_RING = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0))
_OTHER: Mapping[type[Column], Callable[[np.random.Generator], Any]] = {
    Text: lambda random: str(random.choice(["here", "there"])),
    Blob: lambda random: bytes(random.integers(0, 256, 4).tolist()),
    Attributes: lambda random: {"said": int(random.integers(9))},
    Polygons: lambda random: (np.add(_RING, random.integers(9)),),
}


def sampled(name: str, rows: int, seed: int = 0) -> list[Any]:
    """A value of the column for each row; every second row has that of a row for which nothing is given.

    Raises:
        KeyError: The column is of a kind that nobody told this module how to make.
    """
    kind, random = COLUMNS[name], np.random.default_rng([seed, *name.encode()])
    return [kind.blank(1)[0] if row % 2 else _one(kind, random) for row in range(rows)]


def _one(kind: Column, random: np.random.Generator) -> Any:
    if not isinstance(kind, Number):
        return _OTHER[type(kind)](random)
    if kind.dtype is np.bool_:
        return not kind.fill
    values = random.integers(1, 9, kind.width or 1) + (0.25 if kind.dtype is np.float64 else 0)
    if kind.within is not None:
        low, high = np.clip(kind.within, -8, 8)
        values = low + (high - low) * values / 9
        values = values if kind.dtype is np.float64 else np.ceil(values).astype(kind.dtype)
    return values.tolist() if kind.width else values[0].item()
