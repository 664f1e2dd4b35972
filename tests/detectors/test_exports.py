"""ONNX exports of every layout: read from outputs, names and metadata; refused by name where that doesn't tell enough."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.onnx_files import SIDE, export
from vtlab.detectors.base import COCO_NAMES, Fit
from vtlab.detectors.exports import COCO91_NAMES, masks_of
from vtlab.detectors.yolo import YoloOnnx, layout_of
from vtlab.errors import RegistryError, VtlabWarning, WeightsError
from vtlab.registry import DETECTORS
from vtlab.trackers.compose.by_detection import ByDetection
from vtlab.trackers.loop import track

IMAGE = np.full((32, 64, 3), 200, np.uint8)  # fits into 64 x 64 with 16 rows of border above and below
NAMES = {0: "a", 1: "b"}
CENTRE, EXTENT = (20, 30, 10, 12), (15, 8, 25, 20)
"""An object as centre and size in the input, and its corners in the image."""


def v8(*behind: np.ndarray | float, classes: int = 2, boxes: int = 84) -> np.ndarray:
    """(4 + classes + behind, boxes): one object of the last class, at box 5."""
    rows = np.zeros((boxes, 4 + classes))
    rows[5, :4], rows[5, 3 + classes] = CENTRE, 0.9
    further = np.ravel(behind) if len(behind) else np.zeros(0)
    return np.concatenate([rows, np.outer(np.arange(boxes) == 5, further)], axis=1).T.astype(np.float32)


def finished(*behind: float, first: tuple[float, ...] = (15, 24, 25, 36)) -> np.ndarray:
    """(boxes, 6 + behind): one object of class 1, the rest nothing."""
    rows = np.zeros((30, 6 + len(behind)), np.float32)
    rows[0] = [*first, 0.9, 1, *behind]
    return rows


def the_one(detector):
    (found,) = detector.detect([IMAGE])
    assert (len(found), found.data["class_name"].tolist()) == (1, ["b"])
    np.testing.assert_allclose(found.confidence, [0.9], rtol=1e-6)
    return found


def half_mask() -> tuple[np.ndarray, list[float]]:
    """Prototypes (32, 16, 16) and coefficients whose product is positive in the input's first 20 columns."""
    prototypes = np.zeros((32, 16, 16), np.float32)
    prototypes[3] = np.where(np.arange(16) < 5, 1, -1)
    return prototypes, [0.0] * 3 + [4.0] + [0.0] * 28


@pytest.mark.parametrize("end", [False, True])
def test_segmentation_gives_masks(tmp_path, end):
    prototypes, row = half_mask()
    first = finished(*row) if end else v8(np.array(row))
    told = {"names": NAMES, "task": "segment", "end2end": end}
    for metadata in (told, {"names": NAMES}):  # a second output of prototypes says it, too
        path = export(tmp_path / "seg.onnx", {"output0": first, "output1": prototypes}, metadata)
        found = the_one(YoloOnnx(path=path))
        np.testing.assert_allclose(found.xyxy[0], EXTENT, atol=1e-4)
        expected = np.zeros((1, 32, 64), bool)
        expected[:, 8:20, 15:20] = True  # within the box, left of column 20
        np.testing.assert_array_equal(found.mask, expected)
    nothing = export(tmp_path / "none.onnx", {"output0": first * 0, "output1": prototypes}, told)
    assert YoloOnnx(path=nothing).detect([IMAGE])[0].mask.shape == (0, 32, 64)


@pytest.mark.parametrize("end", [False, True])
def test_pose_gives_key_points(tmp_path, end):
    points = np.array([[16, 26, 0.8], [24, 34, 0.2]])
    first = finished(*points.ravel()) if end else v8(points)
    path = export(
        tmp_path / "pose.onnx", first, {"names": NAMES, "task": "pose", "kpt_shape": [2, 3], "end2end": end}
    )
    found = the_one(YoloOnnx(path=path))
    np.testing.assert_allclose(found.data["keypoints"], [[[16, 10], [24, 18]]], atol=1e-4)
    np.testing.assert_allclose(found.data["keypoint_scores"], [[0.8, 0.2]], rtol=1e-5)
    tracks = track(
        np.stack([IMAGE] * 4), tracker=ByDetection(YoloOnnx(path=path), "sort", min_hits=1), progress=False
    )
    rows = tracks.points
    assert rows.point_id.tolist() == [0, 1] * 4
    np.testing.assert_allclose(rows.xy[:2], [[16, 10], [24, 18]], atol=1e-4)
    assert rows.visible.tolist() == [True, False] * 4


