"""A comparison as a data set of FiftyOne: what it is given, by a stand-in that keeps it. The real one: tests/judges."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import vtlab
from vtlab.comparison import to_fiftyone
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import InputError, MissingDependencyError
from vtlab.metrics.families import FAMILIES
from vtlab.video import open_video


class Label(SimpleNamespace):
    """Anything that holds what it is given by name."""


class Sample(dict):
    def __init__(self, **fields):
        super().__init__(fields)
        self.frames = {}


class Dataset:
    made: dict = {}  # noqa: RUF012 (what is there, by name)

    def __init__(self, name=None, overwrite=False):
        assert overwrite or name not in self.made
        self.samples, self.declared = [], []
        self.made[name] = self

    def add_samples(self, samples):
        self.samples += samples

    def add_dynamic_sample_fields(self):
        self.declared.append("sample")

    def add_dynamic_frame_fields(self):
        self.declared.append("frame")


def stand_in():
    module = ModuleType("fiftyone")
    names = ("Detection", "Detections", "Keypoint", "Keypoints", "VideoMetadata", "DynamicEmbeddedDocument")
    for name in names:
        setattr(module, name, type(name, (Label,), {}))
    module.Sample, module.Frame, module.Dataset, Dataset.made = Sample, dict, Dataset, {}
    module.dataset_exists = lambda name: name in Dataset.made
    return module


@pytest.fixture
def fiftyone(monkeypatch):
    monkeypatch.setitem(sys.modules, "fiftyone", stand_in())


@pytest.fixture(scope="module")
def result():
    scene = synthetic(seed=3, objects=2, points=3, seconds=0.3, size=(113, 65), difficulty="easy")
    trackers = {
        "a b": "identity",
        "a.b": ("ncc", {}),
        "flow": "flow",
        "lk": "lucas-kanade",
        "metadata": "sort",
    }
    return vtlab.compare(scene, trackers, progress=False)


@pytest.fixture(scope="module")
def dataset(result, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "fiftyone", stand_in())
        return to_fiftyone(result, "mine", folder=tmp_path_factory.mktemp("videos"))


def test_every_tracker_and_the_truth_are_fields_of_the_frames(result, dataset):
    (sample,), scene = dataset.samples, result.sequences[0]
    fields = {row["tracker"]: row["field"] for row in dataset.info["vtlab"]}
    assert fields == {"a b": "a_b", "a.b": "a_b_2", "flow": "flow", "lk": "lk", "metadata": "metadata_2"}
    video = open_video(sample["filepath"])
    assert (len(video), video.width, video.height) == (len(scene.video), 114, 66)  # H.264 has even sizes
    assert (sample["metadata"].frame_width, sample["metadata"].total_frame_count) == (114, len(video))
    assert sorted(sample.frames) == list(range(1, len(video) + 1))  # FiftyOne counts from 1
    for name, field in [("truth", "ground_truth"), *fields.items()]:
        tracks = scene.truth if name == "truth" else next(r.tracks for r in result.runs if r.tracker == name)
        for frame in range(len(video)):
            now, found = tracks.at(frame), sample.frames[frame + 1][field].detections
            assert [d.index for d in found] == now.object_id.tolist()
            boxes = np.array([d.bounding_box for d in found]).reshape(-1, 4) * [114, 66, 114, 66]
            np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:], now.boxes[:, 2:])
            for row, d in enumerate(found if now.rle is not None else ()):
                x, y = np.floor(now.boxes[row, :2]).astype(int)
                whole = np.zeros((65, 113), bool)
                whole[y : y + d.mask.shape[0], x : x + d.mask.shape[1]] = d.mask
                np.testing.assert_array_equal(whole, now.mask(row))
    assert dataset.declared == ["sample", "frame"]


def test_points_stand_beside_boxes(result, dataset):
    frames = dataset.samples[0].frames
    tracks = next(r.tracks for r in result.runs if r.tracker == "lk")
    for frame in range(len(frames)):
        found = frames[frame + 1]["lk_points"].keypoints
        places = np.concatenate([k.points for k in found]) * [114, 66]
        np.testing.assert_allclose(places, tracks.points.xy[tracks.points.frame == frame])
        assert [k.index for k in found] == tracks.at(frame).object_id.tolist()
        assert "identity_points" not in frames[frame + 1]


def test_evaluation_is_the_comparisons(result, dataset):
    sample = dataset.samples[0]
    assert vars(sample["a_b"])["success_auc"] == pytest.approx(result.table.loc["a b", "success_auc"])
    assert vars(sample["flow"])["J_F"] == pytest.approx(result.table.loc["flow", "J&F"])
    scene, run = result.sequences[0], next(r for r in result.runs if r.tracker == "flow")
    line = FAMILIES["vos"].timeline(run.tracks, scene)
    told = [getattr(sample.frames[i + 1]["flow"], "quality", np.nan) for i in range(len(line))]
    np.testing.assert_allclose(told, line)
    each = FAMILIES["vos"].timelines(run.tracks, scene, of="answer")
    judged = [(d.index, d.quality) for d in sample.frames[5]["flow"].detections]
    assert judged == [(i, pytest.approx(each[i][4])) for i, _ in judged]
    assert sample.frames[1]["flow"].detections[0].quality is None  # DAVIS counts no prompted frame


def test_without_truth_there_is_what_is_seen(fiftyone, tmp_path):
    scene = synthetic(seed=3, objects=1, points=0, seconds=0.3, size=(96, 64), difficulty="easy")
    bare = vtlab.compare(scene.video, ["identity", "ncc"], prompts=scene.prompts, progress=False)
    sample = to_fiftyone(bare, folder=tmp_path).samples[0]
    assert "ground_truth" not in sample.frames[1]
    assert not hasattr(sample.frames[3]["ncc"], "quality")
    assert vars(sample["ncc"])["lost_share"] == 0


def test_a_name_that_is_taken_is_refused_before_anything_is_written(result, fiftyone, tmp_path):
    Dataset("mine")
    with pytest.raises(InputError, match=r"has a data set 'mine'.*overwrite=True"):
        to_fiftyone(result, "mine", folder=tmp_path / "videos")
    assert not (tmp_path / "videos").exists()
    assert len(to_fiftyone(result, "mine", folder=tmp_path, overwrite=True).samples) == 1


def test_without_the_package_the_extra_is_named(result, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vtlab\[fiftyone\]'"):
        to_fiftyone(result, folder=tmp_path)
