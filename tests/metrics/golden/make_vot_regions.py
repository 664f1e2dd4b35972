"""Writes vot_regions.json: overlaps of regions, and accuracy, robustness and EAO of supervised results, by
vot-toolkit 0.9.0.

Run in an environment with it: make_vot_regions.py. Regions are text as in VOT's files.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from vot.analysis.supervised import AccuracyRobustness, AverageAccuracyRobustness, EAOCurve
from vot.region import calculate_overlaps
from vot.region.io import parse_region

SIZE = (80, 60)
rng = np.random.default_rng(0)


def text(numbers):
    return ",".join(f"{n:g}" for n in numbers)


def region(kind, x=None, y=None):
    x, y = (rng.uniform(-15, 70), rng.uniform(-15, 50)) if x is None else (x, y)
    if kind == "box":
        return text(np.round([x, y, rng.uniform(0, 40), rng.uniform(0, 40)], int(rng.integers(0, 3))))
    if kind == "half":  # what rounding does to it is a matter of the tool
        return text(np.floor([x, y, rng.uniform(1, 40), rng.uniform(1, 40)]) + 0.5)
    if kind == "polygon":
        turn, wide, high = rng.uniform(0, 3.2), rng.uniform(2, 25), rng.uniform(2, 25)
        corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]])
        turned = corners @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        return text(np.round(turned + np.array([x, y]), 2).ravel())
    if kind == "star":
        return text(np.round(rng.uniform([-5, -5], [75, 55], (int(rng.integers(3, 9)), 2)), 1).ravel())
    mask = np.zeros((int(rng.integers(2, 25)), int(rng.integers(2, 25))), bool)
    mask[rng.random(mask.shape) < 0.6] = True
    flat = np.concatenate([[False], mask.ravel()])
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat.astype(int))), [mask.size]]))
    return f"m{int(max(x, 0))},{int(max(y, 0))},{mask.shape[1]},{mask.shape[0]},{text(runs)}"


KINDS = ("box", "half", "polygon", "star", "mask")
pairs = [(region(a), region(b)) for a in KINDS for b in KINDS for _ in range(12)]
pairs += [
    ("0", region("box")),
    ("0", "0"),
    ("1", region("polygon")),
    ("5,5,1,1", "5,5,1,1"),
    ("5,5,1,9", "5,5,1,9"),
]
first, second = ([parse_region(p[i]) for p in pairs] for i in (0, 1))
overlaps = {
    "pairs": pairs,
    "free": calculate_overlaps(first, second),
    "bounded": calculate_overlaps(first, second, SIZE),
}


def supervised(length, failures):
    """Truth of one sequence, and what a tracker said that failed on some frames and was started again five later."""
    truth, answer, begin = [], [], 0
    for frame in range(length):
        x, y = 20 + 30 * np.sin(frame / 9), 20 + 0.3 * frame
        truth.append(text(np.round([x, y, x + 20, y + 2, x + 18, y + 22, x - 2, y + 20], 2)))
        answer.append(text(np.round([x + rng.normal(0, 4), y + rng.normal(0, 4), 20, 20], 3)))
    for frame in (*failures, None):
        answer[begin] = "1"
        if frame is not None:
            answer[frame] = "2"
            begin = min(frame + 5, length - 1)
            answer[frame + 1 : begin] = ["0"] * (begin - frame - 1)
    return truth, answer


sequences = []
for length, several in ((40, [[], [12]]), (75, [[20, 50], [70]]), (25, [[3], []])):
    made = [supervised(length, failures) for failures in several]
    sequences.append({"truth": made[0][0], "answers": [answer for _, answer in made]})

stubs = [
    SimpleNamespace(
        groundtruth=lambda s=s: [parse_region(r) for r in s["truth"]],
        size=SIZE,
        runs=[SimpleNamespace(regions=lambda a=a: [parse_region(r) for r in a]) for a in s["answers"]],
        __len__=None,
    )
    for s in sequences
]


class Stub(SimpleNamespace):
    def __len__(self):
        return len(self.groundtruth())


stubs = [Stub(**vars(s)) for s in stubs]
experiment = SimpleNamespace(gather=lambda tracker, sequence: sequence.runs)
parts = [AccuracyRobustness().subcompute(experiment, None, s, []) for s in stubs]
accuracy, failures, (reliability, _), _ = AverageAccuracyRobustness().aggregate(None, stubs, parts)
curve = EAOCurve().subcompute(experiment, None, stubs, [])[0]
out = {
    "size": SIZE,
    "overlaps": overlaps,
    "sequences": sequences,
    "accuracy": accuracy,
    "failures": failures,
    "reliability": reliability,
    "curve": np.asarray(curve, float).tolist(),
    "eao": float(np.mean(curve[10:41])),
}
Path(__file__).with_name("vot_regions.json").write_text(json.dumps(out))
