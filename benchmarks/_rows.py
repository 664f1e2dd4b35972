"""The rows of the table: what vtlab is measured at, the peer, and the goal."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks import _waits as waits
from benchmarks._measure import BARE, Cost, Row, clocked, cpu_of

SHARED = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data"
waits.given_weights(SHARED)
_BYTETRACK = {
    "ioutrack (Rust)": ("benchmarks._association_peers:ioutrack", ("stream.npz",)),
    "visiontrack-cpp (C++)": ("benchmarks._association_peers:visiontrack", ("stream.npz",)),
    "edgefirst-tracker (Rust)": ("benchmarks._association_peers:edgefirst", ("stream.npz",)),
}


def association(method: str, scene: str) -> Callable[[Path], Cost]:
    """Microseconds a frame of an associator's updates; the stream is laid down for the peers."""

    def make(folder: Path) -> Cost:
        from vtlab.testing import streams

        if scene == "crowd":
            stream = streams.crowd()
        elif (SHARED / "mot").is_dir():
            names = streams.DETECTIONS if scene == "real" else [scene]
            stream = [d for name in names for d in streams.real(SHARED / "mot", name)]
        else:
            stream = streams.walkers(600, 16)
        boxes, scores = zip(*((d.xyxy, d.confidence) for d in stream), strict=True)
        np.savez(
            folder / "stream.npz",
            boxes=np.concatenate(boxes),
            scores=np.concatenate(scores),
            counts=[len(b) for b in boxes],
        )
        return lambda: streams.ours(method, stream)[1] * 1e6 / len(stream)

    return make


def around(folder: Path) -> Cost:
    """Milliseconds a frame of `track` by given detections beyond the associator's own updates."""
    import vtlab
    from vtlab.detectors.public import PublicDetections
    from vtlab.testing import streams
    from vtlab.trackers.compose.by_detection import ByDetection

    name = "MOT17-04-DPM"
    detections = str(SHARED / "mot" / name / "det/det.txt")
    stream = streams.real(SHARED / "mot", name)
    video = vtlab.open_video(np.zeros((len(stream), 2, 2, 3), np.uint8), fps=30)

    def cost() -> float:
        tracker = ByDetection(PublicDetections(path=detections), "bytetrack")
        begin = time.process_time()
        vtlab.track(video, tracker=tracker, progress=False)
        return (time.process_time() - begin - streams.ours("bytetrack", stream)[1]) * 1e3 / len(stream)

    return cost


def wrapper(method: str, size: tuple[int, int]) -> Callable[[Path], tuple[Cost, Mapping[str, Cost]]]:
    """Milliseconds of a step of OpenCV's tracker through vtlab, and of cv2 called directly over the same frames."""

    def make(folder: Path) -> tuple[Cost, Mapping[str, Cost]]:
        from benchmarks import wrappers

        last: list[float] = []
        # A process of its own: OpenCV's threads and the allocator are set there, and other rows must not have them so.
        alone = ProcessPoolExecutor(1, get_context("spawn"))

        def ours() -> float:
            mine, theirs = alone.submit(wrappers.measure, method, size, 1).result()
            last[:] = [theirs]
            return mine

        return ours, {"cv2": lambda: last[0]}

    return make


def command(*words: str) -> Callable[[Path], Cost]:
    """CPU seconds of a command of vtlab beyond those of a bare interpreter."""

    def make(folder: Path) -> Cost:
        bare = statistics.median(cpu_of(BARE) for _ in range(5))
        return lambda: cpu_of([sys.executable, *words]) - bare

    return make


def mot17(folder: Path) -> None:
    """The MOT17 sequences of the shared data with Lif_T's published output, as TrackEval lays them out."""
    results = folder / "trackers/it/data"
    results.mkdir(parents=True)
    with zipfile.ZipFile(SHARED / "mot/results/Lif_T_MOT17-train.zip") as archive:
        for source in sorted((SHARED / "mot").glob("MOT17-*")):
            shutil.copytree(source, folder / "gt" / source.name, ignore=shutil.ignore_patterns("det"))
            (results / f"{source.name}.txt").write_bytes(archive.read(f"Lif_T/{source.name}.txt"))


def metrics(folder: Path) -> Cost:
    """CPU seconds of HOTA, CLEAR and Identity from files to numbers, in a process that is warm."""
    from benchmarks.metrics import by_vtlab

    mot17(folder)
    return clocked(lambda: by_vtlab(folder, "MOT17"))


def evaluate(folder: Path) -> Cost:
    """CPU seconds of the whole command, start of the interpreter and all."""
    mot17(folder)
    words = ["--truth", folder / "gt", "--tracks", folder / "trackers/it/data", "--as", "mot17"]
    return lambda: cpu_of([sys.executable, "-m", "vtlab", "evaluate", *map(str, words)])


