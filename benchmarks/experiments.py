"""What the engine costs beside a cell's own work: overhead of a plain cell, skipping what is done, two workers.

    python -m benchmarks.experiments

Two workers are compared with two bare processes that do the same work in the same minute, one thread each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vtlab.engine.outcome import Outcome
from vtlab.engine.store import Archive
from vtlab.experiments import load_experiment, run_experiment

TRIALS = """
import time

def quick(n):
    return {"value": float(n)}

def work(n, *, turns):
    total = 0
    for i in range(turns):
        total += i * i
    return {"value": float(total % 7)}
"""
BARE = "import sys, bench_trials as t\nfor n in range(int(sys.argv[1])): t.work(n, turns=int(sys.argv[2]))"


def overhead(folder: Path, cells: int = 300) -> float:
    """Milliseconds of a plain cell beside its own work, the start of the run left out."""
    spec = {"name": "quick", "trial": "bench_trials.py:quick", "grid": {"n": list(range(cells))}}
    moments: list[float] = []
    run_experiment(
        load_experiment(spec, folder), folder, progress=lambda p: moments.append(time.perf_counter())
    )
    return 1000 * (moments[-1] - moments[4]) / (cells - 2)


def skipping(folder: Path, cells: int = 10_000) -> float:
    """Seconds until a run of finished cells has ended, with reading the specification and making the keys."""
    spec = {"name": "done", "trial": "bench_trials.py:quick", "grid": {"n": list(range(cells))}}
    archive = Archive(folder / "done")
    for cell in load_experiment(spec, folder).cells:
        archive.finish(cell.key, archive.begin(cell.key, "run"), Outcome({"value": 1.0}), {})
    started = time.perf_counter()
    left: list[int] = []
    run_experiment(load_experiment(spec, folder), folder, progress=lambda p: left.append(p.total - p.ended))
    assert left[-1] == 0
    return time.perf_counter() - started


def two_workers(folder: Path, cells: int = 60, turns: int = 4_000_000) -> float:
    """Time of two bare processes over that of two workers, each doing the same cells."""
    started = time.perf_counter()
    bare = [
        subprocess.Popen([sys.executable, "-c", BARE, str(cells // 2), str(turns)], cwd=folder)
        for _ in range(2)
    ]
    for process in bare:
        process.wait()
    alone = time.perf_counter() - started
    spec = {
        "name": "two",
        "trial": "bench_trials.py:work",
        "grid": {"n": list(range(cells))},
        "fixed": {"turns": turns},
    }
    begun: list[float] = []
    run_experiment(
        load_experiment(spec, folder), folder, jobs=2, progress=lambda p: begun.append(time.perf_counter())
    )
    ended, first = begun[-1], next(t for t in begun[3:])  # the start of workers is paid once a run
    return alone * (cells - 2) / cells / (ended - first)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench_trials.py").write_text(TRIALS)
        print(f"overhead of a plain cell: {overhead(folder):.1f} ms (wanted: below 20)")
        print(f"10,000 finished cells skipped in {skipping(folder):.2f} s (wanted: below 5)")
        print(f"two workers reach {two_workers(folder):.2f} of two bare processes (wanted: 0.95)")


if __name__ == "__main__":
    main()
