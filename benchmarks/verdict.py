"""Is a verdict honest, and what is it worth? Picks, intervals, decisions and speed, where the truth is known everywhere.

    python -m benchmarks verdict [--draws 40]

For every clip, trackers are picked by their agreement, by the middle one of their answers, always the one that is best over
all clips (which needs the truth), by the mean over frames drawn by chance, and by a verdict's frames; regret is how far the
pick lies below the best. Clips: the shared DTB70 results of five trackers, on whose benchmark the constants were tuned; sets
of ten of them; synthetic truths and results of many objects on MOT sequences, on which nothing was tuned. The worst 5 % of
clips are found by one half of the draws and measured by the other, else they would look worse than they are.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

TRACKERS = ("NanoTrack", "LightTrack", "SiamTPN", "SiamAPN", "SiamAPN++")
LEVELS = (5, 10, 20, 40, 80)
WRONG = 0.02
WORST = 0.05


@dataclass
class Outcomes:
    """Of one way to pick, over clips: regrets (draws,) and how often each tracker's interval held (draws, K).

    Without labels nothing is drawn: the regrets of a clip are those of its one pick, or of every pick there is.
    """

    drawn: bool = False
    regret: list[np.ndarray] = field(default_factory=list)
    held: list[np.ndarray] = field(default_factory=list)

    def row(self) -> list[str]:
        cells = [
            f"{np.mean([r.mean() for r in self.regret]):.4f}",
            f"{worst(self.regret, -1, self.drawn):.4f}",
            f"{100 * np.mean([(r > WRONG).mean() for r in self.regret]):.1f} %",
        ]
        if not self.held:
            return [*cells, "", "", ""]
        lowest = [h[:, h.mean(axis=0).argmin()].mean() for h in self.held]
        return [
            *cells,
            f"{np.mean([h.mean() for h in self.held]):.3f}",
            f"{worst(self.held, 1, self.drawn):.3f}",
            f"{np.quantile(lowest, WORST):.2f}",
        ]


def worst(found: list[np.ndarray], sign: int, drawn: bool) -> float:
    """Mean over the worst 5 % of clips: those of the least sign * value by the even draws, measured by the odd ones."""
    one, other = ([x[k::2].mean() if drawn else x.mean() for x in found] for k in (0, 1))
    order = np.argsort(sign * np.array(one))[: max(1, round(WORST * len(found)))]
    return float(np.array(other)[order].mean())


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


def sets_of_ten(clips: list[tuple], count: int = 30) -> Iterator[tuple]:
    """Random sets of ten clips, each clip of the same weight."""
    from vtlab.decision.sampling import Population

    for seed in range(count):
        chosen = np.random.default_rng(seed).choice(len(clips), 10, replace=False)
        weight = np.concatenate([np.full(clips[c][1].shape[1], 0.1 / clips[c][1].shape[1]) for c in chosen])
        alike = np.concatenate([clips[c][0].similarity for c in chosen], axis=2)
        yield Population(weight, alike), np.concatenate([clips[c][1] for c in chosen], axis=1)


def crowds() -> Iterator[tuple]:
    """(population, quality) of detections on the shared MOT sequences, for every set of three of their trackers."""
    from benchmarks._mot import scenes
    from vtlab.decision.quality import MEASURES
    from vtlab.decision.sampling import Population

    measure = MEASURES["detection"]
    for scene in scenes():
        frames, ids = np.arange(scene.frames), np.empty(0, np.int64)
        found = [measure.prepare(t, ids, frames) for t in scene.tracks.values()]
        truth = measure.prepare(scene.truth, ids, frames)
        quality = np.stack([measure.compare(f, truth) for f in found])
        k = len(found)
        alike = np.ones((k, k, scene.frames))
        for a, b in combinations(range(k), 2):
            alike[a, b] = alike[b, a] = measure.compare(found[a], found[b])
        for chosen in combinations(range(k), 3):
            some = list(chosen)
            yield (
                Population(np.full(scene.frames, 1 / scene.frames), alike[np.ix_(some, some)]),
                quality[some],
            )


def middle(population: object) -> int:
    """The tracker that lies nearest to all others at once: its least likeness, on average over frames, is the highest."""
    k = len(population.similarity)
    off = population.similarity + np.eye(k)[:, :, None]
    return int((off.min(axis=1) @ population.weight).argmax())


def judge(clips: list[tuple], draws: int) -> dict[str, Outcomes]:
    """The outcomes of every way to pick."""
    from vtlab.decision.sampling import draw, estimate

    plain = ("agreement", "the middle answer", "the best over all clips", "at random")
    out: dict[str, Outcomes] = {f"{how}, no labels": Outcomes() for how in plain}
    out |= {f"{how}, {n} labels": Outcomes(True) for how in ("by chance", "verdict") for n in LEVELS}
    champion = int(np.mean([q @ p.weight for p, q in clips], axis=0).argmax())
    for population, quality in clips:
        truth = quality @ population.weight
        lost = truth.max() - truth
        picks = (np.argmax(population.peers @ population.weight), middle(population), champion)
        for how, pick in zip(plain, picks, strict=False):
            out[f"{how}, no labels"].regret.append(lost[[pick]])
        out["at random, no labels"].regret.append(lost)
        rng = np.random.default_rng(0)
        drawn = [draw(population, 80, seed) for seed in range(draws)]
        for n in LEVELS:
            picked = rng.choice(len(population.weight), (draws, n), p=population.weight)
            mean = quality[:, picked].mean(axis=2)
            half = 1.96 * quality[:, picked].std(axis=2, ddof=1) / np.sqrt(n)
            chance = out[f"by chance, {n} labels"]
            chance.regret.append(lost[mean.argmax(axis=0)])
            chance.held.append((np.abs(mean - truth[:, None]) <= half).T)
            made = [estimate(population, i[:n], u[:n], quality[:, i[:n]], 80) for i, u in drawn]
            ours = out[f"verdict, {n} labels"]
            ours.regret.append(lost[[int(m.value.argmax()) for m in made]])
            if n >= 10:
                ours.held.append(np.array([np.abs(m.value - truth) <= m.half_width(0.95) for m in made]))
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
    """Choosing frames for 6 trackers x 10,000 frames, and the answer after a label, its file included.

    Seconds by the clock, and of them those in which the processor worked for it; the rest is other work on the machine,
    whose share is told.
    """
    import pandas  # noqa: F401 (imports are no part of an answer)
    import scipy.special  # noqa: F401

    import vtlab
    from vtlab.trackers.load import Load
    from vtlab.tracks import Tracks

    def timed(work: Callable[[], object]) -> tuple[float, float]:
        wall, own = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - wall, time.process_time() - own

    def walk(seed: int) -> Tracks:
        way = np.cumsum(np.random.default_rng(seed).normal(0, 0.1 * (seed + 1), (10_000, 2)), axis=0)
        box = np.array([100.0, 100, 160, 160]) + np.concatenate([way, way], axis=1)
        return Tracks.of(np.arange(10_000), 1, box)

    answers = {f"t{k}": walk(k) for k in range(6)}
    for name, options in (("t rule, 6 trackers", {}), ("bet, 3 trackers", {"within": 0})):
        mine = dict(list(answers.items())[: 3 if options else 6])
        load, waits = Load(), []
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "v.json"
            chosen = timed(
                lambda mine=mine, options=options, file=file: vtlab.verdict(mine, **options, file=file).next()
            )
            verdict = vtlab.verdict(mine, **options, file=file)
            while asked := verdict.next(more=True):
                label = Tracks.of([asked[0][1]], 1, [[100.0, 100, 160, 160]])
                waits.append(timed(lambda v=verdict, label=label: (v.add(label), v.sentence, v.table)))
        wall, own = np.array(waits).T
        told = load.record()
        print(
            f"{name} x 10,000 frames: chosen in {chosen[0]:.2f} s ({chosen[1]:.2f} of the processor); an answer after each "
            f"of {len(waits)} labels: median {np.median(wall):.3f}, slowest {wall.max():.3f} s ({np.median(own):.3f}, "
            f"{own.max():.3f} of the processor); waited {told.get('waiting', np.nan):.0%} of the time at load "
            f"{told.get('load', np.nan)}"
        )


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=40, help="repetitions on each clip")
    draws = parser.parse_args().draws
    drones = list(drone_clips())
    kinds = (
        ("DTB70", drones),
        ("sets of ten DTB70 clips", list(sets_of_ten(drones)) if drones else []),
        ("synthetic", list(synthetic_clips())),
        ("three trackers on a MOT sequence, detections", list(crowds())),
    )
    for title, clips in kinds:
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
            "worst tracker",
        )
        for column in columns:
            table.add_column(column, justify="left" if column == "picked by" else "right")
        for how, found in judge(clips, draws).items():
            if not (how.startswith("the best over") and "MOT" in title):  # other trackers on every clip there
                table.add_row(how, *found.row())
        Console(width=120).print(table)
        print(decisions(clips, draws))
    speed()


if __name__ == "__main__":
    main()
