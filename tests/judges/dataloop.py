"""Dataloop's client on annotations that vtlab wrote, `python dataloop.py FILE OUT`: what it finds on every frame, and in OUT
what it writes of them. It is told of no platform: item and dataset are made by hand."""

import json
import sys
from pathlib import Path

sys.path.pop(0)

import dtlpy as dl

told = json.loads(Path(sys.argv[1]).read_text())
item = dl.Item.from_json(
    {
        "id": told["_id"], "datasetId": "", "name": "walk.mp4", "filename": told["filename"], "type": "file", "dir": "/",
        "hidden": False, "annotationsCount": 0, "createdAt": "x", "metadata": told["metadata"],
    },
    client_api=dl.client_api,
    dataset=None,
)  # fmt: skip
empty = {
    "metadata": {},
    "directoryTree": None,
    "exportOptions": {},
    "expirationOptions": {},
    "createdAt": "x",
}
empty |= {"readableType": None, "accessLevel": "private", "items": 1, "annotationsCount": 0}
counts = {"id": "", "name": "d", "annotated": 0, "creator": "x", "projects": [], "itemsCount": 1}
item._dataset = dl.Dataset.from_json(None, counts | empty, dl.client_api)
type(item._dataset).labels = property(lambda self: [])  # else it asks the platform for their colours


def read() -> dl.AnnotationCollection:
    """The annotations; anew, for it writes no mask at whose pixels it has looked."""
    return dl.AnnotationCollection.from_json(json.loads(json.dumps(told)), item=item, is_video=True)


Path(sys.argv[2]).write_text(json.dumps(read().to_json()))
found = read()
assert len(found.annotations) == len(told["annotations"])
rows = []
for one in found.annotations:
    for frame in range(one.start_frame, one.end_frame + 1):
        if one.type == "pose":
            continue
        assert one.set_frame(frame)
        figure = one.annotation_definition
        shape = figure.geo.nonzero() if one.type == "binary" else None
        rows.append(
            {
                "frame": frame, "type": one.type, "object": one.object_id, "parent": one.parent_id, "label": one.label,
                "visible": one.object_visible, "fixed": bool(one.fixed), "attributes": one.attributes,
                "figure": [] if one.type == "binary" else figure.to_coordinates(None),
                "pixels": [] if shape is None else [int(shape[0].sum()), int(shape[1].sum()), len(shape[0])],
            }
        )  # fmt: skip
print(json.dumps({"rows": rows}))
