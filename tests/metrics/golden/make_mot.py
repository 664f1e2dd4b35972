"""Writes mot_trackeval.json: TrackEval 1.3.0 on the real sequences. Run: make_mot.py SHARED."""

import contextlib
import io
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import trackeval

shared = Path(sys.argv[1]) / "data/mot"


def evaluate(benchmark: str, sequences: dict[str, tuple[Path, bytes]]) -> dict[str, dict[str, float]]:
    root = Path(tempfile.mkdtemp())
    for name, (folder, result) in sequences.items():
        shutil.copytree(folder, root / "gt" / name, ignore=shutil.ignore_patterns("det", "*.mp4"))
        path = root / "trackers/it/data" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(result)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(root / "gt"),
                "TRACKERS_FOLDER": str(root / "trackers"),
                "BENCHMARK": benchmark,
                "SKIP_SPLIT_FOL": True,
                "SEQ_INFO": dict.fromkeys(sequences),
                "PRINT_CONFIG": False,
            }
        )
        metrics = [m() for m in (trackeval.metrics.HOTA, trackeval.metrics.CLEAR, trackeval.metrics.Identity,
                                 trackeval.metrics.VACE)]  # fmt: skip
        config = {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "OUTPUT_SUMMARY": False, "TIME_PROGRESS": False,
                  "OUTPUT_DETAILED": False, "PLOT_CURVES": False, "BREAK_ON_ERROR": True}  # fmt: skip
        results = trackeval.Evaluator(config).evaluate([dataset], metrics)[0]["MotChallenge2DBox"]["it"]
    shutil.rmtree(root)
    out = {}
    for name, classes in results.items():
        flat = {k: v for metric in classes["pedestrian"].values() for k, v in metric.items()}
        out[name] = {k: float(np.mean(v)) for k, v in flat.items()}
    return out


archive = zipfile.ZipFile(shared / "results/Lif_T_MOT17-train.zip")
names = [n for n in archive.namelist() if n.endswith(".txt")]
lift = {}
for member in names:
    sequence = Path(member).stem
    folder = shared / f"{sequence.rsplit('-', 1)[0]}-DPM"
    if folder.is_dir():
        lift[sequence] = (folder, archive.read(member))
cem = {
    n: (shared / n, (shared / f"results/CEM_MOT15/{n}.txt").read_bytes())
    for n in ("TUD-Campus", "PETS09-S2L1-169")
}
out = {"MOT17": evaluate("MOT17", lift), "MOT15": evaluate("MOT15", cem)}
Path(__file__).with_name("mot_trackeval.json").write_text(json.dumps(out, indent=0))
