"""A list of labels with colours, from code or a file: what a person picks classes from."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtlab.errors import InputError
from vtlab.files import read_text, read_yaml
from vtlab.show.draw import PALETTE, Colour

NO_LABEL: Colour = (170, 170, 170)


@dataclass(frozen=True)
class Labels:
    """Labels to choose from, in their order.

    Attributes:
        colours: Label -> RGB.
    """

    colours: Mapping[str, Colour] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any) -> Labels:
        """Labels from a list of names, name -> colour ("#ff8800" or RGB), or a file.

        A file is text with a label a line, or JSON or YAML: a list of names, of {"name": ..., "color": ...} as CVAT has
        them, or name -> colour.

        Raises:
            InputError: They are no labels, twice the same one, or no colours.
            FormatError: The file can't be read.
        """
        if isinstance(given, Labels):
            return given
        if isinstance(given, (str, os.PathLike)):
            return cls.of(_read(Path(given)))
        pairs = list(given.items()) if isinstance(given, Mapping) else [_pair(one) for one in _listed(given)]
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"The label {twice!r} is given twice.")
        return cls({name: _colour(value, k) for k, (name, value) in enumerate(pairs)})

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.colours)

    def colour(self, label: str | None) -> Colour:
        """RGB of a label; one that isn't in the list has always the same, too."""
        if not label:
            return NO_LABEL
        return self.colours.get(label) or PALETTE[zlib.crc32(label.encode()) % len(PALETTE)]


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file of labels. Give a list, or a file with a label a line."
        )
    text = read_text(path, "labels")
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        return read_yaml(text, path)  # JSON is YAML
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _listed(given: Any) -> Iterable[Any]:
    if not isinstance(given, Iterable):
        raise InputError(f"Expected labels as a list, a mapping to colours or a file, got {given!r}.")
    return given


def _pair(one: Any) -> tuple[str, Any]:
    if isinstance(one, Mapping) and isinstance(one.get("name"), str):
        return one["name"], one.get("color") or None
    if isinstance(one, str) and one.strip():
        return one.strip(), None
    raise InputError(f"A label is a text, or a name with a color, got {one!r}.")


def _colour(value: Any, number: int) -> Colour:
    if value is None:
        return PALETTE[number % len(PALETTE)]
    try:
        if isinstance(value, str):
            rgb = bytes.fromhex(value.strip().removeprefix("#"))
        else:
            rgb = bytes(value)
        r, g, b = rgb
    except (TypeError, ValueError):
        raise InputError(f"A colour is '#rrggbb' or three numbers up to 255, got {value!r}.") from None
    return r, g, b
