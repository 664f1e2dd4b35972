"""datumaro as the judge of CVAT XML: what it reads of the file in the folder argv[1], as JSON. It reads no mask tracks."""

import json
import sys

sys.path.pop(0)

import datumaro as dm

found = []
dataset = dm.Dataset.import_from(sys.argv[1], "cvat")
labels = [label.name for label in dataset.categories()[dm.AnnotationType.label]]
for item in dataset:
    for a in item.annotations:
        told = {name: a.attributes.get(name) for name in ("outside", "occluded", "keyframe", "track_id")}
        figure = [a.cx, a.cy, a.w, a.h, a.r] if type(a).__name__ == "RotatedBbox" else list(a.points)
        more = {k: v for k, v in a.attributes.items() if k not in told}
        row = {
            "frame": item.attributes["frame"],
            "kind": type(a).__name__,
            "figure": [round(v, 2) for v in figure],
        }
        found.append(row | told | {"label": labels[a.label], "attributes": more})
found.sort(key=lambda r: (r["frame"], r["track_id"]))
print(json.dumps({"figures": found}))
