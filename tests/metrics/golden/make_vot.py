"""Writes vot_toolkit.json: expected-overlap curves of vot-toolkit 0.9.0 on random runs. Run: make_vot.py."""

import ast
import importlib.util
import json
import math
from pathlib import Path

import numpy as np

analysis = Path(importlib.util.find_spec("vot").origin).parent / "analysis"


def function(module, name):
    """Take one function out of a module whose other imports may not work."""
    tree = ast.parse((analysis / f"{module}.py").read_text())
    node = next(n for n in tree.body if getattr(n, "name", "") == name)
    node.returns = None
    for argument in node.args.args:
        argument.annotation = None
    scope = {"np": np, "math": math}
    exec(compile(ast.Module([node], []), module, "exec"), scope)
    return scope[name]


compute_eao_curve = function("supervised", "compute_eao_curve")
compute_eao_partial = function("multistart", "compute_eao_partial")
determine_thresholds = function("longterm", "determine_thresholds")

rng = np.random.default_rng(0)
runs = [np.round(rng.random(n), 3).tolist() for n in (12, 30, 7, 21)]
failed = [True, False, True, False]
success = [not f for f in failed]
curve, active = compute_eao_partial(runs, success, 25)
scores = np.round(rng.random(50), 3).tolist()
out = {
    "runs": runs,
    "failed": failed,
    "supervised": np.asarray(compute_eao_curve(runs, [1] * 4, success), float).tolist(),
    "partial": [curve, active],
    "scores": scores,
    "thresholds": [float(t) for t in determine_thresholds(scores, 22)[1:-1]],
}
Path(__file__).with_name("vot_toolkit.json").write_text(json.dumps(out))
