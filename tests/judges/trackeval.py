"""TrackEval 1.3.0 on a folder that vtlab wrote: `python trackeval.py DATASET ROOT [CLASS]` prints its numbers."""

import contextlib
import io
import json
import os
import sys

sys.path.pop(0)  # this file has the package's name
import trackeval

WANTED = {
    "HOTA": ("HOTA", "DetA", "AssA", "LocA"),
    "CLEAR": ("MOTA", "CLR_TP", "CLR_FP", "CLR_FN", "IDSW", "Frag"),
    "Identity": ("IDF1", "IDTP"),
    "TrackMAP": ("AP_all", "AR_all"),
}


def config(dataset, root):
    truth = os.path.join(root, "truth")
    names = sorted(os.listdir(truth)) if os.path.isdir(truth) else []
    given = {
        "GT_FOLDER": truth,
        "TRACKERS_FOLDER": root,
        "TRACKERS_TO_EVAL": ["mine"],
        "TRACKER_SUB_FOLDER": "",
    }
    given["PRINT_CONFIG"] = False
    if os.path.isdir(os.path.join(root, "gt")):  # its own tree, by its own lists
        gt, tracks = (os.path.join(root, name, "mot_challenge") for name in ("gt", "trackers"))
        return {"GT_FOLDER": gt, "TRACKERS_FOLDER": tracks, "BENCHMARK": "MOT17", "PRINT_CONFIG": False}
    if dataset in ("MotChallenge2DBox", "MOTSChallenge"):
        given |= {"SKIP_SPLIT_FOL": True, "SEQ_INFO": dict.fromkeys(names)}
        given |= {"BENCHMARK": "MOT15"} if dataset == "MotChallenge2DBox" else {}
    if dataset == "YouTubeVIS":  # it puts the split's name after both
        for name, folder in (("gt", truth), ("tracks", root)):
            os.symlink(folder, os.path.join(root, f".{name}_youtube_vis_val"))
            given["GT_FOLDER" if name == "gt" else "TRACKERS_FOLDER"] = os.path.join(root, f".{name}_")
        given["SPLIT_TO_EVAL"] = "val"
    if dataset in ("Kitti2DBox", "BDD100K"):
        given["SPLIT_TO_EVAL"] = "training"
    if dataset == "DAVIS":
        given["GT_FOLDER"] = os.path.join(truth, "Annotations")
    return given


def main(dataset, root):
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR({"PRINT_CONFIG": False})]
    metrics.append(trackeval.metrics.Identity({"PRINT_CONFIG": False}))
    if dataset in ("YouTubeVIS", "TAO", "BURST"):
        metrics.append(
            trackeval.metrics.TrackMAP(
                {"PRINT_CONFIG": False, "USE_AREA_RANGES": False, "USE_TIME_RANGES": False}
            )
        )
    how = {"PRINT_RESULTS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False, "PLOT_CURVES": False}
    how |= {"PRINT_CONFIG": False, "BREAK_ON_ERROR": True, "LOG_ON_ERROR": os.path.join(root, "error.log")}
    with contextlib.redirect_stdout(io.StringIO()):
        made = getattr(trackeval.datasets, dataset)(config(dataset, root))
        out, _ = trackeval.Evaluator(how).evaluate([made], metrics)
    classes = out[made.get_name()]["mine"]["COMBINED_SEQ"]
    classes = {name: classes[name] for name in sys.argv[3:]} or classes
    numbers = {}
    for found in classes.values():
        for metric, values in found.items():
            for key in WANTED.get(metric, ()):
                if key in values:
                    value = values[key]
                    numbers.setdefault(key, float(value.mean() if hasattr(value, "mean") else value))
    print(json.dumps(numbers, sort_keys=True))


main(*sys.argv[1:3])