@pytest.mark.parametrize("end", [False, True])
def test_oriented_boxes_give_their_corners(tmp_path, end):
    first = finished(np.pi / 2, first=CENTRE) if end else v8(np.array([np.pi / 2]))
    path = export(tmp_path / "obb.onnx", first, {"names": NAMES, "task": "obb", "end2end": end})
    found = the_one(YoloOnnx(path=path))
    np.testing.assert_allclose(found.data["xyxyxyxy"], [[[26, 9], [26, 19], [14, 19], [14, 9]]], atol=1e-4)
    np.testing.assert_allclose(found.xyxy, [[14, 9, 26, 19]], atol=1e-4)


def test_oriented_boxes_are_suppressed_as_such(tmp_path):
    """Two long boxes that cross overlap little, though their extents are the same."""
    rows = np.zeros((84, 7))
    rows[:3] = [
        [32, 32, 30, 4, 0, 0.9, np.pi / 4],
        [32, 32, 30, 4, 0, 0.8, -np.pi / 4],
        [33, 32, 30, 4, 0, 0.7, np.pi / 4],
    ]
    path = export(tmp_path / "obb.onnx", rows.T.astype(np.float32), {"names": NAMES, "task": "obb"})
    found = YoloOnnx(path=path).detect([IMAGE])[0]
    np.testing.assert_allclose(found.confidence, [0.9, 0.8], rtol=1e-6)


def test_suppression_within_the_export_is_told_by_its_arguments(tmp_path):
    """One class, six columns: what v5 with one class has, too."""
    rows = finished()
    rows[0, 5] = 0
    for metadata in ({"args": {"nms": True}}, {"end2end": True}, {}):
        path = export(tmp_path / "one.onnx", rows, {"names": {0: "b"}, **metadata})
        np.testing.assert_allclose(the_one(YoloOnnx(path=path)).xyxy[0], EXTENT, atol=1e-4)


def test_a_layout_that_nothing_tells_is_asked_for(tmp_path):
    """Without names only COCO's classes are believed: columns may be key points or angles as well."""
    pose = np.concatenate([v8(classes=1), np.zeros((51, 84), np.float32)])
    path = export(tmp_path / "pose.onnx", pose)
    with pytest.raises(WeightsError, match=r"masks, key points or angles.*names=.*task="):
        YoloOnnx(path=path).detect([IMAGE])
    found = the_one(YoloOnnx(path=path, task="pose", names=["b"]))
    assert found.data["keypoints"].shape == (1, 17, 2)
    wide = export(tmp_path / "wide.onnx", finished(0.5, 0.5), {"names": NAMES})
    with pytest.raises(WeightsError, match=r"\(30, 8\).* fits no YOLO layout"):
        YoloOnnx(path=wide).detect([IMAGE])
    coco = export(tmp_path / "coco.onnx", v8(classes=80, boxes=85))  # rows fit v8, columns v5
    with pytest.raises(WeightsError, match="may be of the layouts v5 and v8"):
        layout_of(np.zeros((84, 85)), 80)
    assert YoloOnnx(path=coco).detect([IMAGE])[0].data["class_name"].tolist() == [
        COCO_NAMES[79]
    ]  # by its 85 cells


def test_tasks_and_outputs_that_contradict_are_told(tmp_path):
    other = export(tmp_path / "cls.onnx", v8(), {"names": NAMES, "task": "classify"})
    with pytest.raises(WeightsError, match="for the task 'classify'"):
        YoloOnnx(path=other)
    lone = export(tmp_path / "seg.onnx", v8(np.zeros(32)), {"names": NAMES, "task": "segment"})
    with pytest.raises(WeightsError, match="prototypes of masks"):
        YoloOnnx(path=lone).detect([IMAGE])


