"""Exported networks: the template file and the step file of `vtlab export`, run by an engine in the network's place.

A tracker asks its network two things: what to keep of a template, and where that is on a frame. `Pair` answers both from a
folder of two ONNX files, with the same tensors in the same order as the network of PyTorch, so that crops, windows and
decoding are the tracker's own whatever runs underneath.

Files are read as data: one that is not ONNX, lacks the metadata of an export, belongs to another network or to another
export's partner is refused before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import WeightFile
from vtlab.errors import InputError, MissingDependencyError, WeightsError, near, needs

if TYPE_CHECKING:
    import torch

NATIVE = "torch"
"""The engine that needs no exported files."""
DTYPES = {
    "onnxruntime": ("float32",),
    "openvino": ("float32", "bfloat16"),
    "tensorrt": ("float32", "float16"),
}
"""Engine -> what it can compute in."""
PARTS = {"template": "template.onnx", "step": "step.onnx"}
"""Part of a pair -> its file in the folder."""
PAIR = tuple(WeightFile(name, "") for name in PARTS.values())
FORMAT = "vtlab export 1"
"""What a file's metadata says under `format`."""
FACTS = ("format", "part", "pair", "tracker", "network")
"""Entries of the metadata without which a file is not read."""

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Arrays], Sequence[NDArray[Any]]]


@dataclass(frozen=True)
class Signature:
    """What a file says of itself.

    Attributes:
        facts: Its metadata.
        inputs: Name of each input to its shape; dynamic axes are names.
        outputs: As `inputs`.
    """

    facts: Mapping[str, str]
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]


