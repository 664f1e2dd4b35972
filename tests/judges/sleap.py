"""sleap-io as the judge of poses: what it reads of projects and labels of DeepLabCut that vtlab wrote, what vtlab reads of
projects that it wrote now and once (the golden one, whole and cut off), and the contract of the format, as JSON. vtlab is
in its environment, too. argv[1]: a folder.
"""

import json
import sys
from pathlib import Path

sys.path.pop(0)

import numpy as np
import sleap_io as sio
from PIL import Image

from vtlab import formats
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError
from vtlab.testing import check_format
from vtlab.testing.ledger import check_ledger, random_tracks
from vtlab.tracks import PointRows, Record, Tracks

root = Path(sys.argv[1])
GOLDEN = Path(__file__).parents[1] / "formats/golden/sleap-theirs.slp"


def poses(source: str) -> Tracks:
    """Two animals of three points; the second is missing on frame 1, a point of the first isn't seen on frame 2."""
    rows = [(f, i) for f in range(4) for i in (1, 2) if (f, i) != (1, 2)]
    p = np.array([(f, i, k, 10 * i + f + 0.25, 5 * k + f + 0.5) for f, i in rows for k in range(3)])
    where = p[:, :3].astype(int).T
    points = PointRows.of(*where, p[:, 3:], ~((where[0] == 2) & (where[2] == 1) & (where[1] == 1)))
    frame, owner = np.array(rows).T
    record = Record(
        frames=4,
        dense=True,
        id_map={"1": "left", "2": "right"},
        edges={"1": [[0, 1], [1, 2]], "2": [[0, 1], [1, 2]]},
        extra={"point_names": ["nose", "back", "tail"]},
    )
    return Tracks.of(frame, owner, points=points, size=(48, 64), source=source, record=record)


def told(labels: sio.Labels) -> list:
    """Frame, individual and points of each instance."""
    found = []
    for frame in labels.labeled_frames:
        for one in frame.instances:
            xy = one.numpy(invisible_as_nan=True)
            named = {
                n: None if np.isnan(p).any() else p.tolist()
                for n, p in zip(one.skeleton.node_names, xy, strict=True)
            }
            found.append([frame.frame_idx, one.track.name, type(one).__name__, named])
    return sorted(found, key=lambda row: row[:2])


(project,) = formats.write_tracks(poses("manual"), root / "sleap", "sleap", sequence="walk")
(result,) = formats.write_tracks(poses("tracked"), root / "sleap", "sleap", sequence="walk", tracker="mine")
labels = sio.load_slp(str(project), open_videos=False)
table = root / "labeled-data/walk/CollectedData_vtlab.csv"
formats.find_format("deeplabcut").write_tracks(poses("manual"), table, "truth")
for frame in range(4):
    Image.new("L", (64, 48)).save(table.parent / f"img{frame:06d}.png")
labels.save(str(root / "theirs.slp"), verbose=False)
back = formats.read_tracks(root / "theirs.slp", "sleap")
golden = root / "golden/walk.slp"
golden.parent.mkdir()
golden.write_bytes(GOLDEN.read_bytes())
truth = open_dataset(golden.parent).truth("walk")
golden.write_bytes(GOLDEN.read_bytes()[:9000])
try:
    cut_off = str(open_dataset(golden.parent))
except FormatError as error:
    cut_off = str(error)
for seed in range(3):
    given = random_tracks(seed)
    (path,) = formats.write_tracks(given, root / f"random{seed}", "sleap", sequence="walk")
    form = formats.find_format("sleap")
    check_ledger(given, form.read_sequence(form.find(path)["walk"], images=False).truth, form.losses(given))
print(
    json.dumps(
        {
            "sleap": told(labels),
            "lines": [list(pair) for pair in labels.skeleton.edge_names],
            "shape": list(labels.video.shape),
            "predicted": told(sio.load_slp(str(result), open_videos=False)),
            "deeplabcut": told(sio.load_dlc(str(table), config=False)),
            "back": [
                back.frame.tolist(),
                back.object_id.tolist(),
                back.points.xy.tolist(),
                back.points.visible.tolist(),
            ],
            "golden": [truth.object_id.tolist(), truth.record.id_map, list(truth.size)],
            "cut_off": cut_off,
            "contract": [r.state for r in check_format("sleap")],
        }
    )
)
