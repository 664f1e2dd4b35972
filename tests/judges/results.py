"""The examples of docs/elsewhere.md as they stand there: `python results.py ROOT` prints what each tool kept."""

import json
import os
import re
import sys
from pathlib import Path

page = Path(__file__).parents[2] / "docs" / "elsewhere.md"
os.chdir(sys.argv[1])
os.environ |= {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "MLFLOW_TRACKING_URI": "file:mlruns",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}

import vtlab  # noqa: E402
from vtlab.datasets.synthetic import synthetic  # noqa: E402

examples = dict(
    re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
)
scene = synthetic(seed=3, objects=1, points=0, seconds=0.3, size=(96, 64), difficulty="easy")
result = vtlab.compare(scene, {"a b": "identity", "flow": "flow"}, progress=False)
names = {}
for tool, text in examples.items():
    names[tool] = {}
    exec(text, names[tool])
    result.save(f"saved-{tool}", on_result=names[tool]["log"])

from mlflow.tracking import MlflowClient  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

board = EventAccumulator("runs/board")
board.Reload()
tags = board.Tags()["tensors"] + board.Tags()["scalars"]
runs = MlflowClient().search_runs(["0"])
offline = names["wandb"]["run"]
kept = dict(offline.summary)
offline.finish()
found = {
    "expected": float(result.table.loc["a b", "success_auc"]),
    "scene": scene.name,
    "tensorboard": sorted(tags),
    "mlflow": {r.info.run_name: r.data.metrics for r in runs},
    "artifacts": sorted(a.path for r in runs for a in MlflowClient().list_artifacts(r.info.run_id)),
    "wandb": {k: v for k, v in kept.items() if isinstance(v, (int, float))},
    "folders": [p.name for p in Path("wandb").glob("offline-run-*")],
}
print(json.dumps(found))
