"""FEAR-XS and DCFNet with the official weights, against the answers of the official code on real video."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from tests.parity.real_sequences import FRAMES, SEQUENCES, frames, moments, run, stored  # noqa: E402
from vtlab.errors import WeightsError  # noqa: E402
from vtlab.geometry import xywh_to_xyxy  # noqa: E402
from vtlab.nets import dcfnet, fear  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.weights.checkpoints import load_into  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]
MODEL = "fear_xs_Tracker.mlmodel"


@torch.inference_mode()
def test_the_maps_of_fear_are_the_official_ones(shared, shared_weights):
    net = fear.FearXS().eval()
    load_into(net, shared_weights / MODEL, what="fear-xs", variant_of=fear.variant_of, read=fear.read)

    def images(crop):
        return torch.from_numpy(crop)[None].float()

    for name in SEQUENCES:
        kept = moments(shared, "fear_xs", name)
        template = images(kept["init_crop_u8"])
        np.testing.assert_allclose(net.features(template), kept["init_features"], rtol=0, atol=1e-4)
        for at in ("f01", "f30"):
            logits, distances = net(net.template(template), images(kept[f"{at}_crop_u8"]))
            np.testing.assert_allclose(logits, kept[f"{at}_cls_logits"], rtol=0, atol=1e-3)
            np.testing.assert_allclose(distances, kept[f"{at}_bbox_ltrb"], rtol=0, atol=2e-3)


@pytest.mark.parametrize("smooth", [False, True], ids=["plain", "smooth"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_boxes_of_fear_are_those_of_the_official_loop(name, smooth, shared):
    """Whole numbers, so equal."""
    kept = stored(shared, "fear_xs", name)
    kind = "smooth" if smooth else "plain"
    tracker = vtlab.create_tracker("fear-xs", smooth=smooth, device="cpu")
    count = 30 if smooth else FRAMES
    given = kept[f"{kind}_boxes"][:count].astype(float)
    boxes, scores = run(shared, name, tracker, xywh_to_xyxy(given[0]), count)
    np.testing.assert_array_equal(boxes, given)
    np.testing.assert_allclose(scores[1:], kept[f"{kind}_score"][1:count], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SEQUENCES)
def test_boxes_of_dcfnet_are_those_of_the_official_loop(name, shared):
    kept = stored(shared, "dcfnet", name)
    count = 30
    given = kept["py2_boxes"][:count] - np.array([1, 1, 0, 0])  # OTB counts from 1
    tracker = vtlab.create_tracker("dcfnet", device="cpu")
    boxes, scores = run(shared, name, tracker, xywh_to_xyxy(given[0]), count)
    assert (kept["py2_margins"][1:] > 1e-5).all()
    np.testing.assert_allclose(boxes, given, rtol=0, atol=1e-3)
    peaks = np.take_along_axis(kept["py2_peaks"], kept["py2_best_scale"][:, None], axis=1)[:count, 0]
    np.testing.assert_allclose(scores[1:], np.clip(peaks[1:], 0, 1), rtol=0, atol=1e-4)


@torch.inference_mode()
def test_the_response_of_dcfnet_is_the_official_one(shared, shared_weights):
    net = dcfnet.DCFNet().eval()
    load_into(net, shared_weights / "dcfnet_param.pth", what="dcfnet", variant_of=dcfnet.variant_of)
    kept = moments(shared, "dcfnet", "Crossing")

    def images(crops):
        return torch.from_numpy(crops).float() - torch.tensor((104.0, 117.0, 123.0)).view(3, 1, 1)

    spectrum = net.spectrum(images(kept["init_crop_u8"])[None])
    response = net(net.learn(spectrum), spectrum, images(kept["f01_crops_u8"][:3])[None])
    np.testing.assert_allclose(response[0], kept["f01_response"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["fear-xs", "dcfnet"])
def test_a_batch_is_where_each_object_is_alone(name, shared):
    boxes = [(160, 83, 216, 148), (300, 120, 380, 260), (20, 30, 90, 100)]
    given = [BoxPrompt(box, object_id=i) for i, box in enumerate(boxes, 1)]
    many = vtlab.create_tracker(name, device="cpu", batch=2)
    alone = [vtlab.create_tracker(name, device="cpu") for _ in boxes]
    for frame in list(frames(shared, "DragonBaby"))[:4]:
        if frame.index == 0:
            many.init(frame, Prompts(given))
            for tracker, prompt in zip(alone, given, strict=True):
                tracker.init(frame, Prompts(prompt))
            continue
        apart = np.concatenate([t.step(frame).boxes for t in alone])
        np.testing.assert_allclose(many.step(frame).boxes, apart, rtol=0, atol=1e-3)


def test_hostile_models_are_refused(shared_weights, tmp_path):
    whole = (shared_weights / MODEL).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "m.mlmodel"
    cuts = [b"", b"\xff" * 64, b"<html>", whole[:1000], whole[: len(whole) // 2], whole[:-1]]
    for _ in range(40):
        changed = bytearray(whole)
        for at in rng.integers(0, 4000, 20):
            changed[at] = rng.integers(256)
        cuts.append(bytes(changed))
    for data in cuts:  # what is changed within may still be a whole model of something
        path.write_bytes(data)
        with suppress(WeightsError):
            fear.read(path)
    for data in cuts[:6]:
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"m\.mlmodel (is|holds)"):
            fear.read(path)
    with pytest.raises(WeightsError, match=r"convolutions, FEAR-XS has .*Tracker\.mlmodel"):
        fear.read(shared_weights / "fear_xs_TrackerInit.mlmodel")
    path.write_bytes((shared_weights / "fear_xs_init.onnx").read_bytes())
    with pytest.raises(WeightsError, match="no CoreML|holds no convolutions"):
        fear.read(path)
    with pytest.raises(WeightsError, match="Can't read"):
        fear.read(tmp_path / "none.mlmodel")


def test_weights_of_your_own(shared_weights, square_video, tmp_path):
    """FEAR-XS as a state dict, DCFNet as a .pth: no digest is asked, the record holds their hash."""
    tensors = {
        "fear-xs": fear.read(shared_weights / MODEL),
        "dcfnet": torch.load(shared_weights / "dcfnet_param.pth", weights_only=True),
    }
    for name, state in tensors.items():
        path = tmp_path / f"{name}.pth"
        torch.save({k: v * 1.001 for k, v in state.items()}, path)
        tracks = vtlab.track(
            square_video[:3], BoxPrompt((20, 16, 44, 40)), name, weights=path, progress=False
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert tracks.record.tracker.weights == {path.name: digest}
    with pytest.raises(WeightsError, match="does not fit dcfnet"):
        vtlab.create_tracker("dcfnet", weights=tmp_path / "fear-xs.pth")
