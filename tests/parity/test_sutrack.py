"""SUTrack against stored outputs of the official code (chenxin-dlut/SUTrack) with seeded weights."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from tests.parity.sot_fixture import SotFixture, outputs_of  # noqa: E402
from vtlab.errors import WeightsError  # noqa: E402
from vtlab.nets.sutrack import CONFIGS, SUTrack, read, text_token, variant_of  # noqa: E402
from vtlab.trackers.boxes import sutrack as module  # noqa: E402
from vtlab.trackers.boxes.crops import area_window, crop, decode_centre, hann_window  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]
ACTIVATION, TOKEN, MAP, BOX, CONF, PIXELS = 1e-4, 5e-5, 2e-5, 2e-5, 1e-5, 0.02  # NOTES.md of the fixture
ANNOTATIONS = [[0.25, 0.27, 0.5, 0.45], [0.31, 0.24, 0.41, 0.48]]


@pytest.fixture(scope="module")
def fixture(shared, parity_module):
    return SotFixture(shared, "sutrack_t224", parity_module("seeded_weights"))


@pytest.fixture(scope="module")
def make(fixture, parity_module):
    """Return a function that makes a variant's network with seeded weights and the official text token."""

    def filled(name):
        with torch.device("meta"):
            net = SUTrack(CONFIGS[name])
        net.to_empty(device="cpu").eval()
        state = parity_module("seeded_weights").fill(net.state_dict())
        for pattern, factor in fixture.params["weights"]["post_scale"]:
            for key, value in state.items():
                if re.search(pattern, key) and value.is_floating_point():
                    value *= factor
        token = "net_text_token" if name == "t224" else f"net_{name}_text_token"
        state["text_token"] = torch.from_numpy(fixture.stored[token])
        net.load_state_dict(state, strict=True)
        return net

    return filled


@pytest.fixture(scope="module")
def network(make):
    return make("t224")


def noise(seed, size):
    rng = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(rng.standard_normal((1, 3, size, size)).astype(np.float32))


def official(entries):
    """Name -> shape and type of the official state dict without what the text token replaces."""
    return {name: [shape, kind] for name, shape, kind in entries if not name.startswith("text_encoder.")}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_state_dict_is_the_official_one(fixture, shared, name):
    with torch.device("meta"):
        own = SUTrack(CONFIGS[name]).state_dict()
    assert variant_of(own) == f"sutrack-{name}"
    found = {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in own.items()}
    assert found.pop("text_token") == [[1, 1, CONFIGS[name].dim], "float32"]
    folder = shared / "parity" / "sutrack_t224"
    others = json.loads((folder / "params_variants.json").read_text())
    entries = fixture.params["params"] if name == "t224" else others[f"{name[0]}224"]
    expected = official(entries)
    if name in ("b384", "l384"):
        expected["encoder.body.pos_embed"][0][1] = 720
    assert found == expected


def test_the_text_token_of_an_empty_text(fixture, parity_module, tmp_path):
    """And a checkpoint is read with it in the place of CLIP; one whose tower is not CLIP's is refused."""
    tensor = parity_module("seeded_weights").tensor
    named = [
        (name, shape)
        for name, shape, _ in fixture.params["params"]
        if name.startswith("text_encoder.") and ".visual." not in name
    ]
    tensors = {name: torch.from_numpy(tensor(name, shape)) for name, shape in named}
    fixture.assert_close("net_text_token", text_token(tensors), TOKEN)
    tensors["text_encoder.clip.token_embedding.weight"] = tensors["text_encoder.clip.token_embedding.weight"][
        :2
    ].clone()
    torch.save({"net": {**tensors, "encoder.body.cls_token": torch.zeros(1, 1, 384)}}, tmp_path / "su.pth")
    assert set(read(tmp_path / "su.pth")) == {"encoder.body.cls_token", "text_token"}
    del tensors["text_encoder.clip.ln_final.weight"]
    torch.save({"net": tensors}, tmp_path / "su.pth")
    with pytest.raises(WeightsError, match="text encoder is not CLIP's"):
        read(tmp_path / "su.pth")


@torch.inference_mode()
def test_network(fixture, network):
    body = network.encoder.body
    names = [f"encoder.body.blocks.{body.stem + i}" for i in (0, 5, 11)]
    outputs = outputs_of(network, names)
    template = network.embed_templates(noise(401, 112), torch.tensor(ANNOTATIONS[:1]))
    fixture.assert_summary("net_encoder_out", network.encode(noise(411, 224), template))
    for i, name in zip((0, 5, 11), names, strict=True):
        fixture.assert_summary(f"net_main{i}", outputs[name])
    score, size, offset = network(noise(411, 224), template)
    for name, value in (("score", score), ("size", size), ("offset", offset)):
        fixture.assert_close(f"net_{name}_map", value, MAP)
    ones = torch.ones(score[0].numel())
    fixture.assert_close("net_pred_boxes", decode_centre(score, size, offset, ones)[0], BOX)


@pytest.mark.parametrize(
    "name", ["b224", *(pytest.param(n, marks=pytest.mark.slow) for n in ("b384", "l224", "l384"))]
)
@torch.inference_mode()
def test_the_other_variants_with_two_templates(fixture, make, name):
    network, config = make(name), CONFIGS[name]
    images = torch.cat([noise(seed, config.template) for seed in (401, 402)])
    templates = network.embed_templates(images, torch.tensor(ANNOTATIONS)).flatten(0, 1)[None]
    found = network(noise(411, config.search), templates)
    for kind, value in zip(("score", "size", "offset"), found, strict=True):
        fixture.assert_close(f"net_{name}_{kind}_map", value, MAP)


def test_crops_and_window(fixture):
    image = fixture.frame(0).image
    template = crop(image, area_window(fixture.box, 2), 112, cut_last=True)
    fixture.assert_summary("trk_template_crop_u8", template, 0)
    np.testing.assert_allclose(hann_window(14, ends=False), fixture.stored["window"], rtol=0, atol=1e-6)


RUNS = {
    "free": {},
    "forced": {},
    "free_update": {"templates": 2, "update_every": 2 / 30, "update_above": 0.3},
    "forced_update": {"templates": 2, "update_every": 2 / 30, "update_above": 0.3},
}


@pytest.mark.parametrize("run", RUNS)
def test_tracker(fixture, network, monkeypatch, run):
    monkeypatch.setattr(module, "load", lambda *_, **__: network)
    tracker = module.SUTrack(device="cpu", **RUNS[run])
    changes, kept = [], []

    def look():
        kept.append(tracker._targets[1].templates[-1])
        changes.append(len(kept) > 1 and kept[-1] is not kept[-2])

    boxes, scores = fixture.run(tracker, forced="forced" in run, after=look)
    np.testing.assert_allclose(boxes, fixture.stored[f"trk_{run}_boxes"], rtol=0, atol=PIXELS)
    np.testing.assert_allclose(scores[1:], fixture.stored[f"trk_{run}_conf"], rtol=0, atol=CONF)
    assert changes[1:] == fixture.stored[f"trk_{run}_updated"].astype(bool).tolist()


def test_many_equal_lone_ones(fixture, network, monkeypatch):
    monkeypatch.setattr(module, "load", lambda *_, **__: network)
    fixture.assert_many_equal_lone_ones(module.SUTrack(device="cpu"))
