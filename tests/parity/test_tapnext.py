"""TAPNext against outputs of the official code on seeded weights.

Bounds are those of the fixture's params.json (`conditioning`): what a change of all weights by one part in a million
does to the official outputs. The network cases use the official network on a raster of 64 x 64, as the fixture does;
the tracker case the whole one, and is slow (200 million parameters).
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from vtlab.prompts import PointPrompt, Prompts
from vtlab.trackers.loop import track
from vtlab.trackers.points import tapnext as tracker_file
from vtlab.video import Frame

pytestmark = [pytest.mark.parity, pytest.mark.shared]
torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")


@pytest.fixture(scope="module")
def case(shared):
    folder = shared / "parity" / "tapnext"
    return json.loads((folder / "params.json").read_text()), dict(np.load(folder / "fixture.npz"))


@pytest.fixture(scope="module")
def inputs(parity_module):
    return parity_module("fixture_inputs")


@pytest.fixture(scope="module")
def build(case, inputs, parity_module):
    from vtlab.nets.tapnext import TapNext

    def built(size):
        with torch.device("meta"):
            net = TapNext(size)
        state = inputs.apply_post_scale(
            parity_module("seeded_weights").fill(net.state_dict()), case[0]["post_scale"]
        )
        net.load_state_dict(state, strict=True, assign=True)
        return net.eval().requires_grad_(False)

    return built


@pytest.fixture(scope="module")
def net(build):
    return build((64, 64))


def close(case, key, value, frame=..., times=1):
    atol = times * case[0]["conditioning"]["result"][key]
    np.testing.assert_allclose(value, case[1][key][frame], rtol=0, atol=atol, err_msg=key)


def video(inputs, frames, side):
    return (
        torch.from_numpy(inputs.synthetic_video(frames, side, side)).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    )


def test_names_and_shapes_are_the_official_ones(case):
    from vtlab.nets.tapnext import TapNext

    with torch.device("meta"):
        net = TapNext()
    got = [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in net.state_dict().items()]
    assert got == case[0]["params"]
    assert sum(p.numel() for p in net.parameters()) == case[0]["n_parameters"]
    assert sum(b.numel() for b in net.buffers()) == case[0]["n_buffer_elements"]


def test_network_on_a_video_at_once(case, inputs, net):
    found = net(video(inputs, 5, 64), torch.tensor(case[0]["net_queries_tyx"]))
    close(case, "net/video/tracks_yx", found.yx)
    close(case, "net/video/track_logits", found.logits)
    close(case, "net/video/visible_logits", found.visibility)
    last = found.state.layers[-1]
    for key, value in (("lru", last.hidden), ("conv", last.inputs)):
        wanted = case[1][f"net/video/state_{key}_last/sample"]
        np.testing.assert_allclose(inputs.sample(value), wanted, rtol=0, atol=1e-4, err_msg=key)


def test_network_frame_by_frame(case, inputs, net):
    from vtlab.nets.tapnext import certainty

    queries, state, answers = torch.tensor(case[0]["net_queries_tyx"]), None, []
    for frame in video(inputs, 5, 64):
        answers.append(net(frame[None], queries, state))
        state = answers[-1].state
    yx, logits = torch.cat([a.yx for a in answers]), torch.cat([a.logits for a in answers])
    close(case, "net/step/tracks_yx", yx)
    close(case, "net/step/track_logits", logits)
    close(case, "net/step/visible_logits", torch.cat([a.visibility for a in answers]))
    close(case, "net/step/certainty_r8", certainty(yx, logits).T)


def test_network_with_interpolated_position_embedding(case, inputs, net):
    queries = torch.tensor(case[0]["net_queries_tyx"])[:2]
    found = net(video(inputs, 2, 128), queries)
    close(case, "net/hires/tracks_yx", found.yx)
    close(case, "net/hires/track_logits", found.logits)
    tokens = net.embed_queries(queries, 1, 1)  # the last call that the fixture saw: both queries have passed
    np.testing.assert_allclose(tokens[..., :24], case[1]["net/embed_queries_head"], rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tracks_over_the_clip(case, inputs, build, monkeypatch):
    """The tracker's answers on seven of the fixture's ten frames, with all its queries given at the start.

    The fixture's probe covers three frames. Rounding adds up in the recurrence, so later frames may miss by twice that:
    four units in the last place of a float32 position.
    """
    params, fixture, frames = case[0], case[1], 7
    steepest = 0.25  # of the logistic function, from logits to probabilities
    bound = steepest * params["conditioning"]["result"]["track/visible_logits"]
    net = build((256, 256))
    monkeypatch.setattr(tracker_file, "_load", lambda *_: (net, torch.device("cpu")))
    queries = params["queries_txy"]
    prompts = Prompts(
        PointPrompt((x, y), object_id=i + 1, frame=int(t)) for i, (t, x, y) in enumerate(queries)
    )
    scale = np.array([256 / 384, 256 / 216])
    images = inputs.clip(frames)
    stream = (Frame(i, i / 25, image) for i, image in enumerate(images))
    for i, answer in tracker_file.TapNext(variant="tapnext++").run(stream, prompts, frames):
        tracked = [s == "tracked" for s in answer.source]
        rows = answer.point_owners[tracked] - 1
        yx = (answer.points[tracked] * scale)[:, ::-1]
        close(case, "track/tracks_yx", yx, (i, rows), times=1 if i < 3 else 2)
        logits = fixture["track/visible_logits"][i, rows]
        np.testing.assert_allclose(
            answer.point_scores[tracked], 1 / (1 + np.exp(-logits)), rtol=0, atol=bound
        )
        assert answer.point_visible[tracked].tolist() == (logits > 0).tolist()


def to_jax(tensors, depth):
    """What the official conversion reads, written from its documented layout."""
    width = len(tensors["encoder_norm.bias"])
    arrays = {
        "backbone/pos_embedding": tensors["image_pos_emb"],
        "backbone/embedding/kernel": tensors["lin_proj.weight"].transpose(2, 3, 1, 0)[None],
        "backbone/embedding/bias": tensors["lin_proj.bias"],
        **{f"backbone/{k}": tensors[k] for k in ("mask_token", "unknown_token", "point_query_token")},
    }

    def linear(there, here, shape=None):
        kernel = tensors[f"{here}.weight"].T
        arrays[f"{there}/kernel"] = kernel if shape is None else kernel.reshape(shape)
        arrays[f"{there}/bias"] = tensors[f"{here}.bias"]

    def norm(there, here):
        arrays[f"{there}/scale"], arrays[f"{there}/bias"] = tensors[f"{here}.weight"], tensors[f"{here}.bias"]

    norm("backbone/Transformer/encoder_norm", "encoder_norm")
    for head in ("visible_head", "coordinate_head"):
        for i in range(0, 7, 3):
            linear(f"{head}/layers_{i}", f"{head}.{i}")
        for i in (1, 4):
            norm(f"{head}/layers_{i}", f"{head}.{i}")
    for layer in range(depth):
        there, here = f"backbone/Transformer/encoderblock_{layer}", f"blocks.{layer}"
        for name in (n for n in tensors if n.startswith(f"{here}.ssm_block.")):
            key = name.removeprefix(here).replace(".", "/").replace("weight", "kernel")
            arrays[there + key] = tensors[name].T if "weight" in name else tensors[name]
        vit, heads = f"{there}/vit_block", f"{there}/vit_block/MultiHeadDotProductAttention_0"
        norm(f"{vit}/LayerNorm_0", f"{here}.vit_block.ln_1")
        norm(f"{vit}/LayerNorm_1", f"{here}.vit_block.ln_2")
        linear(f"{vit}/MlpBlock_0/Dense_0", f"{here}.vit_block.mlp.0")
        linear(f"{vit}/MlpBlock_0/Dense_1", f"{here}.vit_block.mlp.3")
        linear(f"{heads}/out", f"{here}.vit_block.self_attention.out_proj", (12, width // 12, width))
        for i, part in enumerate(("query", "key", "value")):
            rows = slice(width * i, width * (i + 1))
            weight = tensors[f"{here}.vit_block.self_attention.in_proj_weight"][rows]
            bias = tensors[f"{here}.vit_block.self_attention.in_proj_bias"][rows]
            arrays[f"{heads}/{part}/kernel"] = weight.T.reshape(width, 12, width // 12)
            arrays[f"{heads}/{part}/bias"] = bias.reshape(12, width // 12)
    return arrays


def test_official_files_of_either_layout_load_strictly_and_track(parity_module, monkeypatch, tmp_path):
    """JAX's arrays, and a training checkpoint with prefixed names; one narrow layer, as the layout is the same."""
    from vtlab.nets import tapnext

    monkeypatch.setattr(tapnext, "DEPTH", 1)
    monkeypatch.setattr(tapnext, "WIDTH", 96)
    with torch.device("meta"):
        empty = tapnext.TapNext().state_dict()
    empty.pop("query_pos_embed")
    state = parity_module("seeded_weights").fill(empty)
    np.savez(tmp_path / "official.npz", **to_jax({k: v.numpy() for k, v in state.items()}, 1))
    found = tracker_file.read_official(tmp_path / "official.npz")
    assert set(found) == {*state, "query_pos_embed"}
    for name, value in state.items():
        assert torch.equal(found[name], value), name
    np.testing.assert_array_equal(found["query_pos_embed"], tapnext.position_table((256, 256)))

    training = {"optimizer_states": [{"state": {0: {"step": torch.ones(1)}}}], "epoch": 3, "callbacks": {}}
    prefixed = {f"tapnext.{name}": value for name, value in found.items()}
    torch.save({"state_dict": prefixed, **training}, tmp_path / "official.ckpt")
    images = np.random.default_rng(0).integers(0, 256, (3, 90, 150, 3), np.uint8)
    answers = [
        track(
            images,
            PointPrompt(((20, 30), (140, 80.5))),
            variant,
            weights=tmp_path / file,
            device="cpu",
            progress=False,
        )
        for variant, file in (("bootstapnext", "official.npz"), ("tapnext++", "official.ckpt"))
    ]
    assert np.isfinite(answers[0].points.xy).all()
    np.testing.assert_array_equal(answers[0].points.xy, answers[1].points.xy)
    np.testing.assert_array_equal(answers[0].points.score, answers[1].points.score)
