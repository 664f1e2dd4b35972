"""Run-length masks: vtlab's checked codec (numpy) beside pycocotools (C, which checks nothing).

    python -m benchmarks.masks [--rounds 9]            # needs pycocotools, which vtlab itself doesn't

Real masks of `VTLAB_SHARED`: DAVIS at 480p with OSVOS's answers, SA-V at 848 x 480, and the silhouettes of DAVIS made
small, twelve on a frame of 1920 x 1080, as MOTS has them. CPU time of one thread, both sides in turn, the best round of
each. Every answer is compared. pycocotools reads the counts anew in every call, so whatever starts from counts is shown
as one call on many masks (as readers and metrics do it), and for `decode` and `area` also mask by mask. "checked C" is
what a call into C costs when the counts are read by vtlab's checks first: the choice that was not taken.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from vtlab import masks
from vtlab.metrics.pairing import pairs_of_masks

SHARED = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "vos"


class Clip(NamedTuple):
    """Masks of a clip: those of the truth and of an answer, with their frames."""

    size: tuple[int, int]
    truth: list[bytes]
    truth_frame: np.ndarray
    answer: list[bytes]
    answer_frame: np.ndarray


def davis() -> Clip:
    """Ground truth and OSVOS's answer of four clips, one after the other; frames of one size."""
    truth, answer = [], []
    for file in sorted((SHARED / "Annotations" / "480p").glob("*/*.png")):
        true = np.asarray(Image.open(file)) > 0
        found = np.asarray(Image.open(SHARED / "results_osvos" / file.parent.name / file.name)) > 0
        if true.shape == found.shape == (480, 854):
            truth.append(masks.encode(true))
            answer.append(masks.encode(found))
    frames = np.arange(len(truth))
    return Clip((480, 854), truth, frames, answer, frames)


def sav() -> Clip:
    """The masklets of SA-V's sample; the answer is the frame before."""
    data = json.loads((SHARED / "sav_000001_manual.json").read_text())["masklet"]
    rows = [(f, m["counts"].encode()) for f, now in enumerate(data) for m in now]
    frame = np.array([f for f, _ in rows])
    size = data[0][0]["size"]
    return Clip((size[0], size[1]), [c for _, c in rows], frame, [c for _, c in rows], frame + 1)


def crowd(frames: int = 60, people: int = 12) -> Clip:
    """Real silhouettes of about 250 pixels' height walking over a frame of 1920 x 1080."""
    files = sorted((SHARED / "Annotations" / "480p").glob("*/*.png"))[::3]
    rng, shapes = np.random.default_rng(0), []
    for file in files[: frames * 2]:
        mask = np.asarray(Image.open(file)) > 0
        x1, y1, x2, y2 = masks.to_box(mask).astype(int)
        small = Image.fromarray(mask[y1:y2, x1:x2]).resize((110, 250), Image.Resampling.NEAREST)
        shapes.append(np.asarray(small))
    places = rng.uniform([0, 300], [1700, 800], (people, 2))
    sides: list[tuple[list[bytes], list[int]]] = [([], []), ([], [])]
    for f in range(frames):
        for counts, frame in sides:
            for n, (x, y) in enumerate(places.astype(int)):
                mask = np.zeros((1080, 1920), bool)
                mask[y : y + 250, x : x + 110] = shapes[(f + n) % len(shapes)]
                counts.append(masks.encode(mask))
                frame.append(f)
            places += rng.normal(0, 2, places.shape)
    (truth, truth_frame), (answer, answer_frame) = sides
    return Clip((1080, 1920), truth, np.array(truth_frame), answer, np.array(answer_frame))


