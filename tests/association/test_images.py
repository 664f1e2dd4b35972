"""Camera motion, appearance, and the associators that use them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from vtlab.association.botsort import BotSort, SuperviselyBotSort
from vtlab.association.deepsort import DeepSort
from vtlab.association.ocsort import OcSort
from vtlab.association.parts.cmc import CameraMotion
from vtlab.association.parts.reid import HistogramEmbedder, OnnxEmbedder, TimmEmbedder, crops, make_embedder
from vtlab.errors import InputError, MissingDependencyError
from vtlab.registry import ASSOCIATORS
from vtlab.testing.streams import detections, frame, picture


@pytest.fixture(scope="module")
def scenery() -> np.ndarray:
    """A large textured picture to move a camera over."""
    import cv2

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (60, 90, 3), dtype=np.uint8)
    return cv2.resize(noise, (900, 600), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("method", ["flow", "orb", "ecc"])
def test_camera_motion_is_found(scenery, method):
    camera = CameraMotion(method)
    for i in range(4):
        view = np.ascontiguousarray(scenery[20 + 3 * i : 320 + 3 * i, 40 + 5 * i : 440 + 5 * i])
        affine = camera.estimate(frame(i, image=view), np.array([[50.0, 50, 90, 120]]))
        expected = [[1, 0, 0], [0, 1, 0]] if i == 0 else [[1, 0, -5], [0, 1, -3]]
        np.testing.assert_allclose(affine, expected, atol=0.4)
    assert camera.failed == 0


def test_camera_motion_in_a_blank_image_is_none():
    camera = CameraMotion("flow")
    blank = np.zeros((100, 100, 3), np.uint8)
    for i in range(3):
        np.testing.assert_array_equal(camera.estimate(frame(i, image=blank), np.empty((0, 4))), np.eye(2, 3))
    assert camera.failed == 2


def test_camera_motion_is_measured_once_for_all(scenery):
    cache: dict = {}
    views = [np.ascontiguousarray(scenery[:300, 5 * i : 400 + 5 * i]) for i in range(3)]
    first = [CameraMotion("flow", cache=cache) for _ in range(2)]
    answers = [[c.estimate(frame(i, image=v), np.empty((0, 4))) for i, v in enumerate(views)] for c in first]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert len(cache) == 2


def test_unknown_camera_method():
    with pytest.raises(InputError, match=r"'sift'.*flow"):
        BotSort(camera="sift")


def test_histograms_tell_things_apart():
    embedder = HistogramEmbedder()
    red, blue, also_red = embedder.embed(
        picture(), np.array([[20.0, 20, 60, 100], [120, 20, 160, 100], [22, 22, 60, 98]])
    )
    assert red.dtype == np.float32
    assert np.linalg.norm(red) == pytest.approx(1, abs=1e-5)
    assert red @ also_red > embedder.threshold > red @ blue
    assert embedder.embed(picture(), np.empty((0, 4))).shape == (0, 192)


def test_crops_stay_inside_and_are_never_empty():
    shapes = [
        c.shape for c in crops(picture(), [[-5, -5, 3.2, 4], [500, 500, 600, 700], [10, 10, 10.1, 10.1]])
    ]
    assert shapes == [(4, 4, 3), (1, 1, 3), (1, 1, 3)]


def test_embedders_by_name(tmp_path):
    assert isinstance(make_embedder("histogram"), HistogramEmbedder)
    own = HistogramEmbedder()
    assert make_embedder(own) is own
    with pytest.raises(InputError, match=r"'osnet'.*osnet-x0\.25"):
        make_embedder("osnet")


@pytest.mark.shared
def test_osnet_tells_people_apart(shared, shared_weights, monkeypatch):
    import av

    monkeypatch.setenv("VTLAB_WEIGHTS", str(shared_weights))
    folder = shared / "data/mot/PETS09-S2L1-169"
    truth = np.loadtxt(folder / "gt/gt.txt", delimiter=",")
    with av.open(str(folder / "video.mp4")) as container:
        images = [
            f.to_ndarray(format="rgb24") for _, f in zip(range(9), container.decode(video=0), strict=False)
        ]
    embedder = OnnxEmbedder()
    vectors = {}
    for i in (0, 8):
        rows = truth[truth[:, 0] == i + 1]
        boxes = np.concatenate([rows[:, 2:4] - 1, rows[:, 2:4] - 1 + rows[:, 4:6]], axis=1)
        vectors[i] = dict(zip(rows[:, 1].astype(int), embedder.embed(images[i], boxes), strict=True))
    both = sorted(vectors[0].keys() & vectors[8].keys())
    table = np.array([[vectors[0][a] @ vectors[8][b] for b in both] for a in both])
    assert vectors[0][both[0]].shape == (512,)
    assert (table.argmax(axis=1) == np.arange(len(both))).mean() >= 0.8


def test_timm_models(monkeypatch):
    """In timm's place stands what is asked of it: timm needs torchvision, which no environment of the tests has."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    made = []

    def create_model(name, **how):
        made.append((name, how))
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())

    timm = SimpleNamespace(is_model=["resnet18"].__contains__, create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", timm)
    embedder = make_embedder("timm:resnet18.a1_in1k")
    assert made == [("resnet18.a1_in1k", {"pretrained": True, "num_classes": 0})]
    red, blue, also_red = embedder.embed(
        picture(), np.array([[20.0, 20, 60, 100], [120, 20, 160, 100], [22, 22, 60, 98]])
    )
    assert red.shape == (12,)
    assert np.linalg.norm(red) == pytest.approx(1, abs=1e-5)
    assert red @ also_red > red @ blue
    with pytest.raises(InputError, match="no model 'resnet7'"):
        TimmEmbedder("resnet7")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match=r"'timm:resnet18'.*vtlab\[transformers\]"):
        TimmEmbedder("resnet18")


