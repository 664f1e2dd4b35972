"""Is a verdict honest, and what is it worth? Picks, intervals, decisions and speed, where the truth is known everywhere.

    python -m benchmarks.verdict [--draws 40]

For every clip, trackers are picked by their agreement, by the mean over frames drawn by chance, and by a verdict's
frames; regret is the mean IoU that the pick lies below the best. Clips: the shared DTB70 results of five trackers, on
whose benchmark the constants were tuned, and synthetic truths on which nothing was. With few draws the worst 5 % of the
clips look worse than they are, because they are found and measured by the same draws.
"""

from __future__ import annotations

import argparse
import os
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

TRACKERS = ("NanoTrack", "LightTrack", "SiamTPN", "SiamAPN", "SiamAPN++")
LEVELS = (5, 10, 20, 40, 80)
WRONG = 0.02
WORST = 0.05


@dataclass
class Outcomes:
    """Of one way to pick, over clips: regrets of all draws, and how often each tracker's interval held."""

    regret: list[np.ndarray] = field(default_factory=list)
    held: list[np.ndarray] = field(default_factory=list)

    def row(self) -> list[str]:
        per_clip = np.array([r.mean() for r in self.regret])
        worst = np.sort(per_clip)[-max(1, round(WORST * len(per_clip))) :]
        cells = [
            f"{per_clip.mean():.4f}",
            f"{worst.mean():.4f}",
            f"{100 * np.mean([(r > WRONG).mean() for r in self.regret]):.1f} %",
        ]
        if not self.held:
            return [*cells, "", ""]
        cover = np.sort([h.mean() for h in self.held])
        return [*cells, f"{cover.mean():.3f}", f"{cover[: max(1, round(WORST * len(cover)))].mean():.3f}"]


def drone_clips() -> Iterator[tuple]:
    """(population, quality) of the shared DTB70 clips."""
    from vtlab.decision.sampling import Population
    from vtlab.formats.single_object import read_boxes
    from vtlab.geometry import paired_iou

    root = Path(os.environ.get("VTLAB_SHARED", "../shared")) / "data/sot/benchmarks/DTB70"
    if not root.is_dir():
        return
    with zipfile.ZipFile(root / "results_5trackers.zip") as pack:
        for path in sorted((root / "anno").glob("*.txt")):
            truth = read_boxes(path)
            found = [read_boxes(pack.read(f"DTB70/{t}/{path.name}"), name=path.name) for t in TRACKERS]
            boxes = np.stack([b[1 : len(truth)] for b in found])
            n = boxes.shape[1]
            alike = paired_iou(boxes[:, None], boxes[None])
            yield Population(np.full(n, 1 / n), alike), paired_iou(boxes, truth[1:])


