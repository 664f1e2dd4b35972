"""Are answers to pairs of boxes honest about identities? Errors, intervals, differences, and what questions cost.

    python -m benchmarks identity_pairs [--draws 20]

Answers come from the truth of the shared MOT sequences: two boxes hold the same object where there is one that each of
them overlaps by half. The numbers to hit are HOTA's AssPr and AssRe at that overlap.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import combinations

import numpy as np

from benchmarks._mot import Scene, scenes
from vtlab.decision import IdentityPairs, Pair, View, identity_pairs
from vtlab.geometry import box_iou

LOOKS = (40, 80, 160)
TOUCH = 0.5


class Oracle:
    """Somebody who knows the truth."""

    def __init__(self, scene: Scene):
        self.objects = {
            int(f): (t.object_id, t.boxes) for f in scene.truth.frames if (t := scene.truth.at(f))
        }
        self.asked = 0

    def held(self, view: View) -> dict[int, float]:
        """Object -> overlap, of those that a box holds by half."""
        if view.frame not in self.objects:
            return {}
        ids, boxes = self.objects[view.frame]
        overlap = box_iou(np.array([view.box]), boxes)[0]
        return {int(i): float(o) for i, o in zip(ids, overlap, strict=True) if o >= TOUCH}

    def __call__(self, pair: Pair) -> str | list[float]:
        self.asked += 1
        here = self.held(pair.first)
        if not here:
            return "none"
        if pair.kind == "object" or pair.second is None:
            return "yes"
        if pair.kind == "same":
            return "yes" if here.keys() & self.held(pair.second).keys() else "no"
        ids, boxes = self.objects.get(pair.second.frame, (np.empty(0), np.empty((0, 4))))
        there = np.flatnonzero(ids == max(here, key=lambda i: here[i]))
        return boxes[there[0]].tolist() if len(there) else "no"


def answered(q: IdentityPairs, oracle: Oracle, look: int) -> IdentityPairs:
    """Answer everything up to a look."""
    while q.reached < look:
        for pair in q.next():
            q.take(pair.key, oracle(pair))
    return q


def study(draws: int, metric: str) -> tuple[dict, dict]:
    """Outcomes by look: levels of each (scene, tracker), and differences of pairs."""
    levels, gaps = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for scene in scenes():
        oracle = Oracle(scene)
        for seed in range(draws):
            q = identity_pairs(scene.tracks, metric=metric, seed=seed)
            for look in LOOKS:
                before = oracle.asked
                table = answered(q, oracle, look).table
                cost = (oracle.asked - before) / (
                    len(scene.tracks) * (look if look == LOOKS[0] else look / 2)
                )
                for tracker, row in table.iterrows():
                    error = row.value - scene.hota[tracker][metric]
                    held = row.low - row.value - 1e-9 <= -error <= row.high - row.value + 1e-9
                    levels[look][scene.name, tracker].append((error, held, (row.high - row.low) / 2, cost))
                for a, b in combinations(table.index, 2):
                    true = scene.hota[a][metric] - scene.hota[b][metric]
                    _, low, high = q.difference(a, b)
                    called = (a in row_of(table, b)) - (b in row_of(table, a))
                    gaps[look].append(
                        (low <= true <= high, (high - low) / 2, bool(called), called * true > 0)
                    )
    return levels, gaps


def row_of(table, tracker: str) -> list[str]:
    """Who beats a tracker."""
    return [x for x in str(table.loc[tracker, "beaten_by"]).split(", ") if x]


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=20, help="repetitions on each sequence")
    draws = parser.parse_args().draws
    for metric in ("AssPr", "AssRe"):
        levels, gaps = study(draws, metric)
        if not levels:
            print("the shared data is not there (set VTLAB_SHARED)")
            return
        table = Table(title=f"{metric} at IoU 0.5: {len(levels[LOOKS[0]])} results, {draws} draws each")
        for column in (
            "questions", "RMSE", "bias", "half-width", "coverage", "worst result", "looks at a frame",
            "difference: coverage", "half-width", "told apart", "of these wrong",
        ):  # fmt: skip
            table.add_column(column, justify="right")
        for look in LOOKS:
            cells = {k: np.array(v, float) for k, v in levels[look].items()}
            all_of = np.concatenate(list(cells.values()))
            cover = [c[:, 1].mean() for c in cells.values()]
            gap = np.array(gaps[look], float)
            table.add_row(
                str(look),
                f"{np.sqrt((all_of[:, 0] ** 2).mean()):.3f}",
                f"{np.mean([abs(c[:, 0].mean()) for c in cells.values()]):.3f}",
                f"{all_of[:, 2].mean():.3f}",
                f"{np.mean(cover):.3f}",
                f"{min(cover):.2f}",
                f"{all_of[:, 3].mean():.1f}",
                f"{gap[:, 0].mean():.3f}",
                f"{gap[:, 1].mean():.3f}",
                f"{100 * gap[:, 2].mean():.0f} %",
                f"{100 * (1 - gap[gap[:, 2] > 0, 3].mean()):.2f} %",
            )
        Console(width=150).print(table)


if __name__ == "__main__":
    main()
