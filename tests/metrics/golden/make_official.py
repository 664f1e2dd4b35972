"""Writes sot_pytracking.json and points_tapvid.json with the official functions. Run: make_official.py SHARED.

Needs on PYTHONPATH `pytracking_official.py` (calc_seq_err_robust and what it calls, from pytracking's
analysis/extract_results.py), `trackingnet_official.py` (the arithmetic of TrackingNet-devkit's metrics.py as a function of
pairs of arrays) and `tapvid_official.py` (compute_tapvid_metrics from tapnet).
"""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from pytracking_official import calc_seq_err_robust
from tapvid_official import compute_tapvid_metrics
from trackingnet_official import evaluate as trackingnet

here, folder = Path(__file__).parent, Path(sys.argv[1]) / "data/sot/benchmarks/DTB70"
archive = zipfile.ZipFile(folder / "results_5trackers.zip")
out = {}
for dataset in ("otb", "lasot"):
    curves = [[], [], []]
    for number, path in enumerate(sorted((folder / "anno").glob("*.txt"))):
        truth = np.loadtxt(path, delimiter=",")
        answer = np.loadtxt(archive.open(f"DTB70/SiamAPN/{path.name}"), delimiter=",")
        answer[7 + number % 5 :: 11, 2:] = 0  # missing answers, which the tool fills with the last one
        # Where truth has no area the tool counts the normalised error as 0: such frames are absent here.
        visible = (np.arange(len(truth)) % 9 != 4) & (truth[:, 2:] > 0).all(axis=1)
        found = calc_seq_err_robust(
            torch.tensor(answer),
            torch.tensor(truth),
            dataset,
            torch.tensor(visible) if dataset == "lasot" else None,
        )
        length = len(truth) if dataset == "lasot" else int(found[3].sum())
        overlap, center, normalized = (e.numpy()[:, None] for e in found[:3])
        if dataset != "lasot":  # -1 marks frames that do not count
            normalized = np.where(found[3].numpy()[:, None], normalized, np.inf)
        curves[0].append((overlap > np.arange(0, 1.05, 0.05)).sum(axis=0) / length)
        curves[1].append((center <= np.arange(51)).sum(axis=0) / length)
        curves[2].append((normalized <= np.arange(51) / 100).sum(axis=0) / length)
    out[dataset] = {
        n: np.mean(c, axis=0).tolist() for n, c in zip(("success", "precision", "norm"), curves, strict=True)
    }
(here / "sot_pytracking.json").write_text(json.dumps(out))

pairs = []
for path in sorted((folder / "anno").glob("*.txt")):
    if path.stem != "Car6":  # its boxes of zeros have no normalised error there
        answer = np.loadtxt(archive.open(f"DTB70/SiamTPN/{path.name}"), delimiter=",")
        pairs.append((np.loadtxt(path, delimiter=","), answer))
(here / "sot_trackingnet.json").write_text(json.dumps([float(v) for v in trackingnet(pairs)]))

rng = np.random.default_rng(0)
truth = np.round(rng.uniform(0, 256, (6, 15, 2)), 2)
answer = np.round(truth + rng.normal(0, 4, truth.shape), 2)
hidden = rng.random((2, 6, 15)) < 0.3
hidden[:, :, -1] = False
query = [0, 3, 3, 8, 1, 13]
points = {"truth": truth.tolist(), "answer": answer.tolist(), "hidden": hidden.tolist(), "query": query}
for mode in ("first", "strided"):
    asked = np.zeros((1, 6, 3))
    asked[0, :, 0] = query
    found = compute_tapvid_metrics(asked, hidden[:1], truth[None], hidden[1:], answer[None], mode)
    points[mode] = {k: float(v[0]) for k, v in found.items()}
(here / "points_tapvid.json").write_text(json.dumps(points))
