"""Files that count their objects from 0 can be opened with their images: prompts count from 1."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vtlab.formats import convert, open_format
from vtlab.sequence import from_one
from vtlab.tracks import PointRows, Tracks


def pictures(folder, first):
    folder.mkdir(parents=True)
    for number in range(first, first + 3):
        cv2.imwrite(str(folder / f"{number:06d}.png"), np.zeros((60, 80, 3), np.uint8))


@pytest.fixture(params=["kitti", "motchallenge"])
def layout(request, tmp_path):
    """Two objects, 0 and 1, on three frames."""
    rows = [(frame, owner, 10 + 20 * owner + frame) for frame in range(3) for owner in range(2)]
    if request.param == "kitti":
        pictures(tmp_path / "image_02/0001", 0)
        lines = [f"{f} {i} Car 0 0 -10 {x} 10 {x + 15} 30 1 1 1 0 0 0 0" for f, i, x in rows]
        file = tmp_path / "label_02/0001.txt"
    else:
        pictures(tmp_path / "v_1/img1", 1)
        info = "[Sequence]\nname=v_1\nframeRate=25\nseqLength=3\nimWidth=80\nimHeight=60\nimExt=.png\n"
        (tmp_path / "v_1/seqinfo.ini").write_text(info)
        lines = [f"{f + 1},{i},{x + 1},11,15,20,1,1,1" for f, i, x in rows]
        file = tmp_path / "v_1/gt/gt.txt"
    file.parent.mkdir()
    file.write_text("\n".join(lines) + "\n")
    return request.param, tmp_path


def test_it_opens_with_images_and_says_the_ids_of_the_file(layout):
    kind, root = layout
    (sequence,) = open_format(root, kind)
    assert [p.object_id for p in sequence.prompts] == [1, 2]
    assert sequence.truth.object_ids.tolist() == [1, 2]
    assert sequence.truth.record.id_map == {"1": 0, "2": 1}
    for prompt in sequence.prompts:
        np.testing.assert_array_equal(prompt.xyxy, sequence.truth.of_object(prompt.object_id).boxes[0])


def test_a_conversion_keeps_them(layout, tmp_path):
    kind, root = layout
    convert(root, tmp_path.parent / f"{tmp_path.name}-out", "vtlab", layout=kind)
    (found,) = (tmp_path.parent / f"{tmp_path.name}-out").rglob("*.parquet")
    assert Tracks.load(found).object_ids.tolist() == [0, 1]


def test_points_go_with_their_objects_and_other_ids_stay():
    points = PointRows.of([0, 0], [0, 4], [0, 0], np.ones((2, 2)))
    moved = from_one(Tracks.of([0, 0], [0, 4], np.ones((2, 4)), points=points))
    assert moved.points.object_id.tolist() == moved.object_id.tolist() == [1, 5]
    kept = Tracks.of([0, 0], [1, 4], np.ones((2, 4)))
    assert from_one(kept) is kept
