"""Exports made here: ONNX files that answer the same arrays whatever image they are given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

SIDE = 64


def export(
    path: Path,
    outputs: Mapping[str, np.ndarray] | np.ndarray,
    metadata: Mapping[str, object] | None = None,
    *,
    batch: int = 1,
    size: tuple[int, int] = (SIDE, SIDE),
    also: Mapping[str, tuple[int, ...]] | None = None,
) -> Path:
    """Write a file.

    Args:
        path: Where to.
        outputs: Name -> what is answered for one image; an array alone is called `output0`.
        metadata: What the exporter would write.
        batch: Images that it takes at once.
        size: (height, width) of the input.
        also: Inputs of int64 behind the image.
    """
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vtlab[onnx]'")
    from onnx import TensorProto, helper, numpy_helper

    named = {"output0": outputs} if isinstance(outputs, np.ndarray) else outputs
    values = {
        k: np.asarray(v, np.float32 if np.asarray(v).dtype.kind == "f" else np.int64)[None]
        for k, v in named.items()
    }
    kinds = {k: TensorProto.FLOAT if v.dtype == np.float32 else TensorProto.INT64 for k, v in values.items()}
    graph = helper.make_graph(
        [helper.make_node("Constant", [], [k], value=numpy_helper.from_array(v)) for k, v in values.items()],
        "g",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *size]),
            *(helper.make_tensor_value_info(k, TensorProto.INT64, s) for k, s in (also or {}).items()),
        ],
        [helper.make_tensor_value_info(k, kinds[k], list(v.shape)) for k, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 9
    helper.set_model_props(model, {k: str(v) for k, v in (metadata or {}).items()})
    onnx.save(model, str(path))
    return path