def table(what: str) -> Callable[[Path], tuple[Cost, Mapping[str, Cost]]]:
    """CPU seconds of something done with `Tracks` of a million rows, and with a frame of pandas that has its columns."""

    def make(folder: Path) -> tuple[Cost, Mapping[str, Cost]]:
        import pandas as pd

        from vtlab.tracks import Tracks

        def tracks(frames: int, objects: int, first: int = 1) -> Tracks:
            rng = np.random.default_rng(0)
            corner = rng.random((frames * objects, 2)) * 1000
            return Tracks.of(
                np.repeat(np.arange(frames), objects),
                np.tile(np.arange(first, first + objects), frames),
                np.concatenate([corner, corner + 20], axis=1),
                0.9,
            )

        file, other = folder / "tracks.parquet", folder / "pandas.parquet"
        if what == "concat":
            parts = [tracks(1000, 500), tracks(1000, 500, 501)]
            frames = [p.to_frame() for p in parts]
            return clocked(lambda: Tracks.concat(parts)), {"pandas": clocked(lambda: pd.concat(frames))}
        million = tracks(1000, 1000)
        million.save(file)
        frame = million.to_frame()
        frame.to_parquet(other, compression="zstd")
        if what == "load":
            return clocked(lambda: Tracks.load(file)), {"pandas": clocked(lambda: pd.read_parquet(other))}
        keep = clocked(lambda: frame.to_parquet(other, compression="zstd"))
        return clocked(lambda: million.save(file)), {"pandas": keep}

    return make


def loop(folder: Path) -> Cost:
    """Milliseconds a frame that `track` adds to a tracker's own steps."""
    import vtlab
    from benchmarks import overhead

    video = vtlab.open_video(np.zeros((overhead.FRAMES, 32, 32, 3), np.uint8))
    video.digest()
    prompts = vtlab.Prompts(
        vtlab.BoxPrompt((1, 1, 9, 9), object_id=i) for i in range(1, overhead.OBJECTS + 1)
    )
    return lambda: overhead.looped(video, prompts) - overhead.bare(video, prompts)


def tenth(folder: Path) -> tuple[Cost, Mapping[str, Cost]]:
    """CPU milliseconds for every tenth frame of a 720p file, and OpenCV's: grab all, retrieve every tenth."""
    import cv2

    from vtlab.datasets.synthetic import synthetic
    from vtlab.video import open_video, write_video

    path = folder / "clip.mp4"
    scene = synthetic(seed=1, seconds=200 / 30, size=(1280, 720))
    write_video(path, (f.image for f in scene.video.frames()), fps=30)

    def ours() -> None:
        with open_video(path, cache_bytes=0) as video:
            for frame in video[::10].frames():
                assert frame.image.shape == (720, 1280, 3)

    def theirs() -> None:
        capture = cv2.VideoCapture(str(path))
        for k in range(200):
            assert capture.grab()
            if k % 10 == 0:
                capture.retrieve()
        capture.release()

    return clocked(ours, 1000 / 20), {"OpenCV": clocked(theirs, 1000 / 20)}


def side_by_side(folder: Path) -> Cost:
    """CPU milliseconds a frame of the video of four panels of a 720p clip, reading and encoding and all."""
    import vtlab
    from vtlab.datasets.synthetic import synthetic

    scene = synthetic(seed=1, seconds=1, size=(1280, 720))
    clip = folder / "clip.mp4"
    vtlab.video.write_video(clip, (f.image for f in scene.video.frames()), fps=30)
    four = {f"tracker {k}": "identity" for k in range(4)}
    found = vtlab.compare(clip, four, prompts=scene.prompts, progress=False)
    return clocked(lambda: found.save_video(folder / "side.mp4"), 1000 / len(scene.video))


def exported(method: str) -> Callable[[Path], tuple[Cost, Mapping[str, Cost]]]:
    """CPU milliseconds of an exported step, of template and step on each frame as before, and of PyTorch."""

    def make(folder: Path) -> tuple[Cost, Mapping[str, Cost]]:
        from benchmarks.exported import costs

        return costs(method, folder)

    return make


