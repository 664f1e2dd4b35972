"""Supervisely's SDK on a project that vtlab wrote, `python supervisely.py PROJECT`: opens it, reads its annotation against
its own meta, and prints what it would write itself."""

import json
import os
import sys

sys.path.pop(0)  # this file has the package's name

import cv2
import numpy as np
import supervisely as sly

root = sys.argv[1]
folder = os.path.join(root, "videos", "video")
os.makedirs(folder)
writer = cv2.VideoWriter(os.path.join(folder, "walk.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (80, 60))
for n in range(10):
    writer.write(np.full((60, 80, 3), 20 * n, np.uint8))
writer.release()
project = sly.VideoProject(root, sly.OpenMode.READ)
(dataset,) = project.datasets
(item,) = dataset
made = sly.VideoAnnotation.load_json_file(dataset.get_ann_path(item), project.meta, project.key_id_map)
made.validate_figures_bounds()
areas = [
    [f.frame_index, f.geometry.geometry_name(), float(getattr(f.geometry, "area", 0))] for f in made.figures
]
print(json.dumps({"item": item, "annotation": made.to_json(project.key_id_map), "areas": areas}))
