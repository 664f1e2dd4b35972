"""VOT toolkit 0.9: `python vot_scores.py ROOT` scores what `vot_scene` wrote below ROOT by the toolkit's own analyses,
read by its own readers; prints the measures of each experiment, over all sequences and of each alone, and every overlap."""

import json
import os
import sys
from types import SimpleNamespace

sys.path.pop(0)  # a file beside this one has the package's name
import numpy as np
from vot.analysis import accuracy, multistart, supervised
from vot.dataset import load_dataset
from vot.region import calculate_overlaps
from vot.tracker import Trajectory
from vot.tracker.results import Results
from vot.workspace.storage import LocalStorage


def main(root):
    sequences = list(load_dataset(os.path.join(root, "truth")))

    def experiment(name):
        def results(tracker, sequence):
            return Results(LocalStorage(os.path.join(root, "mine", name, sequence.name)))

        def gather(tracker, sequence, objects=None, pad=False):
            told = results(tracker, sequence)
            names = [f"{sequence.name}_{i:03d}" for i in range(1, 16)]
            return [Trajectory.read(told, n) for n in names if Trajectory.exists(told, n)]

        return SimpleNamespace(results=results, gather=gather, anchor="anchor")

    def restarted(chosen):
        run = experiment("supervised")
        parts = [supervised.AccuracyRobustness().subcompute(run, None, s, []) for s in chosen]
        a, failures, _, _ = supervised.AverageAccuracyRobustness().aggregate(None, chosen, parts)
        curve = np.asarray(supervised.EAOCurve().subcompute(run, None, chosen, [])[0], float)
        return {"accuracy": a, "failures": failures, "eao": float(np.mean(curve[100:357]))}

    def anchored(chosen):
        run = experiment("multistart")
        parts = [multistart.AccuracyRobustness().subcompute(run, None, s, []) for s in chosen]
        a, robustness, _, _, _ = multistart.AverageAccuracyRobustness().aggregate(None, chosen, parts)
        whole = multistart.EAOCurve(high=755)  # an included analysis takes its arguments from the outer one
        parts = [whole.curves.subcompute(run, None, s, []) for s in chosen]
        curve = whole.aggregate(None, chosen, parts)[0]
        return {"accuracy": a, "robustness": robustness, "eao": float(np.mean(curve[115:756]))}

    def overlaps(name):
        run = experiment(name)
        return {
            s.name: [calculate_overlaps(t.regions(), s.groundtruth(), s.size) for t in run.gather(None, s)]
            for s in sequences
        }

    def once(chosen):
        run, found = experiment("unsupervised"), []
        for s in chosen:
            told = [
                accuracy.gather_overlaps(list(t.regions()), s.groundtruth(), 10, bounds=s.size)[0]
                for t in run.gather(None, s)
            ]
            found.append(np.mean([o.mean() for o in told]))
        grid = {(i, 0): (a,) for i, a in enumerate(found)}
        return {"accuracy": accuracy.AverageAccuracy().aggregate(None, chosen, grid)[0]}

    out = {"overlaps": {name: overlaps(name) for name in ("supervised", "unsupervised")}}
    for name, measure in (("supervised", restarted), ("multistart", anchored), ("unsupervised", once)):
        out[name] = {s.name: measure([s]) for s in sequences} | {"all": measure(sequences)}
    print(json.dumps(out))


main(*sys.argv[1:])
