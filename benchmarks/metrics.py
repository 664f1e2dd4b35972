"""Metrics against the tools people use: the same files, the same numbers, medians of user CPU in one run.

    python -m benchmarks.metrics [--repeats 5] [--only mot17,real,mot20,growth,masks,boxes] [--crowd 1.0]

Peers are measured where they are installed (extra `bench`; davis2017-evaluation on PYTHONPATH). MOT data is
synthetic, with the frames, boxes and tracks of each MOT17 and MOT20 train sequence's truth, so it needs no
download; every tool must give the same HOTA, MOTA, IDF1 and IDSW before its time counts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import resource
import shutil
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Size = tuple[int, int, int]
"""Frames, boxes and tracks of a sequence's truth."""
MOT17: dict[str, Size] = {
    "02": (600, 18581, 62),
    "04": (1050, 47557, 83),
    "05": (837, 6917, 133),
    "09": (525, 5325, 26),
    "10": (654, 12839, 57),
    "11": (900, 9436, 75),
    "13": (750, 11642, 110),
}
MOT20: dict[str, Size] = {
    "01": (429, 19870, 74),
    "02": (2782, 154742, 270),
    "03": (2405, 313658, 702),
    "05": (3315, 646344, 1169),
}

Numbers = dict[str, float]
Tool = Callable[[], Numbers]
Row = tuple[str, str, float, float, str]


def cpu_seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def has(module: str) -> bool:
    with contextlib.suppress(ImportError):
        return importlib.util.find_spec(module) is not None
    return False


def race(
    tools: dict[str, Tool],
    repeats: int,
    known: dict[str, dict[str, float]] | None = None,
    notes: list[str] | None = None,
) -> dict[str, float]:
    """Run all tools in turn, `repeats` times; assert numbers equal to 1e-9; return the median user CPU of each.

    `known` names the numbers in which a tool is known to differ from the others, and by how much at most; what the
    difference was goes to `notes`.
    """
    times: dict[str, list[float]] = {name: [] for name in tools}
    truth: Numbers = {}
    said: dict[tuple[str, str], str] = {}
    for _ in range(repeats):
        for name, tool in tools.items():
            start = cpu_seconds()
            numbers = tool()
            times[name].append(cpu_seconds() - start)
            truth = truth or numbers
            for key in truth.keys() & numbers.keys():
                allowed = (known or {}).get(name, {}).get(key.split(" of ")[0], 1e-9)
                assert abs(numbers[key] - truth[key]) <= allowed, (name, key, numbers[key], truth[key])
                if abs(numbers[key] - truth[key]) > 1e-9:
                    said[name, key] = f"{name}: {key} {numbers[key]:.9g}, the others {truth[key]:.9g}"
            assert truth.keys() & numbers.keys()
    if notes is not None:
        notes += said.values()
    return {name: statistics.median(t) for name, t in times.items()}


def write_sequence(root: Path, name: str, size: Size, seed: int) -> None:
    """Pedestrians that walk, and an answer with noise, gaps, false boxes and switched identities."""
    rng = np.random.default_rng(seed)
    frames, boxes, expected = size
    crowd = boxes / frames
    walks: list[np.ndarray] = []
    count = 0
    while count < boxes:
        length = min(frames, int(rng.uniform(0.2, 1.8) * boxes / expected) + 1)
        walks.append(int(rng.integers(0, frames - length + 1)) + np.arange(length))
        count += length
    tracks = len(walks)
    frame, owner = np.concatenate(walks), np.repeat(np.arange(tracks), [len(w) for w in walks])
    frame, owner = frame[:boxes], owner[:boxes]
    origin, speed = rng.uniform((0, 300), (1900, 800), (tracks, 2)), rng.normal(0, 2, (tracks, 2))
    height = rng.uniform(60, 260, tracks) * min(1.0, 3 / np.sqrt(crowd) + 0.25)
    corner = origin[owner] + speed[owner] * (frame - frame.min())[:, None] % 1900
    truth = np.column_stack([frame + 1, owner + 1, corner, 0.41 * height[owner], height[owner]])
    truth[:, 2:] = truth[:, 2:].round(1)
    keep = rng.random(boxes) < 0.72
    answer = truth[keep].copy()
    answer[:, 2:4] += rng.normal(0, 0.05, (len(answer), 2)) * answer[:, 4:6]
    answer[:, 4:6] *= rng.normal(1, 0.04, (len(answer), 2)).clip(0.8, 1.2)
    answer[:, 1] += tracks * (
        (answer[:, 0] + 7 * answer[:, 1]) % 400 // 180
    )  # identities change now and then
    false = answer[rng.random(len(answer)) < 0.04].copy()
    false[:, 2] += 300
    false[:, 1] += 10 * tracks
    answer = np.concatenate([answer, false])
    answer = answer[np.lexsort((answer[:, 0], answer[:, 1]))]
    folder = root / "gt" / name
    (folder / "gt").mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate=30\nseqLength={frames}\nimWidth=1920\nimHeight=1080\n"
    )
    np.savetxt(
        folder / "gt/gt.txt", np.column_stack([truth, np.ones((boxes, 3))]), "%d,%d,%g,%g,%g,%g,%d,%d,%d"
    )
    results = root / "trackers/it/data"
    results.mkdir(parents=True, exist_ok=True)
    tail = np.tile([0.9, -1, -1, -1], (len(answer), 1))
    np.savetxt(
        results / f"{name}.txt", np.column_stack([answer, tail]), "%d,%d,%.3f,%.3f,%.3f,%.3f,%g,%d,%d,%d"
    )


