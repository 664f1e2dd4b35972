"""Networks: decoding of every YOLO layout on tiny exports made here; detection transformers, random and small."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.detectors.onnx_files import SIDE, export
from vtlab.detectors.base import COCO_NAMES
from vtlab.detectors.exports import letterbox
from vtlab.detectors.yolo import YoloOnnx, YoloxOnnx, decode_yolo, layout_of
from vtlab.errors import InputError, MissingDependencyError, VtlabError, WeightsError
from vtlab.registry import DETECTORS

IMAGE = np.full((32, 64, 3), 200, np.uint8)  # fits into 64 x 64 with 16 rows of border above and below
# Two objects as centre and size in pixels of the input, their class and score; the first twice.
OBJECTS = [((20, 30, 10, 12), 1, 0.9), ((21, 30, 10, 12), 1, 0.6), ((45, 40, 8, 8), 2, 0.8)]
TRUTH = [[15, 8, 25, 20], [41, 20, 49, 28]]


def rows(classes: int, n: int = 200) -> np.ndarray:
    """(n, 5 + classes) in the layout of v5; all but the first three are nothing."""
    out = np.zeros((n, 5 + classes))
    for row, (box, number, score) in zip(out, OBJECTS, strict=False):
        row[:4], row[4], row[5 + number] = box, 1.0, score
    return out


def check(found, labels=("b", "c")):
    np.testing.assert_allclose(found.xyxy, TRUTH, atol=1e-4)
    np.testing.assert_allclose(found.confidence, [0.9, 0.8], rtol=1e-6)
    assert found.data["class_name"].tolist() == list(labels)


def test_every_layout_gives_the_same(tmp_path):
    v5 = rows(3)
    v8 = np.concatenate([v5[:, :4], v5[:, 5:]], axis=1).T
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y, w, h), _, _ in OBJECTS]
    done = np.array(
        [[*corner, score, number] for corner, (_, number, score) in zip(corners, OBJECTS, strict=True)]
    )
    names = {"names": {0: "a", 1: "b", 2: "c"}}
    for name, output in {"v5": v5, "v8": v8, "end2end": done}.items():
        assert layout_of(output, 3) == name
        path = export(tmp_path / f"{name}.onnx", output, names)
        check(YoloOnnx(path=path).detect([IMAGE])[0])
        check(YoloOnnx(path=path, layout=name).detect([IMAGE, IMAGE])[1])
    assert YoloOnnx(path=path, classes="c").detect([IMAGE])[0].data["class_name"].tolist() == ["c"]
    assert YoloOnnx(path=path).detect([]) == []


def test_names_come_from_the_file_the_caller_or_coco(tmp_path):
    eighty = export(tmp_path / "80.onnx", rows(80))
    assert YoloOnnx(path=eighty).detect([IMAGE])[0].data["class_name"].tolist() == [
        COCO_NAMES[1],
        COCO_NAMES[2],
    ]
    three = export(tmp_path / "3.onnx", rows(3))
    assert YoloOnnx(path=three, layout="v5").detect([IMAGE])[0].data["class_name"].tolist() == ["1", "2"]
    with pytest.raises(WeightsError, match="names=... of all its classes"):
        YoloOnnx(path=three).detect([IMAGE])
    check(YoloOnnx(path=three, names=["a", "b", "c"]).detect([IMAGE])[0])
    with pytest.raises(InputError, match="no class 'dog'"):
        YoloOnnx(path=three, names=["a", "b", "c"], classes="dog")


def test_yolox_decodes_its_grid(tmp_path):
    strides = [(8, 64), (16, 16), (32, 4)]
    n = sum(c for _, c in strides)
    out = np.zeros((n, 5 + 3))
    # The picture begins at the top left, so in the input the objects lie 16 rows higher than in the centred layout.
    for index, ((x, y, w, h), number, score) in zip((9, 17, 26), OBJECTS, strict=True):
        gx, gy = index % 8, index // 8
        out[index, :4] = [x / 8 - gx, (y - 16) / 8 - gy, np.log(w / 8), np.log(h / 8)]
        out[index, 4], out[index, 5 + number] = 1.0, score
    path = export(tmp_path / "x.onnx", out)
    check(YoloxOnnx(path=path, names=["a", "b", "c"]).detect([IMAGE])[0])
    with pytest.raises(WeightsError, match="fits no grid"):
        YoloxOnnx(path=export(tmp_path / "y.onnx", out[:50])).detect([IMAGE])


def test_letterbox_keeps_proportions():
    picture, ratio, shift = letterbox(IMAGE, (64, 64), centred=True)
    assert picture.shape == (3, 64, 64)
    assert (ratio, shift) == (1.0, (0.0, 16.0))
    assert picture[0, 32, 0] == pytest.approx(200 / 255)
    assert picture[0, 0, 0] == pytest.approx(114 / 255)


def test_wrong_files_and_layouts(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*none\.onnx"):
        YoloOnnx(path=tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_text("no")
    with pytest.raises(WeightsError, match="can't be loaded as ONNX"):
        YoloOnnx(path=tmp_path / "bad.onnx")
    with pytest.raises(InputError, match="layout"):
        YoloOnnx(path=tmp_path / "bad.onnx", layout="v9")
    with pytest.raises(WeightsError, match="no known YOLO layout"):
        layout_of(np.zeros((3, 3, 3)), 1)
    assert decode_yolo(np.zeros((0, 6)), "end2end").boxes.shape == (0, 4)


@pytest.mark.parametrize("name", ["rtdetr", "rf-detr", "ultralytics"])
def test_packages_that_are_missing_are_named(name, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    module, given = ("ultralytics", {"path": "x.pt"}) if name == "ultralytics" else ("transformers", {})
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"vtlab\[{module}\]"):
        DETECTORS.create(name, **given)


@pytest.mark.parametrize("name", ["rtdetr", "rtdetr-v2", "d-fine"])
def test_detection_transformers_from_a_local_folder(name, tmp_path):
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'vtlab[transformers]'"
    )
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    torch.manual_seed(0)
    small = {
        "encoder_hidden_dim": 32, "encoder_in_channels": [16, 32, 64], "encoder_layers": 1, "encoder_ffn_dim": 32,
        "d_model": 32, "num_queries": 20, "decoder_in_channels": [32, 32, 32], "decoder_layers": 2,
        "decoder_ffn_dim": 32, "decoder_attention_heads": 4, "encoder_attention_heads": 4, "num_denoising": 0,
        "id2label": {0: "cat", 1: "dog"}, "label2id": {"cat": 0, "dog": 1},
    }  # fmt: skip
    kinds = {
        "rtdetr": ("RTDetrConfig", "RTDetrForObjectDetection"),
        "rtdetr-v2": ("RTDetrV2Config", "RTDetrV2ForObjectDetection"),
        "d-fine": ("DFineConfig", "DFineForObjectDetection"),
    }
    config_class, model_class = (getattr(transformers, n) for n in kinds[name])
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    model_class(config_class(backbone_config=backbone, **small)).eval().save_pretrained(tmp_path)
    detector = DETECTORS.create(name, model=tmp_path, size=64, confidence=0.0)
    assert detector.names == ("cat", "dog")
    image = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    first, _ = detector.detect([image, image[:, ::-1].copy()])
    assert 0 < len(first) <= 40
    assert (first.xyxy[:, 2] <= 80).all()
    np.testing.assert_allclose(detector.detect([image])[0].confidence, first.confidence, rtol=1e-4)
    assert set(first.data["class_name"]) <= {"cat", "dog"}
    with pytest.raises(VtlabError):
        DETECTORS.create(name, model=tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["rf-detr", "lw-detr"])
def test_light_detection_transformers_from_a_local_folder(name, tmp_path):
    """They look at normalised images, in windows of a plain transformer."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'vtlab[transformers]'"
    )
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    torch.manual_seed(0)
    kind = {"rf-detr": "RfDetr", "lw-detr": "LwDetr"}[name]
    side, patch = (112, 14) if name == "rf-detr" else (64, 16)
    backbone = getattr(transformers, "RfDetrDinov2Config" if name == "rf-detr" else "LwDetrViTConfig")(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=side, patch_size=patch,
        out_features=["stage2"], pretrain_image_size=side, num_windows=4, window_block_indices=[0],
    )  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone, d_model=32, decoder_layers=1, decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2, decoder_ffn_dim=32, num_queries=10, group_detr=1, decoder_n_points=2,
        num_feature_levels=1, projector_scale_factors=[1.0], id2label={0: "cat", 1: "dog"},
    )  # fmt: skip
    getattr(transformers, f"{kind}ForObjectDetection")(config).eval().save_pretrained(tmp_path)
    detector = DETECTORS.create(name, model=tmp_path, size=side, confidence=0.0)
    image = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        detector._prepare(image).mean(),
        ((image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).mean(),
        atol=0.05,
    )
    (found,) = detector.detect([image])
    assert 0 < len(found) <= 20
    assert set(found.data["class_name"]) <= {"cat", "dog"}


