"""What an experiment found, as a page: leaderboards, what failed and why, what it cost, links to what each cell left."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab import provenance
from vtlab.comparison.choice import deciding_metric
from vtlab.engine.task import load_target
from vtlab.errors import ExperimentError
from vtlab.experiments.board import CAPTION, JOINED, MEANS, by_scene, leaderboard
from vtlab.experiments.curves import Section
from vtlab.experiments.store import Store
from vtlab.metrics import statistics
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.records import METRICS
from vtlab.show.board import Board
from vtlab.show.page import Page

if TYPE_CHECKING:
    import pandas as pd

_COSTS = ("fps", "latency_p95_ms", "memory_mb")
_ALIKE = "the same"
_SHOWN = ("notebook.ipynb", "report.html", "side_by_side.mp4", "log.txt")


def boards(store: Store, by: Sequence[str] = ()) -> list[Board]:
    """What the trial says of its results (`sections`), or a leaderboard for each family of metrics, best first, whose
    rows say how many cells failed where any did."""
    return [one.board for one in own] if (own := sections(store)) else _leaderboards(store, by)


def sections(store: Store) -> list[Section]:
    """What the trial's file itself makes of the results: its function `sections(store)`, if it has one."""
    known = store.experiment
    if known is None or known.notebook is not None or not store.keys():
        return []
    told = getattr(load_target(str(known.target)), "__globals__", {}).get("sections")
    return list(told(store)) if callable(told) else []


def _leaderboards(store: Store, by: Sequence[str]) -> list[Board]:
    table = leaderboard(store.results(), by)
    found = []
    for family, mine in table.groupby("family", sort=False):
        rows = mine.drop(columns="family").dropna(axis=1, how="all")
        rows = rows[_shown(rows, str(family))] if str(family) in FAMILIES else rows
        known = str(family) in FAMILIES
        main = deciding_metric(rows, str(family)) if known else None
        lacking = tuple(rows.index[rows["cells"] < rows["of"]]) if "of" in rows else ()
        title = FAMILIES[str(family)].title if known else store.folder.name
        joined = str(family) in table.attrs["joined"]
        heading = f"{main}, sequences joined" if joined else f"{main}, mean over sequences"
        told = {main: replace(METRICS[main], title=heading)} if main else {}
        caption = (JOINED if joined else MEANS) + CAPTION
        found.append(Board(rows, title, caption, main, unranked=lacking, known=told))
    return found


def _shown(rows: pd.DataFrame, family: str) -> list[str]:
    """Columns of a leaderboard that a page shows, the main metric first; the others are in `leaderboard` and the store."""
    known, main = FAMILIES[family], deciding_metric(rows, family)
    of_main = [main, f"{main}_std", "ci_low", "ci_high", "letters", "p"] if main else []
    wanted = [*of_main, *known.columns, *_COSTS]
    told = [str(c) for c in rows]
    # What varied, and numbers of a trial of one's own.
    first = [c for c in told if c in ("cells", "of") or (c not in METRICS and c not in of_main)]
    return list(dict.fromkeys([*first, *(c for c in wanted if c in told)]))


def page(
    store: Store,
    by: Sequence[str] = (),
    *,
    beside: Path | None = None,
    videos: Mapping[str, Path] | None = None,
) -> Page:
    """The report of an experiment.

    Args:
        store: Of its results.
        by: As in `leaderboard`.
        beside: File that the page goes to, from which links go.
        videos: Key of a cell -> a video in which its tracker is seen beside the others (`videos.side_by_side`).
    """
    rows = store.archive.table("provenance", store.keys()).to_pylist()
    failures = store.failures()
    seconds = sum(row["seconds"] or 0.0 for row in rows)
    told = [
        f"{len(rows)} cells finished, {len(failures)} failed; the finished ones took {seconds / 3600:.2f} hours."
    ]
    if any(not row["alone"] for row in rows):
        told.append(
            "Times: cells that share the machine disturb each other; `limits: {alone: true}` measures them alone."
        )
    start = (beside or store.folder / "report.html").resolve().parent
    own = sections(store)
    parts: list[Any] = [one.board for one in own]
    parts += _leaderboards(store, by) if store.keys() and not own else []
    if failures:
        parts.append(
            _List(
                "What failed",
                [(f.cell, f"{f.kind}: {f.reason}", _links(f.folder / "files", start)) for f in failures],
            )
        )
    parts.append(
        _List(
            "Cells",
            [
                (
                    r["name"],
                    f"{r['seconds']:.1f} s",
                    _links(store.archive.files(r["cell"]), start, (videos or {}).get(r["cell"])),
                )
                for r in rows
            ],
        )
    )
    facts = {
        "vtlab": sorted({row["vtlab"] for row in rows}),
        "machines": sorted({row["machine"] for row in rows}),
        "cells": [
            {k: row[k] for k in ("cell", "name", "axes", "created", "seconds", "machine", "note")}
            for row in rows
        ],
    }
    return Page(
        store.folder.name,
        f"{len(rows)} cells, {provenance.now()}",
        tuple(told),
        tuple(parts),
        figures=[plot for one in own for plot in one.figures],
        facts=facts,
    )


