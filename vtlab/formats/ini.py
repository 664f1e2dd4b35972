"""Files of `key = value` lines that lie beside sequences, checked as they are read."""

from __future__ import annotations

from pathlib import Path

from vtlab.errors import FormatError
from vtlab.formats.base import read_text


def rate(text: str, where: object, name: str) -> float:
    """Frames per second in a file; raises `FormatError` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise FormatError(
            f"{where}: {name} must be a number, got {text[:40]!r} (frames per second, above 0)."
        )
    return value


def read_ini(path: Path, section: str, numbers: tuple[str, ...] = ()) -> dict[str, str]:
    """Entries of a section, keys in lower case; {} where there is no such file.

    Raises:
        FormatError: The section is missing, or one of `numbers` that is there is no whole number.
    """
    import configparser

    if not path.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path))
        entries = dict(parser[section])
        for key in numbers:
            int(entries.get(key, 0))
    except (configparser.Error, KeyError, ValueError) as error:
        expected = f" with the numbers {', '.join(numbers)}" if numbers else " of key = value lines"
        raise FormatError(f"{path}: expected a section [{section}]{expected} ({error}).") from None
    return entries
