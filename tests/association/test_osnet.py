"""OSNet from torchreid's checkpoints: official names, every width, and the numbers of the official x0.25 weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.association.parts.reid import OSNET, OnnxEmbedder, OsnetEmbedder, make_embedder  # noqa: E402
from vtlab.errors import WeightsError  # noqa: E402
from vtlab.nets.osnet import WIDTHS, OsNet, variant_of  # noqa: E402

PARAMETERS = {
    "x1.0": 2.2,
    "x0.75": 1.3,
    "x0.5": 0.6,
    "x0.25": 0.2,
}  # millions, as torchreid's model zoo states
IMAGE = np.random.default_rng(0).integers(0, 255, (120, 90, 3), dtype=np.uint8)
BOXES = np.array([[5.0, 5, 45, 100], [40, 10, 88, 118]])


@pytest.mark.parametrize("instance", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_is_known_by_its_checkpoint(width, instance, tmp_path):
    torch.manual_seed(0)
    network = OsNet(width, instance=instance).eval()
    name = f"osnet-{'ibn-' if instance else ''}{width}"
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(PARAMETERS[width], abs=0.06)
    state = {f"module.{n}": t for n, t in network.state_dict().items()}
    state |= {"module.classifier.weight": torch.zeros(10, 512), "module.classifier.bias": torch.zeros(10)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model.pth.tar")
    embedder = make_embedder(tmp_path / "model.pth.tar")
    assert isinstance(embedder, OsnetEmbedder)
    assert embedder.variant == name == variant_of(network.state_dict())
    vectors = embedder.embed(IMAGE, BOXES)
    assert vectors.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_files_that_do_not_fit(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no checkpoint of OSNet"):
        OsnetEmbedder(tmp_path / "other.pth")
    state = OsNet("x0.25").state_dict()
    del state["conv5.conv.weight"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match=r"does not fit osnet-x0\.25.*conv5"):
        OsnetEmbedder(tmp_path / "less.pth")


def state_of(network: OsNet, path) -> dict:
    """State dict from the official ONNX export, whose batch normalisations are folded into the convolutions before them.

    The export lists the convolutions in the order of the network's; a folded bias becomes the bias of a normalisation that
    does nothing else. Gates and what follows the convolutions keep their names.
    """
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vtlab[onnx]'")
    graph = onnx.load(str(path)).graph
    values = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
    state = {name: values.get(name, tensor) for name, tensor in network.state_dict().items()}
    nodes = [n for n in graph.node if n.op_type == "Conv" and "/gate/" not in n.name]
    modules = [
        (n, m) for n, m in network.named_modules() if isinstance(m, torch.nn.Conv2d) and ".gate." not in n
    ]
    for (name, _), node in zip(modules, nodes, strict=True):
        state[f"{name}.weight"] = values[node.input[1]]
        if len(node.input) > 2:
            norm = f"{name.rpartition('.')[0]}.bn"
            bias = values[node.input[2]]
            state |= {f"{norm}.bias": bias, f"{norm}.weight": torch.ones_like(bias)}
            state |= {
                f"{norm}.running_mean": torch.zeros_like(bias),
                f"{norm}.running_var": torch.ones_like(bias) - 1e-5,
            }
    return state


@pytest.mark.parity
@pytest.mark.shared
def test_the_official_weights_give_the_official_features(shared_weights, tmp_path):
    state = state_of(OsNet("x0.25"), shared_weights / OSNET.name)
    torch.save(state, tmp_path / "osnet_x0_25.pth")
    ours = OsnetEmbedder(tmp_path / "osnet_x0_25.pth").embed(IMAGE, BOXES)
    theirs = OnnxEmbedder(shared_weights / OSNET.name).embed(IMAGE, BOXES)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
