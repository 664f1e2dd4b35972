"""Rows of networks, of memory, and of what people wait for: their set-up, for the table in `_rows`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks._measure import LIMIT, Beside, Cost, clocked

MISSING = "not installed"


def waited(group: str, what: str) -> Callable[[Path], Cost]:
    """CPU seconds, children and all, of what `benchmarks.waiting` calls by that name."""

    def make(folder: Path) -> Cost:
        from benchmarks import waiting

        rows = waiting.GROUPS[group](folder, Path.cwd())
        work = next((do for name, do, _, _ in rows if name.startswith(what)), None)
        if work is None:
            raise FileNotFoundError(f"{what} needs the real data (VTLAB_SHARED=folder)")

        def cost() -> float:
            begin = waiting.cpu()
            work()
            return waiting.cpu() - begin

        return cost

    return make


_COMPARED = """
import sys, numpy as np, vtlab
from vtlab.sequence import Sequence

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

clips, trackers, budget = int(sys.argv[2]), sys.argv[4].split(","), int(sys.argv[3])
prompts = vtlab.Prompts([vtlab.BoxPrompt((200, 200, 300, 300))])
def compare(frames):
    given = [Sequence(f"clip {k}", vtlab.open_video(sys.argv[1])[:frames], None, prompts) for k in range(clips)]
    vtlab.compare(given, trackers, memory_budget=budget, progress=False)
compare(4)
before = peak()
compare(80)
print(peak() - before)
"""


def compared(clips: int, trackers: str, budget: int) -> Callable[[Path], Cost]:
    """MB that `compare` of clips of 80 frames of 720p adds to its peak over that of 4 frames, in a process of its own."""

    def make(folder: Path) -> Cost:
        from benchmarks.memory import scene
        from vtlab.video import write_video

        frames = (image for _, image in zip(range(80), scene(), strict=False))
        clip = write_video(folder / "clip.mp4", frames, 30, quality=30)
        words = [sys.executable, "-c", _COMPARED, str(clip), str(clips), str(budget), trackers]

        def cost() -> float:
            done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=LIMIT)
            return float(done.stdout.split()[-1])

        return cost

    return make


def nanotrack(folder: Path) -> tuple[Cost, Mapping[str, Beside]]:
    """CPU milliseconds of NanoTrack v2's networks for an object on a frame, by each engine, one thread."""
    from vtlab.trackers.create import create_tracker

    rng = np.random.default_rng(0)
    small, large = (rng.integers(0, 255, (side, side, 3), np.uint8) for side in (127, 255))

    def by(name: str) -> Cost:
        with one_core():
            engine = create_tracker("nanotrack-v2", engine=name).engine
        kept, once = engine.templates([small]), clocked(lambda: engine.maps(kept, [large]), 1e3)

        def cost() -> float:
            with one_core():
                return statistics.median(once() for _ in range(20))  # a thread that waits busily spoils a few

        return cost

    return by("onnxruntime"), {"OpenCV's DNN": by("opencv"), "PyTorch": by("torch")}


@contextmanager
def one_core() -> Iterator[None]:
    """One processor for what starts within: ONNX Runtime takes a thread for each that it may use, and they wait busily."""
    import cv2

    before, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    os.sched_setaffinity(0, {min(before)})
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        cv2.setNumThreads(threads)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


SIDE, OBJECTS, FRAMES = 128, 16, 4


def sam2(half: bool) -> Callable[[Path], tuple[Cost, Mapping[str, Beside]]]:
    """CPU milliseconds a frame of SAM 2.1 tiny at 128 px with 16 objects, two threads, and of the package's predictor."""

    def make(folder: Path) -> tuple[Cost, Mapping[str, Beside]]:
        import torch

        from benchmarks import vos_speed
        from vtlab.testing.seeded import masks

        warnings.simplefilter("ignore")
        network, images = masks.sam2("sam2.1-tiny", SIDE), vos_speed.clip(FRAMES, SIDE)

        def milliseconds(run: Callable[[], np.ndarray]) -> Cost:
            def cost() -> float:
                with threads(2):
                    return float(run().sum()) * 1e3 / FRAMES

            return cost

        def ours(dtype: torch.dtype) -> Cost:
            return milliseconds(lambda: vos_speed.run_vtlab(network, images, OBJECTS, dtype)[0])

        try:
            predictor = masks.sam2_predictor("sam2.1-tiny", network)
            package: Beside = milliseconds(lambda: vos_speed.run_upstream(predictor, images, OBJECTS))
        except ImportError:
            package = MISSING
        if not half:
            return ours(torch.float32), {"the package `sam2`": package}
        found = [vos_speed.run_vtlab(network, images, OBJECTS, d)[1] for d in (torch.float32, torch.bfloat16)]
        least, mean = vos_speed.agreement(*found)
        flags = Path("/proc/cpuinfo")
        has = flags.exists() and any(f in flags.read_text() for f in ("avx512_bf16", "amx_bf16"))
        return ours(torch.bfloat16), {
            "the package `sam2`, float32": package,
            "vtlab, float32": ours(torch.float32),
            "IoU of its masks with float32's": f"at least {least:.3f}, {mean:.3f} in the mean",
            "bfloat16 of the processor": "yes" if has else "none: slower than float32 here",
        }

    return make


def given_weights(data: Path) -> None:
    """Take the small real weights of the shared data where no other folder is named."""
    if (data / "weights").is_dir():
        os.environ.setdefault("VTLAB_WEIGHTS", str(data / "weights"))