QUERIES = np.array([[0.5, 0.5, 0.25, 0.5], [0.1, 0.1, 0.1, 0.1]], np.float32)
LOGITS = np.array([[-9, 2.0], [-9, -9]], np.float32)
PLACE = (24, 8, 40, 24)


def test_detection_transformers_of_three_layouts(tmp_path):
    masks = np.full((2, 8, 8), -1, np.float32)
    masks[0, :, :4] = 1
    layouts = {
        "rf-detr-onnx": ({"dets": QUERIES, "labels": LOGITS, "masks": masks}, {}),
        "lw-detr-onnx": ({"logits": LOGITS, "pred_boxes": QUERIES}, {}),
        "d-fine-onnx": (
            {
                "labels": np.array([1, 0]),
                "boxes": np.array([PLACE, (0, 0, 9, 9)], np.float32),
                "scores": np.array([0.880797, 0.1], np.float32),
            },
            {"also": {"orig_target_sizes": (1, 2)}},
        ),
    }
    for name, (outputs, options) in layouts.items():
        path = export(tmp_path / f"{name}.onnx", outputs, {"names": ["a", "b"]}, **options)
        (found,) = DETECTORS.create(name, path=path).detect([IMAGE])
        np.testing.assert_allclose(found.xyxy, [PLACE], atol=1e-4)
        np.testing.assert_allclose(found.confidence, [0.880797], atol=1e-6)
        assert found.data["class_name"].tolist() == ["b"]
        assert found.metadata["confidence"] == 0.4
        if "masks" in outputs:
            expected = np.zeros((1, 32, 64), bool)
            expected[:, 8:24, 24:32] = True
            np.testing.assert_array_equal(found.mask, expected)