ROWS = (
    Row(
        "sparse",
        "ByteTrack, 14 boxes a frame (MOT17-02, FRCNN)",
        "µs a frame",
        association("bytetrack", "MOT17-02-FRCNN"),
        _BYTETRACK,
        1e6 / 600,
        at_most=1e6 / 15_000,
    ),
    Row(
        "crowd",
        "ByteTrack, a crowd of 214 boxes",
        "µs a frame",
        association("bytetrack", "crowd"),
        _BYTETRACK,
        1e6 / 60,
        at_most=1e6 / 2_500,
    ),
    Row(
        "ocsort",
        "OC-SORT, nine streams of real detections in a row",
        "µs a frame",
        association("ocsort", "real"),
        {"trackers": ("benchmarks._association_peers:roboflow", ("stream.npz", "ocsort"))},
        1e6 / 5937,
        ratio=6.0,
    ),
    Row("around", "`track` by detection around the associator, MOT17-04", "ms a frame", around, at_most=0.3),
    Row("loop", "the loop of `track` around a tracker's steps", "ms a frame", loop, at_most=0.15),
    *(
        Row(
            f"{method}-{size[1]}",
            f"{method} of OpenCV, {size[0]} x {size[1]}",
            "ms a step",
            wrapper(method, size),
            ratio=round(1 / 1.05, 3),
        )
        for method in ("mosse", "medianflow", "kcf", "nanotrack-v2")
        for size in ((576, 432), (1280, 720), (1920, 1080))
    ),
    Row(
        "metrics",
        "HOTA, CLEAR and Identity of five MOT17 sequences",
        "CPU s",
        metrics,
        {
            "TrackEval": ("benchmarks.metrics:by_trackeval", (".", "MOT17")),
            "motrics (Rust)": ("benchmarks.metrics:by_motrics", (".", "MOT17")),
        },
        ratio=8.0,
    ),
    Row(
        "evaluate",
        "`vtlab evaluate` as a whole command, five MOT17 sequences",
        "CPU s",
        evaluate,
        {"motrics (Rust)": ("benchmarks._peer:whole", ("benchmarks.metrics:by_motrics", ".", "MOT17"))},
        at_most=0.9,
    ),
    Row(
        "help",
        "`vtlab --help` beyond a bare interpreter",
        "CPU s",
        command("-m", "vtlab", "--help"),
        at_most=0.1,
    ),
    Row(
        "trackers",
        "`vtlab list trackers` beyond a bare interpreter",
        "CPU s",
        command("-m", "vtlab", "list", "trackers"),
        at_most=0.2,
    ),
    *(
        Row(
            f"{key}-{size}",
            f"{what}, {where}",
            "CPU s",
            waits.waited("prompts", f"{what}, {where}"),
            at_most=0.2,
        )
        for size, where in (
            ("200", "200 objects x 1,000 frames"),
            ("10000", "10,000 objects x 100 frames"),
            ("mot17", "MOT17-04"),
        )
        for key, what in (("prompts", "first prompts"), ("player", "player's data"))
    ),
    Row("load", "`Tracks.load`, a million rows", "CPU s", table("load"), at_most=0.15),
    Row("save", "`Tracks.save`, a million rows", "CPU s", table("save"), at_most=0.2),
    Row("concat", "`Tracks.concat`, two times half a million rows", "CPU s", table("concat"), at_most=0.1),
    *(
        Row(f"step-{m}", f"exported step of {m} by ONNX Runtime, one object", "CPU ms a frame", exported(m))
        for m in ("nanotrack-v3", "transt")
    ),
    Row(
        "side", "side-by-side video, four panels of 1280 x 720", "CPU ms a frame", side_by_side, at_most=15.0
    ),
    *(
        Row(
            f"session-{key}",
            f"Session of 100 objects x 10,000 frames: {what}",
            "CPU s",
            waits.waited("session", f"{what},"),
            at_most=most,
        )
        for key, what, most in (
            ("click", "click", 0.01),
            ("tracks", "click and all tracks", 0.03),
            ("swap", "swap", 0.1),
        )
    ),
    Row(
        "report",
        "report of 12 sequences x 5 trackers",
        "CPU s",
        waits.waited("report", "report"),
        at_most=2.0,
    ),
    Row(
        "notebook",
        "first answer in a notebook: `import vtlab` to an open annotator",
        "CPU s",
        waits.waited("annotator", "import vtlab"),
        at_most=1.5,
    ),
    Row(
        "memory-one",
        "memory that `compare` of a tracker on 80 frames of 1280 x 720 adds",
        "MB",
        waits.compared(1, "identity", 2**30),
        at_most=20.0,
    ),
    Row(
        "memory-two",
        "memory that `compare` of two trackers on two such clips adds, memory_budget=128 MiB",
        "MB",
        waits.compared(2, "identity,ncc", 2**27),
        at_most=134.0,
    ),
    Row(
        "nanotrack",
        "NanoTrack v2's networks by ONNX Runtime, one object",
        "CPU ms a frame",
        waits.nanotrack,
        at_most=2.5,
    ),
    Row(
        "sam2",
        "SAM 2.1 tiny at 128 px, 16 objects, two threads",
        "CPU ms a frame",
        waits.sam2(half=False),
        ratio=2.5,
    ),
    Row(
        "sam2-bfloat16",
        "the same in bfloat16",
        "CPU ms a frame",
        waits.sam2(half=True),
    ),
    Row("tenth", "every tenth frame, 1280 x 720", "CPU ms a frame", tenth, ratio=1.0),
)
