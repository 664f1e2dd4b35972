"""From one format to another, with a ledger of what the other can't hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vtlab.errors import FormatError, TracksError
from vtlab.files import write_whole
from vtlab.formats.base import LEDGERS, TRUTH, Format, Kind, Loss, Place, Result, absolute
from vtlab.formats.ledger import renumbered
from vtlab.formats.registry import find_format, sniff, targets, write_tracks
from vtlab.tracks import Tracks


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        source: Name of the format that was read.
        target: Name of the format that was written.
        written: The files.
        losses: The ledger: a row for each kind of thing that the target can't hold of a sequence; empty where nothing
            is lost.
        ledger: The file beside the output that has these rows as JSON.
    """

    source: str
    target: str
    written: tuple[Path, ...]
    losses: tuple[Loss, ...]
    ledger: Path


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    to: str | Format,
    *,
    layout: str | Format | None = None,
    results: bool = False,
    strict: bool = False,
) -> Conversion:
    """Write truth or results of one format in another, and beside them what the other can't hold.

    Args:
        source: A folder at any level above the sequences, or one file.
        out: Folder to write to: `truth` and a folder for each tracker are made in it.
        to: Name of the format to write.
        layout: Name of the format to read; by default it is told by its look.
        results: What lies there are trackers' results, not truth. Those with a folder `truth` beside them are read as
            `evaluate` does: checked against their sequence, and with its numbers of objects.
        strict: Refuse to lose anything, before anything is written.

    Raises:
        InputError: An unknown format.
        FormatError: Nothing of that format is there, or a file is wrong.
        TracksError: The target can't hold the tracks at all, or not without a loss and `strict` is asked for.
    """
    reader = sniff(source) if layout is None else find_format(layout)
    target, root = find_format(to), Path(source)
    kind: Kind = "results" if results else "truth"
    if strict:
        refused = [row for _, rows in _rows(reader, root, target, kind) for row in rows]
        if refused:
            told = "; ".join(f"{row.place}: {row.told}" for row in refused[:5])
            more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
            raise TracksError(
                f"{source}: {target.name!r} can't hold all of it, and nothing was written. Lost would be: {told}{more}. "
                "Remedy: choose another format, or convert without strict."
            )
    written: list[Path] = []
    losses: list[Loss] = []
    for (tracker, sequence, tracks), rows in _rows(reader, root, target, kind):
        losses += rows
        written += write_tracks(tracks, out, target, sequence=sequence, tracker=tracker)
    if not written:
        raise FormatError(
            f"{source}: there is nothing in the layout {reader.name!r}; expected {reader.summary}."
        )
    told_ = {"from": reader.name, "to": target.name, "losses": [row.to_dict() for row in losses]}
    ledger = write_whole(Path(out) / LEDGERS[kind], json.dumps(told_, indent=1) + "\n")
    return Conversion(reader.name, target.name, tuple(written), tuple(losses), ledger)


def _rows(
    reader: Format, root: Path, target: Format, kind: Kind
) -> Iterator[tuple[tuple[str, str, Tracks], list[Loss]]]:
    """(tracker, sequence, tracks) of all that lies there, and what the target can't hold of each."""
    for tracker, sequence, tracks, ignored in _all(reader, root, kind == "results"):
        found = target.losses(tracks, kind)
        found.pop("objects", None)  # each object gets a file of its own
        parts = targets(target, tracks, sequence)
        if len(parts) > 1:
            found |= renumbered({i: name for name, i in parts if i is not None})
        rows = [*found.values()]
        if ignored:
            rows.append(Loss("ignore", ignored, f"{ignored} ignore regions"))
        name = "/".join(filter(None, (tracker, sequence)))
        yield (tracker, sequence, tracks), [row.within(name) for row in rows]


def _all(reader: Format, root: Path, results: bool) -> Iterator[tuple[str, str, Tracks, int]]:
    """Tracker, sequence, tracks, and how many ignore regions there are beside them."""
    if results:
        known = _truth_beside(reader, root)
        for found in _results(reader, root, known):
            place = known.get(found.sequence)
            sequence = None if place is None else reader.read_sequence(place, images=False)
            tracks = reader.read_tracks(found.path, sequence)
            if sequence is not None and tracks.record.frames is None:
                tracks = tracks.replace(record=tracks.record.replace(frames=len(sequence)))
            yield found.tracker, found.sequence, tracks, 0
        return
    for place in reader.find(root).values():
        sequence = reader.read_sequence(place, images=False) if place.truth is not None else None
        if sequence is not None and sequence.truth is not None:
            yield "", place.name, sequence.truth, 0 if sequence.ignore is None else len(sequence.ignore)


def _truth_beside(reader: Format, root: Path) -> dict[str, Place]:
    """Sequences by name whose truth lies in the folder `truth` in, or right beside, the results or their tracker."""
    top = absolute(root)
    beside = next((f for f in (top, *top.parents[:2]) if (f / TRUTH).is_dir()), None)
    found = {} if beside is None else reader.find(beside)
    return {name: place for name, place in found.items() if place.truth is not None}


def _results(reader: Format, root: Path, known: Mapping[str, Place]) -> list[Result]:
    """Every result, named after its sequence as the truth calls it where there is one."""
    found = {r.path: r for r in reader.find_results(root)}
    if known and root.is_dir():
        found |= {r.path: r for r in reader.find_results(root, known)}
    return list(found.values())