def by_frame(clip: Clip) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of truth and answer on each frame that has both."""
    both = np.intersect1d(clip.truth_frame, clip.answer_frame)
    return [(np.flatnonzero(clip.truth_frame == f), np.flatnonzero(clip.answer_frame == f)) for f in both]


def tasks(clip: Clip) -> dict[str, tuple[int, Callable[[], Any], Callable[[], Any], bool]]:
    """Operation -> how many, vtlab's, pycocotools', whether they start from counts."""
    from pycocotools import mask as coco

    h, w = clip.size
    counts = clip.truth
    dicts = [{"size": [h, w], "counts": c} for c in counts]
    others = [{"size": [h, w], "counts": c} for c in clip.answer]
    images = [np.ascontiguousarray(masks.decode(c, h, w)) for c in counts[:120]]
    n, m, rows = len(counts), len(images), by_frame(clip)
    groups = np.unique(clip.truth_frame, return_inverse=True)[1]
    members = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
    ids, other_ids = np.arange(n), np.arange(len(others))

    def runs() -> masks.Runs:
        return masks.Runs.of(counts, h, w)

    def areas() -> np.ndarray:
        # With NumPy 2, pycocotools 2.0.11 can't give the areas of more than 255 masks.
        return np.concatenate([coco.area(dicts[i : i + 255]) for i in range(0, n, 255)])

    def boxes() -> np.ndarray:
        found = coco.toBbox(dicts)
        return np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)

    def ours() -> np.ndarray:
        truth, answer = (clip.truth_frame, ids, counts), (clip.answer_frame, other_ids, clip.answer)
        return pairs_of_masks(truth, answer, clip.size).similarity

    def theirs() -> np.ndarray:
        found = [
            coco.iou([dicts[i] for i in t], [others[j] for j in a], [0] * len(a)).ravel() for t, a in rows
        ]
        joined = np.concatenate(found)
        return joined[joined > 0]

    return {
        "encode": (
            m,
            lambda: [masks.encode(x) for x in images],
            lambda: [coco.encode(np.asfortranarray(x, dtype=np.uint8))["counts"] for x in images],
            False,
        ),
        "decode, one by one": (
            m,
            lambda: [masks.decode(c, h, w) for c in counts[:m]],
            lambda: [coco.decode(d).astype(bool) for d in dicts[:m]],
            True,
        ),
        "area, one by one": (
            n,
            lambda: [masks.area(c, h, w) for c in counts],
            lambda: [int(coco.area(d)) for d in dicts],
            True,
        ),
        "area": (n, lambda: runs().areas(), areas, True),
        "box": (n, lambda: np.nan_to_num(runs().boxes()), boxes, True),
        "union of each frame": (
            n,
            lambda: runs().union(groups).counts(),
            lambda: [coco.merge([dicts[i] for i in rows])["counts"] for rows in members],
            True,
        ),
        "IoU of all pairs of a frame": (n, ours, theirs, True),
        "IoU matrix, 60 x 60": (
            120,
            lambda: masks.Runs.of(counts[:60], h, w).iou(masks.Runs.of(clip.answer[:60], h, w)),
            lambda: coco.iou(dicts[:60], others[:60], [0] * 60),
            True,
        ),
    }


def best(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """CPU seconds of each job, the best of `rounds` in turn."""
    found = dict.fromkeys(jobs, np.inf)
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.process_time()
            job()
            found[name] = min(found[name], time.process_time() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    console = Console(width=140)
    if not SHARED.is_dir():
        console.print(f"No masks at {SHARED} (set VTLAB_SHARED).")
        return
    table = Table(title="Microseconds of CPU time a mask")
    for column in (
        "masks",
        "operation",
        "vtlab",
        "pycocotools",
        "vtlab / pycocotools",
        "checked C",
        "vtlab / checked C",
    ):
        table.add_column(column, justify="left" if column in ("masks", "operation") else "right")
    for name, make in (("DAVIS 480p", davis), ("SA-V 480p", sav), ("crowd 1080p", crowd)):
        clip = make()
        size = sum(map(len, clip.truth)) // len(clip.truth)
        for operation, (n, ours, theirs, reads) in tasks(clip).items():
            for a, b in zip(ours(), theirs(), strict=True):
                assert np.array_equal(a, b), (name, operation)
            found = best({"ours": ours, "theirs": theirs}, rounds)
            a, b = (1e6 * x / n for x in found.values())
            one = "one by one" in operation
            checks = clip.truth if not operation.startswith("IoU") else [*clip.truth, *clip.answer]
            checks = checks[:n] if not operation.startswith("IoU of") else checks

            def check(
                checks: list[bytes] = checks, one: bool = one, size: tuple[int, int] = clip.size
            ) -> Any:
                return [masks.Runs.of([c], *size) for c in checks] if one else masks.Runs.of(checks, *size)

            c = b + 1e6 * best({"check": check}, rounds)["check"] / n if reads else b
            table.add_row(
                f"{name}, {len(clip.truth)} of {size} bytes", operation, f"{a:.1f}", f"{b:.1f}", f"{a / b:.2f}",
                f"{c:.1f}" if reads else "", f"{a / c:.2f}" if reads else "",
            )  # fmt: skip
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
