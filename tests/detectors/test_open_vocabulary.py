"""OWLv2 and Grounding DINO with small random weights: texts, decoding, and the way from a text to tracks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'vtlab[transformers]'"
)

import vtlab  # noqa: E402
from vtlab.errors import InputError, PromptError, TrackingError, WeightsError  # noqa: E402
from vtlab.prompts import Prompts, TextPrompt  # noqa: E402
from vtlab.registry import DETECTORS  # noqa: E402
from vtlab.testing.seeded.detectors import grounding_dino, owlv2  # noqa: E402

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
LOOSE = {"confidence": 0.01, "device": "cpu"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> folder in the hub's layout."""
    found = {}
    for name, save in (("owlv2", owlv2), ("grounding-dino", grounding_dino)):
        found[name] = tmp_path_factory.mktemp(name)
        save(found[name])
    return found


@pytest.fixture(params=["owlv2", "grounding-dino"])
def made(request, folders):
    """A name, and a detector of it."""
    return request.param, DETECTORS.create(request.param, model=folders[request.param], **LOOSE)


def test_finds_what_texts_name(made):
    name, detector = made
    with pytest.raises(InputError, match=rf"{name!r} finds what texts name, and there is none.*TextPrompt"):
        detector.detect([IMAGE])
    detector.look_for(["yellow taxi", "dog"])
    assert detector.names == ("yellow taxi", "dog")
    first, second = detector.detect([IMAGE, IMAGE])
    assert len(first)
    assert {*first.data["class_name"]} <= {"yellow taxi", "dog"}
    np.testing.assert_array_equal(first.xyxy, second.xyxy)
    assert (first.xyxy >= 0).all()
    assert (first.xyxy <= (60, 40, 60, 40)).all()
    detector.reset()
    assert detector.names == ()
    assert detector.detect([]) == []


@torch.inference_mode()
def test_boxes_of_owlv2_are_those_of_the_network(folders):
    """A wide image stands at the top of a black square; boxes are parts of the square."""
    detector = DETECTORS.create(
        "owlv2", model=folders["owlv2"], texts=["yellow taxi", "dog"], nms=1.0, **LOOSE
    )
    image = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    square = np.zeros((64, 64, 3), np.float32)
    square[:48] = image / 255
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    network = transformers.Owlv2ForObjectDetection.from_pretrained(folders["owlv2"]).eval()
    out = network(
        pixel_values=torch.from_numpy(((square - mean) / std).transpose(2, 0, 1)[None]).float(),
        input_ids=torch.tensor([[2, 3, 4, 6] + [0] * 12, [2, 5, 6] + [0] * 13]),
        attention_mask=torch.tensor([[1] * 4 + [0] * 12, [1] * 3 + [0] * 13]),
    )
    best, number = out.logits[0].sigmoid().max(dim=1)
    centre, half = out.pred_boxes[0, :, :2], out.pred_boxes[0, :, 2:] / 2
    boxes = (torch.cat([centre - half, centre + half], dim=1) * 64).clamp(0, 64).numpy()
    boxes[:, 3] = boxes[:, 3].clip(max=48)
    solid = (boxes[:, 2:] > boxes[:, :2] + 0.1).all(axis=1) & (best.numpy() >= 0.01)
    found = detector.detect([image])[0]
    found = found[(found.xyxy[:, 2:] > found.xyxy[:, :2] + 0.1).all(axis=1)]
    assert solid.sum() > 4
    order, expected = np.argsort(-found.confidence), np.argsort(-best.numpy()[solid])
    np.testing.assert_allclose(found.confidence[order], best.numpy()[solid][expected], atol=1e-5)
    np.testing.assert_allclose(found.xyxy[order], boxes[solid][expected], atol=1e-3)
    np.testing.assert_array_equal(found.class_id[order], number.numpy()[solid][expected])


@torch.inference_mode()
def test_a_box_of_grounding_dino_belongs_to_the_text_of_its_surest_token(folders, monkeypatch):
    detector = DETECTORS.create(
        "grounding-dino", model=folders["grounding-dino"], texts=["Yellow taxi", "dog"], nms=1.0, **LOOSE
    )
    monkeypatch.setattr(type(detector), "_shortest", 80)
    image = np.random.default_rng(1).integers(0, 255, (80, 120, 3)).astype(np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    network = transformers.GroundingDinoForObjectDetection.from_pretrained(folders["grounding-dino"]).eval()
    out = network(
        pixel_values=torch.from_numpy(((image / 255 - mean) / std).transpose(2, 0, 1)[None]).float(),
        input_ids=torch.tensor([[101, 2, 3, 1012, 4, 1012, 102]]),
        attention_mask=torch.ones(1, 7, dtype=torch.long),
    )
    tokens = out.logits[0].sigmoid()
    scores = torch.stack([tokens[:, 1:3].amax(dim=1), tokens[:, 4]], dim=1)
    found = detector.detect([image])[0]
    best, number = scores.max(dim=1)
    order = best.argsort(descending=True)[: len(found)]
    np.testing.assert_allclose(np.sort(found.confidence)[::-1], best[order].numpy(), atol=1e-4)
    np.testing.assert_array_equal(found.class_id[np.argsort(-found.confidence)], number[order].numpy())


def test_from_a_text_to_tracks(folders):
    """The label is the text, or what the prompt calls it; a later text is looked for from its frame on."""
    video = np.stack([IMAGE] * 6)
    prompts = Prompts([TextPrompt("yellow taxi", label="cab"), TextPrompt("dog", object_id=2, frame=3)])
    tracks = vtlab.track(
        video, prompts, "bytetrack", detector="owlv2", progress=False, high=0.05, new=0.05, low=0.01,
        detector_params={"model": folders["owlv2"], **LOOSE},
    )  # fmt: skip
    assert "cab" in set(tracks.label)
    assert set(tracks.label) <= {"cab", "dog"}
    assert len(tracks.frames) > 2


def test_a_detector_of_fixed_classes_refuses_a_text(square_video):
    with pytest.raises(
        (PromptError, TrackingError), match=r"'hog-people' can't take TextPrompt .'dog'.*owlv2"
    ):
        vtlab.track(square_video, TextPrompt("dog"), "bytetrack", detector="hog-people", progress=False)


def test_what_can_not_be_read(made, tmp_path):
    name, detector = made
    with pytest.raises(PromptError, match="tokens.*Give noun phrases"):
        detector.look_for(["dog " * 300])
    with pytest.raises(InputError, match="most must be at least 1"):
        DETECTORS.create(name, model=tmp_path, most=0)
    with pytest.raises(WeightsError, match="can't be loaded"):
        DETECTORS.create(name, model=tmp_path)
