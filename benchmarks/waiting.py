"""Where people wait around the kernels: start-up aside (`startup`), CPU seconds of each and of a peer where one exists.

    python -m benchmarks.waiting [--repeats 5] [--only tracks,session,prompts,report,evaluate,annotator]

Both sides run in turn in one run, medians of user and system time. Goals are the project's own. motrics is asked as a
command in the environment `.venv-bench` (BENCH_ENV names another), pandas reads and writes the columns of the same table.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from vtlab.sequence import first_prompts
from vtlab.studio.player_data import PlayerData
from vtlab.testing.scenes import moving_square, square_box

SHARED = Path(os.environ.get("VTLAB_SHARED", "../shared")) / "data" / "mot"
BENCH = Path(os.environ.get("BENCH_ENV", ".venv-bench"))
SEQUENCES = ("02", "04", "05", "10", "11")
Work = Callable[[], Any]
Row = tuple[str, Work, float, tuple[str, Work | None]]
"""What, vtlab's way, the goal in seconds, and the peer: its name and its way (None: it is not installed)."""
NOBODY = ("", None)


def main() -> None:
    """Print each row as it ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=",".join(GROUPS))
    options = parser.parse_args()
    table = Table(
        "what", "vtlab in s", "goal", "peer", "peer in s", "peer / vtlab", title="where people wait"
    )
    with tempfile.TemporaryDirectory() as folder:
        here = Path.cwd()
        for name in options.only.split(","):
            for what, own, goal, (peer, other) in GROUPS[name](Path(folder), here):
                mine, theirs = race(own, other, options.repeats)
                ratio = "" if theirs is None else f"{theirs / mine:.1f}"
                told = "" if not peer else "not installed" if theirs is None else f"{theirs:.3f}"
                print(f"{what}: {mine:.3f} s (goal {goal:g}) {peer} {told} {ratio}".rstrip(), flush=True)
                table.add_row(what, f"{mine:.3f}", f"{goal:g}", peer, told, ratio)
    Console().print(table)


def race(own: Work, other: Work | None, repeats: int) -> tuple[float, float | None]:
    """Median CPU seconds of both, run in turn, each once before."""
    sides = [own] if other is None else [own, other]
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + 1):
        for side, spent in zip(sides, times, strict=True):
            begin = cpu()
            side()
            if turn:
                spent.append(cpu() - begin)
    found = [statistics.median(spent) for spent in times]
    return found[0], found[1] if len(found) > 1 else None


def cpu() -> float:
    """User and system seconds of this process and of those that it waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in both)


def large(objects: int, frames: int) -> vtlab.Tracks:
    """Tracks of objects that are there on all frames."""
    frame, ids = np.repeat(np.arange(frames), objects), np.tile(np.arange(1, objects + 1), frames)
    left, top = 10.0 + 10 * ids, 10 + 0.02 * frame
    return vtlab.Tracks.of(
        frame, ids, np.stack([left, top, left + 20, top + 40], axis=1), 0.8, label="person"
    )


