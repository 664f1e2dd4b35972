"""From one format to another, with a ledger of what the other can't hold."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vtlab.errors import FormatError, InputError, TracksError
from vtlab.files import unpacked, write_whole
from vtlab.formats.base import LEDGERS, TRUTH, Format, Kind, Loss, Place, Result, absolute
from vtlab.formats.ignored import cut_pixels
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
    truth: str | os.PathLike[str] | None = None,
    strict: bool = False,
) -> Conversion:
    """Write truth or results of one format in another, and beside them what the other can't hold.

    Args:
        source: A folder at any level above the sequences, a zip of it, or one file.
        out: Folder to write to: `truth` and a folder for each tracker are made in it.
        to: Name of the format to write.
        layout: Name of the format to read; by default it is told by its look.
        results: What lies there are trackers' results, not truth. Those whose truth is given, or lies in a folder
            `truth` beside them, are read as `evaluate` does: checked against their sequence, and with its numbers of
            objects. Repetitions of one tracker stay apart: in their own files, or as trackers `name-2`, `name-3`.
        truth: Folder of the truth of results, in the same format.
        strict: Refuse to lose anything, before anything is written.

    Raises:
        InputError: An unknown format.
        FormatError: Nothing of that format is there, or a file is wrong.
        TracksError: The target can't hold the tracks at all, or not without a loss and `strict` is asked for.
    """
    target = find_format(to)
    kind: Kind = "results" if results else "truth"
    if truth is not None and not results:
        raise InputError("truth= names the truth of results, so it goes with results=True (--results).")
    with unpacked(source) as root:
        reader = sniff(root) if layout is None else find_format(layout)
        known = _truth_of(reader, root, truth) if results else None
        if strict:
            _refuse_losses(
                source, [row for _, rows in _rows(reader, root, target, known) for row in rows], target
            )
        written: list[Path] = []
        losses: list[Loss] = []
        for (tracker, sequence, repeat, tracks, ignore), rows in _rows(reader, root, target, known):
            losses += rows
            files = write_tracks(
                tracks, out, target, sequence=sequence, tracker=tracker, repeat=repeat, ignore=ignore
            )
            if not {*files}.isdisjoint(written):
                raise FormatError(
                    f"{source}: two of it would be written to {files[0]}. Remedy: rename one of them."
                )
            written += files
    if not written:
        raise FormatError(
            f"{source}: there is nothing in the layout {reader.name!r}; expected {reader.summary}."
        )
    written = target.gathered(written)
    told = {"from": reader.name, "to": target.name, "losses": [row.to_dict() for row in losses]}
    ledger = write_whole(Path(out) / LEDGERS[kind], json.dumps(told, indent=1) + "\n")
    return Conversion(reader.name, target.name, tuple(written), tuple(losses), ledger)


def _refuse_losses(source: object, refused: list[Loss], target: Format) -> None:
    if not refused:
        return
    told = "; ".join(f"{row.place}: {row.told}" for row in refused[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    raise TracksError(
        f"{source}: {target.name!r} can't hold all of it, and nothing was written. Lost would be: {told}{more}. "
        "Remedy: choose another format, or convert without strict."
    )


class _Found(NamedTuple):
    """What lies there: tracker ("" of truth), sequence, number of the repetition, tracks, ignore regions of truth."""

    tracker: str
    sequence: str
    repeat: int
    tracks: Tracks
    ignore: Tracks | None = None


def _rows(
    reader: Format, root: Path, target: Format, known: Mapping[str, Place] | None
) -> Iterator[tuple[_Found, list[Loss]]]:
    """All that lies there, and what the target can't hold of each; `known`: the sequences, where it is results."""
    kind: Kind = "truth" if known is None else "results"
    for one in _truths(reader, root) if known is None else _answers(reader, root, known):
        found = target.losses(one.tracks, kind)
        found.pop("objects", None)  # each object gets a file of its own
        parts = targets(target, one.tracks, one.sequence)
        if len(parts) > 1:
            found |= renumbered({i: name for name, i in parts if i is not None})
        rows = [*found.values()]
        rows += _lost_regions(target, one.tracks, one.ignore)
        record = one.tracks.record
        unread = record.extra.get("unread") or {}
        rows += [Loss(what, count, f"{count} values of {what}") for what, count in unread.items()]
        name = "/".join(filter(None, (one.tracker, one.sequence)))
        extra = {key: value for key, value in record.extra.items() if key != "unread"}
        one = one._replace(tracks=one.tracks.replace(record=record.replace(extra=extra)))
        yield one, [row.within(name) for row in rows]


def _lost_regions(target: Format, truth: Tracks, ignore: Tracks | None) -> list[Loss]:
    """The rows of the ignore regions that the target can't hold, or not all of; a file of one object holds none."""
    if ignore is None:
        return []
    held = target.regions(ignore, truth) if "objects" in target.holds else ignore.take([])
    count, cut = len(ignore) - len(held), cut_pixels(ignore, held)
    found = [Loss("ignore", count, f"{count} ignore regions")] if count else []
    return found + (
        [Loss("ignore", cut, f"{cut} pixels of ignore regions (they are an object's)")] if cut else []
    )


def _truths(reader: Format, root: Path) -> Iterator[_Found]:
    """The truth of each sequence, with its ignore regions."""
    for place in reader.find(root).values():
        sequence = reader.read_sequence(place, images=False) if place.truth is not None else None
        if sequence is not None and sequence.truth is not None:
            truth = sequence.truth
            if (
                sequence.ignore is not None and truth.record.frames is None
            ):  # regions may lie after the last row
                truth = truth.replace(record=truth.record.replace(frames=len(sequence)))
            yield _Found("", place.name, 1, truth, sequence.ignore)


def _answers(reader: Format, root: Path, known: Mapping[str, Place]) -> Iterator[_Found]:
    """Each result, checked against its sequence where that is known."""
    before: Counter[tuple[str, str]] = Counter()
    for found in _results(reader, root, known):
        before[found.tracker, found.sequence] += 1
        repeat = before[found.tracker, found.sequence]
        if repeat > 1 and not reader.repeats:
            raise FormatError(
                f"{found.path}: {found.tracker!r} has another result for {found.sequence!r}. Keep one."
            )
        place = known.get(found.sequence)
        sequence = None if place is None else reader.read_sequence(place, images=False)
        tracks = reader.read_tracks(found.path, sequence)
        if sequence is not None and tracks.record.frames is None:
            tracks = tracks.replace(record=tracks.record.replace(frames=len(sequence)))
        yield _Found(found.tracker, found.sequence, repeat, tracks)


def _truth_of(reader: Format, root: Path, truth: str | os.PathLike[str] | None) -> dict[str, Place]:
    """Sequences by name whose truth is given, or lies in the folder `truth` in or right beside the results."""
    top = absolute(root)
    beside = next((f for f in (top, *top.parents[:2]) if (f / TRUTH).is_dir()), None)
    found = reader.find(Path(truth)) if truth is not None else {} if beside is None else reader.find(beside)
    known = {name: place for name, place in found.items() if place.truth is not None}
    if truth is not None and not known:
        raise FormatError(f"{truth}: no truth in the layout {reader.name!r}; expected {reader.summary}.")
    return known


def _results(reader: Format, root: Path, known: Mapping[str, Place]) -> list[Result]:
    """Every result, named after its sequence as the truth calls it where there is one."""
    found = {r.path: r for r in reader.find_results(root)}
    if known and root.is_dir():
        found |= {r.path: r for r in reader.find_results(root, known)}
    return sorted(found.values(), key=lambda r: (r.tracker, r.sequence, r.path))
