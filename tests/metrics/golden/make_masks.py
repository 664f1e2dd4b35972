"""Writes masks_pycocotools.json: what pycocotools 2.0.11 gives for seeded masks. Run: make_masks.py."""

import base64
import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

rng = np.random.default_rng(14)
groups = []
for height, width in ((1, 1), (1, 9), (9, 1), (7, 5), (40, 60), (96, 160)):
    y, x = np.mgrid[:height, :width]
    images = [
        np.zeros((height, width), bool),
        np.ones((height, width), bool),
        rng.random((height, width)) < 0.5,
        np.hypot(x - width / 2, y - height / 2) < height / 3,
        (x + y) % 2 == 0,
        np.hypot(x - width / 3, 2 * y - height) < width / 4,
        x * 3 > width,
    ]
    codes = coco.encode(np.asfortranarray(np.stack(images, axis=-1), dtype=np.uint8))
    groups.append(
        {
            "size": [height, width],
            "pixels": [base64.b64encode(np.packbits(m)).decode() for m in images],
            "counts": [c["counts"].decode() for c in codes],
            "areas": [int(coco.area([c])[0]) for c in codes],
            "boxes": [coco.toBbox([c])[0].tolist() for c in codes],
            "iou": coco.iou(codes, codes, [0] * len(codes)).tolist(),
            "union": coco.merge(codes[2:])["counts"].decode(),
        }
    )
Path(__file__).with_name("masks_pycocotools.json").write_text(
    json.dumps(groups, separators=(",", ":")) + "\n"
)
