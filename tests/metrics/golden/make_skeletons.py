"""Writes skeletons_mmpose.json: mmpose's PCK of each key point and its end-point error. Run: make_skeletons.py FILE.

FILE is mmpose/evaluation/functional/keypoint_eval.py of mmpose 1.3.2; only its functions on arrays are run.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Optional

import numpy as np

names = {"np": np, "Optional": Optional, "Tuple": tuple}
wanted = ("_calc_distances", "_distance_acc", "keypoint_pck_accuracy", "keypoint_epe")
tree = ast.parse(Path(sys.argv[1]).read_text())
tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in wanted]
exec(compile(tree, sys.argv[1], "exec"), names)

rng = np.random.default_rng(5)
truth = rng.uniform(0, 100, (12, 5, 2)).round(3)  # 12 figures of 5 key points
answer = (truth + rng.normal(0, 12, truth.shape)).round(3)
visible = rng.random((12, 5)) < 0.7
sides = rng.uniform(40, 120, (12, 2)).round(3)
longer = np.repeat(sides.max(axis=1)[:, None], 2, axis=1)
acc, _, _ = names["keypoint_pck_accuracy"](answer, truth, visible, 0.2, longer)
out = {"truth": truth, "answer": answer, "visible": visible, "sides": sides, "pck": acc}
out = {k: v.tolist() for k, v in out.items()} | {"epe": float(names["keypoint_epe"](answer, truth, visible))}
Path(__file__).with_name("skeletons_mmpose.json").write_text(json.dumps(out))
