"""Parts shared by the tracking networks."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
from torch import nn  # noqa: E402

from vtlab.nets import layers  # noqa: E402


def _randomise(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + (0.5 if "var" in name else -0.3))
    return module.eval()


def test_frozen_batch_norm_equals_batch_norm_in_eval_mode():
    ordinary = _randomise(nn.BatchNorm2d(3))
    frozen = layers.FrozenBatchNorm2d(3)
    state = {k: v for k, v in ordinary.state_dict().items() if k != "num_batches_tracked"}
    frozen.load_state_dict(state, strict=True)
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(frozen(x), ordinary(x))
    assert not list(frozen.parameters())


@pytest.mark.parametrize("frozen", [True, False])
def test_folding_keeps_the_result_and_removes_the_norms(frozen):
    net = nn.Sequential(
        layers.conv_norm_relu(3, 4, frozen=frozen), nn.Conv2d(4, 2, 1, bias=False), nn.BatchNorm2d(2)
    )
    _randomise(net)
    x = torch.randn(2, 3, 6, 7)
    with torch.no_grad():
        before = net(x)
        after = layers.fold_batch_norms(net)(x)
    torch.testing.assert_close(after, before)
    assert not any("running" in name for name in net.state_dict())


def test_sine_position_by_hand():
    tokens = layers.sine_position(2, 4, 8)
    assert tokens.shape == (1, 8, 8)
    # row 0, column 2: y = 1 of 2, x = 3 of 4; channels: y sine, y cosine, ..., then x
    y, x = 2 * math.pi * 1 / (2 + 1e-6), 2 * math.pi * 3 / (4 + 1e-6)
    expected = [
        *(math.sin(y), math.cos(y), math.sin(y / 100), math.cos(y / 100)),
        *(math.sin(x), math.cos(x), math.sin(x / 100), math.cos(x / 100)),
    ]
    np.testing.assert_allclose(tokens[0, 2], expected, atol=1e-6)


def test_sincos_position_by_hand():
    tokens = layers.sincos_position(3, 2, 8)
    row, column = 2, 1
    expected = [
        *(math.sin(column), math.sin(column / 100), math.cos(column), math.cos(column / 100)),
        *(math.sin(row), math.sin(row / 100), math.cos(row), math.cos(row / 100)),
    ]
    np.testing.assert_allclose(tokens[0, row * 2 + column], expected, atol=1e-6)


def test_precise_roi_pool_equals_a_fine_sum():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    boxes = torch.tensor([[0.7, 1.2, 4.1, 3.9], [-1.5, -0.5, 7.5, 8.0]], dtype=torch.float64)
    got = layers.precise_roi_pool(features, boxes, 4)
    for b in range(2):
        x0, y0, x1, y1 = boxes[b].tolist()
        n = 400
        xs = x0 + (np.arange(n) + 0.5) * (x1 - x0) / n
        ys = y0 + (np.arange(n) + 0.5) * (y1 - y0) / n
        hat_x = np.maximum(0, 1 - np.abs(xs[:, None] - np.arange(7)))
        hat_y = np.maximum(0, 1 - np.abs(ys[:, None] - np.arange(6)))
        fine = np.einsum("yh,chw,xw->cyx", hat_y, features[b].numpy(), hat_x)
        expected = fine.reshape(3, 4, n // 4, 4, n // 4).mean(axis=(2, 4))
        np.testing.assert_allclose(got[b], expected, atol=2e-4)


def test_precise_roi_pool_of_an_empty_box_is_zero():
    features = torch.ones(2, 1, 4, 4)
    boxes = torch.tensor([[2.0, 1.0, 1.0, 3.0], [1.0, 2.0, 3.0, 2.0]])
    assert not layers.precise_roi_pool(features, boxes, 2).any()


@pytest.mark.parametrize(("head", "scale"), [(layers.CornerHead, 1), (layers.PyramidCornerHead, 4)])
def test_corner_heads_read_the_corners_as_cell_indices(head, scale):
    net = head(8, channels=16, frozen=True).eval()
    x = torch.randn(3, 8, 5, 5)
    assert net(x).shape == (3, 4)
    logits = torch.full((1, 1, 5 * scale, 5 * scale), -1e4)
    logits[0, 0, 1, 3] = 1e4
    net.corner_map = lambda _features, corner: logits if corner == "tl" else logits.flip(2, 3)
    n = 5 * scale
    low, high = np.array([3, 1]) / n, np.array([n - 4, n - 2]) / n
    np.testing.assert_allclose(net(x[:1])[0], [*(low + high) / 2, *high - low], atol=1e-6)


def test_center_head_shapes_and_ranges():
    score, size, offset = layers.CenterHead(8, channels=16)(torch.randn(2, 8, 5, 5))
    assert (score.shape, size.shape, offset.shape) == ((2, 1, 5, 5), (2, 2, 5, 5), (2, 2, 5, 5))
    assert score.min() >= 1e-4
    assert score.max() <= 1 - 1e-4


def test_attend_leaves_masked_keys_out():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, n, 8) for n in (3, 5, 5))
    mask = torch.tensor([True, True, True, False, False]).view(1, 1, 1, 5)
    got = layers.attend(q, k, v, scale=0.3, mask=mask)
    torch.testing.assert_close(got, layers.attend(q, k[:, :, :3], v[:, :, :3], scale=0.3))
    assert got.shape == (2, 3, 32)
