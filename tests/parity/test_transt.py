"""TransT-N4 against stored outputs of the official code (chenxin-dlut/TransT) with seeded weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from tests.parity.sot_fixture import ACTIVATION, BOX, PIXELS, SotFixture, outputs_of  # noqa: E402
from vtlab.nets import transt as nets  # noqa: E402
from vtlab.nets.layers import to_map  # noqa: E402
from vtlab.trackers.boxes import crops as _crops  # noqa: E402
from vtlab.trackers.boxes import transt as trackers  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]


@pytest.fixture(scope="module")
def fixture(shared, parity_module):
    return SotFixture(shared, "transt_n4", parity_module("seeded_weights"))


@pytest.fixture(scope="module")
def tracker(fixture):
    net = fixture.network(lambda: nets.TransT(4), tracker=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trackers, "load", lambda *_, **__: net)
        return trackers.TransT(device="cpu")


def test_the_state_dict_is_the_official_one(fixture):
    net = nets.TransT(4)
    fixture.assert_names_and_shapes(net)
    assert nets.variant_of(net.state_dict()) == "transt"


def test_n2_has_the_published_number_of_parameters():
    with torch.device("meta"):
        net = nets.TransT(2)
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 1) == 16.7
    assert nets.variant_of(net.state_dict()) == "transt-n2"


@torch.inference_mode()
def test_network_outputs_and_activations(fixture):
    net = fixture.network(lambda: nets.TransT(4), tracker=False)
    stages = outputs_of(net, ["backbone.0.body.layer1", "backbone.0.body.layer2", "backbone.0.body.layer3"])
    fused = outputs_of(net, ["featurefusion_network.decoder.norm", "input_proj"])
    template = net.template(fixture.input("template"))
    for i in (1, 2, 3):
        fixture.assert_summary(f"net_template_layer{i}", stages[f"backbone.0.body.layer{i}"])
    fixture.assert_summary("net_template_proj", fused["input_proj"])
    logits, boxes = net(template, fixture.input("search"))
    fixture.assert_summary("net_search_layer3", stages["backbone.0.body.layer3"])
    fixture.assert_summary("net_search_proj", fused["input_proj"])
    decoded = fused["featurefusion_network.decoder.norm"]
    fixture.assert_summary("net_decoder_out", decoded.transpose(0, 1))
    fixture.assert_close("net_pred_logits", logits, ACTIVATION)
    fixture.assert_close("net_pred_boxes", boxes, BOX)


def test_positional_encodings(fixture):
    net = nets.TransT(2)
    for name, size in (("template", 16), ("search", 32)):
        encoding = to_map(net.position(size, torch.zeros(1)), size, size)
        fixture.assert_summary(f"net_{name}_pos", encoding, 1e-6)


@torch.inference_mode()
def test_each_fusion_layer(fixture):
    net = fixture.network(lambda: nets.TransT(4), tracker=False)
    norms = [f"featurefusion_network.encoder.layers.{i}.norm{side}3" for i in range(4) for side in (1, 2)]
    found = outputs_of(net, norms)
    net(net.template(fixture.input("template")), fixture.input("search"))
    for i in range(4):
        for side, name in ((1, "template"), (2, "search")):
            tokens = found[f"featurefusion_network.encoder.layers.{i}.norm{side}3"]
            fixture.assert_summary(f"net_ff{i}_{name}", tokens.transpose(0, 1))


@torch.inference_mode()
def test_network_with_the_scaled_weights(fixture):
    net = fixture.network(lambda: nets.TransT(4), tracker=True)
    logits, boxes = net(net.template(fixture.input("template")), fixture.input("search"))
    fixture.assert_close("net_scaled_pred_logits", logits, 2e-4)
    fixture.assert_close("net_scaled_pred_boxes", boxes, BOX)


@pytest.mark.parametrize("mode", ["free", "forced"])
def test_tracker_boxes_and_scores(fixture, tracker, mode):
    boxes, scores = fixture.run(tracker, forced=mode == "forced")
    fixture.assert_close(f"trk_{mode}_boxes", boxes, PIXELS)
    np.testing.assert_allclose(scores[1:], fixture.stored[f"trk_{mode}_score"][1:], rtol=0, atol=2e-5)


@pytest.mark.slow
def test_many_objects_equal_lone_ones(fixture, tracker):
    fixture.assert_many_equal_lone_ones(tracker)


def test_crops(fixture):
    image = fixture.frame(0).image
    fill = image.mean(axis=(0, 1))
    np.testing.assert_allclose(fill, fixture.stored["trk_channel_average"], atol=1e-9)
    crop = _crops.crop(image, _crops.context_window(fixture.box, 1), 128, fill=fill)
    fixture.assert_summary("trk_template_crop_u8", crop.transpose(2, 0, 1)[None], 0)
    for n in range(1, 8):
        window = _crops.context_window(fixture.forced[n - 1], 3)
        assert window.side == fixture.stored["trk_forced_crop_size"][n - 1]
        crop = _crops.crop(fixture.frame(n).image, window, 256, fill=fill)
        fixture.assert_summary(f"trk_forced_frame{n}_crop_u8", crop.transpose(2, 0, 1)[None], 0)
    window = _crops.context_window(fixture.box, 3)
    crop = _crops.crop(fixture.frame(1).image, window, 256, fill=fill)
    fixture.assert_summary("trk_free_frame1_input", _crops.network_input([crop]), 1e-5)
