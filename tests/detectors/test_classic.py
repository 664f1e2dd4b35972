"""Detectors that need no weights: HOG, motion, public detections, a function; filters; bad input."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

from vtlab.detectors.base import COCO_NAMES, class_ids, select
from vtlab.detectors.callable import CallableDetector
from vtlab.detectors.hog import HogPeople
from vtlab.detectors.motion import Motion
from vtlab.detectors.public import PublicDetections
from vtlab.errors import FormatError, InputError, RegistryError, VtlabWarning
from vtlab.registry import DETECTORS
from vtlab.video import Frame


def image(x: int | None = None, height: int = 120, width: int = 160) -> np.ndarray:
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[::7] = 100
    if x is not None:
        picture[40:80, x : x + 20] = 220
    return picture


def test_select_filters_by_score_class_overlap_and_image():
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [-5, -5, 5, 5], [5, 5, 5, 9], [np.nan] * 4]
    found = select(
        boxes, [0.9, 0.8, 0.7, 0.6, 0.9, 0.9], [0, 0, 1, 1, 0, 0], ("a", "b"),
        size=(8, 8), threshold=0.5, nms=0.5, wanted=None,
    )  # fmt: skip
    assert found.xyxy.tolist() == [[0, 0, 8, 8], [0, 0, 8, 8], [0, 0, 5, 5]]
    assert found.data["class_name"].tolist() == ["a", "b", "b"]
    only = select(
        boxes,
        np.ones(6),
        [0, 0, 1, 1, 0, 0],
        ("a", "b"),
        size=(8, 8),
        threshold=0,
        nms=1,
        wanted=np.array([1]),
    )
    assert set(only.class_id) == {1}


def test_select_of_nothing_is_empty_detections():
    found = select([], [], [], ("a",), size=(8, 8), threshold=0, nms=0.5, wanted=None)
    assert len(found) == 0
    assert found.data["class_name"].shape == (0,)


def test_unknown_class_names_what_is_near():
    assert len(COCO_NAMES) == 80
    assert COCO_NAMES[79] == "toothbrush"
    with pytest.raises(InputError, match=r"no class 'persn'.*'person'"):
        class_ids(["persn"], COCO_NAMES, "fastestdet")


def test_motion_finds_what_moves_and_not_the_background():
    detector = Motion(history=1.0)
    assert len(detector.detect([image()])[0]) == 0
    for _ in range(20):
        assert len(detector.detect([image()])[0]) == 0
    found = detector.detect([image(50)])[0]
    assert len(found) == 1
    assert np.abs(found.xyxy[0] - [50, 40, 70, 80]).max() <= 2
    assert found.data["class_name"].tolist() == ["moving object"]
    detector.reset()
    assert len(detector.detect([image(50)])[0]) == 0


def test_motion_learns_by_real_time():
    def frames_until_forgotten(period: float) -> int:
        detector = Motion(history=1.0)
        for i in range(40):
            detector.detect_frame(Frame(i, i * period, image()))
        for i in range(40, 400):
            if not len(detector.detect_frame(Frame(i, i * period, image(50)))):
                return i - 40
        return 400

    fast, slow = frames_until_forgotten(0.02), frames_until_forgotten(0.1)
    assert slow < fast < 400


def test_hog_runs_on_any_size_and_answers_inside_the_image():
    detector = HogPeople()
    for size in ((30, 30), (128, 64), (300, 200)):
        rng = np.random.default_rng(0)
        found = detector.detect([rng.integers(0, 255, (*size, 3), dtype=np.uint8)])[0]
        assert found.xyxy.shape[1] == 4
        assert (found.xyxy[:, [1, 3]] <= size[0]).all()


@pytest.mark.shared
def test_hog_finds_the_people_of_a_street(shared):
    import av

    with av.open(str(shared / "data/videos/vtest.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    found = HogPeople().detect([picture])[0]
    assert len(found) >= 2
    assert set(found.data["class_name"]) == {"person"}


def test_public_detections_by_index_and_in_order(tmp_path):
    file = tmp_path / "det.txt"
    file.write_text("2,-1,11,21,30,40,0.5,-1,-1,-1\n1,-1,1,1,10,20,0.9\n\n2,-1,5,5,5,5,0.7\n")
    detector = PublicDetections(path=file, label="car")
    first, second, third = detector.detect([image()] * 3)
    assert first.xyxy.tolist() == [[0, 0, 10, 20]]
    assert second.xyxy.tolist() == [[10, 20, 40, 60], [4, 4, 9, 9]]
    assert second.confidence.tolist() == [0.5, 0.7]
    assert len(third) == 0
    assert detector.detect_frame(Frame(1, 0.1, image())).data["class_name"].tolist() == ["car", "car"]
    detector.reset()
    assert len(detector.detect([image()])[0]) == 1


def test_public_detections_squash_unbounded_scores(tmp_path):
    file = tmp_path / "det.txt"
    file.write_text("1,-1,1,1,10,20,-0.5\n1,-1,1,1,10,20,4.7\n")
    scores = PublicDetections(path=file).at(0).confidence
    assert (scores > 0).all()
    assert (scores < 1).all()
    assert PublicDetections(path=file, confidence=0.0).at(0).xyxy.shape == (1, 4)


@pytest.mark.parametrize(("text", "line"), [("1,-1,1,1,10\n", 1), ("1,-1,1,1,1,1,1\n0,-1,1,1,1,1,1\n", 2)])
def test_public_detections_name_the_line_that_is_wrong(tmp_path, text, line):
    file = tmp_path / "det.txt"
    file.write_text(text)
    with pytest.raises(FormatError, match=f"line {line}"):
        PublicDetections(path=file)


def test_public_detections_without_file():
    with pytest.raises(InputError, match="no file 'nowhere"):
        PublicDetections(path="nowhere.txt")


def test_callable_takes_arrays_and_detections():
    rows = [[1, 2, 3, 4, 0.9, 1], [5, 6, 7, 8, 0.2, 0]]
    found = CallableDetector(function=lambda _: rows, names=("cat", "dog"), confidence=0.5).detect([image()])[
        0
    ]
    assert found.data["class_name"].tolist() == ["dog"]
    given = sv.Detections(xyxy=np.array([[1.0, 2, 3, 4]]), class_id=np.array([7]))
    found = CallableDetector(function=lambda _: given, names=("cat",)).detect([image()])[0]
    assert found.data["class_name"].tolist() == ["7"]
    assert given.data == {}
    assert len(CallableDetector(function=lambda _: []).detect([image()])[0]) == 0


def test_callable_leaves_out_boxes_with_nan_and_says_so():
    rows = [[1, 2, 3, 4], [np.nan, 2, 3, 4]]
    with pytest.warns(VtlabWarning, match="1 of the function's 2 boxes"):
        assert len(CallableDetector(function=lambda _: rows).detect([image()])[0]) == 1


@pytest.mark.parametrize("answer", [None, "boxes", [[1, 2, 3]], np.zeros((2, 7))])
def test_callable_says_what_a_function_must_return(answer):
    with pytest.raises(InputError, match="must return"):
        CallableDetector(function=lambda _: answer).detect([image()])


def test_wrong_images_and_parameters():
    with pytest.raises(InputError, match=r"\(H, W, 3\)"):
        Motion().detect([np.zeros((5, 5), np.uint8)])
    with pytest.raises(InputError, match="confidence"):
        HogPeople(confidence=2)
    with pytest.raises(InputError, match="history"):
        Motion(history=0)
    with pytest.raises(InputError, match="callable"):
        CallableDetector(function=3)


def test_detectors_are_registered():
    assert {"hog-people", "motion", "fastestdet", "public", "callable"} <= set(DETECTORS.names())
    with pytest.raises(RegistryError, match="fastestdet"):
        DETECTORS.create("fastetdet")
