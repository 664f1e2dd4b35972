"""Labels of anybody as names of files that every disk takes, and back: what a disk refuses stands as %XX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

_REFUSED = '/\\:*?"<>|%'
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
"""Names that Windows gives to devices, whatever follows their first point."""
_EMPTY = "%"


def file_names(labels: Iterable[str], taken: Iterable[str] = (), ending: str = "") -> dict[str, str]:
    """Label -> the name of a file or folder for it, each another one, also where a disk knows no capitals.

    Args:
        labels: Any text. `label_of` gives it back.
        taken: Names that mean something else where the files lie.
        ending: An ending of a name that does.
    """
    found: dict[str, str] = {}
    used = {_seen_as(name) for name in taken}
    for label in labels:
        if label in found:
            continue
        least = len(label) if ending and _seen_as(label).endswith(ending) else 0
        counts = range(least, len(label) + 1)
        name = next(n for count in counts if _seen_as(n := _name(label, count)) not in used)
        found[label] = name
        used.add(_seen_as(name))
    return found


def label_of(name: str) -> str:
    """The label that a name of `file_names` stands for; any other name is its own label."""
    if name == _EMPTY:
        return ""
    if "%" not in name or not re.fullmatch(r"(?:[^%]|%[0-9A-F]{2})*", name, re.DOTALL):
        return name
    try:
        return unquote_to_bytes(name.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return name


def _name(label: str, count: int) -> str:
    """The label with its first `count` characters, and those that a disk refuses, as %XX."""
    if _DEVICES.fullmatch(label):
        count = max(count, 1)
    last = len(label) - 1
    return (
        "".join(
            _escaped(c)
            if i < count or not c.isprintable() or c in _REFUSED or (c in " ." and i in (0, last))
            else c
            for i, c in enumerate(label)
        )
        or _EMPTY
    )


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _seen_as(name: str) -> str:
    """What a disk without capitals and with one way to write accents takes a name for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
