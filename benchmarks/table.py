"""Every row beside its peer, in one run, by turns: `make bench`, `make bench-compare`.

    python -m benchmarks table [--rows sparse crowd]   # print each row as it ends
    python -m benchmarks table --compare            # the same, and what changed since the stored run beyond noise
    python -m benchmarks table --store              # keep the run in benchmarks/results.json and write the docs' claims

Peers run in `.venv-bench` (`make .venv-bench/.ok`). A row that fails says why, and the others go on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import _claims as claims
from benchmarks import _measure as measure
from benchmarks._rows import ROWS
from vtlab.files import write_whole


def changed(now: Mapping[str, Any], then: Mapping[str, Any] | None) -> str:
    """What became of a row since the stored run, where the intervals of both lie apart."""
    if not then or not then["costs"]["vtlab"]:
        return "not in the stored run"
    peer = next((n for n in now["costs"] if n != "vtlab" and now["costs"][n] and then["costs"].get(n)), None)
    old, new = (
        [1 / r for r in measure.ratios(found, peer)] if peer else found["costs"]["vtlab"]
        for found in (then, now)
    )
    (low, high), (before_low, before_high) = measure.interval(new), measure.interval(old)
    factor = statistics.median(new) / statistics.median(old)
    against = f", measured by {peer}" if peer else ""
    if low > before_high:
        return f"SLOWER {factor:.2f} x{against}"
    if high < before_low:
        return f"faster {1 / factor:.2f} x{against}"
    return f"within noise ({factor:.2f} x{against})"


def run(names: list[str], compare: bool, keep: Callable[[dict[str, Any]], None]) -> None:
    """Measure rows, print each as it ends and hand on what there is by then."""
    before, rows = measure.stored()["rows"], {}
    for row in ROWS:
        if names and row.key not in names:
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = measure.measure(row, Path(folder))
            except Exception as error:
                why = f"{type(error).__name__}: {error}"[:300]
                print(f"{row.what}\n    could not be measured: {why}", flush=True)
                continue
        rows[row.key] = found
        print(f"{row.what}   {measure.goal(found)}   ({time.monotonic() - begin:.0f} s)")
        for cost, peer, theirs, ratio in measure.said(found):
            print(f"    {cost:24} {f'{peer}: {theirs}' if peer else '':48} {ratio}")
        if compare:
            print(f"    {changed(found, before.get(row.key))}")
        print(end="", flush=True)
        keep(dict(rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="*", default=[], help=f"of {', '.join(r.key for r in ROWS)}")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--claims", choices=("write", "check"), help="only the docs: no row is measured")
    asked = parser.parse_args()
    if asked.claims == "check" and (old := claims.stale()):
        sys.exit(
            f"Not as the stored run has it: {', '.join(old)}. Remedy: python -m benchmarks table --claims write"
        )
    if asked.claims == "write":
        claims.write()
    if asked.claims:
        return
    if unknown := set(asked.rows) - {r.key for r in ROWS}:
        parser.error(f"no row {', '.join(sorted(unknown))}")
    about = measure.about()
    print(f"{about['machine']}; commit {about['commit']}; load {about['load']}", flush=True)
    if about["load"][0] > 1:
        print("The machine is busy: costs are too high; ratios, taken by turns, hold better.", flush=True)
    kept = measure.stored()["rows"] if asked.rows else {}

    def keep(rows: dict[str, Any]) -> None:
        if asked.store:  # after each row, so that a run that is cut short leaves what it has
            text = claims.encoded({"about": about, "rows": {**kept, **rows}})
            write_whole(measure.STORED, lambda part: part.write_text(text, encoding="utf-8"))
            claims.write()

    begin = time.monotonic()
    run(asked.rows, asked.compare, keep)
    minutes, seconds = divmod(round(time.monotonic() - begin), 60)
    print(f"All of it took {minutes}:{seconds:02d}.")


if __name__ == "__main__":
    main()
