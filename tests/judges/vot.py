"""VOT toolkit 0.9 on a workspace that vtlab wrote: `python vot.py ROOT` reads ROOT/truth as its dataset and every
trajectory in ROOT/results, prints overlaps and properties, and writes each again, as text and binary, to ROOT/again."""

import json
import os
import sys

sys.path.pop(0)  # this file has the package's name
from vot.dataset import load_dataset
from vot.region import calculate_overlap
from vot.region.io import write_trajectory
from vot.tracker import Trajectory
from vot.tracker.results import Results
from vot.workspace.storage import LocalStorage


def main(root):
    out = {}
    dataset = load_dataset(os.path.join(root, "truth"))
    for sequence in dataset:
        folder = os.path.join(root, "mine", sequence.name)
        names = sorted({os.path.splitext(f)[0] for f in os.listdir(folder) if not f.endswith(".value")})
        for name in names:
            told = Trajectory.read(Results(LocalStorage(folder)), name)
            start = int(name[-8:]) if name[-9:-8] == "_" and name[-8:].isdigit() else 0
            overlaps = [
                float(
                    calculate_overlap(
                        region, sequence.groundtruth(min(start + i, len(sequence) - 1)), sequence.size
                    )
                )
                for i, region in enumerate(told.regions())
            ]
            kinds = [type(region).__name__ for region in told.regions()]
            properties = {
                key: [told.properties(i).get(key) for i in range(len(told))] for key in told.properties()
            }
            out[f"{sequence.name}/{name}"] = {"overlaps": overlaps, "kinds": kinds, "properties": properties}
            os.makedirs(os.path.join(root, "again", sequence.name), exist_ok=True)
            for ending in ("txt", "bin"):
                write_trajectory(
                    os.path.join(root, "again", sequence.name, f"{name}.{ending}"), told.regions()
                )
        out[sequence.name] = {
            "length": len(sequence),
            "size": list(sequence.size),
            "tags": sorted(sequence.tags() or []),
        }
        out[sequence.name]["anchors"] = [sequence.values(i).get("anchor", 0) for i in range(len(sequence))]
    print(json.dumps(out))


main(*sys.argv[1:])
