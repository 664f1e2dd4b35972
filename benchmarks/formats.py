"""A million boxes through every main format: seconds to write, to say what is lost, to read, and the memory they take.

    python -m benchmarks formats                         # all formats, a million rows
    python -m benchmarks formats --rows 100000 --only cvat dataloop

Each format has a process of its own, so that its peak of memory is its own; times are CPU seconds of one run. The peers
read the same files: datumaro (CVAT, MOTChallenge), TrackEval (MOTChallenge) and the vendors' own readers, in environments
that `make judges` builds; where one is missing, its line is left out. supervision reads no tracks of any format. A ratio
above 1 means that vtlab is faster.

Text and XML are read line by line, Parquet by its columns. JSON of annotation tools is read whole, since it has no lines: a
file beyond its reader's bound is refused before it takes memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab import formats
from vtlab.formats import FORMATS
from vtlab.tracks import Record, Tracks

PROJECT = Path(__file__).parents[1]
MAIN = (
    "vtlab",
    "motchallenge",
    "kitti",
    "bdd100k",
    "yolo",
    "tao",
    "cvat",
    "label-studio",
    "supervisely",
    "dataloop",
)
"""Formats of boxes of many objects."""
PEERS = {
    "motchallenge": (("trackeval", "trackeval"), ("datumaro", "cvat")),
    "cvat": (("datumaro", "cvat"),),
    "label-studio": (("label_studio", "label_studio"),),
    "supervisely": (("supervisely", "supervisely"),),
    "dataloop": (("dtlpy", "dataloop"),),
}
"""Format -> readers beside vtlab's, each with the judge in whose environment it is."""
OBJECTS, PEER_ROWS = 100, 100_000


def boxes(rows: int) -> Tracks:
    """Objects that move at random, all on every frame."""
    frames = max(rows // OBJECTS, 1)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, (1600, 760), (frames * OBJECTS, 2)).round(2)
    side = rng.uniform(10, 300, (frames * OBJECTS, 2)).round(2)
    return Tracks.of(
        np.repeat(np.arange(frames), OBJECTS),
        np.tile(np.arange(1, OBJECTS + 1), frames),
        np.concatenate([corner, corner + side], axis=1),
        label="pedestrian",
        source="manual",
        size=(1080, 1920),
        record=Record(frames=frames, dense=True),
    )


def measure(name: str, rows: int, root: Path) -> dict[str, Any]:
    """CPU seconds and MiB of one format, in this process."""
    form, given = FORMATS[name], boxes(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    clock = [time.process_time()]
    (path,) = formats.write_tracks(given, root, form, sequence="walk")
    clock.append(time.process_time())
    form.losses(given)
    clock.append(time.process_time())
    (place,) = form.find(root).values()
    back = form.read_sequence(place, images=False).truth
    clock.append(time.process_time())
    assert back is not None
    assert len(back) == len(given)
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    write, lose, read = np.diff(clock).tolist()
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - before
    found = {"write": write, "losses": lose, "read": read, "peak": peak, "size": size >> 20}
    return found | {"path": str(path)}


def asked(command: list[str]) -> dict[str, Any]:
    """What a process prints last, as JSON."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: {done.stderr[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])


def own(name: str, rows: int, root: Path) -> dict[str, Any]:
    """The same as `measure`, in a process of its own."""
    return asked(
        [sys.executable, "-m", "benchmarks.formats", "--one", name, "--rows", str(rows), "--root", str(root)]
    )


def beside(name: str, rows: int) -> list[tuple[str, float, float, int]]:
    """Peers that are there: name, their CPU seconds, vtlab's on the same file, their peak in MiB."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        mine = own(name, rows, Path(folder))
        for reader, judge in PEERS.get(name, ()):
            python = PROJECT / f"build/judges/{judge}/bin/python"
            if python.exists():
                told = asked(
                    [str(python), str(PROJECT / "benchmarks/_formats_peer.py"), reader, mine["path"]]
                )
                found.append((reader, told["seconds"], mine["read"], told["peak"]))
    return found


def main() -> None:
    told = argparse.ArgumentParser(prog="formats", description=__doc__)
    told.add_argument("--rows", type=int, default=1_000_000)
    told.add_argument("--only", nargs="*", choices=MAIN, default=MAIN)
    told.add_argument("--one", help=argparse.SUPPRESS)
    told.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = told.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.rows, given.root)))
        return
    table = Table("format", "MiB", "write s", "ledger s", "read s", "peak MiB", title=f"{given.rows:,} boxes")
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            row = own(name, given.rows, Path(folder))
        table.add_row(
            name, str(row["size"]), *(f"{row[k]:.1f}" for k in ("write", "losses", "read")), str(row["peak"])
        )
    Console(width=100).print(table)
    rows = min(given.rows, PEER_ROWS)
    peers = Table(
        "format", "reader", "its s", "vtlab s", "ratio", "its peak MiB", title=f"reading {rows:,} boxes"
    )
    for name in given.only:
        for reader, theirs, mine, peak in beside(name, rows):
            peers.add_row(name, reader, f"{theirs:.2f}", f"{mine:.2f}", f"{theirs / mine:.1f}", str(peak))
    Console(width=100).print(peers)


if __name__ == "__main__":
    main()
