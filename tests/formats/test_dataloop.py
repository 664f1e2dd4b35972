"""Dataloop's JSON of a video."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.judges.platforms import agrees_with_dataloop, halting, walk
from vtlab import formats
from vtlab.errors import FormatError
from vtlab.formats import FORMATS
from vtlab.formats.dataloop import read_dataloop
from vtlab.sequence import first_prompts
from vtlab.testing.ledger import check_ledger

GOLDEN = Path(__file__).parent / "golden"
FORM = FORMATS["dataloop"]
CORNERS = [{"x": 10, "y": 20, "z": 0}, {"x": 50, "y": 60, "z": 0}]


def snapshot(frame, shift=0, **more):
    data = [{k: v + shift for k, v in point.items()} for point in CORNERS]
    return {"frame": frame, "fixed": True, "label": "car", "objectVisible": True, "data": data, **more}


def annotation(kind="box", coordinates=CORNERS, snapshots=(), end=None, **system):
    told = {
        "frame": 0,
        "endFrame": end,
        "objectId": "7",
        "automated": False,
        "snapshots_": [*snapshots],
        **system,
    }
    return {
        "id": "a1",
        "type": kind,
        "label": "car",
        "coordinates": coordinates,
        "metadata": {"system": told},
    }


def item(*annotations, **system):
    told = {"mimetype": "video/mp4", "height": 80, "width": 100, "nb_frames": 12, **system}
    return {"filename": "/walk.mp4", "metadata": {"system": told, "fps": 20}, "annotations": [*annotations]}


def read(tmp_path, content):
    path = tmp_path / "walk.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_dataloop(path)


def test_a_figure_holds_until_the_next_snapshot_and_the_end(tmp_path):
    moved = snapshot(3, shift=5, namedAttributes={"pose": "up"})
    made = read(tmp_path, item(annotation(snapshots=[moved, snapshot(5, 9, fixed=False)], end=6)))
    assert made.boxes[:, 0].tolist() == [10, 10, 10, 15, 15, 19, 19]
    assert made.object_id.tolist() == [7] * 7
    assert np.flatnonzero(made.key).tolist() == [0, 3]
    assert made.source.tolist() == ["manual"] + ["interpolated"] * 2 + ["manual"] + ["interpolated"] * 3
    assert made.attributes.tolist() == [None] * 3 + [{"pose": "up"}] * 2 + [None] * 2
    made = read(tmp_path, item(annotation(snapshots=[snapshot(2, 1, fixed=False)], automated=True)))
    assert (made.source.tolist(), made.key) == (["tracked", "interpolated", "tracked"], None)


def test_what_is_hidden_and_what_leaves(tmp_path):
    hidden = annotation(snapshots=[snapshot(0, objectVisible=False), snapshot(2)], end=3)
    later = annotation(end=9, frame=8)
    made = read(tmp_path, item(hidden, later))
    assert made.frame.tolist() == [0, 1, 2, 3, 8, 9]
    assert made.visible.tolist() == [False, False, True, True, True, True]


def test_frames_by_their_times(tmp_path):
    timed = annotation(frame=None, endFrame=None, startTime=0.1, endTime=0.2)
    assert read(tmp_path, item(timed)).frame.tolist() == [2, 3, 4]
    begun = item(timed)
    begun["metadata"]["startTime"] = 0.05
    assert read(tmp_path, begun).frame.tolist() == [1, 2, 3]
    del begun["metadata"]["fps"]
    with pytest.raises(FormatError, match=r"expected frame, or startTime and the item's metadata.fps"):
        read(tmp_path, begun)


def picture(mask, mode):
    alpha = mask.astype(np.uint8) * 255
    image = Image.fromarray(np.stack([alpha] * 4, axis=-1)) if mode == "RGBA" else Image.fromarray(alpha)
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_every_kind_of_figure(tmp_path):
    mask = np.zeros((80, 100), bool)
    mask[5:9, 7:20] = True
    for mode in ("RGBA", "L"):
        made = read(tmp_path, item(annotation("binary", picture(mask, mode))))
        assert (made.mask(0) == mask).all()
        assert made.boxes.tolist() == [[7, 5, 20, 9]]
    made = read(tmp_path, item(annotation("box", [*CORNERS, 90])))
    assert made.angle.tolist() == [np.pi / 2]
    ring = [{"x": 1, "y": 1}, {"x": 9, "y": 1}, {"x": 5, "y": 7.5}]
    assert read(tmp_path, item(annotation("segment", [ring]))).polygons[0][0].tolist()[2] == [5, 7.5]
    made = read(tmp_path, item(annotation("polyline", [ring])))
    assert made.points.xy.tolist() == [[1, 1], [9, 1], [5, 7.5]]
    assert made.record.edges == {"7": [[0, 1], [1, 2]]}
    round_ = {"center": {"x": 40, "y": 30}, "rx": 20, "ry": 10, "angle": 90}
    made = read(tmp_path, item(annotation("ellipse", round_), annotation("class", None, objectId="8")))
    np.testing.assert_allclose(made.boxes, [[30, 10, 50, 50]])
    assert made.record.extra["unread"] == {"ellipse": 1, "class": 1}
    joints = [annotation("point", {"x": x, "y": 9}, parentId="p", objectId=None) | {"label": name, "id": name}
              for x, name in ((3, "tail"), (5, "head"))]  # fmt: skip
    pose = annotation("pose", {"templateId": "t"}, objectId="4") | {"id": "p", "label": "cat"}
    made = read(tmp_path, item(*joints, pose))
    assert (made.object_id.tolist(), made.label.tolist()) == ([4], ["cat"])
    assert made.points.xy.tolist() == [[5, 9], [3, 9]]


def test_everything_comes_back(tmp_path):
    made = halting()
    (path,) = formats.write_tracks(made, tmp_path, FORM, sequence="walk")
    back = read_dataloop(path)
    check_ledger(made, back, FORM.losses(made))
    assert {p.kind for p in first_prompts(back)} == {"box", "mask"}
    first = json.loads(path.read_text())["annotations"][0]["metadata"]["system"]
    assert [s["frame"] for s in first["snapshots_"]] == [3]  # frames 1 and 2 hold
    assert formats.sniff(path).name == "dataloop"


DEEP = "[" * 100_000
FAR = [{"x": 1e300, "y": 0}, {"x": 1, "y": 1}]
BAD = {
    "twice": ('{"annotations": [], "annotations": []}', "an object has 'annotations' twice"),
    "deep": ('{"annotations": ' + DEEP, "damaged"),
    "list": ({"annotations": 5}, "annotations should be a list of objects"),
    "count": (item(annotation(), nb_frames=10**9), "nb_frames should be a whole number"),
    "end": (item(annotation(end=10**9)), "endFrame should be a whole number"),
    "many": (item(*[annotation(end=16_000_000)] * 2, nb_frames=None), "more than 20000000 figures"),
    "size": (item(annotation(), height=1 << 20, width=1 << 20), "out of range"),
    "beyond": (item(annotation(snapshots=[snapshot(12)])), "annotation 'a1': frame 12 lies beyond the 12"),
    "before": (item(annotation(snapshots=[snapshot(1)], frame=3)), "frame 1 lies before the first, 3"),
    "again": (item(annotation(snapshots=[snapshot(1), snapshot(1)])), "frame 1 is there twice"),
    "part": (item(annotation(snapshots=[snapshot(1.5)])), "whole number up to .*, got 1.5"),
    "corner": (item(annotation("box", CORNERS[:1])), "annotation 'a1', frame 0: a box has at least two corners"),
    "text": (item(annotation("segment", ["ab"])), "frame 0: expected a list of points"),
    "far": (item(annotation("box", FAR)), "a list of points"),
    "angle": (item(annotation("box", [*CORNERS, "x"])), "angle should be a number"),
    "ring": (item(annotation("segment", [CORNERS])), "at least 3 points"),
    "png": (item(annotation("binary", "data:image/png;base64,@@")), "frame 0: not a bitmap"),
    "other size": (item(annotation("binary", picture(np.ones((4, 5), bool), "L"))), "a mask of 5 x 4 pixels"),
    "ellipse": (item(annotation("ellipse", {"center": {"x": 1, "y": 1}, "rx": None})), "rx should be a number"),
    "two": (item(annotation(), annotation()), "walk.json: .*object 7"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_hostile_files_name_their_place(name, tmp_path):
    content, told = BAD[name]
    with pytest.raises(FormatError, match=told) as error:
        read(tmp_path, content)
    assert "walk.json" in str(error.value)


def test_what_the_judge_read_is_still_written_and_what_it_wrote_is_read(tmp_path):
    """Golden: dtlpy 1.126.5 was shown `dataloop-walk.json`, said `dataloop.json`, and wrote `dataloop-theirs.json`."""
    (path,) = formats.write_tracks(halting(), tmp_path, FORM, sequence="walk")
    assert json.loads(path.read_text()) == json.loads((GOLDEN / "dataloop-walk.json").read_text())
    agrees_with_dataloop(json.loads((GOLDEN / "dataloop.json").read_text()), halting())
    mine, theirs = read_dataloop(path), read_dataloop(GOLDEN / "dataloop-theirs.json")
    np.testing.assert_array_equal(theirs.boxes, mine.boxes)
    np.testing.assert_array_equal(theirs.points.xy, mine.points.xy)
    assert theirs.attributes.tolist() == mine.attributes.tolist()
    assert (theirs.key == mine.key).all()
    assert (theirs.rle == mine.rle).all()
    seen = theirs.of_object(1)
    assert seen.visible[
        :4
    ].all()  # that the first figure of a run is hidden its client reads and does not write


def test_without_a_size(tmp_path):
    (path,) = formats.write_tracks(walk("box", "joints").replace(size=None), tmp_path, FORM, sequence="walk")
    back = read_dataloop(path)
    assert (back.size, len(back)) == (None, 12)
