"""What came from outside: bounded before it is read, and its damage told as an error of vtlab's own."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pickle
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.errors import FormatError, InputError, VtlabError
from vtlab.files.pages import chunks

if TYPE_CHECKING:
    import pyarrow as pa

DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    tarfile.TarError,
    struct.error,
    zlib.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NameError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What parsers and casts raise on a damaged or hostile file."""
_LIBRARIES = frozenset(
    {"pyarrow", "pandas", "yaml", "av", "PIL", "cv2", "papermill", "nbformat", "jsonschema", "onnxruntime"}
)
"""Packages that read files for vtlab; whatever they raise while they do is damage."""

MOST_ROWS = 20_000_000
MOST_LISTED = 40_000_000
MOST_BYTES = 2 * 2**30
"""Of a table: 20 million rows are 55 hours of ten objects at 100 frames a second."""
MOST_TEXT, MOST_NODES, MOST_DEPTH = 2**20, 100_000, 50
"""Of YAML: bytes, values after every alias is written out, and lists within lists."""
_MOST_JSON = 256 * 2**20
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')  # texts, in which marks mean nothing, and marks


@contextlib.contextmanager
def damage_as(kind: type[VtlabError], where: object, expected: str) -> Iterator[None]:
    """Turn what a damaged file makes a library or a cast raise into an error that names the file.

    Args:
        kind: Class of the error.
        where: The file, and the place within it.
        expected: What it should be, as in "a Parquet file of tracks".
    """
    try:
        yield
    except VtlabError:
        raise
    except Exception as error:
        libraries = {base.__module__.partition(".")[0] for base in type(error).__mro__}
        if not isinstance(error, DAMAGE) and libraries.isdisjoint(_LIBRARIES):
            raise
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:300] or "damaged"
        raise kind(f"{where}: not {expected}, or damaged ({type(error).__name__}: {reason}).") from error


@contextlib.contextmanager
def told_as_format(where: object) -> Iterator[None]:
    """Turn what tracks, masks and points refuse in a file into a `FormatError` that names it.

    Args:
        where: The file, and the place within it.
    """
    try:
        yield
    except FormatError:
        raise
    except InputError as error:
        told = str(error)
        raise FormatError(told if told.startswith(str(where)) else f"{where}: {told}") from None


class BoundedFile(io.BufferedReader):
    """A file opened for reading that is never asked for more bytes than it has left.

    Parsers read as many bytes as a damaged length claims, and Python makes room for them before it looks.
    """

    def __init__(self, path: str | Path):
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, count: int | None = -1, /) -> bytes:
        """At most `count` bytes; all that are left where it is None or negative."""
        if count is None or count < 0:
            return super().read()
        return super().read(min(count, max(self._size - self.tell(), 0)))


def read_json(
    path: Path, expected: str, kind: type[VtlabError] = FormatError, *, most: int = _MOST_JSON
) -> Any:
    """Read a JSON file, with or without a byte order mark; raises `kind`, also for more than `most` bytes."""
    with damage_as(kind, path, expected):
        return json.loads(read_text(path, expected, kind, most), object_pairs_hook=_each_once)


MOST_JSON_NODES, MOST_JSON_DEPTH = 500_000, 64
"""Of JSON that a stranger sends: lists, objects and values, and lists within lists."""


def parse_json(data: bytes, where: object, kind: type[VtlabError] = FormatError) -> Any:
    """Read JSON that a stranger sent; the caller has bounded its bytes.

    Raises:
        VtlabError: As `kind`: no JSON, an object with a name twice, a number that JSON doesn't know (NaN), a whole number of
            more than 20 digits, or more values or depth than the bounds of this module.
    """
    with damage_as(kind, where, "JSON"):
        text = data.decode("utf-8-sig")
        _bounded_json(text)
        return json.loads(
            text,
            object_pairs_hook=_each_once,
            parse_constant=_no_constant,
            parse_int=_short_whole,
            parse_float=_finite,
        )


def _bounded_json(text: str) -> None:
    """Raise `ValueError` for JSON that is too deep or too full, before anything is built of it."""
    opened = text.count("[") + text.count("{")
    if opened + text.count(",") > MOST_JSON_NODES:  # those within texts count, too
        raise ValueError(f"more than {MOST_JSON_NODES} values")
    depth = 0
    for found in _MARKS.finditer(text) if opened > MOST_JSON_DEPTH else ():
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found.group(), 0)
        if depth > MOST_JSON_DEPTH:
            raise ValueError(f"more than {MOST_JSON_DEPTH} lists within each other")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is larger than any number")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _short_whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def read_text(path: Path, expected: str, kind: type[VtlabError] = FormatError, most: int = _MOST_JSON) -> str:
    """Read text (UTF-8) without its byte order mark; raises `kind`, also for a file of more than `most` bytes."""
    with damage_as(kind, path, expected):
        _refuse_larger(path, most, kind)
        return path.read_text(encoding="utf-8-sig")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of two entries of one name nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has {next(n for n in names if names.count(n) > 1)[:60]!r} twice")
    return found


