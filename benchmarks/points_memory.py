"""Point trackers: resident memory over 1,000 frames with 200 points, and time and memory of 5,000 points.

    python -m benchmarks.points_memory [frames] [method ...]
    python -m benchmarks.points_memory many [method ...]

Each method runs in a process of its own with random weights. Over 1,000 frames the points begin on frames 0, 20, 40
and 60, and the networks are shrunken so that the frames pass in minutes on a CPU: few layers, one iteration, small
input. What could grow with the video is kept by the trackers, whose windows have their real lengths. Printed are the
slope of resident memory between frame 200 and the end by least squares, which must stay below 5 KB a frame, and the
peak. `many` follows 5,000 points with the full networks over the frames of one short window, and prints the most
resident memory above what the loaded tracker takes. PIPs refines once instead of six times there: the time is a sixth,
the memory the same.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.memory_vos import FRAMES, LIMIT, START
from vtlab.prompts import PointPrompt, Prompts
from vtlab.testing.seeded.points import NETWORKS, random_weights
from vtlab.trackers.create import create_tracker
from vtlab.video import Frame

HEIGHT, WIDTH, POINTS, MANY = 120, 160, 200, 5000


def small_tapir(tracker: Any) -> None:
    from vtlab.trackers.points.tapir.inference import Network

    net = tracker._network.net
    net.extra_convs, net.initial_resolution = None, (64, 64)
    net.torch_pips_mixer.blocks = net.torch_pips_mixer.blocks[:1]
    tracker._network = Network(net, tracker._network.device, 64)


def small_cotracker(tracker: Any) -> None:
    tracker._network.size = (96, 128)
    former = tracker._network.net.updateformer
    for blocks in [k for k, _ in former.named_children() if k.endswith("blocks")]:
        setattr(former, blocks, getattr(former, blocks)[:1])


def small_tapnext(tracker: Any) -> None:
    tracker._resolution = 64


def small_pips(tracker: Any) -> None:
    layers = tracker._net.delta_block.to_delta
    del layers[2:13]  # one mixer of twelve stays


def small_alltracker(tracker: Any) -> None:
    refine = tracker._net.update_block.refine
    del refine[2:]  # one block over time and one over space of three stay


class Small(NamedTuple):
    """How a method is shrunk, and how many frames of the full one are enough for 5,000 points.

    Attributes:
        options: Of the constructor.
        constants: Of the network's file, set before the network is made.
        shrink: Called with the tracker before it runs.
        many: Frames for 5,000 points.
        many_options: Of the constructor for 5,000 points.
    """

    options: dict[str, Any]
    constants: dict[str, int]
    shrink: Callable[[Any], None] | None
    many: int
    many_options: tuple[tuple[str, Any], ...] = ()


TAPIR = Small({}, {"tapir.WIDTH": 64, "tapir.PATCH": 3}, small_tapir, 2)
COTRACKER = {f"cotracker3.{k}": v for k, v in {"WIDTH": 96, "RADIUS": 1, "PATCH": 9}.items()}
SHRUNKEN = {
    "lucas-kanade": Small({}, {}, None, 100),
    "pips": Small({"size": (64, 64), "iterations": 1}, {}, small_pips, 2, (("iterations", 1),)),
    "tapir": TAPIR,
    "bootstapir": TAPIR,
    "bootstapir-online": TAPIR,
    "tapnext++": Small({}, {"tapnext.WIDTH": 96, "tapnext.DEPTH": 2}, small_tapnext, 2),
    "alltracker-tiny": Small({"size": (128, 128), "iterations": 1}, {}, small_alltracker, 16),
    "cotracker3-offline": Small({"iterations": 1}, COTRACKER, small_cotracker, 8),
    "cotracker3-online": Small({"iterations": 1}, COTRACKER, small_cotracker, 8),
}


def frames(count: int) -> Iterator[Frame]:
    """A texture that drifts."""
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3))
    texture = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
    for i in range(count):
        yield Frame(i, i / 25, np.roll(texture, (i // 3, i // 2), (0, 1)))


def queries(count: int, starts: tuple[int, ...]) -> Prompts:
    rng = np.random.default_rng(0)
    xy = rng.uniform((5, 5), (WIDTH - 5, HEIGHT - 5), (len(starts), count // len(starts), 2))
    return Prompts(
        PointPrompt(points, frame=start, object_id=i + 1)
        for i, (points, start) in enumerate(zip(xy, starts, strict=True))
    )


def load(name: str, options: dict[str, Any]) -> Any:
    """The tracker with random weights, by way of a checkpoint file."""
    if name not in NETWORKS:
        return create_tracker(name, **options)
    with tempfile.TemporaryDirectory() as folder:
        return create_tracker(name, weights=random_weights(name, Path(folder)), device="cpu", **options)


def answers(tracker: Any, prompts: Prompts, count: int) -> Iterator[int]:
    """Follow points; what the tracker answers is not kept (kept, it grows by its nature)."""
    if hasattr(tracker, "run"):
        yield from (index for index, _ in tracker.run(frames(count), prompts, count))
        return
    for f in frames(count):
        step = tracker.step if f.index else tracker.init
        step(f, prompts.at(f.index))
        yield f.index


def run_long(name: str, count: int) -> list[int]:
    """Resident bytes after each frame's answer."""
    how, process = SHRUNKEN[name], psutil.Process()
    for constant, value in how.constants.items():
        file, attribute = constant.split(".")
        setattr(importlib.import_module(f"vtlab.nets.{file}"), attribute, value)
    tracker = load(name, how.options)
    if how.shrink is not None:
        how.shrink(tracker)
    prompts = queries(POINTS, (0, 20, 40, 60))
    return [process.memory_info().rss for _ in answers(tracker, prompts, count)]