def test_an_export_for_two_images_at_once_is_told(tmp_path):
    path = export(tmp_path / "two.onnx", np.zeros((50, 8)), batch=2)
    with pytest.raises(WeightsError, match="not an export that takes images one by one"):
        YoloOnnx(path=path, size=SIDE).detect([IMAGE])


def test_outputs_that_fit_no_layout_are_refused_with_a_word(tmp_path):
    """Each layout's output under another's name, and outputs that are none, end in vtlab's error, not in an IndexError."""
    v5 = rows(3)
    outputs = {"v5": v5, "v8": np.concatenate([v5[:, :4], v5[:, 5:]], axis=1).T, "end2end": np.zeros((9, 6))}
    for name, output in outputs.items():
        path = export(tmp_path / f"{name}.onnx", output, {"names": {0: "a", 1: "b", 2: "c"}})
        for other in outputs.keys() - {name}:
            with pytest.raises(WeightsError, match="layout|classes"):
                YoloOnnx(path=path, layout=other).detect([IMAGE])
    for shape in ((5,), (200, 4), (2, 3), (3, 200), (4, 5, 6)):
        path = export(tmp_path / "odd.onnx", np.zeros(shape))
        with pytest.raises(WeightsError, match="layout|classes|answer"):
            YoloOnnx(path=path).detect([IMAGE])


@pytest.mark.parametrize("classes", [1, 2, 80])
def test_a_layout_is_told_whichever_side_is_longer(classes):
    for boxes in (3, 20, 8400):
        v5, v8 = np.full((boxes, 5 + classes), 0.5), np.full((4 + classes, boxes), 0.5)
        assert (layout_of(v5, classes), layout_of(v8, classes)) == ("v5", "v8")
