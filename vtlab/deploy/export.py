"""Export of box trackers' networks to ONNX: a template file and a step file, checked against PyTorch by ONNX Runtime.

    from vtlab.deploy.export import export
    export("transt", "transt")
    export("mixformer-cvt", "mixformer", weights="mixformer_cvt_online_22k.pth.tar")

What a template contributes is computed once, by `template.onnx`, and goes into `step.onnx` with each frame's crop; rows of
the batch are objects. What surrounds the network (cropping, window, choice of the box, updates) is in the tracker's file,
and its constants in the metadata of both files. `vtlab.trackers.boxes.engines` runs them as a tracker.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import Exportable, ExportGraph, ExportPart
from vtlab.errors import InputError, VtlabError, near, needs
from vtlab.files import write_whole
from vtlab.registry import TRACKERS
from vtlab.trackers.boxes.engines import FORMAT, PARTS, Signature, read_signature

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

OPSET = 17
"""Of ONNX: the first with LayerNormalization (ONNX 1.12, 2022), no later, so that older runtimes read it."""
TOLERANCE = 1e-3
"""Largest difference between ONNX Runtime and PyTorch, relative to the largest value of an output (at least 1)."""


@dataclass(frozen=True)
class Exported:
    """A folder with an exported network, and how it was checked.

    Attributes:
        folder: Holds `template.onnx` and `step.onnx`.
        parts: What each file, "template" and "step", says of itself.
        difference: Largest absolute difference from PyTorch that was met, for each output; empty if unchecked.
    """

    folder: Path
    parts: dict[str, Signature]
    difference: dict[str, float]


def export(
    tracker: str, folder: str | Path, *, check: bool = True, opset: int = OPSET, **params: Any
) -> Exported:
    """Write a box tracker's network to two ONNX files and check them.

    Args:
        tracker: Name of a tracker that is `contracts.Exportable`, such as a NanoTrack, TransT or MixFormer variant.
        folder: Folder to write `template.onnx` and `step.onnx` to, made where it is not there; theirs are replaced.
        check: Whether to run the files by ONNX Runtime on batches of 1 and 3 objects and compare with PyTorch.
        opset: Version of the ONNX operators, 14 or later.
        params: Parameters of the tracker, such as `weights`.

    Returns:
        The files' inputs and outputs, and the difference from PyTorch.

    Raises:
        InputError: The tracker can't be exported, or an option is out of range.
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: onnx or onnxruntime is not installed.
        VtlabError: An exported file computes something else than PyTorch; it is removed.
    """
    for package in ("onnx", "onnxruntime") if check else ("onnx",):
        with _required(package):
            __import__(package)
    if opset < 14:
        raise InputError(f"opset must be at least 14, got {opset}.")
    folder = Path(folder)
    if folder.suffix == ".onnx" or folder.is_file() or not folder.parent.is_dir():
        raise InputError(
            f"Can't write to {folder}: an export is two files, {' and '.join(PARTS.values())}. Remedy: give a folder, in "
            "one that exists."
        )
    graph = _graph(tracker, params)
    graph = replace(graph, metadata={**graph.metadata, "pair": _digest(graph)})
    difference: dict[str, float] = {}
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        for name, file in PARTS.items():
            part: ExportPart = getattr(graph, name)

            def fill(path: Path, part: ExportPart = part, name: str = name) -> None:
                _write(graph, part, path, {**graph.metadata, "part": name}, opset)
                if check:
                    difference.update(_check(graph, part, path))

            write_whole(folder / file, fill)
    except BaseException:
        if made and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return Exported(folder, {n: read_signature(folder / f) for n, f in PARTS.items()}, difference)


def _digest(graph: ExportGraph) -> str:
    """What both files of one export say, and no others: a hash of metadata and weights."""
    total = hashlib.sha256(repr(sorted(graph.metadata.items())).encode())
    for name, value in graph.network.state_dict().items():
        total.update(name.encode())
        total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


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
    facts = {"format": FORMAT, "tracker": card.name, "licence": card.licence}
    return replace(graph, metadata={"network": card.name, **graph.metadata, **facts})


def _module(graph: ExportGraph, part: ExportPart) -> torch.nn.Module:
    """A part as a module that holds the network."""
    import torch

    class Part(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = graph.network

        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return part.call(self.network, *inputs)

    return Part().eval()


def _write(graph: ExportGraph, part: ExportPart, path: Path, facts: Mapping[str, str], opset: int) -> None:
    import onnx
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # sizes become constants, as they should: only the named axes are dynamic
        module, example = _module(graph, part), part.inputs(2)
        torch.onnx.export(
            module,
            tuple(example.values()),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=list(example),
            output_names=list(part.outputs),
            dynamic_axes=part.axes,
        )
        answers = module(*example.values())
    model = onnx.load(path)
    for output, answer in zip(model.graph.output, answers, strict=True):
        for axis, size in enumerate(answer.shape):  # the exporter invents names for sizes that it can't infer
            if axis not in part.axes[output.name]:
                output.type.tensor_type.shape.dim[axis].dim_value = size
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save(model, path)


def _check(graph: ExportGraph, part: ExportPart, path: Path) -> dict[str, float]:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    module, difference = _module(graph, part), dict.fromkeys(part.outputs, 0.0)
    for batch in (1, 3):
        with torch.inference_mode():
            inputs = part.inputs(batch)
            expected = module(*inputs.values())
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        for name, got, want in zip(part.outputs, found, expected, strict=True):
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