def tracks(folder: Path, here: Path) -> Iterator[Row]:
    """A million rows, kept, read and joined."""
    import pandas as pd

    table, place = large(100, 10_000), folder / "tracks.parquet"
    frame, other = table.to_frame(), folder / "pandas.parquet"
    halves = table.between(0, 5000), table.between(5000, 10_000)
    rows = frame[: len(frame) // 2], frame[len(frame) // 2 :]
    keep = partial(frame.to_parquet, other, compression="zstd")
    yield "save 1,000,000 rows", partial(table.save, place), 0.2, ("pandas", keep)
    yield "load them", partial(vtlab.Tracks.load, place), 0.15, ("pandas", partial(pd.read_parquet, other))
    yield "join two halves", partial(vtlab.Tracks.concat, halves), 0.1, ("pandas", partial(pd.concat, rows))


def session(folder: Path, here: Path) -> Iterator[Row]:
    """A session of 100 objects on 10,000 frames."""
    video = np.broadcast_to(np.zeros((1, 720, 1280, 3), np.uint8), (10_000, 720, 1280, 3))
    made = vtlab.Session.of(video, large(100, 10_000), "ncc")
    made.add(
        vtlab.BoxPrompt((10.0 + 10 * i, 20, 30.0 + 10 * i, 60), object_id=i, frame=f)
        for i in range(1, 101)
        for f in range(0, 10_000, 1000)
    )
    frames = iter(range(1, 10_000))

    def click() -> None:
        made.add(vtlab.BoxPrompt((50, 50, 70, 80), object_id=5, frame=next(frames)))

    def corrected() -> vtlab.Tracks:
        click()
        return made.tracks

    def swap() -> None:
        made.swap(7, 8, next(frames))

    where = "100 objects x 10,000 frames"
    yield f"click, {where}", click, 0.01, NOBODY
    yield f"click and all tracks, {where}", corrected, 0.03, NOBODY
    yield f"swap, {where}", swap, 0.1, NOBODY


def prompts(folder: Path, here: Path) -> Iterator[Row]:
    """Prompts of a truth, and what the player is sent: one pass over the rows, however many objects."""
    found = {f"{o:,} objects x {f:,} frames": large(o, f) for o, f in ((200, 1000), (10_000, 100))}
    if (truth := SHARED / "MOT17-04-DPM" / "gt" / "gt.txt").is_file():
        found["MOT17-04"] = vtlab.Tracks.load(truth, "motchallenge")
    for name, table in found.items():
        yield f"first prompts, {name}", partial(first_prompts, table), 0.2, NOBODY
        n = int(table.frame[-1]) + 1
        video = vtlab.open_video(np.broadcast_to(np.zeros((1, 1080, 1920, 3), np.uint8), (n, 1080, 1920, 3)))
        bare = table.replace(meta={})
        yield f"player's data, {name}", PlayerData(video, {"tracks": bare}).info, 0.2, NOBODY


def report(folder: Path, here: Path) -> Iterator[Row]:
    """The page of 12 sequences x 5 trackers."""
    clips = []
    for k in range(12):
        truth = vtlab.Tracks.of(range(20), 1, [square_box(i) for i in range(20)], size=(96, 128))
        video = vtlab.open_video(moving_square(20))
        clips.append(vtlab.Sequence(f"clip-{k}", video, truth, first_prompts(truth), benchmark="otb"))
    found = vtlab.compare(clips, ["identity", "ncc", "mosse", "kcf", "medianflow"], progress=False)

    def write() -> None:
        replace(found).report(
            folder / "report.html", video=False
        )  # a copy: nothing of it has been made before

    yield "report of 12 sequences x 5 trackers", write, 2.0, NOBODY


def evaluate(folder: Path, here: Path) -> Iterator[Row]:
    """The whole command on real MOT17."""
    zipped = SHARED / "results" / "Lif_T_MOT17-train.zip"
    if not zipped.is_file():
        raise FileNotFoundError(f"{zipped} (VTLAB_SHARED)")
    truth, results, flat = folder / "truth", folder / "lif", folder / "gt"
    for place in (truth, results, flat):
        place.mkdir()
    with zipfile.ZipFile(zipped) as archive:
        for k in SEQUENCES:
            name = f"MOT17-{k}-DPM"
            (truth / name).symlink_to((SHARED / name).resolve())
            (flat / f"{name}.txt").symlink_to((SHARED / name / "gt" / "gt.txt").resolve())
            inside = next(n for n in archive.namelist() if n.endswith(f"{name}.txt"))
            (results / f"{name}.txt").write_bytes(archive.read(inside))
    own = [sys.executable, "-m", "vtlab", "evaluate", "--truth", truth, "--tracks", results, "--as", "mot17"]
    python = here / BENCH / "bin" / "python"
    there = (
        python.is_file()
        and not subprocess.run([python, "-c", "import motrics"], capture_output=True).returncode
    )
    other = partial(run, [python, "-c", MOTRICS, flat, results]) if there else None
    yield (
        "vtlab evaluate, 5 sequences of MOT17",
        partial(run, [*own, "--workers", "1"]),
        0.9,
        ("motrics", other),
    )


MOTRICS = """
import sys, pathlib, motrics
for gt in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    truth, answer = motrics.load_motchallenge_gt(gt), motrics.load_motchallenge(f"{sys.argv[2]}/{gt.name}")
    g_ids, g_boxes, ids, boxes = motrics.preprocess_motchallenge(truth, answer, benchmark="MOT17")
    r = motrics.evaluate(motrics.Frames(ids=g_ids, boxes=g_boxes), motrics.Frames(ids=ids, boxes=boxes))
    print(gt.stem, r.hota.hota, r.clear.mota, r.identity.idf1)
"""


def annotator(folder: Path, here: Path) -> Iterator[Row]:
    """The first answer in a notebook: a fresh process imports vtlab and opens the annotator of a clip."""
    vtlab.video.write_video(folder / "clip.mp4", moving_square(20), 25)
    work = f"import vtlab; vtlab.annotate({str(folder / 'clip.mp4')!r})"
    yield "import vtlab to annotator open", partial(run, [sys.executable, "-c", work]), 1.5, NOBODY


def run(command: list[Any]) -> None:
    """Run a command that must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")


GROUPS = {f.__name__: f for f in (tracks, session, prompts, report, evaluate, annotator)}


if __name__ == "__main__":
    main()
