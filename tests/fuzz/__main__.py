"""`make fuzz MINUTES=10`, or `python -m tests.fuzz --minutes 10 --only motchallenge`: the table of all readers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.harness import Campaign, table


def main() -> int:
    told = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    told.add_argument("--minutes", type=float, default=5.0, help="time for all readers together")
    told.add_argument("--inputs", type=int, default=10_000, help="most inputs for a reader")
    told.add_argument("--seed", type=int, default=0)
    told.add_argument("--only", nargs="*", help="names of readers; by default all")
    told.add_argument("--keep", type=Path, help="a folder for files that raise foreign errors")
    given = told.parse_args()
    campaign = Campaign(given.seed)
    try:
        names = given.only or campaign.names()
        for row in campaign.even(names, given.inputs, 60 * given.minutes, given.keep):
            print(f"{row.name}: {row.inputs}", file=sys.stderr, flush=True)
    finally:
        campaign.close()
    rows = campaign.rows.values()
    print(table(rows))
    for row in rows:
        for kind, inputs in row.foreign.items():
            print(f"\n{row.name}: {len(inputs)} x {kind} (inputs {inputs[:5]})")
        for kind in ("crashes", "hangs", "greedy"):
            if getattr(row, kind):
                print(f"\n{row.name}: {kind} by inputs {getattr(row, kind)[:20]}")
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
