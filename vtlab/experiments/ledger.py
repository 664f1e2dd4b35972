"""The ledger of reproduced results: one row a number, beside the number that its authors published.

A row says everything that somebody needs to make the number again, or to find out why theirs differs. Published
numbers stand in `published.json`, each with its source and its place there; they are never in a row's `value`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from vtlab.errors import FormatError
from vtlab.files import csv_text, read_csv, read_json, write_whole

TOLERANCE = 0.005
"""How far a number over all sequences may be from the published one: half a point, as tables round and machines differ."""


@dataclass(frozen=True)
class Published:
    """A number that a method's authors (or somebody who measured it) published.

    Attributes:
        method: vtlab's name of the tracker, or the field's where vtlab doesn't have it.
        on: Benchmark.
        rule: Rule by which it was counted.
        metric: Name of the metric.
        value: The number, as a fraction.
        source: Address.
        place: Table, row and column there.
        tolerance: How far a run over all sequences may be from it.
    """

    method: str
    on: str
    rule: str
    metric: str
    value: float
    source: str
    place: str
    tolerance: float = TOLERANCE


@dataclass(frozen=True)
class Row:
    """One number of the ledger.

    Attributes:
        method: Tracker, or who made the tracks.
        on: Benchmark.
        rule: Rule by which it was counted.
        metric: Name of the metric.
        value: What was measured.
        low: Lower end of the interval over sequences (jackknife-t, 95 %), NaN below five sequences.
        high: Its upper end.
        sequences: Sequences that were run, `of` how many the benchmark has here.
        of: Sequences of the benchmark as it lay on the machine.
        published: The published number, NaN where none is known.
        verdict: See `verdict_of`.
        made: "run" (vtlab ran the method), or "tracks given" (only scored here).
        source: Of the published number.
        weights: First digits of the sha256 of the weights, "" without.
        data: Digest of the sequences' names, lengths and truth.
        tracks: Digest of the tracks, which are kept.
        vtlab: Version, and commit where there is one.
        versions: Of what influences results.
        machine: Processor, GPU.
        seconds: Wall time of the runs; 0 for tracks given.
        date: Day (UTC).
    """

    method: str
    on: str
    rule: str
    metric: str
    value: float
    low: float
    high: float
    sequences: int
    of: int
    published: float
    verdict: str
    made: str
    source: str
    weights: str
    data: str
    tracks: str
    vtlab: str
    versions: str
    machine: str
    seconds: float
    date: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What a newer row of the same number has in common with it."""
        return (self.method, self.on, self.rule, self.metric, self.sequences, self.data)


@cache
def published() -> tuple[Published, ...]:
    """All published numbers that vtlab knows."""
    entries = read_json(Path(__file__).with_name("published.json"), "published numbers")
    return tuple(Published(**entry) for entry in entries)


def published_of(method: str, on: str, metric: str) -> Published | None:
    """The published number of a method, None where none is known."""
    return next((p for p in published() if (p.method, p.on, p.metric) == (method, on, metric)), None)


def verdict_of(
    value: float, ends: tuple[float, float], share: tuple[int, int], told: Published | None
) -> str:
    """What a measured number says of the published one.

    All sequences: "reproduced" within its tolerance, else "differs". A part of them: whether the published number lies
    in the part's own interval, which is what a part can say; below five sequences there is no interval.
    """
    (low, high), (done, of) = ends, share
    if told is None:
        return "measured"
    if done == of:
        # 0.605 - 0.6 is a little more than 0.005 in floats: a number at the tolerance keeps it.
        return "reproduced" if abs(value - told.value) <= told.tolerance + 1e-9 else "differs"
    if math.isnan(low):
        return "too few sequences"
    return "agrees with a part" if low <= told.value <= high else "a part differs"


def read_ledger(path: Path) -> list[Row]:
    """The rows of a ledger; none where there is no file yet.

    Raises:
        FormatError: It is no ledger.
    """
    if not path.is_file():
        return []
    names = [f.name for f in fields(Row)]
    table = read_csv(path, [f.name for f in fields(Row) if f.type == "str"])
    if list(table.columns) != names:
        raise FormatError(f"{path} is no ledger: expected the columns {', '.join(names)}.")
    return [Row(**{str(k): v for k, v in row.items()}) for row in table.to_dict("records")]


def add_rows(path: Path, rows: Sequence[Row]) -> list[Row]:
    """Add rows to a ledger, each in the place of an older one of the same number; returns all, in order."""
    import pandas as pd

    known = {row.key: row for row in (*read_ledger(path), *rows)}
    order = sorted(known.values(), key=lambda r: (r.on, r.rule, r.metric, r.method, r.sequences))
    write_whole(path, csv_text(pd.DataFrame([asdict(r) for r in order])))
    return order


def page(rows: Iterable[Row], told: Sequence[Published]) -> str:
    """The ledger as a page of Markdown; what is published and has no row says "not reproduced"."""
    rows = list(rows)
    lines = [
        "# Results: what was run, and what is published",
        "",
        "Generated from `docs/ledger.csv` by `python .ci/results_page.py`; do not edit. A number in the column *measured* "
        "was counted by vtlab with the interval over sequences (95 %, jackknife-t; none below five); published numbers are "
        "their authors', with source, and are never mixed with it. *reproduced*: over all sequences of the benchmark, "
        "within the tolerance of half a point. A part says whether the published number lies in its own interval. "
        "`vtlab lab reproduce NAME --on BENCHMARK --root FOLDER` adds a row.",
        "",
        "## Measured",
        "",
        "| method | on | rule | metric | measured | interval | sequences | published | difference | verdict | made |",
        "|---|---|---|---|---:|---|---:|---:|---:|---|---|",
    ]
    lines += [_measured(r) for r in rows]
    done = {(r.method, r.on, r.metric) for r in rows}
    missing = [p for p in told if (p.method, p.on, p.metric) not in done]
    lines += [
        "",
        "## Published, not reproduced",
        "",
        "Nobody has run these with vtlab yet: the official weights or the benchmark's frames can't be had where it is "
        "developed.",
        "",
        "| method | on | metric | published | state | source |",
        "|---|---|---|---:|---|---|",
    ]
    lines += [
        f"| {p.method} | {p.on} | {p.metric} | {p.value:.3f} | not reproduced | [{p.place}]({p.source}) |"
        for p in missing
    ]
    lines += ["", "## How each row was made", "", "| method | on | weights | data | tracks | vtlab | machine | s | day |",
              "|---|---|---|---|---|---|---|---:|---|"]  # fmt: skip
    made = {(r.method, r.on, r.sequences, r.data): r for r in rows}
    lines += [
        f"| {r.method} | {r.on} | {r.weights or '-'} | {r.data} | {r.tracks or '-'} | {r.vtlab} | {r.machine} | "
        f"{r.seconds:.0f} | {r.date} |"
        for r in made.values()
    ]
    return "\n".join(lines) + "\n"


def _measured(r: Row) -> str:
    interval = "-" if math.isnan(r.low) else f"{r.low:.3f} to {r.high:.3f}"
    told = "-" if math.isnan(r.published) else f"[{r.published:.3f}]({r.source})"
    apart = "-" if math.isnan(r.published) else f"{r.value - r.published:+.4f}"
    cells = (
        r.method,
        r.on,
        r.rule,
        r.metric,
        f"{r.value:.4f}",
        interval,
        f"{r.sequences} of {r.of}",
        told,
        apart,
    )
    return "| " + " | ".join((*cells, r.verdict, r.made)) + " |"
