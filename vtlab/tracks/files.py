"""`Tracks` in files: which form a file has by its name's ending, and vtlab's own forms beside Parquet, as text.

JSON holds all that Parquet holds. CSV is for eyes and spreadsheets: a row for each row, with points, outlines and attributes
as JSON text; it has no masks, no size of the frames and no record. All other forms are those of the registry of formats,
which stands above this room and is asked by name.
"""

from __future__ import annotations

import importlib
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, TracksError, VtlabWarning
from vtlab.files import csv_text, damage_as, read_json, read_texts, write_whole
from vtlab.tracks import parquet
from vtlab.tracks.columns import COLUMNS, Attributes, Number, Polygons
from vtlab.tracks.points import PointRows, keys

if TYPE_CHECKING:
    from vtlab.tracks.table import Tracks

_KIND, _VERSION = "tracks", 1
_POINT = ("id", "x", "y", "visible", "score")
_EXPECTED = "tracks that Tracks.save wrote"


def save(tracks: Tracks, path: str | Path, layout: Any = None) -> Path:
    """Write by the ending of the name; see `Tracks.save`."""
    target = Path(path)
    write = None if layout is not None else _WRITERS.get(target.suffix.lower())
    if write is not None:
        return write(tracks, target)
    found: Path = importlib.import_module("vtlab.formats").save_tracks(tracks, target, layout)
    return found


def load(make: Callable[..., Tracks], path: str | Path, layout: Any = None) -> Tracks:
    """Read by what a file holds; `make` is `Tracks.of`. See `Tracks.load`."""
    source = Path(path)
    read = None if layout is not None else _reader(source)
    if read is None:
        found: Tracks = importlib.import_module("vtlab.formats").load_tracks(source, layout)
        return found
    with damage_as(FormatError, path, _EXPECTED):
        try:
            return make(**read(source))
        except TracksError as error:
            raise FormatError(f"{path}: {error}") from None


def _reader(path: Path) -> Callable[[Path], dict[str, Any]] | None:
    """What reads a file of vtlab's own, by its beginning; None for another's."""
    try:
        with path.open("rb") as file:
            head = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        head = b"PAR1"  # whatever can't be opened is told by the reader of tracks
    if head.startswith(b"PAR1") or path.suffix.lower() == ".parquet":
        return parquet.read
    if head.startswith(b'{"vtlab": "tracks"'):
        return _read_json
    return _read_csv if head.startswith(b"frame,object_id,") else None


def _write_json(tracks: Tracks, path: Path) -> Path:
    """Everything that the tracks have, a column a line."""
    about = {
        "vtlab": _KIND,
        "version": _VERSION,
        "size": tracks.size,
        "record": tracks.meta,
        "step_seconds": _numbers(tracks.step_seconds.tolist()),
    }
    columns = {name: _plain(values) for name, values in tracks.columns().items()}
    p = tracks.points
    points = {"frame": p.frame, "object_id": p.object_id, **p.columns()}

    def fill(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="\n") as out:
            out.write(json.dumps(about)[:-1])
            for title, told in (("columns", columns), ("points", {k: _plain(v) for k, v in points.items()})):
                lines = ",\n".join(
                    f"{json.dumps(name)}: {json.dumps(values)}" for name, values in told.items()
                )
                out.write(f',\n"{title}": {{\n{lines}\n}}')
            out.write("\n}\n")

    return write_whole(path, fill)


def _plain(values: NDArray[Any]) -> list[Any]:
    """A column as JSON has it: null where there is no value, the infinite ones by name, masks as text of their counts."""
    if values.dtype != object:
        return _numbers(values.tolist())
    return [_value(value) for value in values]


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)  # JSON has no word for them: null, "inf", "-inf"


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("ascii")
    return [np.asarray(ring).tolist() for ring in value] if isinstance(value, tuple) else value


def _read_json(path: Path) -> dict[str, Any]:
    told = read_json(path, _EXPECTED)
    columns, points = (told.get(name) for name in ("columns", "points"))
    if told.get("version") != _VERSION or not isinstance(columns, dict) or not isinstance(points, dict):
        raise FormatError(f"{path}: not {_EXPECTED}: expected version {_VERSION} with columns and points.")
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise FormatError(f"{path}: tracks have no column {unknown[0][:40]!r}.")
    values = {name: _column(name, given) for name, given in columns.items()}
    masks = values.pop("rle", None)
    size = told.get("size")
    xy = np.array([[_number(v) for v in points.get(axis, ())] for axis in "xy"], np.float64).T.reshape(-1, 2)
    frame, owner, number = (points.get(name, ()) for name in ("frame", "object_id", "id"))
    score = points.get("score", 1.0)
    score = [_number(v) for v in score] if isinstance(score, list) else score
    found = PointRows.of(frame, owner, number, xy, points.get("visible", True), score=score)
    return values | {
        "masks": None if masks is None else [None if m is None else m.encode("ascii") for m in masks],
        "points": found,
        "size": None if size is None else (int(size[0]), int(size[1])),
        "meta": told.get("record") or {},
        "step_seconds": [_number(v) for v in told.get("step_seconds") or ()],
    }


