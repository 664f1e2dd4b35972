"""What is said of objects besides where they are: `occluded` and free attributes, of an object or from a frame on.

What is said on a frame holds from there to the next frame on which the same is said anew, as annotation tools have it, so
that it stays when the object is tracked again. Attributes of tracks made elsewhere are taken up the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from vtlab.errors import InputError
from vtlab.tracks import Tracks
from vtlab.tracks.columns import COLUMNS

Changes = Mapping[str, Mapping[int, Any]]  # name -> frame -> value from there on; None: it has none
About = Mapping[str, Any]  # name -> value, on all frames
OCCLUDED = "occluded"


def checked(values: Mapping[str, Any], *, of_object: bool) -> dict[str, Any]:
    """Attributes as JSON has them; `InputError` where a name or a value can't be one."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"An attribute needs a name, got {name!r}.")
        if name == OCCLUDED and (of_object or not (value is None or isinstance(value, (bool, np.bool_)))):
            raise InputError(f"'occluded' is True or False from a frame on, got {value!r}: give frame=...")
        try:
            found[name.strip()] = json.loads(json.dumps(bool(value) if name == OCCLUDED else value))
        except (TypeError, ValueError):
            raise InputError(
                f"Attribute {name!r} must be a JSON value (text, number, True), got {value!r}."
            ) from None
    return found


def said(changes: Changes, frame: int) -> dict[str, Any]:
    """Name -> value on a frame, of those that have one."""
    found = {}
    for name, at in changes.items():
        before = [f for f in at if f <= frame]
        value = at[max(before)] if before else None
        if value is not None:
            found[name] = value
    return found


def from_frame(changes: Changes, frame: int, values: Mapping[str, Any]) -> Changes:
    """Changes with values said from a frame on, each until the next frame on which the same is said."""
    return {**changes, **{name: {**changes.get(name, {}), frame: v} for name, v in values.items()}}


def taken(rows: Tracks) -> tuple[Tracks, dict[int, Changes], dict[int, About]]:
    """Tracks without their attributes; those of each object by frame; those of the objects as a whole."""
    found: dict[int, dict[str, dict[int, Any]]] = {}
    names = _names(rows)
    for i, mine in rows.object_rows().items() if names else ():
        own = _columns(rows, mine, names)
        frames = rows.frame[mine].tolist()
        told = {name: _starts(frames, values) for name, values in own.items() if any(values)}
        if told:
            found[i] = told
    objects = {int(i): dict(about) for i, about in (rows.record.objects or {}).items()}
    record = rows.record.replace(objects=None)
    bare = None if rows.attributes is None else np.full(len(rows), None, object)
    flags = None if rows.occluded is None else np.zeros(len(rows), bool)
    return rows.replace(occluded=flags, attributes=bare, record=record), found, objects  # type: ignore[return-value]


def _names(rows: Tracks) -> list[str]:
    free = {name for one in (rows.attributes if rows.attributes is not None else ()) for name in one or ()}
    return [*([OCCLUDED] if rows.occluded is not None else []), *sorted(free - {OCCLUDED})]


def _columns(rows: Tracks, mine: Any, names: list[str]) -> dict[str, list[Any]]:
    free = [one or {} for one in rows.attributes[mine]] if rows.attributes is not None else []
    return {
        name: rows.occluded[mine].tolist()
        if name == OCCLUDED and rows.occluded is not None
        else [one.get(name) for one in free]
        for name in names
    }


def _starts(frames: Iterable[int], values: Iterable[Any]) -> dict[int, Any]:
    """Frame -> value, where it differs from the one before."""
    found: dict[int, Any] = {}
    last: Any = None
    for frame, value in zip(frames, values, strict=True):
        if value != last:
            found[frame] = last = value
    return found


def applied(rows: Tracks, changes: Mapping[int, Changes]) -> Tracks:
    """Tracks with what was said of their objects."""
    if not any(changes.values()):
        return rows
    columns = rows.columns()
    flags = columns[OCCLUDED].copy() if OCCLUDED in columns else np.zeros(len(rows), bool)
    free = columns["attributes"].copy() if "attributes" in columns else COLUMNS["attributes"].blank(len(rows))
    for i, by_name in changes.items():
        mine = np.flatnonzero(rows.object_id == i)
        for name, at in by_name.items():
            begins = sorted(at)
            place = np.searchsorted(begins, rows.frame[mine], side="right") - 1
            told, values = mine[place >= 0], [at[begins[k]] for k in place[place >= 0].tolist()]
            if name == OCCLUDED:
                flags[told] = [bool(v) for v in values]
                continue
            for row, value in zip(told.tolist(), values, strict=True):
                free[row] = {
                    k: v for k, v in {**(free[row] or {}), name: value}.items() if v is not None
                } or None
    has = {OCCLUDED in one for one in changes.values()}
    return rows.replace(
        occluded=flags if True in has or OCCLUDED in columns else None,
        attributes=free if "attributes" in columns or any(v is not None for v in free) else None,
    )


def renamed(
    changes: Mapping[int, Changes], new: Callable[[int, int], int], end: int
) -> dict[int, dict[str, dict[int, Any]]]:
    """Changes of objects that get the id new(object, frame) on each frame below `end`; who keeps an id goes first."""
    dense: dict[int, dict[str, dict[int, Any]]] = {}
    for stays in (True, False):
        for i, by_name in changes.items():
            for name, at in by_name.items():
                begins = sorted(at)
                for first, after in zip(begins, [*begins[1:], max(end, begins[-1] + 1)], strict=True):
                    for f in range(first, after if at[first] is not None else first):
                        if ((owner := new(i, f)) == i) is stays:
                            dense.setdefault(owner, {}).setdefault(name, {}).setdefault(f, at[first])
    found: dict[int, dict[str, dict[int, Any]]] = {}
    for i, names in dense.items():
        for name, values in names.items():
            frames = range(min(values), max(end, max(values) + 1))
            found.setdefault(i, {})[name] = _starts(frames, [values.get(f) for f in frames])
    return found
