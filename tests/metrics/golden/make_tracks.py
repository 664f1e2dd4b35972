"""Writes track_map.json, mots.json and classes.json: TrackEval 1.3.0 on small random sequences. Run: make_tracks.py."""

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


def classes():
    """Two sequences of cars and dogs, the dogs only in the second: their counts over sequences, and over classes."""
    rng = np.random.default_rng(11)
    metrics = [
        trackeval.metrics.HOTA(),
        trackeval.metrics.CLEAR(),
        trackeval.metrics.Identity(),
        trackeval.metrics.Count(),
    ]
    sequences, found = [], {"car": [], "dog": []}
    for number in range(2):
        sides = {}
        for label, tracks in (("car", 6), ("dog", 3 * number)):
            truth = boxes(rng, tracks, 16, 30)
            answer = [
                [f, i + 20 * (f > 7 and i % 2), *np.round([x + rng.normal(0, 4), y, w, h], 2).tolist()]
                for f, i, x, y, w, h in truth
                if rng.random() < 0.8
            ] + [[f, 90 + i, *r] for f, i, *r in boxes(rng, number, 16, 25)]
            shift = 1000 * (label == "dog")
            sides[label] = [[[f, i + shift, *r] for f, i, *r in rows] for rows in (truth, answer)]
            found[label].append(
                {m.get_name(): m.eval_sequence(timesteps(*sides[label], 16)) for m in metrics}
            )
        sequences.append(sides)
    values = {}
    for m in metrics:
        name = m.get_name()
        whole = {
            label: m.combine_sequences({str(k): f[name] for k, f in enumerate(parts)})
            for label, parts in found.items()
        }
        whole["class average"] = m.combine_classes_class_averaged(dict(whole))
        whole["class combined"] = m.combine_classes_det_averaged({k: whole[k] for k in ("car", "dog")})
        for label, numbers in whole.items():
            values.setdefault(label, {}).update({k: float(np.mean(v)) for k, v in numbers.items()})
    (here / "classes.json").write_text(json.dumps({"sequences": sequences, "values": values}))


def timesteps(truth, answer, frames):
    """A sequence as TrackEval's metrics take it: ids from 0 and similarities, frame by frame."""
    out = {"num_timesteps": frames, "seq": "s"}
    for side, rows in (("gt", truth), ("tracker", answer)):
        ids = {i: k for k, i in enumerate(sorted({r[1] for r in rows}))}
        at = [[r for r in rows if r[0] == f] for f in range(frames)]
        out[f"{side}_ids"] = [np.array([ids[r[1]] for r in now], int) for now in at]
        out[f"{side}_boxes"] = [np.array([r[2:] for r in now], float).reshape(-1, 4) for now in at]
        out[f"num_{side}_ids"], out[f"num_{side}_dets"] = len(ids), len(rows)
    iou = trackeval.datasets._base_dataset._BaseDataset._calculate_box_ious
    out["similarity_scores"] = [
        iou(g, t, box_format="xywh") for g, t in zip(out["gt_boxes"], out["tracker_boxes"], strict=True)
    ]
    return out


track_map()
mots()
classes()