def _column(name: str, given: Any) -> Any:
    kind = COLUMNS[name]
    if not isinstance(kind, Number) or kind.dtype is not np.float64:
        return given
    return np.array([[_number(v) for v in row] if kind.width else _number(row) for row in given]).reshape(
        (-1, kind.width) if kind.width else -1
    )


_NO_NUMBERS = {None: np.nan, "inf": np.inf, "-inf": -np.inf}


def _number(value: Any) -> Any:
    return _NO_NUMBERS.get(value, value) if value is None or isinstance(value, str) else value


def _write_csv(tracks: Tracks, path: Path) -> Path:
    """The rows for eyes and spreadsheets; says how many masks are dropped."""
    table = tracks.to_frame()
    for name, column in tracks.columns().items():
        if isinstance(COLUMNS[name], Polygons):
            table[name] = [None if rings is None else json.dumps(_value(rings)) for rings in column]
    if len(tracks.points):
        table["points"] = _points_of_rows(tracks)
    drawn = 0 if tracks.rle is None else sum(counts is not None for counts in tracks.rle)
    if drawn:
        warnings.warn(
            f"{path}: CSV holds no masks, so {drawn} are dropped (their boxes stay). Remedy: save to .parquet or .json.",
            VtlabWarning,
            stacklevel=4,
        )
    return write_whole(path, csv_text(table))


def _points_of_rows(tracks: Tracks) -> list[str | None]:
    """The points of each row as JSON text: [number, x, y, visible, score] of each."""
    p = tracks.points
    rows, owners = keys(tracks.frame, tracks.object_id), keys(p.frame, p.object_id)
    low, high = np.searchsorted(owners, rows, "left"), np.searchsorted(owners, rows, "right")
    said = [
        [_numbers(v) for v in row] for row in zip(*(c.tolist() for c in p.columns().values()), strict=True)
    ]
    return [
        json.dumps(said[a:b]) if b > a else None for a, b in zip(low.tolist(), high.tolist(), strict=True)
    ]


def _read_csv(path: Path) -> dict[str, Any]:
    table = read_texts(path)
    told = {name: table[name].tolist() for name in table.columns}
    known = {key for kind_name, kind in COLUMNS.items() for key in kind.stored(kind_name)} | {
        "polygons",
        "points",
    }
    for name in (set(told) - known) | ({"frame", "object_id"} - set(told)):
        what = "has no column" if name in known else "is none of tracks: the column"
        raise FormatError(f"{path}: {what} {name[:40]!r}.")
    values: dict[str, Any] = {}
    for name, kind in COLUMNS.items():
        parts = [told[key] for key in kind.stored(name) if key in told]
        if len(parts) == len(kind.stored(name)) and name != "rle":
            values[name] = (
                _read_texts(kind, parts) if isinstance(kind, Number) else [_text(name, t) for t in parts[0]]
            )
    points = [json.loads(text) if text else [] for text in told.get("points", ())]
    rows = [
        (f, o, *p)
        for f, o, some in zip(values["frame"], values["object_id"], points, strict=False)
        for p in some
    ]
    if any(len(row) != len(_POINT) + 2 for row in rows):
        raise TracksError(f"a point should be {', '.join(_POINT)}")
    columns = [*zip(*rows, strict=True)] or [()] * (len(_POINT) + 2)
    xy = np.array([[_number(v) for v in axis] for axis in columns[3:5]], np.float64).T.reshape(-1, 2)
    return values | {
        "points": PointRows.of(
            columns[0], columns[1], columns[2], xy, columns[5], score=[_number(v) for v in columns[6]]
        )
    }


def _read_texts(kind: Number, parts: list[list[str]]) -> NDArray[Any]:
    """Columns of text as numbers, or as True and False."""
    if kind.dtype is np.bool_:
        wrong = {*parts[0]} - {"True", "False"}
        if wrong:
            raise ValueError(f"expected True or False, got {sorted(wrong)[0][:40]!r}")
        return np.array([text == "True" for text in parts[0]], np.bool_)
    if kind.dtype is np.int64:
        return np.array([int(text) for text in parts[0]], np.int64)
    found = np.array([[float(text) if text else np.nan for text in part] for part in parts], np.float64)
    return found.T.reshape(-1, kind.width) if kind.width else found[0]


def _text(name: str, text: str) -> Any:
    if not text:
        return None
    return json.loads(text) if isinstance(COLUMNS[name], Attributes | Polygons) else text


_WRITERS: dict[str, Callable[[Tracks, Path], Path]] = {
    ".parquet": parquet.write,
    ".csv": _write_csv,
    ".json": _write_json,
}
OWN = tuple(_WRITERS)
"""Endings of vtlab's own forms."""