def test_what_each_detection_transformer_sees(tmp_path):
    path = export(tmp_path / "x.onnx", {"logits": LOGITS, "pred_boxes": QUERIES}, {"names": ["a", "b"]})
    normal, plain = (
        DETECTORS.create(n, path=path)._prepare(IMAGE)[0] for n in ("rf-detr-onnx", "d-fine-onnx")
    )
    assert plain.shape == (3, SIDE, SIDE)
    np.testing.assert_allclose(plain, 200 / 255, rtol=1e-6)
    np.testing.assert_allclose(
        normal[:, 0, 0], (200 / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-5
    )


def test_classes_by_cocos_own_numbers(tmp_path):
    logits = np.full((2, 91), -9, np.float32)
    logits[0, 90] = logits[1, 18] = 3
    path = export(tmp_path / "coco.onnx", {"dets": QUERIES, "labels": logits})
    found = DETECTORS.create("rf-detr-onnx", path=path).detect([IMAGE])[0]
    assert found.data["class_name"].tolist() == ["toothbrush", "dog"]
    assert (len(COCO91_NAMES), COCO91_NAMES[1], COCO91_NAMES[44], COCO91_NAMES[12]) == (
        91,
        "person",
        "bottle",
        "12",
    )
    background = export(tmp_path / "own.onnx", {"dets": QUERIES, "labels": np.tile([[-9.0, 2, 5]], (2, 1))})
    own = DETECTORS.create("rf-detr-onnx", path=background, names=["a", "b"]).detect([IMAGE])[0]
    assert set(own.data["class_name"]) == {"b"}


PICO = {f"o{i}": np.zeros((n, 80), np.float32) for i, n in enumerate((64, 16, 4, 1))}
EDGES = {f"o{i + 4}": np.zeros((n, 32), np.float32) for i, n in enumerate((64, 16, 4, 1))}


def test_picodet_reads_distributions(tmp_path):
    scores, edges = {k: v.copy() for k, v in PICO.items()}, {k: v.copy() for k, v in EDGES.items()}
    scores["o1"][5, 16] = 0.8  # column 1, row 1 of the map of stride 16: centre (24, 24)
    edges["o5"][5] = np.tile(np.where(np.arange(8) == 1, 99, 0), 4)
    edges["o5"][5, :8] = np.where(np.arange(8) == 0, 99, 0)
    path = export(tmp_path / "p.onnx", {**scores, **edges})
    found = DETECTORS.create("picodet-s", weights=path).detect([IMAGE])[0]
    np.testing.assert_allclose(found.xyxy, [[24, 4, 40, 20]], atol=1e-3)
    assert found.data["class_name"].tolist() == ["dog"]


def test_yunet_reads_faces_and_marks(tmp_path):
    outputs = {}
    for stride, n in ((8, 64), (16, 16), (32, 4)):
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{kind}_{stride}"] = np.zeros((n, width), np.float32)
    outputs["cls_16"][5] = outputs["obj_16"][5] = 0.81
    outputs["bbox_16"][5] = [0.5, 0.25, np.log(1.5), 0]
    outputs["kps_16"][5] = np.arange(10) / 8
    path = export(tmp_path / "y.onnx", outputs)
    found = DETECTORS.create("yunet", weights=path).detect([IMAGE])[0]
    np.testing.assert_allclose(found.xyxy, [[12, 12, 36, 28]], atol=1e-3)
    np.testing.assert_allclose(found.data["keypoints"][0, :2], [[16, 18], [20, 22]], atol=1e-3)
    np.testing.assert_allclose(found.confidence, [0.81], rtol=1e-5)


def test_a_file_of_another_layout_is_refused_by_name(tmp_path):
    files = {
        "picodet": export(tmp_path / "p.onnx", {**PICO, **EDGES}),
        "detr": export(tmp_path / "d.onnx", {"dets": QUERIES, "labels": LOGITS}),
        "yunet": export(tmp_path / "y.onnx", {f"cls_{s}": np.zeros((4, 1), np.float32) for s in (8, 16)}),
        "fastestdet": export(tmp_path / "f.onnx", np.zeros((85, 2, 2), np.float32)),
        "yolo": export(tmp_path / "v.onnx", v8(), {"names": NAMES, "task": "detect"}),
        "": export(
            tmp_path / "n.onnx", {"num": np.zeros(1, np.float32), "boxes": np.zeros((4, 4), np.float32)}
        ),
    }
    readers = {
        "yolo-onnx": "path",
        "yolox-onnx": "path",
        "rf-detr-onnx": "path",
        "picodet-s": "weights",
        "yunet": "weights",
    }
    own = {"yolo": ("yolo-onnx",), "detr": ("rf-detr-onnx",), "picodet": ("picodet-s",), "yunet": ("yunet",)}
    for layout, path in files.items():
        told = {"detr": "DETR.*'rf-detr-onnx'", "": "no layout that is known"}.get(
            layout, f"{layout}.*Remedy: the detector"
        )
        for name, word in readers.items():
            if name in own.get(layout, ()):
                DETECTORS.create(name, **{word: path})
                continue
            if (layout, name) == ("yolo", "yolox-onnx"):
                told = "'yolo-onnx'"
            with pytest.raises(WeightsError, match=told):
                DETECTORS.create(name, **{word: path})


@pytest.mark.parametrize("text", ["{0: 'a', 1: 'b'}", "['a', 'b']", '["a", "b"]', "a,b", "a\nb\n"])
@pytest.mark.parametrize("key", ["names", "classes"])
def test_class_names_come_from_the_metadata(tmp_path, text, key):
    path = export(tmp_path / "n.onnx", v8(), {key: text})
    the_one(YoloOnnx(path=path))


def test_masks_lie_where_their_pixels_are():
    """A map of a quarter of the input's size, whose zero crossing lies between two cells."""
    logits = np.tile(np.where(np.arange(16) < 8, 1.0, -1.0), (16, 1))[None]
    for scale, expected in ((1.0, 32), (0.5, 64)):
        size = (int(64 / scale), int(64 / scale))
        box = np.array([[0.0, 0.0, *size[::-1]]])
        mask = masks_of(logits, None, box, Fit((scale, scale)), ((64, 64), size))
        assert mask[0, 0].sum() == expected


def test_a_detector_without_its_parameter_is_vtlabs_error():
    for name in ("yolo-onnx", "yolox-onnx", "rf-detr-onnx", "d-fine-onnx", "ultralytics"):
        with pytest.raises(RegistryError, match="needs the parameter 'path'"):
            DETECTORS.create(name)
        with pytest.raises(RegistryError, match="needs the parameter 'path'"):
            ByDetection(name)


def test_nothing_says_so_with_score_and_threshold(tmp_path):
    weak = v8()
    weak[5, 5] = 0.1
    path = export(tmp_path / "weak.onnx", weak, {"names": NAMES})
    video = np.stack([IMAGE] * 3)
    with pytest.warns(
        VtlabWarning,
        match=r"no detections in 3 frames by 'yolo-onnx'.*score seen is 0\.1, below confidence=0\.25",
    ):
        track(video, tracker=ByDetection(YoloOnnx(path=path), "sort"), progress=False)
    with pytest.warns(VtlabWarning, match=r"3 detections in 3 frames.*score seen is 0\.1, below .*=0\."):
        track(video, tracker=ByDetection(YoloOnnx(path=path, confidence=0.05), "bytetrack"), progress=False)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "file", "labels"),
    [
        ("picodet-s", "picodet_s_320_coco.onnx", {"person", "car", "truck"}),
        ("yolox-nano", "yolox_nano_kazuhito00.onnx", {"person", "car", "truck"}),
    ],
)
def test_real_weights_find_people_and_cars(shared, name, file, labels):
    """Boxes of a person each: they are told from the benchmark's truth on the same frame."""
    import vtlab

    folder = shared / "data" / "mot" / "PETS09-S2L1-169"
    image = vtlab.open_video(folder / "video.mp4")[100]
    truth = np.loadtxt(folder / "gt" / "gt.txt", delimiter=",")
    truth = truth[(truth[:, 0] == 101) & (truth[:, 6] == 1), 2:6]
    detector = DETECTORS.create(name, weights=shared / "data" / "weights" / file, confidence=0.4)
    found = detector.detect([image])[0]
    assert labels <= set(found.data["class_name"].tolist())
    people = found.xyxy[found.data["class_name"] == "person"]
    from vtlab.geometry import box_iou

    overlap = box_iou(truth + np.pad(truth[:, :2], ((0, 0), (2, 0))), people)
    assert (overlap.max(axis=1) > 0.5).mean() >= 0.6


