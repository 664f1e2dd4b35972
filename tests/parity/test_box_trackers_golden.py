"""TransT, MixFormer and SUTrack against a few stored outputs of the official code; needs nothing but this repository.

`golden/box_trackers.npz` holds, for each variant, names and shapes of the official state dict and the official
network's answer to seeded noise with seeded weights. `test_transt.py` and `test_mixformer.py` go deeper.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.mixformer_cvt import mixformer_cvt  # noqa: E402
from vtlab.nets.mixformer_vit import mixformer_vit  # noqa: E402
from vtlab.nets.sutrack import CONFIGS, SUTrack  # noqa: E402
from vtlab.nets.transt import TransT  # noqa: E402

pytestmark = pytest.mark.parity

LOGIT, BOX, SCORE = 1e-4, 2e-5, 5e-6
MAKE = {
    "transt_n4": lambda: TransT(4),
    "mixformer_cvt_base": lambda: mixformer_cvt("base", online=False),
    "mixformer_cvt_online_base": lambda: mixformer_cvt("base"),
    "mixformer_vit_online_base": lambda: mixformer_vit("base"),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "golden" / "box_trackers.npz", allow_pickle=False) as stored:
        return dict(stored)


def seeded(name, shape):
    """The weights of one entry of a state dict, by its name and shape alone."""
    values = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    if len(shape) >= 2:
        values = values / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("running_var"):
        values = 1 + 0.1 * np.abs(values)
    elif name.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values = 0.1 * values
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def network(variant):
    with torch.device("meta"):
        net = MAKE[variant]()
    net.to_empty(device="cpu").eval()
    state = {k: seeded(k, v.shape) if v.is_floating_point() else v for k, v in net.state_dict().items()}
    net.load_state_dict(state, strict=True)
    return net


def noise(seed, batch, size):
    rng = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(rng.standard_normal((batch, 3, size, size)).astype(np.float32))


@pytest.mark.parametrize("variant", MAKE)
def test_names_and_shapes_are_the_official_ones(golden, variant):
    with torch.device("meta"):
        net = MAKE[variant]()
    own = {name: "x".join(map(str, value.shape)) for name, value in net.state_dict().items()}
    names, shapes = golden[f"{variant}/names"].tolist(), golden[f"{variant}/shapes"].tolist()
    assert own == dict(zip(names, shapes, strict=True))


@torch.inference_mode()
def test_transt(golden):
    net = network("transt_n4")
    logits, boxes = net(net.template(noise(101, 1, 128)), noise(102, 1, 256))
    np.testing.assert_allclose(logits[:, ::8], golden["transt_n4/logits"], rtol=0, atol=LOGIT)
    np.testing.assert_allclose(boxes[:, ::8], golden["transt_n4/boxes"], rtol=0, atol=BOX)


@pytest.mark.parametrize(
    ("variant", "size"),
    [
        ("mixformer_cvt_base", 320),
        ("mixformer_cvt_online_base", 320),
        pytest.param("mixformer_vit_online_base", 288, marks=pytest.mark.slow),
    ],
)
@torch.inference_mode()
def test_mixformer(golden, variant, size):
    net, template, search = network(variant), noise(201, 1, 128), noise(203, 1, size)
    boxes, scores = net(net.memorize(torch.stack([template, noise(202, 1, 128)], dim=1)), search)
    np.testing.assert_allclose(boxes, golden[f"{variant}/boxes"][0], rtol=0, atol=BOX)
    if scores is not None:
        np.testing.assert_allclose(scores, golden[f"{variant}/scores"], rtol=0, atol=SCORE)
    three = net.memorize(torch.cat([template, noise(204, 3, 128)])[None])
    np.testing.assert_allclose(net(three, search)[0], golden[f"{variant}/three"][0], rtol=0, atol=BOX)


SUTRACK_GAINS = {
    "pos_embed": 60,
    "cls_token": 10,
    "search_token": 5,
    "ground_token": 5,
    "gamma_1": 5,
    "gamma_2": 5,
    "conv5_ctr.weight": 4,
}
"""Factors on the seeded weights by the ends of names, as the golden answers were made with."""


@torch.inference_mode()
def test_sutrack():
    with np.load(Path(__file__).parent / "golden" / "sutrack_t224.npz", allow_pickle=False) as stored:
        golden = dict(stored)
    network = SUTrack(CONFIGS["t224"]).eval()
    state = network.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            gain = next((g for end, g in SUTRACK_GAINS.items() if name.endswith(end)), 1)
            value.copy_(seeded(name, tuple(value.shape)) * gain)
    state["text_token"].copy_(torch.from_numpy(golden["text_token"]))

    def noise(seed, size):
        rng = np.random.Generator(np.random.PCG64(seed))
        return torch.from_numpy(rng.standard_normal((1, 3, size, size)).astype(np.float32))

    template = network.embed_templates(noise(401, 112), torch.tensor([[0.25, 0.27, 0.5, 0.45]]))
    for name, found in zip(("score", "size", "offset"), network(noise(411, 224), template), strict=True):
        np.testing.assert_allclose(found, golden[f"{name}_map"], rtol=0, atol=BOX)