def _links(folder: Path, start: Path, video: Path | None = None) -> list[tuple[str, str]]:
    """(name, address) of what a cell left that is worth a look, and of the video that it is in."""
    found = [(n, os.path.relpath(folder / n, start)) for n in _SHOWN if (folder / n).is_file()]
    return found if video is None else [("side by side", os.path.relpath(video, start)), *found]


@dataclass(frozen=True)
class _List:
    """Cells with a text and links, as a part of a page."""

    title: str
    rows: Sequence[tuple[str, str, list[tuple[str, str]]]]

    def to_html(self) -> str:
        """See `vtlab.show.page.Part`."""
        lines = []
        for name, text, links in self.rows:
            seen = " ".join(f"<a href='{html.escape(a, quote=True)}'>{html.escape(n)}</a>" for n, a in links)
            lines.append(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td><td>{seen}</td></tr>")
        body = f"<table><tbody>{''.join(lines)}</tbody></table>"
        return body if len(lines) <= 40 else f"<details><summary>{len(lines)} cells</summary>{body}</details>"


def changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """What changed between two results of the same trackers, and whether it is more than noise.

    Args:
        before: As `Store.results` gives them.
        after: The later ones. Only what both have is compared.

    Returns:
        DataFrame indexed by tracker: family, metric, before, after, change, low and high (the differences that the test
        of paired sign flips over scenes does not reject), p (adjusted over the trackers by Holm), scenes, and verdict:
        "better", "worse", "within noise", or "the same" where nothing differs at all.

    Raises:
        ExperimentError: They have no tracker and sequence in common.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for family in [f for f in before["family"].unique() if f in set(after["family"]) and f in FAMILIES]:
        old, new = before[before["family"] == family], after[after["family"] == family]
        metric = deciding_metric(new, family) or FAMILIES[family].main
        for tracker in [t for t in old["tracker"].unique() if t in set(new["tracker"])]:
            a, b = (
                by_scene(side, metric, [tracker]).get(tracker, {}) if metric in side else {}
                for side in (old, new)
            )
            both = sorted(set(a) & set(b))
            if both:
                told = statistics.paired_values([b[s] for s in both], [a[s] for s in both])
                means = float(np.mean([a[s] for s in both])), float(np.mean([b[s] for s in both]))
                rows.append({"tracker": tracker, "family": family, "metric": metric, "before": means[0], "after": means[1],
                             "change": told.difference, "low": told.low, "high": told.high, "p": told.p,
                             "scenes": len(both), "verdict": _ALIKE if all(a[s] == b[s] for s in both) else ""})  # fmt: skip
    if not rows:
        raise ExperimentError(
            "The two have no tracker and sequence in common, so there is nothing to compare."
        )
    _adjust(rows)
    return pd.DataFrame(rows).set_index("tracker")


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Adjust p by Holm, and say what follows."""
    tested = sorted((r for r in rows if np.isfinite(r["p"])), key=lambda r: r["p"])
    least = 0.0
    for i, row in enumerate(tested):
        # The i-th smallest of m times m - i, never below one before it (Holm, Scand. J. Statistics 1979).
        least = max(least, min(1.0, row["p"] * (len(tested) - i)))
        row["p"] = least
    for row in rows:
        better = row["change"] > 0
        sure = np.isfinite(row["p"]) and row["p"] <= 0.05
        row["verdict"] = row["verdict"] or (("better" if better else "worse") if sure else "within noise")


def since(store: Store, day: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results as they were before a day (ISO 8601, UTC), and as they are now: of each cell the newest.

    Raises:
        ExperimentError: There was none.
    """
    rows = sorted(store.archive.table("provenance").to_pylist(), key=lambda r: r["created"] or "")
    old = {row["axes"]: row["cell"] for row in rows if (row["created"] or "") < day}
    new = {row["axes"]: row["cell"] for row in rows}
    if not old:
        raise ExperimentError(f"{store.folder}: no result is older than {day}.")
    whole = Store(store.folder)
    return whole.results(frozenset(old.values())), whole.results(frozenset(new.values()))