@pytest.mark.shared
def test_yunet_is_opencvs(shared):
    import cv2

    import vtlab

    file = shared / "data" / "weights" / "yunet_n_320_320.onnx"
    detector = DETECTORS.create("yunet", weights=file)
    image = vtlab.open_video(str(shared / "data" / "sot" / "DragonBaby" / "img" / "*.jpg"))[0]
    found = detector.detect([image])[0]
    picture, fit = detector._prepare(image)
    theirs = cv2.FaceDetectorYN.create(str(file), "", (320, 320), 0.6, 0.3)
    _, faces = theirs.detect(np.ascontiguousarray(picture.transpose(1, 2, 0)).astype(np.uint8))
    faces = faces[np.argsort(-faces[:, 14])]
    assert len(found) == len(faces) > 0
    np.testing.assert_allclose(found.confidence, faces[:, 14], atol=1e-5)
    np.testing.assert_allclose(
        found.data["keypoints"].reshape(len(faces), 10), faces[:, 4:14] / fit.scale[0], atol=0.01
    )


def test_yolox_is_not_read_as_another_yolo(tmp_path):
    """It has the columns of v5, whose boxes would be wrong in silence."""
    rows = np.zeros((336, 85), np.float32)
    rows[5, :5], rows[5, 84] = (*CENTRE, 1), 0.9
    path = export(tmp_path / "x.onnx", rows, size=(128, 128))
    with pytest.raises(WeightsError, match="Remedy: the detector 'yolox-onnx'; or layout='v5'"):
        YoloOnnx(path=path).detect([IMAGE])
    assert YoloOnnx(path=path, layout="v5", confidence=0.5).detect([IMAGE[:, :32]])[0].data["class_name"] == [
        COCO_NAMES[79]
    ]