def _refuse_larger(path: Path, most: int, kind: type[VtlabError]) -> None:
    size = path.stat().st_size
    if size > most:
        raise kind(f"{path}: {size} bytes, at most {most} are read of such a file.")


def read_parquet(path: str | Path, expected: str) -> pa.Table:
    """Read a Parquet file whose content fits bounds that are checked before anything is unpacked.

    A few bytes can stand for any number of equal values, so rows, bytes and the values of lists are counted from the
    file's own index and pages, and texts while each is still there once.

    Args:
        path: The file.
        expected: What it should be, for messages.

    Raises:
        FormatError: It is none, is damaged, or unpacks to more than `MOST_ROWS` rows, `MOST_LISTED` values in lists, or
            `MOST_BYTES` bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # One handle for all readers: somebody may put a newer file in place between them. It is pyarrow's own: its threads,
    # which go on after an error, would need the interpreter for one of Python's and end the process while that one ends.
    with damage_as(FormatError, path, expected), pa.OSFile(os.fspath(path)) as handle:
        with pq.ParquetFile(handle) as file:
            schema, counted = file.schema_arrow, file.metadata
            _check_rows(path, counted)
            _check_pages(path, handle)
            texts = [f.name for f in schema if _is_text(f.type)]
        with pq.ParquetFile(handle, read_dictionary=texts) as file:
            table = file.read(use_threads=False)
        _check_bytes(path, sum(_unpacked(c) for c in table.columns))
        table.validate(full=True)
        plain = [pa.field(f.name, schema.field(f.name).type) for f in table.schema]
        return table.cast(pa.schema(plain, metadata=table.schema.metadata))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_binary(kind)


def _check_rows(path: str | Path, counted: Any) -> None:
    if counted.num_rows > MOST_ROWS:
        raise FormatError(
            f"{path}: {counted.num_rows} rows, at most {MOST_ROWS} are read. Remedy: split it into files of a sequence."
        )
    # Never `row_group(i).column(j)`: a damaged statistic in it ends the process (pyarrow lets C++'s exception through).
    groups = sum(counted.row_group(i).total_byte_size for i in range(counted.num_row_groups))
    _check_bytes(path, max(groups, 8 * counted.num_rows * counted.num_columns))


def _check_pages(path: str | Path, handle: pa.OSFile) -> None:
    """Refuse what the pages unpack to; a text in a list counts as the longest that its dictionary can hold."""
    size = listed = 0
    for chunk in chunks(handle):
        inside = len(chunk.path) > 1
        most = chunk.dictionary if inside and chunk.text else 8
        size += max(chunk.size, most * chunk.values)
        listed = max(listed, chunk.values if inside else 0)
    if listed > MOST_LISTED:
        raise FormatError(
            f"{path}: {listed} values in lists, at most {MOST_LISTED} are read. Remedy: split it into files of a sequence."
        )
    _check_bytes(path, size)


def _check_bytes(path: str | Path, size: int) -> None:
    if size > MOST_BYTES:
        raise FormatError(
            f"{path}: unpacks to {size} bytes, at most {MOST_BYTES} are read. Remedy: split it into files of a sequence."
        )


def _unpacked(column: pa.ChunkedArray) -> int:
    """Bytes of a column when each of its texts stands in every row that has it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    sizes = [pc.sum(pc.take(pc.binary_length(c.dictionary), c.indices)).as_py() for c in column.chunks]
    return sum(size or 0 for size in sizes)


def read_yaml(text: str, where: object, kind: type[VtlabError] = FormatError) -> Any:
    """Read YAML of plain values, within bounds that are checked before anything is built.

    An alias costs a few bytes and can stand for all that came before it, again and again: each counts as what it stands
    for.

    Args:
        text: The YAML text.
        where: Where it comes from, for messages.
        kind: Class of the error.

    Raises:
        VtlabError: As `kind`: it is no YAML, or larger, deeper or fuller than the bounds of this module.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with damage_as(kind, where, "a readable YAML file"):
        if len(text) > MOST_TEXT:
            raise kind(f"{where}: {len(text)} characters, at most {MOST_TEXT} are read of YAML.")
        for problem in _problems(yaml.parse(text, Loader=loader)):
            raise kind(f"{where}: {problem}.")
        return yaml.load(text, Loader=loader)  # noqa: S506 (a safe loader)


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}"


def _problems(events: Iterator[Any]) -> Iterator[str]:
    """What exceeds the bounds, told as the events of a YAML text come."""
    import yaml

    total = 0
    sizes: dict[str, int] = {}
    opened: list[
        tuple[str | None, int]
    ] = []  # anchor of each list or mapping that is open, and the total before it
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor or ""] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                yield f"{_line(event)}: *{event.anchor} holds itself"
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor or ""] = 1
            total += 1
        if len(opened) > MOST_DEPTH:
            yield f"{_line(event)}: more than {MOST_DEPTH} lists and mappings within each other"
        if total > MOST_NODES:
            yield f"{_line(event)}: more than {MOST_NODES} values when its aliases are written out"
