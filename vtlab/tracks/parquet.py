"""`Tracks` at rest: one Parquet file, a row per object and frame, points as lists, the record in its metadata.

Version 2 added the optional columns beside velocity and mask, and (start, step) of the clip to the record; files of
version 1 are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.errors import FormatError
from vtlab.files import damage_as, read_parquet, write_whole
from vtlab.files.arrow import values_of
from vtlab.tracks.columns import COLUMNS
from vtlab.tracks.points import PointRows

if TYPE_CHECKING:
    from vtlab.tracks.table import Tracks

_VERSION, _READ = 2, (1, 2)
"""Of the layout that is written, and those that are read."""


def write(tracks: Tracks, path: str | Path, also: Mapping[str, str] | None = None) -> Path:
    """Write one file, whole or not at all.

    Args:
        tracks: What to write.
        path: Where to.
        also: Texts to repeat in columns of their own, by name. Given, the file has every column that tracks may have, so
            that many such files can be read as one table; those that these tracks lack are null and read as absent.

    Raises:
        WriteError: It can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    header: dict[str, Any] = {
        "version": _VERSION,
        "size": tracks.size,
        "meta": tracks.meta,
        "step_seconds": tracks.step_seconds.tolist(),
    }

    def fill(part: Path) -> None:
        columns: dict[str, Any] = {}
        for name, values in tracks.columns().items():
            columns |= COLUMNS[name].at_rest(name, values)
        columns |= _point_lists(tracks)
        if also is not None:
            columns, header["without"], header["also"] = _every(columns, tracks), _lacking(tracks), dict(also)
            columns = {
                name: pa.array([text] * len(tracks), pa.string()) for name, text in also.items()
            } | columns
        table = pa.table(columns).replace_schema_metadata({"vtlab": json.dumps(header)})
        repeated = [
            f.name for f in table.schema if not pa.types.is_floating(f.type)
        ]  # floats hardly ever are
        pq.write_table(table, part, compression="zstd", use_dictionary=repeated)

    return write_whole(path, fill)


def _lacking(tracks: Tracks) -> list[str]:
    """Columns that these tracks don't have; "points" for theirs."""
    there = tracks.columns()
    return [name for name in COLUMNS if name not in there] + ([] if len(tracks.points) else ["points"])


def _every(columns: dict[str, Any], tracks: Tracks) -> dict[str, Any]:
    """Every column that tracks may have at rest, in one order, null where these lack it."""
    import pyarrow as pa

    found: dict[str, Any] = {}
    for name, kind in COLUMNS.items():
        for stored in kind.stored(name):
            found[stored] = columns[stored] if stored in columns else pa.nulls(len(tracks), kind.arrow())
    for name, values in tracks.points.columns().items():
        kind_of = pa.list_(pa.from_numpy_dtype(values.dtype))
        found[f"point_{name}"] = columns.get(f"point_{name}", pa.nulls(len(tracks), kind_of))
    return found


def _point_lists(tracks: Tracks) -> dict[str, Any]:
    import pyarrow as pa

    p = tracks.points
    if not len(p):
        return {}
    row = p.rows_in(tracks.frame, tracks.object_id)
    offsets = pa.array(
        np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(tracks)))]).astype(np.int32)
    )
    by_row = np.argsort(row, kind="stable")
    return {
        f"point_{name}": pa.ListArray.from_arrays(offsets, pa.array(values[by_row]))
        for name, values in p.columns().items()
    }


def read(path: str | Path) -> dict[str, Any]:
    """What `Tracks.of` takes, from a file that `write` made; raises `FormatError` for anything else."""
    if not Path(path).is_file():
        raise FormatError(f"{path}: there is no such tracks file.")
    table = read_parquet(path, "a Parquet file of tracks")
    header = (table.schema.metadata or {}).get(b"vtlab")
    if header is None:
        raise FormatError(
            f"{path}: a Parquet file, but not one that Tracks.save wrote (no 'vtlab' metadata)."
        )
    told = json.loads(header)
    if not isinstance(told, dict) or not isinstance(told.get("meta") or {}, dict):
        raise FormatError(f"{path}: the 'vtlab' metadata should be a mapping, with a mapping as its 'meta'.")
    return _columns(table, told)


def is_tracks(path: str | Path) -> bool:
    """Whether a Parquet file says that it holds tracks; a damaged one may, which reading it tells."""
    import pyarrow.parquet as pq

    try:
        with damage_as(FormatError, path, "a Parquet file"):
            return b"vtlab" in (pq.read_schema(path).metadata or {})
    except FormatError:
        return True


def also_of(path: str | Path) -> dict[str, str]:
    """The texts that `write` was given to repeat in columns of their own; raises `FormatError` for a damaged file."""
    import pyarrow.parquet as pq

    with damage_as(FormatError, path, "a Parquet file of tracks"):
        header = json.loads((pq.read_schema(path).metadata or {})[b"vtlab"])
        return {str(k): str(v) for k, v in header.get("also", {}).items()}


def maker_of(path: str | Path) -> str:
    """Name of the tracker that made the tracks of a file; "" where it names none or can't be read."""
    import pyarrow.parquet as pq

    try:
        with damage_as(FormatError, path, "a Parquet file of tracks"):
            header = json.loads((pq.read_schema(path).metadata or {}).get(b"vtlab", b"{}"))
            return str(header["meta"]["tracker"]["name"] or "")
    except FormatError:
        return ""


def _columns(table: Any, header: dict[str, Any]) -> dict[str, Any]:
    if header.get("version") not in _READ:
        raise ValueError(
            f"version {header.get('version')}, this vtlab reads version {_READ[0]} to {_READ[-1]}"
        )
    there, without = set(table.column_names), header.get("without") or ()
    values = {
        name: kind.from_rest(name, table)
        for name, kind in COLUMNS.items()
        if not kind.optional or (there.issuperset(kind.stored(name)) and name not in without)
    }
    size = header.get("size")
    values["masks"] = values.pop("rle", None)
    return values | {
        "points": _points(table, values) if "point_id" in there and "points" not in without else None,
        "size": None if size is None else (int(size[0]), int(size[1])),
        "meta": header.get("meta") or {},
        "step_seconds": header.get("step_seconds") or (),
    }


def _points(table: Any, rows: dict[str, Any]) -> PointRows:
    import pyarrow.compute as pc

    def flat(name: str) -> Any:
        return values_of(table.column(f"point_{name}").combine_chunks().flatten())

    counts = values_of(pc.list_value_length(table.column("point_id")), fill=0).astype(np.int64)
    return PointRows.of(
        np.repeat(rows["frame"], counts),
        np.repeat(rows["object_id"], counts),
        flat("id"),
        np.stack([flat("x"), flat("y")], axis=-1),
        flat("visible"),
        score=flat("score"),
    )
