"""Poses: PoseTrack's JSON as its documentation has it, DeepLabCut's CSV as it is found, SLEAP's projects by sleap-io."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vtlab import formats
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError, MissingDependencyError
from vtlab.formats import FORMATS, read_tracks
from vtlab.formats.posetrack import POINTS

GOLDEN = Path(__file__).parent / "golden"


def posetrack(folder: Path, **changes) -> Path:
    """Three images as doc/dataset_structure.md of PoseTrack21 has them: the last one was not looked at."""
    images = [
        {
            "is_labeled": n == 0,
            "has_labeled_person": n < 2,
            "nframes": 3,
            "frame_id": 10000010000 + n,
            "id": 10000010000 + n,
            "vid_id": "000001",
            "file_name": f"images/train/000001_bonn_train/{n:06d}.jpg",
            "ignore_regions_x": [[1, 20, 20]] if n == 0 else [],
            "ignore_regions_y": [[2, 2, 30]] if n == 0 else [],
        }
        for n in range(3)
    ]
    keypoints = [0.0] * 51
    keypoints[:6] = [12.5, 7, 1, 13, 9, 0]
    person = {
        "category_id": 1,
        "person_id": 1024,
        "track_id": 0,
        "bbox_head": [10, 5, 6, 8],
        "keypoints": keypoints,
    }
    annotations = [
        {**person, "bbox": [10, 5, 20, 40], "image_id": 10000010000, "id": 1000001000000},
        {
            **person,
            "bbox": [11, 5, 20, 40],
            "image_id": 10000010001,
            "id": 1000001000100,
            "keypoints": [0] * 51,
        },
        {
            "category_id": 1,
            "track_id": 3,
            "bbox": [],
            "image_id": 10000010000,
            "id": 5,
            "keypoints": keypoints,
        },
    ]
    kind = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(POINTS),
        "skeleton": [[1, 2], [1, 3]],
    }
    content = {"images": images, "annotations": annotations, "categories": [kind]} | changes
    path = folder / "posetrack_data/train/000001_bonn_train.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_posetrack_as_its_documentation_has_it(tmp_path):
    posetrack(tmp_path)
    data = open_dataset(tmp_path)
    assert (data.format.name, data.names) == ("posetrack", ("000001_bonn_train",))
    sequence = data.format.read_sequence(data.place("000001_bonn_train"), images=False)
    truth = sequence.truth
    assert len(sequence) == 3
    assert truth.record.annotated == (0, 1)
    assert truth.frame.tolist() == [0, 0, 1]
    assert truth.object_id.tolist() == [1, 4, 1]  # hosts that count from 0 are one higher
    assert truth.record.id_map == {"1": 0, "4": 3}
    np.testing.assert_array_equal(truth.boxes[0], [10, 5, 30, 45])
    assert np.isnan(truth.boxes[1]).all()
    assert truth.points.point_id.tolist() == [0, 1, 0, 1]
    assert truth.points.visible.tolist() == [True, False] * 2
    np.testing.assert_array_equal(truth.points.xy[0], [12.5, 7])
    assert truth.record.edges == {"1": [[0, 1], [0, 2]], "4": [[0, 1], [0, 2]]}
    assert truth.record.objects == {"1": {"person_id": 1024}}
    assert truth.attributes[0] == {"bbox_head": [10, 5, 6, 8]}
    assert truth.label.tolist() == ["person"] * 3
    np.testing.assert_array_equal(sequence.ignore.polygons[0][0], [[1, 2], [20, 2], [20, 30]])


def test_posetrack_is_written_as_it_was_read(tmp_path):
    """What PoseTrack's evaluation reads comes back: ids of images and tracks, heads, persons, ignore regions."""
    given = json.loads(posetrack(tmp_path / "a").read_text())
    sequence = open_dataset(tmp_path / "a").truth("000001_bonn_train")
    assert FORMATS["posetrack"].losses(sequence) == {}
    (place,) = FORMATS["posetrack"].find(tmp_path / "a").values()
    whole = FORMATS["posetrack"].read_sequence(place, images=False)
    (path,) = formats.write_sequence(whole, tmp_path / "b", "posetrack")
    back = json.loads(path.read_text())
    for mine, theirs in zip(back["images"], given["images"], strict=True):
        for name in ("id", "frame_id", "vid_id", "nframes", "ignore_regions_x", "ignore_regions_y"):
            assert mine[name] == theirs[name], name
    kept = ("track_id", "bbox", "bbox_head", "person_id", "keypoints", "image_id")
    mine = {(a["image_id"], a["track_id"]): {k: a.get(k) or None for k in kept} for a in back["annotations"]}
    theirs = {
        (a["image_id"], a["track_id"]): {k: a.get(k) or None for k in kept} for a in given["annotations"]
    }
    assert mine == theirs
    (result,) = formats.write_tracks(
        whole.truth, tmp_path / "b", "posetrack", sequence="000001_bonn_train", tracker="mine"
    )
    told = json.loads(result.read_text())
    assert [i["id"] for i in told["images"]] == [i["id"] for i in given["images"]]
    assert len(told["annotations"][0]["scores"]) == 17


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"annotations": [{"image_id": 7, "track_id": 1, "keypoints": []}]},
            "annotation 0: there is no image 7",
        ),
        (
            {"annotations": [{"image_id": 10000010000, "track_id": 1, "keypoints": [1, 2, 3]}]},
            "x, y and v of 17 points",
        ),
        (
            {"annotations": [{"image_id": 10000010000, "track_id": 10**400}]},
            "'track_id' should be a whole number",
        ),
        ({"images": [{"id": 1, "file_name": "../../secret.jpg"}], "annotations": []}, "leads elsewhere"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}] * 2, "annotations": []}, "two images have the id 1"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg", "ignore_regions_x": "12"}], "annotations": []},
            "should be lists",
        ),
        (
            {"categories": [{"id": 1, "name": "person", "keypoints": ["a"] * 5000}]},
            "the names of the 'keypoints'",
        ),
        (
            {"categories": [{"id": 1, "name": "p", "keypoints": ["a"], "skeleton": [[1, 9]]}]},
            "counted from 1",
        ),
    ],
)
def test_a_file_of_posetrack_that_is_wrong(changes, told, tmp_path):
    path = posetrack(tmp_path, **changes)
    with pytest.raises(FormatError, match=told) as raised:
        open_dataset(tmp_path, "posetrack").truth(path.stem)
    assert str(path) in str(raised.value)