def read_signature(path: Path) -> Signature:
    """Read metadata, inputs and outputs of an ONNX file; nothing is run, and no other file is opened.

    Raises:
        WeightsError: There is no such file, or it is not ONNX, or keeps tensors in other files.
        MissingDependencyError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise needs("onnx", "onnx", "An exported network") from error
    if not path.is_file():
        raise WeightsError(
            f"There is no file {str(path)!r}. Remedy: `vtlab export TRACKER FOLDER` writes "
            f"{' and '.join(PARTS.values())}; give the folder as weights=FOLDER."
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf raises classes of its own
        raise WeightsError(f"{str(path)!r} is not an ONNX file: {error}. Remedy: export it again.") from error
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise WeightsError(f"{str(path)!r} keeps tensors in other files, which no export of vtlab does.")

    def shapes(values: Any) -> dict[str, tuple[int | str, ...]]:
        return {
            v.name: tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim) for v in values
        }

    facts = {p.key: p.value for p in model.metadata_props}
    return Signature(facts, shapes(model.graph.input), shapes(model.graph.output))


class Pair:
    """A template file and a step file in the place of a network.

    Args:
        folder: The folder that `vtlab export` wrote.
        engine: "onnxruntime", "openvino" or "tensorrt".
        network: Name of the network that the files must hold, such as "transt".
        dtype: What the engine computes in; tensors that go in and come out are float32 all the same.
        around: What the tracker does around the network, as the metadata of its own export would say it; the files' must
            say the same, for they were made to be run that way.

    Raises:
        InputError: An unknown engine, or a type that it doesn't compute in.
        WeightsError: A file is missing, damaged, of another network or other constants, or the two are not of one export.
        MissingDependencyError: The engine is not installed.
    """

    def __init__(
        self,
        folder: str | Path | None,
        engine: str,
        *,
        network: str,
        around: Mapping[str, str],
        dtype: str = "float32",
    ):
        _check_name(engine)
        if folder is None:  # said before what is missing here: with it there would be nothing to run yet
            raise InputError(
                f"engine={engine!r} runs exported files. Remedy: `vtlab export TRACKER FOLDER`, then weights=FOLDER."
            )
        check_engine(engine, dtype)
        self._paths = {part: Path(folder) / name for part, name in PARTS.items()}
        self._signatures = {part: read_signature(path) for part, path in self._paths.items()}
        for part, signature in self._signatures.items():
            _check_facts(self._paths[part], signature.facts, part, network)
        self.facts = self._signatures["step"].facts
        if self._signatures["template"].facts["pair"] != self.facts["pair"]:
            told = [f"{s.facts['tracker']} ({s.facts['pair']})" for s in self._signatures.values()]
            raise WeightsError(
                f"{' and '.join(map(str, self._paths.values()))} are not of one export: {' and '.join(told)}. "
                "Remedy: export them again, together."
            )
        for part, signature in self._signatures.items():
            _check_around(self._paths[part], signature.facts, around)
        self._run: dict[str, Run] = {part: _OPEN[engine](path, dtype) for part, path in self._paths.items()}

    def template(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the network keeps of templates."""
        return self._ask("template", inputs)

    def step(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the network says of a frame."""
        return self._ask("step", inputs)

    def _ask(self, part: str, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        import torch

        wanted = self._signatures[part].inputs
        given = [np.ascontiguousarray(t.numpy()) for t in inputs]
        shapes = [v.shape for v in given]
        if len(given) != len(wanted) or not all(map(_fits, shapes, wanted.values())):
            raise WeightsError(
                f"{self._paths[part]} takes {wanted}, the tracker gives {shapes}. Remedy: export it again with this "
                "version of vtlab."
            )
        answers = self._run[part](dict(zip(wanted, given, strict=True)))
        return tuple(torch.from_numpy(np.array(a)) for a in answers)


def check_engine(engine: str, dtype: str = "float32") -> None:
    """See that an engine can be used here; no file is read.

    Raises:
        InputError: An unknown engine, or a type that it, or this processor, doesn't compute in.
        MissingDependencyError: It is not installed.
    """
    _check_name(engine)
    if dtype not in DTYPES[engine]:
        raise InputError(f"{engine} computes in {' or '.join(DTYPES[engine])}, got dtype={dtype!r}.")
    if engine == "openvino":
        core = _openvino_core()
        if dtype == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError("This processor doesn't compute in bfloat16. Remedy: leave out dtype.")
    elif engine == "tensorrt":
        _tensorrt_runtime()
    else:
        _runtime()


def _check_name(engine: str) -> None:
    if engine not in DTYPES:
        raise InputError(f"Unknown engine {engine!r}. {near(str(engine), [NATIVE, *DTYPES])}")


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        w in (s, 0) or isinstance(w, str) for s, w in zip(shape, wanted, strict=True)
    )


def _check_facts(path: Path, facts: Mapping[str, str], part: str, network: str) -> None:
    missing = [name for name in FACTS if name not in facts]
    if missing or facts["format"] != FORMAT:
        what = f"without {', '.join(missing)}" if missing else f"of format {facts['format']!r}"
        raise WeightsError(
            f"{path} has metadata {what}, so it is no export that this version reads. Remedy: `vtlab export TRACKER FOLDER`."
        )
    if facts["part"] != part or facts["network"] != network:
        raise WeightsError(
            f"{path} is the {facts['part']} file of {facts['network']!r} ({facts['tracker']}), wanted is the {part} file of "
            f"{network!r}. Remedy: give the folder of an export of that tracker."
        )


def _check_around(path: Path, facts: Mapping[str, str], around: Mapping[str, str]) -> None:
    other = [name for name, value in around.items() if facts.get(name) != value]
    if other:
        told = "; ".join(f"{n} is {facts.get(n)!r} there, {around[n]!r} here" for n in other)
        who = facts["tracker"]
        raise WeightsError(
            f"{path} was exported by {who!r}, which does other things around its network than this tracker as it is set: "
            f"{told}. Remedy: run the files by {who!r} with the parameters of its export, or export this tracker with these."
        )


def _threads() -> int:
    """As many as PyTorch takes, so that engines are compared on equal terms."""
    import torch

    return torch.get_num_threads()


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise needs("onnxruntime", "onnx", "The engine 'onnxruntime'") from error
    return onnxruntime


def _tensorrt_runtime() -> Any:
    """TensorRT is reached through ONNX Runtime's build for GPUs."""
    missing = (
        "The engine 'tensorrt' needs TensorRT and ONNX Runtime's build for GPUs, which are not installed here. Remedy: pip "
        "install onnxruntime-gpu tensorrt, in place of onnxruntime."
    )
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(missing) from error
    if _TENSORRT not in onnxruntime.get_available_providers():
        raise MissingDependencyError(missing)
    return onnxruntime


def _openvino_core() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise needs("openvino", "openvino", "The engine 'openvino'") from error
    return openvino.Core()


def _session(runtime: Any, path: Path, providers: Sequence[Any]) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = _threads(), 3
    try:
        return runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises classes of its own for every kind of bad file
        raise WeightsError(f"ONNX Runtime can't load {path}: {error}. Remedy: export it again.") from error


def _onnxruntime(path: Path, dtype: str) -> Run:
    session = _session(_runtime(), path, ["CPUExecutionProvider"])
    return lambda arrays: session.run(None, arrays)  # type: ignore[no-any-return]


def _openvino(path: Path, dtype: str) -> Run:
    core = _openvino_core()
    settings = {
        "INFERENCE_PRECISION_HINT": {"bfloat16": "bf16", "float32": "f32"}[dtype],
        "INFERENCE_NUM_THREADS": _threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        request = core.compile_model(core.read_model(str(path)), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise WeightsError(f"OpenVINO can't load {path}: {error}. Remedy: export it again.") from error

    def run(arrays: Arrays) -> list[NDArray[Any]]:
        answers = request.infer(arrays, share_inputs=True)
        return [answers[i] for i in range(len(answers))]

    return run


def _tensorrt(path: Path, dtype: str) -> Run:
    settings = {"trt_fp16_enable": dtype == "float16"}
    providers = [(_TENSORRT, settings), "CUDAExecutionProvider", "CPUExecutionProvider"]
    session = _session(_tensorrt_runtime(), path, providers)
    if session.get_providers()[0] != _TENSORRT:  # ONNX Runtime goes on without it where a library is missing
        raise MissingDependencyError(
            "ONNX Runtime knows TensorRT but can't load its libraries, or finds no GPU. Remedy: pip install tensorrt, of "
            "the version that this onnxruntime-gpu asks for."
        )
    return lambda arrays: session.run(None, arrays)  # type: ignore[no-any-return]


_TENSORRT = "TensorrtExecutionProvider"
_OPEN: dict[str, Callable[[Path, str], Run]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
}