def synthetic_clips() -> Iterator[tuple]:
    """Trackers that lose a target of 60 px for random spells, each to its own side or two of them together."""
    from vtlab.decision.sampling import Population
    from vtlab.geometry import paired_iou

    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.choice([74, 200, 600, 2000]))
        away = np.zeros((4, n))
        for k in range(4):
            away[k] = np.abs(rng.normal(8 + 4 * k, 4, n))
            for _ in range(rng.poisson(2)):
                start = int(rng.integers(n))
                away[k, start : start + int(rng.integers(1, max(n // 4, 2)))] += 80
        side = np.array([(1, 0), (-1, 0), (0, 1), (0, 1)])  # the last two err together
        shift = away[:, :, None] * side[:, None]
        boxes = np.concatenate([shift, shift + 60], axis=2)
        truth = np.array([0.0, 0, 60, 60])
        yield Population(np.full(n, 1 / n), paired_iou(boxes[:, None], boxes[None])), paired_iou(boxes, truth)


def judge(clips: list[tuple], draws: int) -> dict[str, Outcomes]:
    """The outcomes of every way to pick."""
    from vtlab.decision.sampling import draw, estimate

    out: dict[str, Outcomes] = {"agreement, no labels": Outcomes()}
    out |= {f"{how}, {n} labels": Outcomes() for how in ("by chance", "verdict") for n in LEVELS}
    for population, quality in clips:
        truth = quality @ population.weight
        lost = truth.max() - truth
        out["agreement, no labels"].regret.append(lost[[np.argmax(population.peers_mean)]])
        rng = np.random.default_rng(0)
        drawn = [draw(population, 80, seed) for seed in range(draws)]
        for n in LEVELS:
            picked = rng.choice(len(population.weight), (draws, n), p=population.weight)
            mean = quality[:, picked].mean(axis=2)
            half = 1.96 * quality[:, picked].std(axis=2, ddof=1) / np.sqrt(n)
            chance = out[f"by chance, {n} labels"]
            chance.regret.append(lost[mean.argmax(axis=0)])
            chance.held.append((np.abs(mean - truth[:, None]) <= half).mean(axis=1))
            made = [estimate(population, i[:n], u[:n], quality[:, i[:n]], 80) for i, u in drawn]
            ours = out[f"verdict, {n} labels"]
            ours.regret.append(lost[[int(m.value.argmax()) for m in made]])
            if n >= 10:
                held = [np.abs(m.value - truth) <= m.half_width(0.95) for m in made]
                ours.held.append(np.mean(held, axis=0))
    return out


def decisions(clips: list[tuple], draws: int, within: float = 0.02) -> str:
    """How often the trackers are told apart at each look, and how often wrongly."""
    from vtlab.decision.sampling import draw, estimate, looks, spend

    decided, wrong, count = dict.fromkeys(LEVELS, 0), 0, 0
    for population, quality in clips:
        truth = quality @ population.weight
        at = looks(80, len(population.weight), len(truth))
        for seed in range(draws):
            i, u = draw(population, 80, seed)
            count += 1
            for j, n in enumerate(at):
                low = estimate(population, i[:n], u[:n], quality[:, i[:n]], 80).below(
                    spend(0.05 / (len(truth) - 1), at, j)
                )
                np.fill_diagonal(low, np.inf)
                named = np.flatnonzero((low > -within).all(axis=1))
                if len(named):
                    for later in LEVELS[LEVELS.index(n) :]:
                        decided[later] += 1
                    wrong += truth[named[0]] < truth.max() - within
                    break
    told = ", ".join(f"{n}: {100 * decided[n] / count:.0f} %" for n in LEVELS[1:])
    return f"decided within {within} at {told}; of all runs wrong: {100 * wrong / count:.2f} %"


def speed() -> None:
    """Choosing frames for 6 trackers x 10,000 frames, and the answer after a label."""
    import pandas  # noqa: F401 (imports are no part of an answer)
    import scipy.special  # noqa: F401

    import vtlab
    from vtlab.tracks import Tracks

    def walk(seed: int) -> Tracks:
        way = np.cumsum(np.random.default_rng(seed).normal(0, 0.1 * (seed + 1), (10_000, 2)), axis=0)
        box = np.array([100.0, 100, 160, 160]) + np.concatenate([way, way], axis=1)
        return Tracks.of(np.arange(10_000), 1, box)

    answers = {f"t{k}": walk(k) for k in range(6)}
    for name, options in (("t rule, 6 trackers", {}), ("bet, 3 trackers", {"within": 0})):
        mine = dict(list(answers.items())[: 3 if options else 6])
        start = time.perf_counter()
        verdict = vtlab.verdict(mine, **options)
        asked = verdict.next()
        chosen = time.perf_counter() - start
        waits = []
        for _ in range(20):
            asked = verdict.next(more=True)
            if not asked:
                break
            label = Tracks.of([asked[0][1]], 1, [[100.0, 100, 160, 160]])
            start = time.perf_counter()
            verdict.add(label)
            assert verdict.sentence
            assert len(verdict.table)
            waits.append(time.perf_counter() - start)
        print(f"{name} x 10,000 frames: chosen in {chosen:.2f} s, slowest answer {max(waits):.3f} s")


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=40, help="repetitions on each clip")
    draws = parser.parse_args().draws
    for title, clips in (("DTB70", list(drone_clips())), ("synthetic", list(synthetic_clips()))):
        if not clips:
            print(f"{title}: not there (set VTLAB_SHARED)")
            continue
        table = Table(title=f"{title}: {len(clips)} clips, {draws} draws each")
        columns = (
            "picked by",
            "regret",
            "worst 5 % of clips",
            "wrong by > 0.02",
            "coverage",
            "worst 5 %",
        )
        for column in columns:
            table.add_column(column, justify="left" if column == "picked by" else "right")
        for how, found in judge(clips, draws).items():
            table.add_row(how, *found.row())
        Console(width=120).print(table)
        print(decisions(clips, draws))
    speed()


if __name__ == "__main__":
    main()
