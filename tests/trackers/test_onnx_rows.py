"""ONNX files of a fixed batch made wider: each row is what it would be alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vtlab.errors import WeightsError
from vtlab.trackers._onnx_rows import with_rows

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vtlab[onnx]'")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

C, K, N = 6, 3, 8  # channels, side of the kernel, side of the map


def model(stored: str) -> bytes:
    """A correlation of "map" with "kernel", channel by channel, and a 1 x 1 convolution; its shapes stored one way."""
    shapes = {"to_groups": [1, C, N, N], "to_kernel": [C, 1, K, K], "back": [1, C, -1, 6]}
    nodes, held = (
        [],
        [numpy_helper.from_array(np.linspace(-1, 1, 2 * C).reshape(2, C, 1, 1).astype("f4"), "w")],
    )
    for name, shape in shapes.items():
        if stored == "raw":
            tensor = numpy_helper.from_array(np.array(shape, np.int64), name)
        else:
            tensor = helper.make_tensor(name, TensorProto.INT64, [len(shape)], shape)
        if stored == "constant":
            nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            held.append(tensor)
    nodes += [
        helper.make_node("Reshape", ["map", "to_groups"], ["groups"]),
        helper.make_node("Reshape", ["kernel", "to_kernel"], ["weights"]),
        helper.make_node("Conv", ["groups", "weights"], ["found"], group=C, kernel_shape=[K, K]),
        helper.make_node("Reshape", ["found", "back"], ["shaped"]),
        helper.make_node("Conv", ["shaped", "w"], ["out"], kernel_shape=[1, 1]),
    ]
    ends = [("kernel", [1, C, K, K]), ("map", [1, C, N, N]), ("out", [1, 2, N - K + 1, N - K + 1])]
    kernel, features, out = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends)
    graph = helper.make_graph(nodes, "correlation", [kernel, features], [out], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)]).SerializeToString()


def answer(data: bytes, kernels: np.ndarray, maps: np.ndarray) -> np.ndarray:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(kernels, "kernel")
    net.setInput(maps, "map")
    return net.forward().copy()


@pytest.mark.parametrize("stored", ["raw", "spelled out", "constant"])
def test_each_row_is_what_it_would_be_alone(stored):
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(3, C, K, K)).astype(np.float32)
    maps = rng.normal(size=(3, C, N, N)).astype(np.float32)
    one, three = model(stored), with_rows(model(stored), 3)
    onnx.checker.check_model(onnx.load_from_string(three), full_check=True)
    assert with_rows(one, 1) == one
    alone = np.concatenate([answer(one, kernels[i : i + 1], maps[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(answer(three, kernels, maps), alone, rtol=0, atol=1e-6)
    assert np.abs(alone[0] - alone[1]).max() > 0.1


@pytest.mark.parametrize("data", [b"", b"not a model", model("raw")[:-7], b"\xff" * 40])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(WeightsError, match="no ONNX model"):
        with_rows(data, 2)
