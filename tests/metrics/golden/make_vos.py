"""Writes vos_davis.json: davis2017-evaluation's J and F of OSVOS's masks. Run: make_vos.py SHARED.

Needs davis2017-evaluation on PYTHONPATH (with `np.bool` replaced by `bool` for NumPy 2) and scikit-image.
"""

import json
import sys
from pathlib import Path

import numpy as np
from davis2017.metrics import db_eval_boundary, db_eval_iou
from PIL import Image

folder = Path(sys.argv[1]) / "data/vos"
out = {}
for sequence in ("car-shadow", "blackswan", "camel", "horsejump-high"):
    frames = sorted((folder / "Annotations/480p" / sequence).glob("*.png"))[1:-1]
    truth = np.stack([np.array(Image.open(p)) > 0 for p in frames])
    answer = np.stack(
        [np.array(Image.open(folder / "results_osvos" / sequence / p.name)) > 0 for p in frames]
    )
    out[sequence] = {"J": db_eval_iou(truth, answer).tolist(), "F": db_eval_boundary(truth, answer).tolist()}
Path(__file__).with_name("vos_davis.json").write_text(json.dumps(out))
