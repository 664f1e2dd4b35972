"""Export of box trackers' networks to ONNX, with a dynamic batch, checked against PyTorch by ONNX Runtime.

    from vtlab.deploy.export import export
    export("transt", "transt.onnx")
    export("mixformer-cvt", "mixformer.onnx", weights="mixformer_cvt_online_22k.pth.tar")

One file holds one step of the whole network: template and search crops in, boxes and scores out; rows of the
batch are objects. Images are RGB, divided by 255 and normalised by ImageNet's mean and standard deviation. What
surrounds the network (cropping, window, choice of the box, updates) is in the tracker's file. The file's metadata
names the tracker, the crops' sizes and the factors of their windows.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import Exportable, ExportGraph
from vtlab.errors import InputError, VtlabError, near, needs
from vtlab.files import write_whole
from vtlab.registry import TRACKERS

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

OPSET = 17
"""Of ONNX: the first with LayerNormalization (ONNX 1.12, 2022), no later, so that older runtimes read it."""
TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime and PyTorch, relative to the largest value of an output (at least 1)."""


@dataclass(frozen=True)
class Exported:
    """An ONNX file and how it was checked.

    Attributes:
        path: The file.
        inputs: Name of each input to its shape; dynamic axes are names.
        outputs: As `inputs`.
        difference: Largest absolute difference from PyTorch that was met, for each output; empty if unchecked.
    """

    path: Path
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    difference: dict[str, float]


def export(
    tracker: str, path: str | Path, *, check: bool = True, opset: int = OPSET, **params: Any
) -> Exported:
    """Write a box tracker's network to an ONNX file and check it.

    Args:
        tracker: Name of a tracker that is `contracts.Exportable`, such as a TransT, MixFormer or MCITrack variant.
        path: File to write, replaced when it exists.
        check: Whether to run the file by ONNX Runtime on batches of 1 and 3 objects and compare with PyTorch.
        opset: Version of the ONNX operators, 14 or later.
        params: Parameters of the tracker, such as `weights`.

    Returns:
        The file's inputs and outputs, and the difference from PyTorch.

    Raises:
        InputError: The tracker can't be exported, or an option is out of range.
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: onnx or onnxruntime is not installed.
        VtlabError: The exported file computes something else than PyTorch; it is removed.
    """
    for package in ("onnx", "onnxruntime") if check else ("onnx",):
        with _required(package):
            __import__(package)
    if opset < 14:
        raise InputError(f"opset must be at least 14, got {opset}.")
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"Can't write the ONNX file {path}: give a file in a folder that exists.")
    graph = _graph(tracker, params)
    difference: dict[str, float] = {}

    def fill(part: Path) -> None:
        _write(graph, part, opset)
        if check:
            difference.update(_check(graph, part))

    write_whole(path, fill)
    inputs, outputs = _shapes(path)
    return Exported(path, inputs, outputs, difference)


@contextlib.contextmanager
def _required(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise needs(package, "onnx", "Exporting to ONNX") from error


def _graph(tracker: str, params: Mapping[str, Any]) -> ExportGraph:
    card, cls = TRACKERS.card(tracker), TRACKERS.find(tracker)
    if not issubclass(cls, Exportable):
        names = [c.name for c in TRACKERS.cards() if issubclass(TRACKERS.find(c.name), Exportable)]
        files = [w.name for w in (*card.weights, *card.instead) if w.name.endswith(".onnx")]
        hint = (
            f"Its networks are ONNX files already: {', '.join(files)}." if files else near(card.name, names)
        )
        raise InputError(f"{card.name!r} can't be exported to ONNX. {hint}")
    if changed := cls.export_params.keys() & params.keys():
        raise InputError(
            f"An export is always made on the CPU in float32: leave out {', '.join(sorted(changed))}."
        )
    graph: ExportGraph = TRACKERS.create(tracker, **cls.export_params, **params).export_graph()
    facts = {"tracker": card.name, "licence": card.licence, "images": "RGB / 255, ImageNet mean and std"}
    return replace(graph, metadata={**graph.metadata, **facts})


def _module(graph: ExportGraph) -> torch.nn.Module:
    """The graph's step as a module that holds the network."""
    import torch

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = graph.network

        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return graph.step(self.network, *inputs)

    return Step().eval()


def _write(graph: ExportGraph, path: Path, opset: int) -> None:
    import onnx
    import torch

    module, example = _module(graph), graph.inputs(2)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # sizes become constants, as they should: only the named axes are dynamic
        torch.onnx.export(
            module,
            tuple(example.values()),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=list(example),
            output_names=list(graph.outputs),
            dynamic_axes=graph.axes,
        )
        answers = module(*example.values())
    model = onnx.load(path)
    for output, answer in zip(model.graph.output, answers, strict=True):
        for axis, size in enumerate(answer.shape):  # the exporter invents names for sizes that it can't infer
            if axis not in graph.axes[output.name]:
                output.type.tensor_type.shape.dim[axis].dim_value = size
    onnx.helper.set_model_props(model, dict(graph.metadata))
    onnx.save(model, path)


def _check(graph: ExportGraph, path: Path) -> dict[str, float]:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    module, difference = _module(graph), dict.fromkeys(graph.outputs, 0.0)
    for batch in (1, 3):
        inputs = graph.inputs(batch)
        with torch.inference_mode():
            expected = module(*inputs.values())
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        for name, got, want in zip(graph.outputs, found, expected, strict=True):
            worst = _difference(got, want.numpy())
            difference[name] = max(difference[name], worst)
            if not worst <= TOLERANCE * max(1.0, float(want.abs().max())):
                raise VtlabError(
                    f"The exported network differs from PyTorch by {worst:.2g} in {name!r} for a batch of {batch}. "
                    "Remedy: use another opset or another version of onnxruntime."
                )
    return difference


def _difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")


def _shapes(path: Path) -> tuple[dict[str, tuple[int | str, ...]], dict[str, tuple[int | str, ...]]]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph

    def shapes(values: Any) -> dict[str, tuple[int | str, ...]]:
        return {
            v.name: tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim) for v in values
        }

    return shapes(graph.input), shapes(graph.output)
