"""The store of results: one folder, four tables, a result under each key; whole or not there, whatever happens.

    <folder>/metrics/cell=<key>/part-0.parquet      a row for each number (see `outcome.schema`)
             timeline/cell=<key>/part-0.parquet     a row for each frame
             tracks/cell=<key>/part-<n>.parquet     as `Tracks.save` writes them, with tracker and sequence
             provenance/cell=<key>/part-0.parquet   one row: its being there says that the result is
             files/<key>/                          what else a cell left: its log, an executed notebook, a video
             failed/<key>/                         why a cell failed, its log, what it had until then
             .<table>.gathered.parquet             of many results the rows of a table once more, joined (`gathered`)
             cells.parquet                         the cells of the present specification: `cell` (key) and what varied

Each table is one for pandas, pyarrow and DuckDB: `pandas.read_parquet("<folder>/metrics")`. A result is written beside
its place, named ready by one renaming, and moved from there; who opens the store next finishes what was broken off.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.engine import gathered
from vtlab.engine.outcome import Outcome, by_name, metric_rows, schema, timeline_rows
from vtlab.errors import ExperimentError, WriteError
from vtlab.files import check_folder, locked, read_json, read_parquet, write_whole
from vtlab.tracks import Tracks
from vtlab.tracks.parquet import also_of
from vtlab.tracks.parquet import write as write_tracks

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("metrics", "timeline", "tracks", "provenance")
"""In the order in which a result's parts come to their places; the last one says that it is whole."""
RECORD = "record.json"
_PART = "part-0.parquet"


@dataclass(frozen=True)
class Failed:
    """Why a cell has no result.

    Attributes:
        key: Of the cell.
        cell: What it is, in words.
        kind: "error" (the trial raised), "timeout", "memory", "killed" (a crash or a signal) or "lost" (its worker).
        reason: What happened, in one line.
        seconds: Until then.
        created: UTC.
        folder: With its log and what it had until then.
    """

    key: str
    cell: str
    kind: str
    reason: str
    seconds: float
    created: str
    folder: Path