def run_many(name: str) -> tuple[float, int, int]:
    """Seconds, resident bytes of the loaded tracker, and the most while it runs."""
    tracker, process, done = (
        load(name, dict(SHRUNKEN[name].many_options)),
        psutil.Process(),
        threading.Event(),
    )
    before = process.memory_info().rss
    peak = [before]

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    found = sum(1 for _ in answers(tracker, queries(MANY, (0,)), SHRUNKEN[name].many))
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    assert found == SHRUNKEN[name].many
    return seconds, before, peak[0]


def child(*words: str) -> Any:
    """What a process of its own prints last.

    Its allocator gives every block from 64 KiB on back at once: what is resident is what is held, not what glibc keeps
    for later (which moves by a hundred MB from window to window and hides a slope).
    """
    command = [sys.executable, "-m", "benchmarks.points_memory", "--child", *words]
    environment = os.environ | {f"MALLOC_{name}_THRESHOLD_": "65536" for name in ("MMAP", "TRIM")}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(answer.splitlines()[-1])


def table(title: str, *columns: str) -> Table:
    made = Table(title=title)
    for column in ("method", *columns):
        made.add_column(column, justify="left" if column == "method" else "right")
    return made


def main() -> None:
    words = sys.argv[1:]
    count = next((int(w) for w in words if w.isdigit()), FRAMES)
    chosen = [w for w in words if w in SHRUNKEN] or list(SHRUNKEN)
    if "--child" in words:
        print(json.dumps(run_many(chosen[0]) if "many" in words else run_long(chosen[0], count)))
        return
    if "many" in words:
        shown = table(
            f"{MANY} points on {WIDTH} x {HEIGHT}, full networks, CPU",
            "frames",
            "s a frame",
            "loaded MB",
            "+ MB",
        )
        for name in chosen:
            seconds, before, peak = child("many", name)
            number = SHRUNKEN[name].many
            row = (
                f"{number}",
                f"{seconds / number:.2f}",
                f"{before / 2**20:.0f}",
                f"{(peak - before) / 2**20:.0f}",
            )
            shown.add_row(name, *row)
    else:
        title = f"{count} frames of {WIDTH} x {HEIGHT}, {POINTS} points; slope from frame {START}, at most {LIMIT} KB"
        shown = table(title, "KB a frame", "peak MB", "")
        for name in chosen:
            resident = np.array(child(str(count), name)) / 1024
            slope = np.polyfit(np.arange(START, count), resident[START:count], 1)[0]
            verdict = "flat" if slope < LIMIT else "GROWS"
            shown.add_row(name, f"{slope:.2f}", f"{resident.max() / 1024:.0f}", verdict)
    Console().print(shown)


if __name__ == "__main__":
    main()
