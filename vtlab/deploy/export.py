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
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.errors import InputError, VtlabError, near, needs
from vtlab.registry import TRACKERS

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

OPSET = 17
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


@dataclass(frozen=True)
class _Graph:
    """What is exported of a tracker.

    Attributes:
        module: Takes the inputs in order and returns the outputs in order.
        inputs: Makes random inputs for a number of objects.
        outputs: Names of the outputs.
        axes: Names of the dynamic axes of each input and output.
        metadata: What a user needs to know to feed the file.
    """

    module: torch.nn.Module
    inputs: Callable[[int], dict[str, torch.Tensor]]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]]
    metadata: dict[str, str]


def export(
    tracker: str, path: str | Path, *, check: bool = True, opset: int = OPSET, **params: Any
) -> Exported:
    """Write a box tracker's network to an ONNX file and check it.

    Args:
        tracker: Name of a TransT, MixFormer or MCITrack variant.
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
    part = path.with_name(f"{path.name}.part")
    try:
        _write(graph, part, opset)
        difference = _check(graph, part) if check else {}
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    inputs, outputs = _shapes(path)
    return Exported(path, inputs, outputs, difference)


@contextlib.contextmanager
def _required(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise needs(package, "onnx", "Exporting to ONNX") from error


def _graph(tracker: str, params: Mapping[str, Any]) -> _Graph:
    fixed = {"device": "cpu", "dtype": "float32", "channels_last": False, "compile": False}
    card = TRACKERS.card(tracker)
    family = card.name.split("-")[0]
    if family not in _GRAPHS:
        names = [name for name in TRACKERS.names("sot") if name.split("-")[0] in _GRAPHS]
        files = [w.name for w in card.weights if w.name.endswith(".onnx")]
        hint = (
            f"Its networks are ONNX files already: {', '.join(files)}." if files else near(card.name, names)
        )
        raise InputError(f"{card.name!r} can't be exported to ONNX. {hint}")
    if changed := fixed.keys() & params.keys():
        raise InputError(
            f"An export is always made on the CPU in float32: leave out {', '.join(sorted(changed))}."
        )
    made = TRACKERS.create(tracker, **fixed, **params)
    graph = _GRAPHS[family](made)
    graph.metadata.update(tracker=card.name, licence=card.licence, images="RGB / 255, ImageNet mean and std")
    return graph


def _write(graph: _Graph, path: Path, opset: int) -> None:
    import onnx
    import torch

    example = graph.inputs(2)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # sizes become constants, as they should: only the named axes are dynamic
        torch.onnx.export(
            graph.module,
            tuple(example.values()),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=list(example),
            output_names=list(graph.outputs),
            dynamic_axes=graph.axes,
        )
        answers = graph.module(*example.values())
    model = onnx.load(path)
    for output, answer in zip(model.graph.output, answers, strict=True):
        for axis, size in enumerate(answer.shape):  # the exporter invents names for sizes that it can't infer
            if axis not in graph.axes[output.name]:
                output.type.tensor_type.shape.dim[axis].dim_value = size
    onnx.helper.set_model_props(model, graph.metadata)
    onnx.save(model, path)


def _check(graph: _Graph, path: Path) -> dict[str, float]:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference = dict.fromkeys(graph.outputs, 0.0)
    for batch in (1, 3):
        inputs = graph.inputs(batch)
        with torch.inference_mode():
            expected = graph.module(*inputs.values())
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


# The trackers' graphs ---------------------------------------------------------------------------------------


def _noise(*shape: int) -> torch.Tensor:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _transt(tracker: Any) -> _Graph:
    """template (B, 3, 128, 128), search (B, 3, 256, 256) -> scores (B, 1024), boxes (B, 1024, 4)."""
    import torch

    from vtlab.trackers.boxes.transt import SEARCH, SEARCH_CONTEXT, TEMPLATE, TEMPLATE_CONTEXT

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tracker._network

        def forward(self, template: torch.Tensor, search: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits, boxes = self.network(self.network.template(template), search)
            return logits.softmax(dim=2)[..., 0], boxes

    names = ("template", "search", "scores", "boxes")
    return _Graph(
        Step().eval(),
        lambda n: {"template": _noise(n, 3, TEMPLATE, TEMPLATE), "search": _noise(n, 3, SEARCH, SEARCH)},
        ("scores", "boxes"),
        {name: {0: "objects"} for name in names},
        {"template_context": str(TEMPLATE_CONTEXT), "search_context": str(SEARCH_CONTEXT)},
    )


def _mixformer(tracker: Any) -> _Graph:
    """templates (B, T, 3, S, S), search (B, 3, S', S') -> boxes (B, 4) and, online, scores (B,)."""
    import torch

    from vtlab.trackers.boxes.mixformer import TEMPLATE_FACTOR

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tracker._network

        def forward(self, templates: torch.Tensor, search: torch.Tensor) -> tuple[torch.Tensor, ...]:
            boxes, logits = self.network(self.network.memorize(templates), search)
            return (boxes,) if logits is None else (boxes, logits.sigmoid())

    size, side = tracker._template_size, tracker._search_size
    outputs = ("boxes", "scores") if tracker._network.online else ("boxes",)
    axes = {name: {0: "objects"} for name in ("search", *outputs)}
    return _Graph(
        Step().eval(),
        lambda n: {"templates": _noise(n, 1 + n, 3, size, size), "search": _noise(n, 3, side, side)},
        outputs,
        {**axes, "templates": {0: "objects", 1: "templates"}},
        {"template_factor": str(TEMPLATE_FACTOR), "search_factor": str(tracker.search_factor)},
    )


def _mcitrack(tracker: Any) -> _Graph:
    """search, templates (B, 5, 3, T, T), template_boxes (B, 5, 4), state_0 .. state_3 -> maps and new states."""
    import torch

    from vtlab.nets.mcitrack import N_LAYERS, N_STATES
    from vtlab.trackers.boxes.mcitrack import SEARCH_FACTOR, TEMPLATE_FACTOR

    config = tracker._network.config

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tracker._network

        def forward(
            self, search: torch.Tensor, templates: torch.Tensor, boxes: torch.Tensor, *state: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            tokens = self.network.embed_templates(templates.flatten(0, 1), boxes.flatten(0, 1))
            joined = tokens.reshape(-1, config.templates * config.template_cells**2, config.dim)
            *maps, new = self.network(search, joined, list(state))
            return (*maps, *new)

    def inputs(n: int) -> dict[str, torch.Tensor]:
        state = (n, config.search_cells**2, 2 * config.dim, N_STATES)
        return {
            "search": _noise(n, 3, config.search, config.search),
            "templates": _noise(n, config.templates, 3, config.template, config.template),
            "template_boxes": torch.tensor([0.25, 0.27, 0.5, 0.45])
            .expand(n, config.templates, 4)
            .contiguous(),
            **{f"state_{i}": _noise(*state) for i in range(N_LAYERS)},
        }

    outputs = ("score", "size", "offset", *(f"new_state_{i}" for i in range(N_LAYERS)))
    return _Graph(
        Step().eval(),
        inputs,
        outputs,
        {name: {0: "objects"} for name in (*inputs(1), *outputs)},
        {"template_factor": str(TEMPLATE_FACTOR), "search_factor": str(SEARCH_FACTOR)},
    )


_GRAPHS: dict[str, Callable[[Any], _Graph]] = {
    "transt": _transt,
    "mixformer": _mixformer,
    "mcitrack": _mcitrack,
}
