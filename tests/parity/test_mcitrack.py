"""MCITrack-T224 against stored outputs of the official code (kangben258/MCITrack) with seeded weights."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.mcitrack import CONFIGS, MCITrack, variant_of  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

ACTIVATION, MAP, BOX, CONF, PIXELS = 1e-4, 2e-5, 2e-5, 1e-5, 0.02  # NOTES.md of the fixture


@pytest.fixture(scope="module")
def fixture(shared):
    folder = shared / "parity" / "mcitrack_t224"
    stored = np.load(folder / "fixture.npz")
    params = json.loads((folder / "params.json").read_text())
    return SimpleNamespace(stored=stored, params=params, frames=shared / "parity" / "_frames_bedroom")


@pytest.fixture(scope="module")
def network(parity_module):
    net = MCITrack(CONFIGS["t224"]).eval()
    net.load_state_dict(parity_module("seeded_weights").fill(net.state_dict()), strict=True)
    return net


def noise(seed, shape):
    return torch.from_numpy(
        np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)
    )


def assert_summary(stored, name, value, atol=ACTIVATION):
    flat = np.asarray(value, dtype=np.float32)
    assert flat.shape == tuple(stored[f"{name}__shape"]), name
    flat = flat.reshape(-1)
    expected = stored[f"{name}__sample"]
    got = flat[np.linspace(0, flat.size - 1, len(expected)).astype(np.int64)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=name)
    stats = np.array([flat.mean(dtype=np.float64), flat.std(dtype=np.float64), flat.min(), flat.max()])
    np.testing.assert_allclose(stats, stored[f"{name}__stats"], rtol=1e-5, atol=atol, err_msg=name)


def test_the_state_dict_is_the_official_one(fixture):
    with torch.device("meta"):
        net = MCITrack(CONFIGS["t224"])
    state = net.state_dict()
    assert {k: list(v.shape) for k, v in state.items()} == {n: s for n, s, _ in fixture.params["params"]}
    assert {k: str(v.dtype).removeprefix("torch.") for k, v in state.items()} == {
        n: t for n, _, t in fixture.params["params"]
    }
    assert sum(p.numel() for p in net.parameters()) == fixture.params["counts"]["parameters"]


@pytest.mark.parametrize(
    ("name", "blocks"), [("t224", 16), ("s224", 26), ("b224", 32), ("l224", 46), ("l384", 46)]
)
def test_the_other_variants_follow_by_configuration(name, blocks):
    with torch.device("meta"):
        net = MCITrack(CONFIGS[name])
    assert len(net.encoder.body.blocks) == blocks
    assert variant_of(net.state_dict()) == f"mcitrack-{name}"


@pytest.fixture(scope="module")
def steps(fixture, network):
    """What every named boundary gave in the fixture's two steps."""
    inputs = fixture.params["inputs"]
    seen: dict[str, torch.Tensor] = {}

    def keep(name):
        def hook(_module, _inputs, output):
            seen.setdefault(name, output)

        return hook

    body, neck = network.encoder.body, network.neck
    handles = [
        body.patch_embed.register_forward_hook(keep("patch_embed")),
        body.blocks[0].register_forward_hook(keep("block0")),
        body.blocks[3].register_forward_hook(keep("merge2")),
        body.blocks[4].register_forward_hook(keep("main0")),
        body.blocks[4].attn.register_forward_hook(keep("main0_attn")),
        body.blocks[4].mlp.register_forward_hook(keep("main0_mlp")),
        body.fc_norm.register_forward_hook(keep("fc_norm")),
        network.decoder.register_forward_pre_hook(lambda _, args: seen.setdefault("decoder_in", args[0])),
        neck.interactions[0].injector.register_forward_hook(keep("injector0")),
        neck.interactions[0].extractor.register_forward_hook(keep("extractor0")),
    ]
    for i in range(4):
        handles.append(neck.layers[i].register_forward_hook(keep(f"layer{i}")))
        handles.append(neck.interactions[i].register_forward_hook(keep(f"interaction{i}")))
    templates = torch.cat(
        [noise(seed, inputs["templates"]["shape"]) for seed in inputs["templates"]["seeds"]]
    )
    annos = torch.tensor(inputs["template_annos_xywh_normalised"])
    records, state = [], None
    with torch.inference_mode():
        tokens = network.embed_templates(templates, annos)
        records.append(dict(seen))
        for seed in inputs["searches"]["seeds"]:
            seen.clear()
            outputs = network.step(
                noise(seed, inputs["searches"]["shape"]), tokens.flatten(0, 1)[None], state
            )
            state = outputs[3]
            records.append({**seen, "outputs": outputs})
    for handle in handles:
        handle.remove()
    return records


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def test_encoder(fixture, steps):
    stored, (template, search, _) = fixture.stored, steps
    for name in ("patch_embed", "block0", "merge2"):
        assert_summary(stored, f"net_{name}_template", channels_first(template[name]))
    for name in ("patch_embed", "merge2"):
        assert_summary(stored, f"net_{name}_search", channels_first(search[name]))
    for name in ("main0", "main0_attn", "main0_mlp"):
        assert_summary(stored, f"net_{name}", search[name])


@pytest.mark.parametrize("step", [0, 1])
def test_neck_state_and_head(fixture, steps, step):
    stored, record = fixture.stored, steps[step + 1]
    prefix = f"net_step{step}_"
    for i in range(4):
        assert_summary(stored, f"{prefix}neck{i}_mamba_out", record[f"layer{i}"][0])
        assert_summary(stored, f"{prefix}neck{i}_state", record["outputs"][3][i])
        x, xs = record[f"interaction{i}"]
        assert_summary(stored, f"{prefix}neck{i}_x", x)
        assert_summary(stored, f"{prefix}neck{i}_xs", xs)
    if step == 0:
        assert_summary(stored, "net_injector0", record["injector0"].transpose(0, 1))
        assert_summary(stored, "net_extractor0", record["extractor0"].transpose(0, 1))
    score, size, offset, _ = record["outputs"]
    for name, value in (("score", score), ("size", size), ("offset", offset)):
        np.testing.assert_allclose(value, stored[f"{prefix}{name}_map"], rtol=0, atol=MAP, err_msg=name)
