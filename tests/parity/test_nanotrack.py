"""NanoTrack v2 and v3 with the official weights, against the answers of the official code on real video."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from tests.parity.real_sequences import FRAMES, SEQUENCES, frames, moments, run, stored  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.geometry import xywh_to_xyxy  # noqa: E402
from vtlab.nets.nanotrack import CONFIGS, NanoTrack, variant_of  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.registry import TRACKERS  # noqa: E402
from vtlab.trackers.boxes.nanotrack import ENGINES  # noqa: E402
from vtlab.weights.checkpoints import load_into, load_tensors  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

VERSIONS = (2, 3)
LOGIT, FEATURE, PIXELS, MARGIN = 1e-3, 1e-3, 1e-3, 1e-4  # the notes of the answers


@pytest.fixture(params=VERSIONS, ids="v{}".format)
def version(request):
    return request.param


@pytest.fixture
def network(version, shared_weights):
    net = NanoTrack(CONFIGS[version]).eval()
    load_into(
        net, shared_weights / f"nanotrackv{version}.pth", what=f"nanotrack-v{version}", variant_of=variant_of
    )
    return net


def test_the_state_dict_is_the_official_one(version, shared):
    params = json.loads((shared / "parity" / "real" / f"nanotrackv{version}" / "params.json").read_text())
    with torch.device("meta"):
        own = NanoTrack(CONFIGS[version]).state_dict()
    assert {k: [list(v.shape), str(v.dtype)] for k, v in own.items()} == params["params"]


@torch.inference_mode()
def test_the_maps_are_the_official_ones(version, network, shared):
    for name in SEQUENCES:
        kept = moments(shared, f"nanotrackv{version}", name)
        template = torch.from_numpy(kept["init_crop_u8"][None]).float()
        np.testing.assert_allclose(network.backbone(template), kept["init_zf"], rtol=1e-5, atol=FEATURE)
        kernels = network.template(template)
        for at in ("f01", "f02", "f30"):
            search = torch.from_numpy(kept[f"{at}_crop_u8"][None]).float()
            logits, distances = network(kernels, search)
            np.testing.assert_allclose(logits, kept[f"{at}_cls"], rtol=0, atol=LOGIT)
            np.testing.assert_allclose(distances, kept[f"{at}_loc_after_exp"], rtol=1e-5, atol=LOGIT)


# Every engine is in the same loop: the fastest sequence is enough for those beside PyTorch's.
@pytest.mark.parametrize(
    ("name", "engine"),
    [(name, e) for e in ENGINES for name in (SEQUENCES if e == "torch" else ("DragonBaby",))],
)
def test_boxes_are_those_of_the_official_loop(version, name, engine, shared):
    """In edge coordinates: without the half pixel by which the official box slips when nothing moves."""
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vtlab[onnx]'")
    kept = stored(shared, f"nanotrackv{version}", name)
    where = {"device": "cpu"} if engine == "torch" else {}
    tracker = vtlab.create_tracker(f"nanotrack-v{version}", engine=engine, **where)
    count = FRAMES if engine == "torch" else 20
    boxes, scores = run(shared, name, tracker, xywh_to_xyxy(kept["boxes"][0]), count)
    expected = kept["boxes"][:count] + np.array([0.5, 0.5, 0, 0])
    off = np.abs(boxes[1:] - expected[1:]).max(axis=1) > PIXELS
    doubtful = (
        kept["margin"][1:count] <= MARGIN
    )  # a rounding may choose another cell there, and all behind follow
    end = 1 + next(iter(np.flatnonzero(off & doubtful)), count - 1)
    assert not off[: end - 1].any()
    np.testing.assert_allclose(scores[1:end], kept["best_score"][1:end], rtol=0, atol=1e-4)


def test_a_batch_is_where_each_object_is_alone(version, shared):
    boxes = [(160, 83, 216, 148), (300, 120, 380, 260), (20, 30, 90, 100)]
    many = vtlab.create_tracker(f"nanotrack-v{version}", engine="torch", device="cpu")
    alone = [vtlab.create_tracker(f"nanotrack-v{version}", engine="torch", device="cpu") for _ in boxes]
    for frame in list(frames(shared, "DragonBaby"))[:6]:
        given = [BoxPrompt(box, object_id=i) for i, box in enumerate(boxes, 1)]
        if frame.index == 0:
            many.init(frame, Prompts(given))
            for tracker, prompt in zip(alone, given, strict=True):
                tracker.init(frame, Prompts(prompt))
            continue
        together = many.step(frame).boxes
        apart = np.concatenate([t.step(frame).boxes for t in alone])
        np.testing.assert_allclose(together, apart, rtol=0, atol=PIXELS)


def test_the_card_and_the_record_say_what_ran(shared_weights, square_video, version):
    name = f"nanotrack-v{version}"
    card = TRACKERS.card(name)
    assert card.options["engine"] == "torch"
    assert [w.name for w in card.weights] == [f"nanotrackv{version}.pth"]
    prompt = BoxPrompt((20, 16, 44, 40))
    for engine, files in (("torch", card.weights), ("opencv", card.instead)):
        record = vtlab.track(square_video[:3], prompt, name, engine=engine, progress=False).record
        assert record.tracker.params["engine"] == engine
        assert record.tracker.weights == {w.name: w.sha256 for w in files}


def test_a_file_that_was_trained_further_is_taken_by_its_path(
    version, shared_weights, square_video, tmp_path, monkeypatch
):
    """And refused where the official one should lie, with that advice."""
    name = f"nanotrackv{version}.pth"
    tensors = load_tensors(shared_weights / name)
    tensors["ban_head.bbox_pred.0.bias"] = tensors["ban_head.bbox_pred.0.bias"] + 0.1
    torch.save({"state_dict": tensors}, tmp_path / name)
    tracks = vtlab.track(
        square_video[:3],
        BoxPrompt((20, 16, 44, 40)),
        f"nanotrack-v{version}",
        weights=tmp_path / name,
        progress=False,
    )
    (digest,) = tracks.record.tracker.weights.values()
    assert digest not in {None, TRACKERS.card(f"nanotrack-v{version}").weights[0].sha256}
    monkeypatch.setenv("VTLAB_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="trained further.*weights="):
        vtlab.create_tracker(f"nanotrack-v{version}")
    other = 5 - version
    with pytest.raises(WeightsError, match=f"checkpoint of nanotrack-v{version}"):
        vtlab.create_tracker(f"nanotrack-v{other}", weights=tmp_path / name)


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "opencv", "weights": "mine.pth"},
        {"engine": "opencv", "device": "cpu"},
        {"engine": "openvino"},
        {"version": 1, "engine": "torch"},
        {"version": 4},
    ],
    ids=str,
)
def test_what_an_engine_cannot_do_is_refused(options):
    with pytest.raises(InputError, match="engine|versions|ONNX"):
        vtlab.create_tracker("nanotrack-v2", **options)
