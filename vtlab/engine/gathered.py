"""The small files of a table joined in one beside them, so that ten thousand results are read again within a second.

Each part counts as long as its own file has the size and time of change that it had when it was joined. Nothing depends
on it: it may be removed at any time, and is made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, WriteError
from vtlab.files import read_parquet, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("metrics", "provenance")
"""Tables that are joined: those with one small file for each result, which are read for every leaderboard."""
WORTH = 200
"""Files that must have been read one by one before they are joined (anew)."""
_STAMP = "stamp"


def place(folder: Path, name: str) -> Path:
    """The file that joins a table of a store."""
    return folder / f".{name}.gathered.parquet"


def rows_of(
    folder: Path, name: str, keys: Sequence[str], schema: pa.Schema, read: Callable[[Path], pa.Table]
) -> pa.Table:
    """Rows of a table whose results have one file each, in the order of the keys, with the column `cell`.

    Args:
        folder: Of the store.
        name: Of the table.
        keys: Of the results, sorted.
        schema: Of its columns.
        read: Reads one file; what it raises is raised.
    """
    import pyarrow as pa

    files = {key: folder / name / f"cell={key}" / "part-0.parquet" for key in keys}
    stamps = {key: stamp for key, file in files.items() if (stamp := _stamp(file))}
    whole = pa.schema([*schema, pa.field("cell", pa.string()), pa.field(_STAMP, pa.string())])
    old = _old(place(folder, name), whole)
    known = dict(zip(*_pairs(old), strict=True))
    there = {c for c, s in known.items() if stamps.get(c) == s}
    parts = [_only(old, there)]
    fresh = [key for key in stamps if key not in there]
    for key in fresh:
        found = read(files[key]).cast(schema)
        for column, text in (("cell", key), (_STAMP, stamps[key])):
            found = found.append_column(column, pa.array([text] * len(found), pa.string()))
        parts.append(found.cast(whole))
    table = pa.concat_tables(parts)
    codes, names = _codes(table)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(np.array(names, object), kind="stable")] = np.arange(len(names))
    table = table.take(pa.array(np.argsort(rank[codes], kind="stable")))
    if len(fresh) >= WORTH:
        _write(place(folder, name), pa.concat_tables([table, _only(old, known.keys() - stamps.keys())]))
    return table.drop_columns([_STAMP])


def _codes(table: pa.Table) -> tuple[NDArray[np.int64], list[str]]:
    """For each row the place of its cell among the names of cells."""
    found = table["cell"].combine_chunks().dictionary_encode()
    return found.indices.to_numpy(zero_copy_only=False).astype(np.int64), found.dictionary.to_pylist()


def _pairs(table: pa.Table) -> tuple[list[str], list[str]]:
    """The cells of a table, and the stamp of each."""
    codes, names = _codes(table)
    _, first = np.unique(codes, return_index=True)
    return names, table[_STAMP].take(first).to_pylist()


def _only(table: pa.Table, cells: Collection[str]) -> pa.Table:
    """The rows of some cells."""
    import pyarrow as pa

    codes, names = _codes(table)
    wanted = np.array([name in cells for name in names], bool)
    return table.filter(pa.array(wanted[codes]))


def _stamp(file: Path) -> str:
    """Size and time of change; "" for what isn't there."""
    try:
        found = os.stat(file)
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _old(file: Path, schema: pa.Schema) -> pa.Table:
    """What was joined before; nothing where that can't be read."""
    if file.is_file():
        with suppress(FormatError, OSError):
            found: Any = read_parquet(file, "a joined table")
            if found.schema.equals(schema):
                return found
    return schema.empty_table()


def _write(file: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    with suppress(WriteError):  # a store that is only read, or a full disk
        write_whole(file, lambda part: pq.write_table(table, part, compression="zstd"))