def test_a_torchvision_of_another_torch_is_told(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(InputError, match="torchvision::nms does not exist.*Remedy"):
        TimmEmbedder("resnet18")


RED, BLUE = [20.0, 20, 60, 100], [120.0, 20, 160, 100]


def swapping(associator) -> list[list[int]]:
    """Two things stand still, are lost for five frames, and come back with their places swapped."""
    straight, swapped = picture(), picture()[:, ::-1].copy()
    ids = []
    for i in range(24):
        there = not 9 < i < 15
        boxes = [RED, BLUE] if i < 10 else [[40.0, 20, 80, 100], [140.0, 20, 180, 100]]
        found = detections(boxes if there else np.empty((0, 4)))
        ids.append(
            associator.update(found, frame(i, image=straight if i < 10 else swapped)).tracker_id.tolist()
        )
    return ids


def test_appearance_keeps_identities_apart():
    for associator in (
        DeepSort(gate=1e9),
        DeepSort(gate=1e9, gallery=0, cascade=False),
        DeepSort(gate=1e9, gallery=0, cascade=False, motion_weight=0.02, trust_confidence=True),
    ):
        ids = swapping(associator)
        assert ids[9] == [1, 2]
        assert ids[-1] == [2, 1]


def test_motion_alone_would_swap_them():
    assert swapping(BotSort())[-1] == [1, 2]


def test_botsort_takes_what_looks_alike_where_the_overlap_is_poor():
    """After a jump that leaves an IoU of a third, weak confidence makes the fused overlap fail, appearance not."""
    near, plain = BotSort(embedder="histogram", proximity=0.8), BotSort()
    for associator, follows in ((near, True), (plain, False)):
        for i in range(6):
            associator.update(detections([RED]), frame(i, image=picture()))
        shifted = np.roll(picture(), 24, axis=1)
        moved = detections([[44.0, 20, 84, 100]], [0.65])
        assert (associator.update(moved, frame(6, image=shifted)).tracker_id[0] == 1) == follows


def test_camera_motion_carries_tracks_over_a_pan(scenery):
    def ids(associator) -> list[int]:
        last = []
        for i in range(10):
            x = 40 * max(i - 4, 0)
            view = np.ascontiguousarray(scenery[:400, x : x + 500])
            found = detections([[300.0 - x, 100, 330 - x, 160]], [0.95])
            last.append(int(associator.update(found, frame(i, image=view)).tracker_id[0]))
        return last

    for make in (BotSort, OcSort):
        assert ids(make(camera="flow"))[4:] == [1] * 6
        assert set(ids(make())[4:]) != {1}


@pytest.mark.parametrize("name", ["ocsort", "deep-ocsort", "botsort", "strongsort"])
def test_a_camera_that_turns_and_zooms(scenery, name):
    """Random shaking, turning and zooming must not break the arithmetic of any method."""
    import cv2

    rng = np.random.default_rng(4)
    associator = ASSOCIATORS.create(name, camera="flow")
    path = rng.uniform(150, 350, (8, 2))
    for i in range(25):
        turn = cv2.getRotationMatrix2D((300, 250), 4 * np.sin(i), 1 + 0.1 * np.sin(i / 2))
        view = cv2.warpAffine(scenery, turn, (600, 500))
        centre = (path + 3 * i) @ turn[:, :2].T + turn[:, 2]
        boxes = np.concatenate([centre - 20, centre + 20], axis=1)[rng.random(8) > 0.2]
        ids = associator.update(detections(boxes), frame(i, image=view)).tracker_id
    assert (ids > 0).any()


def test_duplicates_are_removed():
    kept, removed = BotSort(instant_start=True), BotSort(instant_start=True, duplicates=0.8)
    for associator, n in ((kept, 2), (removed, 1)):
        for i in range(5):
            both = [[10.0, 10, 50, 90], [12.0, 10, 52, 90]] if i < 3 else [[10.0, 10, 50, 90]]
            associator.update(detections(both), frame(i))
        assert len(associator._life) == n


def test_supervisely_parameters_do_what_they_say():
    tracker = SuperviselyBotSort(
        with_reid=False, cmc_method="none", min_box_area=100, track_buffer=10, fps=10
    )
    for i in range(4):
        ids = tracker.update(detections([[0.0, 0, 9, 9], [20, 20, 60, 100]]), frame(i, fps=10)).tracker_id
    assert ids.tolist() == [-1, 1]
    assert tracker._life.lost_seconds == 1.0
    tracker.reset()
    assert len(tracker._life) == 0
    for i in range(2):
        ids = tracker.update(detections([[20, 20, 60, 100]]), frame(i)).tracker_id
    assert ids.tolist() == [1]
    with pytest.raises(InputError, match="cmc_method"):
        SuperviselyBotSort(cmc_method="sift")


def test_supervisely_objects_that_come_later_get_dense_ids():
    tracker = SuperviselyBotSort(with_reid=False, cmc_method="none")
    seen = []
    for i in range(12):
        boxes = [[100.0 * k, 20, 100.0 * k + 40, 100] for k in range(1 + i // 3)]
        seen += [x for x in tracker.update(detections(boxes), frame(i)).tracker_id.tolist() if x > 0]
    assert sorted(set(seen)) == [1, 2, 3, 4]