def write_benchmark(root: Path, stem: str, sequences: dict[str, Size]) -> None:
    for seed, (name, size) in enumerate(sequences.items()):
        write_sequence(root, f"{stem}-{name}", size, seed)


def by_vtlab(root: Path, stem: str) -> Numbers:
    from vtlab.benchmark import evaluate_folders

    table = evaluate_folders(root / "gt", root / "trackers", stem.lower(), workers=1).table
    total = {k: float(table.iloc[-1][k]) for k in ("HOTA", "AssA", "MOTA", "IDF1", "IDSW")}
    return total | {f"HOTA of {name}": float(row.HOTA) for (_, name), row in table.iloc[:-1].iterrows()}


def by_trackeval(root: Path, stem: str) -> Numbers:
    import trackeval

    with contextlib.redirect_stdout(io.StringIO()):
        paths = {"GT_FOLDER": str(root / "gt"), "TRACKERS_FOLDER": str(root / "trackers")}
        known = {"SEQ_INFO": {p.name: None for p in (root / "gt").iterdir()}, "BENCHMARK": stem}
        quiet = {"SKIP_SPLIT_FOL": True, "PRINT_CONFIG": False}
        dataset = trackeval.datasets.MotChallenge2DBox({**paths, **known, **quiet})
        metrics = [m() for m in (trackeval.metrics.HOTA, trackeval.metrics.CLEAR, trackeval.metrics.Identity)]
        config = {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "OUTPUT_SUMMARY": False, "TIME_PROGRESS": False,
                  "OUTPUT_DETAILED": False, "PLOT_CURVES": False, "BREAK_ON_ERROR": True}  # fmt: skip
        results = trackeval.Evaluator(config).evaluate([dataset], metrics)[0]["MotChallenge2DBox"]["it"]
    total = results["COMBINED_SEQ"]["pedestrian"]
    return {
        "HOTA": float(np.mean(total["HOTA"]["HOTA"])),
        "AssA": float(np.mean(total["HOTA"]["AssA"])),
        "MOTA": float(total["CLEAR"]["MOTA"]),
        "IDF1": float(total["Identity"]["IDF1"]),
        "IDSW": float(total["CLEAR"]["IDSW"]),
        **{
            f"HOTA of {name}": float(np.mean(found["pedestrian"]["HOTA"]["HOTA"]))
            for name, found in results.items()
            if name != "COMBINED_SEQ"
        },
    }


