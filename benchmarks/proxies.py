"""How far the proxies that need no truth follow the true metric, on sequences that have truth.

    python -m benchmarks.proxies [--seeds 3]

Single-object trackers run forward and back over synthetic sequences and, where the shared data is there, over three
OTB clips; each proxy is then correlated (Spearman, Kendall) with success_auc over runs, and within sequences, where
the question is which tracker to trust.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

TRACKERS = ("csrt", "kcf", "medianflow", "mosse", "ncc", "identity")
PROXIES = ("fb_consistency", "agreement", "smoothness", "flicker")


def sequences(seeds: int) -> list:
    from vtlab.datasets.synthetic import synthetic

    levels = ("easy", "medium", "hard")
    found = [
        synthetic(f"{level}-{s}", seed=s, difficulty=level, seconds=2.0, size=(480, 270))
        for s in range(seeds)
        for level in levels
    ]
    shared = Path(os.environ.get("VTLAB_SHARED", "../shared")) / "data/sot"
    if shared.is_dir():
        from vtlab.datasets import open_dataset

        found += list(open_dataset(shared, "otb"))
    return found


def measure(seeds: int) -> list[dict[str, float | str]]:
    from vtlab.comparison import compare
    from vtlab.metrics import consistency, score

    rows: list[dict[str, float | str]] = []
    for sequence in sequences(seeds):
        result = compare(sequence, list(TRACKERS), forward_backward=True, progress=False)
        runs = [r for r in result.runs if r.tracks is not None and r.ok]
        shared = consistency.agreement({r.tracker: r.tracks for r in runs})
        for run in runs:
            proxies = consistency.proxies(run.tracks, run.backward)
            truth = score(run.tracks, sequence, "sot").values()["success_auc"]
            rows.append(
                {"sequence": sequence.name, "success_auc": truth, "agreement": shared[run.tracker], **proxies}
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="synthetic sequences of each difficulty")
    rows = measure(parser.parse_args().seeds)

    from rich.console import Console
    from rich.table import Table

    from vtlab.metrics import consistency

    names = sorted({str(r["sequence"]) for r in rows})
    table = Table(title=f"Proxies against success_auc: {len(rows)} runs on {len(names)} sequences")
    for column in ("proxy", "Spearman", "Kendall", "Spearman within sequences"):
        table.add_column(column, justify="left" if column == "proxy" else "right")
    for proxy in PROXIES:
        sign = -1 if proxy == "flicker" else 1  # the less a tracker flickers, the steadier it is
        pairs = [
            (sign * float(r.get(proxy, np.nan)), float(r["success_auc"]), str(r["sequence"])) for r in rows
        ]
        over = consistency.correlation([p for p, _, _ in pairs], [t for _, t, _ in pairs])
        within = []
        for name in names:
            mine = [(p, t) for p, t, s in pairs if s == name]
            within.append(consistency.correlation([p for p, _ in mine], [t for _, t in mine])["spearman"])
        inside = np.nanmean(within) if np.isfinite(within).any() else np.nan
        table.add_row(proxy, f"{over['spearman']:.2f}", f"{over['kendall']:.2f}", f"{inside:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
