"""Benchmarks are opened by the name of their layout."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import vtlab.datasets
from vtlab.datasets import open_dataset
from vtlab.errors import InputError, VtlabWarning


def test_a_layout_by_name(tmp_path):
    folder = tmp_path / "Ball"
    (folder / "img").mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(folder / "img" / f"{i + 1:04d}.jpg"), np.full((32, 48, 3), 40 * i, np.uint8))
    (folder / "groundtruth_rect.txt").write_text("2,3,10,12\n3,3,10,12\n4,3,10,12\n")
    dataset = open_dataset(folder, "otb")
    assert dataset.format.name == "otb"
    np.testing.assert_array_equal(dataset[0].truth.boxes[0], [1, 2, 11, 14])


@pytest.mark.parametrize(
    ("layout", "message"), [("otbb", "Unknown layout 'otbb'. Did you mean 'otb'"), ("davis", "JPEGImages")]
)
def test_bad_requests_are_named(layout, message, tmp_path):
    with pytest.raises(InputError, match=message):
        open_dataset(tmp_path, layout)


def test_the_classes_of_the_first_version_still_open(tmp_path):
    folder = tmp_path / "MOT17-02-DPM"
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text("1,1,1,1,10,20,1,1,1\n")
    with pytest.warns(
        VtlabWarning, match=r"MotChallenge\(root\) is now open_dataset\(root, 'motchallenge'\)"
    ):
        old = vtlab.datasets.MotChallenge
    assert old(tmp_path, "DPM").names == ("MOT17-02-DPM",)
    with pytest.raises(InputError, match="select='SDP'"):
        old(tmp_path, select="SDP")