SINGLE = """scorer,,,me,me,me,me
bodyparts,,,nose,nose,tail,tail
coords,,,x,y,x,y
labeled-data,walk,img0012.png,10.5,20,30,40
labeled-data,walk,img0003.png,,,31,41.25
labeled-data,walk,img0020.png,,,,
"""
SEVERAL = """scorer,net,net,net,net,net,net
individuals,left,left,left,right,right,right
bodyparts,nose,nose,nose,nose,nose,nose
coords,x,y,likelihood,x,y,likelihood
0,1,2,0.5,11,12,1.0
1,3,4,0.25,,,
"""


def dlc(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_labels_of_deeplabcut(tmp_path):
    dlc(tmp_path, SINGLE, "labeled-data/walk/CollectedData_me.csv")
    data = open_dataset(tmp_path)
    assert (data.format.name, data.names) == ("deeplabcut", ("walk",))
    truth = data.truth("walk")
    assert truth.record.annotated == (3, 12, 20)
    assert (truth.frame.tolist(), truth.object_id.tolist()) == ([3, 12], [1, 1])
    assert truth.points.point_id.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(truth.points.xy, [[31.5, 41.75], [11, 20.5], [30.5, 40.5]])
    assert truth.record.extra["point_names"] == ["nose", "tail"]
    (path,) = formats.write_tracks(truth, tmp_path / "out", "deeplabcut", sequence="walk")
    assert path.read_text().splitlines()[1:4] == [
        "bodyparts,nose,nose,tail,tail",
        "coords,x,y,x,y",
        "labeled-data/walk/img000003.png,,,31.0,41.25",
    ]


def test_results_of_deeplabcut(tmp_path):
    path = dlc(tmp_path, SEVERAL, "mine/walkDLC_resnet50_flyJan1shuffle1_1000.csv")
    form = FORMATS["deeplabcut"]
    assert [(r.tracker, r.sequence) for r in form.find_results(tmp_path)] == [("mine", "walk")]
    tracks = read_tracks(path, "deeplabcut")
    assert tracks.record.id_map == {"1": "left", "2": "right"}
    assert (tracks.frame.tolist(), tracks.object_id.tolist()) == ([0, 0, 1], [1, 2, 1])
    assert tracks.points.score.tolist() == [0.5, 1.0, 0.25]
    assert set(tracks.source) == {"tracked"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2,1,2,0.5,11,12", "line 7: 6 cells, the heads have 7"),
        ("1,1,2,0.5,11,12,1", "line 7: frame 1 is there twice, first in line 6"),
        ("2,1e99,2,0.5,11,12,1", "line 7: expected x and y in pixels"),
        ("2,1,2,7,11,12,1", "line 7: expected x and y in pixels, and a likelihood"),
        ("2,one,2,0.5,11,12,1", "line 7: could not convert"),
        (
            "-1,1,2,0.5,11,12,1",
            "line 7: expected an image with the number of its frame, or that number, got '-1'",
        ),
        (
            "1.5,1,2,0.5,11,12,1",
            "line 7: expected an image with the number of its frame, or that number, got '1.5'",
        ),
        ("99999999999,1,2,0.5,11,12,1", "line 7: expected an image with the number of its frame"),
        ("x" * 200_000 + ",1,2,0.5,11,12,1", "field larger than field limit"),
    ],
)
def test_a_line_of_deeplabcut_that_is_wrong(line, told, tmp_path):
    path = dlc(tmp_path, SEVERAL + line + "\n", "walk.csv")
    with pytest.raises(FormatError, match=told):
        read_tracks(path, "deeplabcut")


def test_heads_of_deeplabcut_that_are_wrong(tmp_path):
    for text, told in {
        SEVERAL.replace("likelihood", "chance"): "the heads should say",
        SEVERAL.replace("right", "left"): "two columns",
        SEVERAL.replace("coords", "cords"): "it lacks the head 'coords'",
    }.items():
        with pytest.raises(FormatError, match=told):
            read_tracks(dlc(tmp_path, text, "walk.csv"), "deeplabcut")


def test_projects_of_sleap_name_the_extra(tmp_path, monkeypatch):
    import sys

    shutil.copy(GOLDEN / "sleap-theirs.slp", tmp_path / "walk.slp")
    assert formats.sniff(tmp_path).name == "sleap"
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    with pytest.raises(
        MissingDependencyError, match=r"needs the package 'sleap-io'.*pip install 'vtlab\[poses\]'"
    ):
        open_dataset(tmp_path)
