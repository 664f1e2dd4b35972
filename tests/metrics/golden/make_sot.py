"""Writes sot_got10k_toolkit.json: numbers of got10k-toolkit 0.1.3 on DTB70. Run: make_sot.py SHARED."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from got10k.utils.metrics import center_error, rect_iou

folder = Path(sys.argv[1]) / "data/sot/benchmarks/DTB70"
archive = zipfile.ZipFile(folder / "results_5trackers.zip")
out = {}
for tracker in ("NanoTrack", "SiamAPN++"):
    success, precision, pooled = [], [], []
    for path in sorted((folder / "anno").glob("*.txt")):
        truth = np.loadtxt(path, delimiter=",")
        answer = np.loadtxt(archive.open(f"DTB70/{tracker}/{path.name}"), delimiter=",")
        pooled.append(rect_iou(answer[1:].copy(), truth[1:].copy(), bound=(1280, 720)))
        answer[0] = truth[0]
        iou, error = rect_iou(answer, truth)[:, None], center_error(answer, truth)[:, None]
        success.append((iou > np.linspace(0, 1, 21)).mean(axis=0))
        precision.append((error <= np.arange(51)).mean(axis=0))
    iou = np.concatenate(pooled)
    out[tracker] = {
        "otb_success_curve": np.mean(success, axis=0).tolist(),
        "otb_precision_curve": np.mean(precision, axis=0).tolist(),
        "got10k_ao": iou.mean(),
        "got10k_sr_50": (iou > 0.5).mean(),
    }
Path(__file__).with_name("sot_got10k_toolkit.json").write_text(json.dumps(out))
