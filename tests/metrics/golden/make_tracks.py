"""Writes track_map.json and mots.json: TrackEval 1.3.0 on small random sequences. Run: make_tracks.py."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import trackeval
from pycocotools import mask as coco

here = Path(__file__).parent


def boxes(rng, tracks, frames, side):
    """(frame, id, x, y, w, h) rows of tracks that drift, each with gaps."""
    rows = []
    for i in range(1, tracks + 1):
        x, y = rng.uniform(0, 200, 2)
        first, last = sorted(rng.integers(0, frames, 2).tolist())
        for f in range(first, last + 1):
            if rng.random() < 0.85:
                rows.append(
                    [f, i, *np.round([x + 3 * f, y, side * (1 + i / 4), side * (1 + i / 3)], 2).tolist()]
                )
    return rows


def track_map():
    rng = np.random.default_rng(3)
    metric = trackeval.metrics.TrackMAP({"PRINT_CONFIG": False})
    sequences, results = [], {}
    for number in range(3):
        truth = boxes(rng, 8, 14, 30)
        answer = []
        for f, i, x, y, w, h in truth:
            if rng.random() < 0.9:
                answer.append(
                    [
                        f,
                        i,
                        *np.round([x + rng.normal(0, 2 + i / 2), y, w, h], 2).tolist(),
                        round(1 - i / 20 - number / 97, 3),
                    ]
                )
        answer += [
            [f, 50 + i, x, y, w, h, round(0.3 + i / 40 + number / 89, 3)]
            for f, i, x, y, w, h in boxes(rng, 3, 14, 25)
        ]
        sequences.append({"truth": truth, "answer": answer})

        def side(rows):
            ids = sorted({r[1] for r in rows})
            tracks = [{r[0]: np.array(r[2:6]) for r in rows if r[1] == i} for i in ids]
            areas = [float(np.mean([b[2] * b[3] for b in t.values()])) for t in tracks]
            scores = [
                float(np.mean([r[6] for r in rows if r[1] == i])) if len(rows[0]) > 6 else 1.0 for i in ids
            ]
            return ids, tracks, areas, [len(t) for t in tracks], scores

        gt, dt = side(truth), side(answer)
        order = np.argsort([-s for s in dt[4]], kind="mergesort")
        dt = [[part[k] for k in order] for part in dt]
        results[number] = metric.eval_sequence(
            {
                "gt_track_ids": gt[0],
                "gt_tracks": gt[1],
                "gt_track_areas": gt[2],
                "gt_track_lengths": gt[3],
                "dt_track_ids": dt[0],
                "dt_tracks": dt[1],
                "dt_track_areas": dt[2],
                "dt_track_lengths": dt[3],
                "dt_track_scores": np.array(dt[4]),
                "iou_type": "bbox",
                "boxformat": "xywh",
            }
        )
    found = metric.combine_sequences(results)
    values = {k: float(np.mean(v)) for k, v in found.items() if k[:2] in ("AP", "AR")}
    (here / "track_map.json").write_text(json.dumps({"sequences": sequences, "values": values}))


def mots():
    rng = np.random.default_rng(5)
    lines = {"truth": [], "answer": []}
    for f in range(1, 13):
        taken = {"truth": np.zeros((60, 90), bool), "answer": np.zeros((60, 90), bool)}
        for i in range(4):
            for side in ("truth", "answer"):
                if rng.random() < 0.12:
                    continue
                mask = np.zeros((60, 90), bool)
                dx, dy = rng.integers(-3, 4, 2) if side == "answer" else (0, 0)
                mask[5 + 3 * i + dy : 25 + 3 * i + dy, 3 + 18 * i + f + dx : 20 + 18 * i + f + dx] = True
                mask &= ~taken[side]
                taken[side] |= mask
                name = 2000 + i + (10 if side == "answer" and f > 6 and i == 1 else 0)
                rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
                lines[side].append(f"{f} {name} 2 60 90 {rle}")
        region = np.zeros((60, 90), bool)
        region[45:60, 50:90] = True
        rle = coco.encode(np.asfortranarray(region.astype(np.uint8)))["counts"].decode()
        lines["truth"].append(f"{f} 10000 10 60 90 {rle}")
        stray = np.zeros((60, 90), bool)
        stray[48:58, 60 : 80 if f % 2 else 70] = True
        stray[38:40, 0:5] = True
        rle = coco.encode(np.asfortranarray(stray.astype(np.uint8)))["counts"].decode()
        lines["answer"].append(f"{f} 2090 2 60 90 {rle}")
    root = Path(tempfile.mkdtemp())
    (root / "gt/MOTS20-99/gt").mkdir(parents=True)
    (root / "trackers/it/data").mkdir(parents=True)
    (root / "gt/MOTS20-99/gt/gt.txt").write_text("\n".join(lines["truth"]) + "\n")
    (root / "trackers/it/data/MOTS20-99.txt").write_text("\n".join(lines["answer"]) + "\n")
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.MOTSChallenge(
            {
                "GT_FOLDER": str(root / "gt"),
                "TRACKERS_FOLDER": str(root / "trackers"),
                "SKIP_SPLIT_FOL": True,
                "SEQ_INFO": {"MOTS20-99": 12},
                "PRINT_CONFIG": False,
            }
        )
        metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(), trackeval.metrics.Identity()]
        config = {
            "PRINT_RESULTS": False,
            "PRINT_CONFIG": False,
            "OUTPUT_SUMMARY": False,
            "TIME_PROGRESS": False,
            "OUTPUT_DETAILED": False,
            "PLOT_CURVES": False,
            "BREAK_ON_ERROR": True,
        }
        found = trackeval.Evaluator(config).evaluate([dataset], metrics)[0]["MOTSChallenge"]["it"][
            "MOTS20-99"
        ]
    flat = {k: float(np.mean(v)) for m in found["pedestrian"].values() for k, v in m.items()}
    (here / "mots.json").write_text(json.dumps({**lines, "values": flat}))


track_map()
mots()