def by_motrics(root: Path, stem: str) -> Numbers:
    """Its own readers, preprocessing and metrics; sequences are added up from its counts."""
    import motrics

    sums = dict.fromkeys(("gt", "error", "idtp", "idfp", "idfn", "idsw"), 0.0)
    hota = {}
    for folder in sorted((root / "gt").iterdir()):
        gt = motrics.load_motchallenge_gt(folder / "gt/gt.txt")
        answer = motrics.load_motchallenge(root / f"trackers/it/data/{folder.name}.txt")
        g_ids, g_boxes, ids, boxes = motrics.preprocess_motchallenge(gt, answer, benchmark=stem)
        r = motrics.evaluate(motrics.Frames(ids=g_ids, boxes=g_boxes), motrics.Frames(ids=ids, boxes=boxes))
        c, i = r.clear, r.identity
        sums["gt"] += c.num_gt
        sums["error"] += c.num_misses + c.num_false_positives + c.num_switches
        sums["idsw"] += c.num_switches
        for key, value in (("idtp", i.idtp), ("idfp", i.idfp), ("idfn", i.idfn)):
            sums[key] += value
        hota[f"HOTA of {folder.name}"] = float(r.hota.hota)
    return {
        **hota,
        "MOTA": 1 - sums["error"] / sums["gt"],
        "IDF1": sums["idtp"] / (sums["idtp"] + 0.5 * sums["idfp"] + 0.5 * sums["idfn"]),
        "IDSW": sums["idsw"],
    }


def by_trackers(root: Path, stem: str) -> Numbers:
    from trackers.eval import evaluate_mot_sequences

    found = evaluate_mot_sequences(
        gt_dir=root / "gt", tracker_dir=root / "trackers/it/data", metrics=["CLEAR", "HOTA", "Identity"]
    )
    result = found.aggregate
    return {
        **{f"HOTA of {name}": float(one.HOTA.HOTA) for name, one in found.sequences.items()},
        "HOTA": float(result.HOTA.HOTA),
        "MOTA": float(result.CLEAR.MOTA),
        "IDF1": float(result.Identity.IDF1),
        "IDSW": float(result.CLEAR.IDSW),
    }


def by_motmetrics(root: Path, stem: str) -> Numbers:
    """Its own reader and distances (np.asfarray, which NumPy 2 dropped, is put back), CLEAR and Identity only."""
    import motmetrics as mm

    np.asfarray = lambda a, dtype=float: np.asarray(a, dtype)  # type: ignore[attr-defined] # noqa: NPY201
    accumulators = []
    for folder in sorted((root / "gt").iterdir()):
        gt = mm.io.loadtxt(folder / "gt/gt.txt", fmt="mot15-2D", min_confidence=1)
        answer = mm.io.loadtxt(root / f"trackers/it/data/{folder.name}.txt", fmt="mot15-2D")
        accumulators.append(mm.utils.compare_to_groundtruth(gt, answer, "iou", distth=0.5))
    table = mm.metrics.create().compute_many(
        accumulators, metrics=["mota", "idf1", "num_switches"], generate_overall=True
    )
    row = table.loc["OVERALL"]
    return {"MOTA": float(row.mota), "IDF1": float(row.idf1), "IDSW": float(row.num_switches)}


