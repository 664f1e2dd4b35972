"""Values of the entries of a record: what JSON can hold, of the type that an entry must have."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from vtlab.errors import TracksError


def typed(name: str, value: Any, types: tuple[type, ...]) -> Any:
    """The value of an entry, plain and of the first of `types` that fits; None stays.

    Args:
        name: Of the entry, for the message.
        value: Numbers and arrays of numpy become plain ones.
        types: What it may be; `tuple` stands for frames (ascending, each once), a class with `of` for entries of entries.

    Raises:
        TracksError: It is none of them, or holds what JSON can't.
    """
    if value is None:
        return None
    first = types[0]
    if first is tuple:
        return _frames(name, value)
    if hasattr(first, "of"):
        if not isinstance(value, (first, Mapping)):
            raise _wrong(name, "dict", value)
        return value if isinstance(value, first) else first.of(value)
    if first is dict and not isinstance(value, Mapping):
        raise _wrong(name, "dict", value)
    found = plain(name, value)
    if not isinstance(found, types) or (isinstance(found, bool) and bool not in types):
        raise _wrong(name, first.__name__, value)
    return found


def plain(name: str, value: Any) -> Any:
    """A copy of a value as JSON has it: dicts with text for keys, lists, numbers, text.

    Raises:
        TracksError: JSON can't hold it; the message names the entry `name` and the value.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {_key(name, key): plain(f"{name}.{key}", v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(name, v) for v in value]
    raise TracksError(
        f"Tracks: the record's {name!r} holds {value!r}, a {type(value).__name__}, which JSON can't hold. "
        "Remedy: give numbers, text, True or False, lists and dicts of them."
    )


def _key(name: str, key: Any) -> str:
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        return str(int(key))
    if not isinstance(key, str):
        raise TracksError(f"Tracks: the keys of the record's {name!r} must be text, got {key!r}.")
    return str(key)


def _frames(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple, range, Set, np.ndarray)):
        raise _wrong(name, "tuple", value)
    items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else [plain(name, v) for v in value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, (int, float)) or item % 1 != 0:
            raise TracksError(f"Tracks: the record's {name!r} must hold whole frame numbers, got {item!r}.")
    return tuple(sorted({int(item) for item in items}))


def _wrong(name: str, wanted: str, value: Any) -> TracksError:
    return TracksError(f"Tracks: the record's {name!r} must be a {wanted}, got {value!r}.")