class Archive:
    """A store of results on disk. Several processes and machines may use one at once.

    Args:
        folder: Of the store; made when something is written.
        recover: Finish what was broken off (see `recover`).

    Raises:
        WriteError: It can't be a folder that is written to.
    """

    def __init__(self, folder: str | Path, *, recover: bool = True):
        self.folder = check_folder(folder).resolve()
        if recover:
            self.recover()

    def done(self) -> frozenset[str]:
        """Keys of all results."""
        return frozenset(self._keys("provenance"))

    def has(self, key: str) -> bool:
        """Whether there is a result of that key."""
        return (self.folder / "provenance" / f"cell={key}").is_dir()

    def failures(self) -> dict[str, Failed]:
        """What failed and has no result since, by key."""
        found = {}
        for place in _entries(self.folder / "failed"):
            if (place / RECORD).is_file():
                found[place.name] = _failure(place)
        return {key: one for key, one in found.items() if not self.has(key)}

    def files(self, key: str) -> Path:
        """Folder of what else a cell left; it may not exist."""
        return self.folder / "files" / key

    def table(self, name: str, keys: Collection[str] | None = None) -> pa.Table:
        """A table of the store with the column `cell`, the key of the result.

        Args:
            name: One of `TABLES`.
            keys: Only of these results; None for all.
        """
        import pyarrow as pa

        chosen = sorted(self.done() if keys is None else self.done() & set(keys))
        if name in gathered.TABLES:
            return gathered.rows_of(self.folder, name, chosen, schema(name), lambda file: _read(file, name))
        parts = []
        for key in chosen:
            for file in sorted((self.folder / name / f"cell={key}").glob("part-*.parquet")):
                found = read_parquet(file, "a table of tracks") if name == "tracks" else _read(file, name)
                told = pa.array([key] * len(found), pa.string())
                parts.append(found.append_column("cell", told).replace_schema_metadata())
        if not parts:
            empty = {} if name == "tracks" else {f.name: pa.array([], f.type) for f in schema(name)}
            return pa.table(empty | {"cell": pa.array([], pa.string())})
        try:
            return pa.concat_tables(parts)
        except pa.ArrowInvalid as error:
            raise ExperimentError(f"{self.folder / name}: its files are not of one kind: {error}.") from error

    def tracks(self, key: str) -> dict[tuple[str, str], Tracks]:
        """(tracker, sequence) -> tracks of a result, or of what a failed cell had."""
        for folder in (self.folder / "tracks" / f"cell={key}", self.folder / "failed" / key / "tracks"):
            if folder.is_dir():
                return {_named(file): Tracks.load(file) for file in sorted(folder.glob("part-*.parquet"))}
        return {}

    def begin(self, key: str, run: str) -> Path:
        """Make the folder that a cell works in; what it leaves in its `files` is kept with the result."""
        work = self.folder / "staging" / f"{key}.{run}.{uuid.uuid4().hex[:8]}.part"
        try:
            (work / "files").mkdir(parents=True)
        except OSError as error:
            raise _unwritable(work, error) from error
        return work

    def finish(self, key: str, work: Path, outcome: Outcome, record: Mapping[str, Any]) -> bool:
        """Keep a result under its key, whole or not at all; False where there was one already, which stays.

        Args:
            key: Of the cell.
            work: Its folder, as `begin` made it.
            outcome: What it found.
            record: Its row of provenance, with `tracker` and `sequence` as what rows without their own are of.

        Raises:
            WriteError: It can't be written, as on a full disk; nothing half-written is left.
        """
        ready = work.with_name(f"{key}.ready")
        try:
            _write_tables(work, outcome, record)
            with self.held():
                if self.has(key):
                    return False
                shutil.rmtree(
                    ready, ignore_errors=True
                )  # without the lock's help: the same result, once more
                os.rename(work, ready)
                self._publish(ready)
        except OSError as error:
            raise _unwritable(ready, error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return True

    def fail(self, key: str, work: Path, record: Mapping[str, Any], outcome: Outcome | None = None) -> None:
        """Keep why a cell failed, and what it had until then.

        Raises:
            WriteError: It can't be written.
        """
        place = self.folder / "failed" / key
        try:
            if outcome is not None:
                _write_tables(work, outcome, record)
            write_whole(work / RECORD, json.dumps(record, indent=1, default=str))
            place.parent.mkdir(parents=True, exist_ok=True)
            with self.held():
                shutil.rmtree(place, ignore_errors=True)
                os.rename(work, place)
        except OSError as error:
            raise _unwritable(place, error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def drop(self, keys: Collection[str]) -> int:
        """Remove results and failures; returns the bytes that came free."""
        freed = 0
        with self.held():
            for name in gathered.TABLES:
                gathered.place(self.folder, name).unlink(missing_ok=True)
            for key in keys:
                # Backwards, so that a result whose removal is broken off is none.
                for place in [*(self.folder / t / f"cell={key}" for t in reversed(TABLES)), self.files(key)]:
                    freed += self._remove(place)
                freed += self._remove(self.folder / "failed" / key)
        return freed

    def list_cells(self, rows: Mapping[str, list[Any]]) -> None:
        """Note the cells of the present specification in `cells.parquet`: columns, `cell` (the key) among them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(dict(rows))
        write_whole(self.folder / "cells.parquet", lambda part: pq.write_table(table, part))

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Alone in the store for a moment: results come to their places one after the other."""
        try:
            with locked(self.folder / ".lock") as held:
                yield held
        except PermissionError as error:
            raise _unwritable(self.folder, error) from error

    def recover(self, gone: Callable[[str], bool] | None = None) -> None:
        """Finish what was broken off: results that were ready come to their places, parts of none are removed.

        Args:
            gone: Whether a run of that name has ended; then what its cells had begun is removed, too.
        """
        if not self.folder.is_dir() or not os.access(self.folder, os.W_OK):
            return
        with self.held() as alone:
            for place in _entries(self.folder / "staging"):
                if place.suffix == ".ready":
                    self._publish(place)
                elif gone is not None and gone(place.name.split(".")[1]):
                    shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(self.folder / "trash", ignore_errors=True)
            if alone:
                done = set(self._keys("provenance"))
                for name in TABLES[:-1]:
                    for key in set(self._keys(name)) - done:
                        self._remove(self.folder / name / f"cell={key}")

    def _publish(self, ready: Path) -> None:
        """Move the parts of a result to their places; what another has moved already is there."""
        key = ready.name.partition(".")[0]
        places = [
            (ready / "files", self.files(key)),
            *((ready / t, self.folder / t / f"cell={key}") for t in TABLES),
        ]
        for part, place in places:
            if not part.is_dir() or (part.name == "files" and not any(part.iterdir())):
                continue
            place.parent.mkdir(exist_ok=True)
            if place.exists():
                self._remove(place)
            with suppress(FileNotFoundError):
                os.rename(part, place)
        self._remove(self.folder / "failed" / key)
        shutil.rmtree(ready, ignore_errors=True)

    def _remove(self, place: Path) -> int:
        """Remove a folder at once, as seen from outside; returns its bytes."""
        if not place.exists():
            return 0
        gone = self.folder / "trash" / uuid.uuid4().hex
        gone.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            os.rename(place, gone)
        size = sum(f.stat().st_size for f in gone.rglob("*") if f.is_file())
        shutil.rmtree(gone, ignore_errors=True)
        return size

    def _keys(self, table: str) -> Iterator[str]:
        for name in _names(self.folder / table):
            if name.startswith("cell="):
                yield name[5:]


def _write_tables(work: Path, outcome: Outcome, record: Mapping[str, Any]) -> None:
    about = {k: str(record.get(k, "")) for k in ("tracker", "sequence", "family", "rule")}
    _write(work, "metrics", metric_rows(outcome.metrics, about))
    if outcome.timelines:
        _write(work, "timeline", timeline_rows(outcome.timelines, about))
    for i, ((tracker, sequence), tracks) in enumerate(by_name(outcome.tracks, about).items()):
        also = {"tracker": tracker, "sequence": sequence}
        write_tracks(tracks, work / "tracks" / f"part-{i}.parquet", also)
    _write(work, "provenance", {f.name: [record.get(f.name)] for f in schema("provenance")})


def _read(file: Path, name: str) -> pa.Table:
    """A table with the columns of its kind, in their order; raises `ExperimentError` for another."""
    import pyarrow as pa

    found, wanted = read_parquet(file, f"a table of {name}"), schema(name)
    try:
        return found.select(wanted.names).cast(wanted)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise ExperimentError(
            f"{file}: damaged, not a table of {name}: {error}. Remedy: run its cell again."
        ) from None


def _write(work: Path, table: str, columns: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.table(dict(columns), schema=schema(table))
    write_whole(work / table / _PART, lambda part: pq.write_table(rows, part, compression="zstd"))


def _named(file: Path) -> tuple[str, str]:
    """(tracker, sequence) of a file of tracks."""
    told = also_of(file)
    return told.get("tracker", ""), told.get("sequence", "")


def _failure(place: Path) -> Failed:
    found = read_json(place / RECORD, "the record of a cell", ExperimentError)
    try:
        told = {k: str(found[k]) for k in ("cell", "kind", "reason", "created")}
        return Failed(place.name, **told, seconds=float(found["seconds"]), folder=place)
    except (KeyError, TypeError, ValueError):
        raise ExperimentError(
            f"{place / RECORD}: not the record of a cell: expected its cell, kind, reason, seconds and created."
        ) from None


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(entry.name for entry in found)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise ExperimentError(f"{folder}: a file where a folder of the store should be.") from None


def _entries(folder: Path) -> list[Path]:
    return [folder / name for name in _names(folder)]


def _unwritable(place: Path, error: OSError) -> WriteError:
    return WriteError(
        f"{str(place)!r} can't be written: {error.strerror or error}. What had finished is kept, nothing is half-written. "
        "Remedy: free space or mend the rights, and run it again; it goes on where it was."
    )