def mot(stem: str, sequences: dict[str, Size], repeats: int, notes: list[str]) -> list[Row]:
    peers: list[tuple[str, str, Callable[[Path, str], Numbers], str]] = [
        ("TrackEval", "trackeval", by_trackeval, "8"),
        ("motrics (Rust)", "motrics", by_motrics, "1"),
        ("trackers.eval", "trackers", by_trackers, "6"),
        ("py-motmetrics", "motmetrics", by_motmetrics, "12"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_benchmark(root, stem, sequences)
        tools: dict[str, Tool] = {"vtlab": lambda: by_vtlab(root, stem)}
        goals = {}
        for label, module, run, goal in peers:
            if has(module):
                tools[label] = lambda run=run: run(root, stem)  # type: ignore[misc]
                goals[label] = goal
        boxes = sum(n for _, n, _ in sequences.values())
        task = f"{stem} train size, {len(sequences)} sequences, {boxes:,} boxes"
        # In crowds two tools match a few pairs in CLEAR otherwise than TrackEval (and vtlab): py-motmetrics keeps pairs that
        # were matched before the last frame, motrics 0.3 gives continuity another weight. HOTA's thresholds are reached from
        # 1e-9 below in motrics (TrackEval: from the rounding of one number), so in a million pairs one counts in addition.
        few = {"IDSW": boxes / 4000, "MOTA": 1 / 4000}
        known = {"motrics (Rust)": few | {"HOTA": 1 / boxes}, "py-motmetrics": few} if stem == "MOT20" else {}
        return rows(task, race(tools, repeats, known, notes), goals)


def real(repeats: int, notes: list[str]) -> list[Row]:
    """The MOT17 sequences of the shared data with Lif_T's published output: distractors and all."""
    shared = Path(os.environ.get("VTLAB_SHARED", "../shared")) / "data/mot"
    if not shared.is_dir():
        return []
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(shared / "results/Lif_T_MOT17-train.zip") as archive,
    ):
        root = Path(folder)
        results = root / "trackers/it/data"
        results.mkdir(parents=True)
        count = 0
        for source in sorted(shared.glob("MOT17-*")):
            shutil.copytree(source, root / "gt" / source.name, ignore=shutil.ignore_patterns("det"))
            (results / f"{source.name}.txt").write_bytes(archive.read(f"Lif_T/{source.name}.txt"))
            count += len((source / "gt/gt.txt").read_bytes().splitlines())
        tools: dict[str, Tool] = {"vtlab": lambda: by_vtlab(root, "MOT17")}
        if has("trackeval"):
            tools["TrackEval"] = lambda: by_trackeval(root, "MOT17")
        if has("motrics"):
            tools["motrics (Rust)"] = lambda: by_motrics(root, "MOT17")
        task = f"real MOT17, 5 sequences, {count:,} rows of truth"
        # motrics 0.3 gives CLEAR's continuity another weight where pairs compete: a few matches and switches.
        few = {"MOTA": 2e-4, "IDSW": 10}
        times = race(tools, repeats, {"motrics (Rust)": few}, notes)
        return rows(task, times, {"TrackEval": "8", "motrics (Rust)": "1"})


def rows(task: str, times: dict[str, float], goals: dict[str, str]) -> list[Row]:
    return [(task, name, t, t / times["vtlab"], goals.get(name, "")) for name, t in times.items()]


def growth(repeats: int) -> list[Row]:
    """Cost and peak memory of one sequence of 1,000 and of 4,000 frames, and of four sequences of 1,000."""
    import tracemalloc

    found = []
    for label, sequences in (
        ("1 x 1,000 frames", {"a": (1000, 40_000, 300)}),
        ("1 x 4,000 frames", {"a": (4000, 160_000, 1200)}),
        ("4 x 1,000 frames", dict.fromkeys("abcd", (1000, 40_000, 300))),
    ):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_benchmark(root, "MOT17", sequences)
            by_vtlab(root, "MOT17")
            seconds = race({"vtlab": lambda root=root: by_vtlab(root, "MOT17")}, repeats)["vtlab"]  # type: ignore[misc]
            tracemalloc.start()
            by_vtlab(root, "MOT17")
            peak = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
        found.append((f"growth: {label}, peak {peak:.0f} MB", "vtlab", seconds, 1.0, "linear"))
    return found


def mask_video(frames: int = 40, objects: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Blobs of about a twentieth of a 480p frame, and answers that differ at their rims: (objects, frames, H, W)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:480, :854]
    out = np.zeros((2, objects, frames, 480, 854), bool)
    for o in range(objects):
        cx, cy, phase = rng.uniform(200, 650), rng.uniform(150, 330), rng.uniform(0, 6.28)
        for f in range(frames):
            for side in range(2):
                angle = np.arctan2(y - cy, x - cx - 3 * f)
                radius = 80 + 14 * np.sin(5 * angle + phase + f / 9) + side * 3 * np.sin(17 * angle + f)
                out[side, o, f] = np.hypot(x - cx - 3 * f, y - cy) < radius
    return out[0], out[1]


def masks(repeats: int) -> list[Row]:
    from vtlab.metrics import vos

    truth, answer = mask_video()

    def ours() -> Numbers:
        scores = [vos.evaluate_object(a, t) for a, t in zip(answer, truth, strict=True)]
        return {"J": float(np.mean([s.j for s in scores])), "F": float(np.mean([s.f for s in scores]))}

    tools: dict[str, Tool] = {"vtlab": ours}
    if has("davis2017"):
        from davis2017.metrics import db_eval_boundary, db_eval_iou

        def official() -> Numbers:
            j = [db_eval_iou(t, a) for t, a in zip(truth, answer, strict=True)]
            f = [db_eval_boundary(t, a) for t, a in zip(truth, answer, strict=True)]
            return {"J": float(np.mean(j)), "F": float(np.mean(f))}

        tools["davis2017-evaluation"] = official
    return rows("J&F at 854 x 480, 3 objects, 40 frames", race(tools, repeats), {"davis2017-evaluation": "8"})


def boxes(repeats: int) -> list[Row]:
    from vtlab.geometry import xywh_to_xyxy
    from vtlab.metrics import sot
    from vtlab.metrics.rules import SOT

    rng = np.random.default_rng(0)
    walks = [rng.normal(0, 3, (500, 2)).cumsum(axis=0) + 300 for _ in range(180)]
    truth = [np.column_stack([walk, rng.uniform(30, 90, (500, 2))]) for walk in walks]
    answer = [t + rng.normal(0, 8, t.shape) * [1, 1, 0.5, 0.5] for t in truth]

    # Each tool gets boxes in its own convention.
    pairs = [(xywh_to_xyxy(a), xywh_to_xyxy(t)) for a, t in zip(answer, truth, strict=True)]

    def ours() -> Numbers:
        values = sot.evaluate([sot.BoxSequence(a, t) for a, t in pairs], SOT["otb"]).values()
        return {k: values[k] for k in ("success_auc", "precision_20px")}

    tools: dict[str, Tool] = {"vtlab": ours}
    if has("got10k"):
        from got10k.utils.metrics import center_error, rect_iou

        def toolkit() -> Numbers:
            success, precision = np.zeros((180, 21)), np.zeros((180, 51))
            for s, (a, t) in enumerate(zip(answer, truth, strict=True)):
                first = a.copy()
                first[0] = t[0]
                ious, errors = rect_iou(first, t)[:, None], center_error(first, t)[:, None]
                success[s] = np.mean(np.greater(ious, np.linspace(0, 1, 21)[None]), axis=0)
                precision[s] = np.mean(np.less_equal(errors, np.arange(51)[None]), axis=0)
            return {"success_auc": float(success.mean()), "precision_20px": float(precision.mean(axis=0)[20])}

        tools["got10k toolkit"] = toolkit
    return rows("success and precision, 180 x 500 frames", race(tools, repeats), {"got10k toolkit": "2.5"})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="mot17,real,mot20,growth,masks,boxes")
    parser.add_argument(
        "--crowd", type=float, default=1.0, help="part of MOT20's frames, boxes and tracks to use"
    )
    options = parser.parse_args(sys.argv[1:])
    part = options.crowd
    crowd = {k: (int(f * part), int(n * part), int(t * part)) for k, (f, n, t) in MOT20.items()}
    notes: list[str] = []
    tasks: dict[str, Callable[[], list[Row]]] = {
        "mot17": lambda: mot("MOT17", MOT17, options.repeats, notes),
        "real": lambda: real(options.repeats, notes),
        "mot20": lambda: mot("MOT20", crowd, options.repeats, notes),
        "growth": lambda: growth(options.repeats),
        "masks": lambda: masks(options.repeats),
        "boxes": lambda: boxes(max(options.repeats, 9)),
    }
    for module in (
        "pandas",
        "vtlab.benchmark",
        "trackeval",
        "motrics",
        "trackers.eval",
        "motmetrics",
        "got10k.utils.metrics",
    ):
        if has(module.split(".")[0]):  # nobody's import time counts
            importlib.import_module(module)

    from rich.console import Console
    from rich.table import Table

    title = f"User CPU, medians of {options.repeats} (boxes: {max(options.repeats, 9)}); the numbers agree to 1e-9"
    table = Table(title=title + ", but for the notes")
    for column in ("task", "tool", "seconds", "vtlab is faster by", "goal"):
        table.add_column(column, justify="left" if column in ("task", "tool") else "right")
    for name in options.only.split(","):
        for task, tool, seconds, ratio, goal in tasks[name]():
            table.add_row(task, tool, f"{seconds:.3f}", f"{ratio:.1f} x" if tool != "vtlab" else "", goal)
        table.add_section()
    Console(width=120).print(table, *notes, sep="\n")


if __name__ == "__main__":
    main()
