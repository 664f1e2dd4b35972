"""Ids of others: one map from whatever a host calls its objects to the integers of `Tracks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vtlab.tracks.record import Record

_MOST = 2**63 - 1
"""Largest number of 64 bits, which Parquet and numpy hold."""


class IdMap:
    """Integers for the ids of a host (an annotation tool, a file): text, keys, whole numbers of any size.

    A whole number from 1 on keeps itself, as does text that is such a number ("7"); all others get the smallest free
    integers in their order. Where a host counts its objects from 0, all of them are one higher.

    The map stands in `Record.id_map`, so that a writer can say the host's own ids again.

    Args:
        hosts: The host's ids; one that comes twice is one object.
    """

    def __init__(self, hosts: Iterable[Any] = ()):
        self._ids: dict[tuple[type, Any], int] = {}
        self._hosts: dict[int, Any] = {}
        asked = list(dict.fromkeys((type(h), h) for h in hosts))
        shift = int((int, 0) in asked and all(kind is int and host >= 0 for kind, host in asked))
        for key in asked:
            number = _number(key[1] + shift if shift else key[1])
            if number is not None and number not in self._hosts:
                self._add(key, number)
        free = 1
        for key in asked:
            if key not in self._ids:
                while free in self._hosts:
                    free += 1
                self._add(key, free)

    @classmethod
    def of(cls, record: Record) -> IdMap:
        """The map that a record keeps."""
        made = cls()
        for object_id, host in (record.id_map or {}).items():
            made._add((type(host), host), int(object_id))
        return made

    def _add(self, key: tuple[type, Any], object_id: int) -> None:
        self._ids[key], self._hosts[object_id] = object_id, key[1]

    def __getitem__(self, host: Any) -> int:
        """The integer for a host's id; `KeyError` where it was not given."""
        return self._ids[type(host), host]

    def __len__(self) -> int:
        return len(self._hosts)

    def host(self, object_id: int) -> Any:
        """What the host calls an object; the integer itself where it has no name for it."""
        return self._hosts.get(object_id, object_id)

    def entry(self) -> dict[str, Any] | None:
        """The record's `id_map`: objects whose id is not the host's own, or its text; None where there are none."""
        found = {str(i): h for i, h in self._hosts.items() if str(h) != str(i)}
        return found or None

    def ids(self) -> Mapping[Any, int]:
        """Host's id -> integer."""
        return {host: number for (_, host), number in self._ids.items()}


def _number(host: Any) -> int | None:
    """The whole number from 1 on that an id is, or that its text is."""
    if isinstance(host, str):
        host = (
            int(host)
            if host.isascii() and host.isdigit() and len(host) < 20 and host == str(int(host))
            else 0
        )
    return host if type(host) is int and 0 < host <= _MOST else None
