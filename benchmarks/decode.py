"""Decoding: vtlab's frames per second beside raw PyAV's, both with threads, on the same files, in one run.

    python -m benchmarks.decode [files] [--rounds 5]

Raw is `container.decode(stream)` with `thread_type = "AUTO"` and `frame.to_ndarray(format="rgb24")`. The two sides take
turns, and the best round of each counts, since other work on the machine only ever slows a round down. Random access
is beside what plain PyAV needs for it: seek to the key frame and decode up to the frame.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.datasets.synthetic import synthetic
from vtlab.video import open_video, write_video

GOAL = 0.9


class Rate(NamedTuple):
    """Frames per second by the clock and by CPU time."""

    wall: float
    cpu: float


def raw(path: Path) -> int:
    """Decode a file with PyAV alone; returns the number of frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for frame in container.decode(stream) if frame.to_ndarray(format="rgb24").size)


def raw_random(path: Path, times: list[float]) -> int:
    """Fetch single frames with PyAV alone: seek, then decode up to the frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for seconds in times:
            target = int(seconds / stream.time_base) + (stream.start_time or 0)
            container.seek(target, stream=stream)
            next(f for f in container.decode(stream) if f.pts >= target).to_ndarray(format="rgb24")
    return len(times)


def best(jobs: dict[str, Callable[[], int]], rounds: int) -> dict[str, Rate]:
    """Run the jobs in turn, `rounds` times; the best rates of each."""
    found = dict.fromkeys(jobs, Rate(0.0, 0.0))
    for _ in range(rounds):
        for name, job in jobs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count = job()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            found[name] = Rate(max(found[name].wall, count / wall), max(found[name].cpu, count / cpu))
    return found


def measure(path: Path, rounds: int) -> dict[str, Rate]:
    """Rates of raw and of vtlab: one after the other, backwards, and single frames in random order."""
    with open_video(path, cache_bytes=0) as video:
        order = [int(i) for i in np.random.default_rng(0).integers(0, len(video), 20)]
        times = [float(video.timestamps[i]) for i in order]
        sequential = best({"raw": lambda: raw(path), "vtlab": lambda: sum(1 for _ in video.frames())}, rounds)
        other = best(
            {
                "vtlab backwards": lambda: sum(1 for _ in video.frames(step=-1)),
                "raw random": lambda: raw_random(path, times),
                "vtlab random": lambda: sum(1 for i in order if video[i].size),
            },
            max(1, rounds // 2),
        )
    return sequential | other


def sample_files(folder: Path) -> list[Path]:
    """Real videos where `VTLAB_SHARED` has them, else a synthetic one written to `folder`."""
    shared = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "videos"
    real = [shared / name for name in ("pingpong.mp4", "vtest.mp4", "dog_360p.mp4")]
    if all(file.is_file() for file in real):
        return real
    return [write_video(folder / "synthetic.mp4", synthetic(seconds=8, size=(1280, 720)).video, 30)]


def main() -> None:
    """Print one row for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    table = Table(title=f"Decoding, frames per second; goal: ratio of at least {GOAL}")
    for column in ("file", "raw PyAV", "vtlab", "ratio", "ratio (CPU)", "backwards", "raw random", "random"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for file in args.files or sample_files(Path(folder)):
            r = measure(file, args.rounds)
            other, own = r["raw"], r["vtlab"]
            cells = [f"{other.wall:.0f}", f"{own.wall:.0f}"]
            cells += [f"{own.wall / other.wall:.2f}", f"{own.cpu / other.cpu:.2f}"]
            cells += [f"{r[k].wall:.0f}" for k in ("vtlab backwards", "raw random", "vtlab random")]
            table.add_row(file.name, *cells)
    console = Console()
    console.print(table)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 1.5 * cores:
        console.print(
            f"The machine is busy (load {load:.0f} on {cores} cores): read the ratio by CPU time. Raw PyAV starts threads "
            "for each frame, and a busy system serves new threads first."
        )


if __name__ == "__main__":
    main()
