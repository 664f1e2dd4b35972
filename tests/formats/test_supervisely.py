"""Supervisely's project of videos."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.judges.platforms import agrees_with_supervisely, walk
from vtlab import formats
from vtlab.errors import FormatError
from vtlab.formats import FORMATS
from vtlab.formats.supervisely import read_supervisely
from vtlab.formats.supervisely_geometry import from_data, to_bitmap
from vtlab.sequence import first_prompts
from vtlab.testing.ledger import check_ledger, random_tracks

GOLDEN = Path(__file__).parent / "golden"
FORM = FORMATS["supervisely"]
RING = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44sKHhISMDuxpTYrr03F6gDIOn"
    "q5/LOqeEJgDM5ht6"
)


def annotation(kind, geometry, **more):
    figure = {"key": "f", "objectKey": "o", "geometryType": kind, "geometry": geometry}
    return {
        "size": {"height": 60, "width": 80}, "framesCount": 5, "description": "", "key": "a", "tags": [],
        "objects": [{"key": "o", "id": 9, "classTitle": "car", "tags": []}],
        "frames": [{"index": 2, "figures": [figure | more]}],
    }  # fmt: skip


def read(tmp_path, content):
    path = tmp_path / "walk.mp4.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_supervisely(path)


def test_last_pixels_belong_to_a_rectangle_and_points_are_centres(tmp_path):
    made = read(
        tmp_path, annotation("rectangle", {"points": {"exterior": [[10, 20], [50, 60]], "interior": []}})
    )
    assert (made.frame.tolist(), made.object_id.tolist(), made.label.tolist()) == ([2], [9], ["car"])
    assert made.boxes.tolist() == [[10, 20, 51, 61]]
    assert (made.source.tolist(), made.key) == (["manual"], None)
    made = read(
        tmp_path, annotation("point", {"points": {"exterior": [[7, 8]], "interior": []}}, trackId="t")
    )
    assert made.points.xy.tolist() == [[7.5, 8.5]]
    assert made.source.tolist() == ["tracked"]
    made = read(
        tmp_path,
        annotation("graph", {"nodes": {"n2": {"loc": [1, 2], "disabled": True}, "n1": {"loc": [3, 4]}}}),
    )
    assert (made.points.point_id.tolist(), made.points.visible.tolist()) == ([0, 1], [True, False])
    hole = {
        "exterior": [[10, 10], [50, 10], [50, 50], [10, 50]],
        "interior": [[[20, 20], [30, 20], [30, 30]]],
    }
    made = read(tmp_path, annotation("polygon", {"points": hole}))
    assert len(made.polygons[0]) == 2
    assert not made.mask(0)[22, 28]
    assert made.mask(0)[40, 28]


def test_bitmaps_of_every_kind(tmp_path):
    ring = [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    assert from_data(RING, "").astype(int).tolist() == ring
    assert (
        from_data(base64.b64encode(zlib.decompress(base64.b64decode(RING))).decode(), "").astype(int).tolist()
        == ring
    )
    made = read(tmp_path, annotation("bitmap", {"bitmap": {"origin": [12, 14], "data": RING}}))
    assert made.mask(0)[14:17, 12:15].astype(int).tolist() == ring
    assert made.boxes.tolist() == [[12, 14, 15, 17]]
    again = to_bitmap(made.mask(0))["bitmap"]
    assert again["origin"] == [12, 14]
    assert from_data(again["data"], "").astype(int).tolist() == ring


def test_a_project_of_two_videos_has_the_classes_and_ids_of_both(tmp_path):
    formats.write_tracks(walk("box"), tmp_path, FORM, sequence="one")
    formats.write_tracks(walk("mask"), tmp_path, FORM, sequence="two")
    meta = json.loads((tmp_path / "truth/meta.json").read_text())
    assert [(c["title"], c["shape"]) for c in meta["classes"]] == [("car", "any")]
    assert [t["name"] for t in meta["tags"]] == ["pose"]
    assert len(json.loads((tmp_path / "truth/key_id_map.json").read_text())["objects"]) == 2
    assert list(FORM.find(tmp_path)) == ["one", "two"]
    assert list(FORM.find(tmp_path / "truth/videos/ann/one.mp4.json")) == ["one"]


def test_key_figures_and_tags_come_back(tmp_path):
    made = walk()
    (path,) = formats.write_tracks(made, tmp_path, FORM, sequence="walk")
    back = read_supervisely(path)
    check_ledger(made, back, FORM.losses(made))
    assert back.key.tolist() == made.key.tolist()
    assert back.attributes.tolist() == made.attributes.tolist()
    assert back.record.edges == made.record.edges
    assert {p.kind for p in first_prompts(back)} == {"box", "mask"}
    told = FORM.losses(random_tracks(1))["rounding"]
    assert told.told.endswith("by at most 0.5 px") or "rounded to whole pixels" in told.told


def huge(width):
    raw = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + width.to_bytes(4, "big") * 2
    return base64.b64encode(zlib.compress(raw + bytes(100))).decode()


BOMB = base64.b64encode(zlib.compress(bytes(1 << 27))).decode()
BOX = {"points": {"exterior": [[1, 2], [3, 4]], "interior": []}}
BAD = {
    "twice": ('{"size": 1, "size": 2}', "an object has 'size' twice"),
    "deep": ('{"size": ' + "[" * 100_000, "damaged"),
    "count": (annotation("rectangle", BOX) | {"framesCount": 10**9}, "framesCount should be a whole number"),
    "size": (annotation("rectangle", BOX) | {"size": {"height": 1 << 20, "width": 1 << 20}}, "out of range"),
    "index": (annotation("rectangle", BOX) | {"framesCount": 2}, "index should be a whole number up to 1, got '2'"),
    "object": (annotation("rectangle", BOX, objectKey="x"), "frame 2, figure 0: no object has the key 'x'"),
    "points": (annotation("rectangle", {"points": {"exterior": [[1, 2]]}}), "frame 2, figure 0: a rectangle has two"),
    "text": (annotation("polygon", {"points": {"exterior": "a"}}), "a list of points"),
    "far": (annotation("point", {"points": {"exterior": [[1e300, 2]]}}), "far outside"),
    "nodes": (annotation("graph", {"nodes": [1]}), "expected nodes"),
    "bitmap": (annotation("bitmap", {"bitmap": {"origin": [0, 0], "data": "@@"}}), "frame 2, figure 0: not a bitmap"),
    "huge": (annotation("bitmap", {"bitmap": {"origin": [0, 0], "data": huge(1 << 30)}}), "a picture of"),
    "bomb": (
        annotation("bitmap", {"bitmap": {"origin": [0, 0], "data": BOMB}}),
        "unpacks to more than",
    ),
    "range": (
        annotation("rectangle", BOX) | {"objects": [{"key": "o", "tags": [{"name": "a", "frameRange": 5}]}]},
        "frameRange should be",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_hostile_files_name_their_place(name, tmp_path):
    content, told = BAD[name]
    with pytest.raises(FormatError, match=told) as error:
        read(tmp_path, content)
    assert "walk.mp4.json" in str(error.value)


def test_what_the_judge_read_is_still_written_and_what_it_wrote_is_read(tmp_path):
    """Golden: supervisely 6.74.51 opened the project of `supervisely-walk.json` and wrote `supervisely.json`."""
    (path,) = formats.write_tracks(walk(), tmp_path, FORM, sequence="walk")
    assert json.loads(path.read_text()) == json.loads((GOLDEN / "supervisely-walk.json").read_text())
    told = json.loads((GOLDEN / "supervisely.json").read_text())
    agrees_with_supervisely(told, path)
    mine = read_supervisely(path)
    path.write_text(json.dumps(told["annotation"]))
    theirs = read_supervisely(path)
    np.testing.assert_array_equal(theirs.boxes, mine.boxes)
    np.testing.assert_array_equal(theirs.points.xy, mine.points.xy)
    assert theirs.attributes.tolist() == mine.attributes.tolist()
    assert (theirs.rle == mine.rle).all()
    areas = {(f, name): a for f, name, a in told["areas"]}
    whole = mine.of_object(1)
    assert areas[0, "rectangle"] == np.prod(whole.boxes[0, 2:] - whole.boxes[0, :2])
    assert areas[0, "bitmap"] == mine.mask(int(np.flatnonzero(mine.object_id == 5)[0])).sum()
