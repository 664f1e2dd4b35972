"""NanoTrack v1, v2, v3: light Siamese trackers (0.3 to 0.6 M parameters) that run in real time on a CPU.

Code: https://github.com/HonglinChu/SiamTrackers (NanoTrack, 2022-2023, Apache-2.0); there is no paper. Cropping,
decoding and the update of the box follow the official Python tracker (`nano_tracker.py`), with its penalty, window
influence and learning rate for each version.

v2 and v3 are networks of `vtlab.nets.nanotrack` that load the official PyTorch files and take all objects as one batch.
Without PyTorch the official ONNX files are run by ONNX Runtime, without that by OpenCV's DNN: the same weights, whose
answers differ by rounding (logits 1e-5, boxes 1e-3 px). Which of them a name stands for on this machine is the option
`engine` of its card, and stands in the record of what it tracks. The ONNX files hold networks for a batch of one, so there
crops go through one after another. v1 has ONNX files only.

Differs from the official code: boxes are reported half a pixel further right and down, because the official tracker turns
a box into a centre by (w - 1) / 2 and back by w / 2, so that a target at rest seems to move. Differs from
`cv2.TrackerNano`: boxes stay fractional, and v3 (15 x 15 cells) works.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Card, Exportable, ExportGraph, Image, WeightFile
from vtlab.errors import InputError, WeightsError, near, needs
from vtlab.geometry import cxcywh_to_xyxy, xyxy_to_cxcywh
from vtlab.prompts import BoxPrompt
from vtlab.registry import register
from vtlab.trackers.boxes.batch import BatchedTracker, Target
from vtlab.trackers.boxes.crops import (
    MIN_SIDE,
    Boxes,
    Window,
    change_penalty,
    context_side,
    crop,
    hann_window,
)
from vtlab.trackers.boxes.engines import DTYPES, PAIR, Pair
from vtlab.trackers.boxes.graphs import CENTRE_LIMITS, MEAN_FILL, NO_UPDATE, siamese

EXEMPLAR, INSTANCE, STRIDE = 127, 255, 16
ENGINES = ("torch", "onnxruntime", "opencv")
"""What can run the official files, the first choice first."""
EXPORTED = tuple(DTYPES)
"""What can run those of `vtlab export`."""
_SOURCE = "https://github.com/HonglinChu/SiamTrackers"
_RAW = "https://raw.githubusercontent.com/HonglinChu/SiamTrackers"


def _file(name: str, path: str, digest: str | None = None, size: int = 0) -> WeightFile:
    return WeightFile(name, f"{_RAW}/{path}", digest, size, "Apache-2.0", _SOURCE)


_ONNX = {
    1: (
        _file(
            "nanotrackv1_backbone.onnx",
            "7f18c02fd49f7b6cb5f9842b63ba9ae78fed083b/NanoTrack/models/onnx/nanotrack_backbone_sim.onnx",
        ),
        _file(
            "nanotrackv1_head.onnx",
            "8211ff3f862fc68a870dde1ab00451f35af3b1d4/NanoTrack/models/onnx/nanotrack_head_sim.onnx",
        ),
    ),
    2: (
        _file(
            "nanotrackv2_backbone.onnx",
            "master/NanoTrack/models/nanotrackv2/nanotrack_backbone_sim.onnx",
            "530bdd0cd00f19afab79a863e71ba71e3312395a5dc9151af675082bdaaa2fc4",
            1056849,
        ),
        _file(
            "nanotrackv2_head.onnx",
            "master/NanoTrack/models/nanotrackv2/nanotrack_head_sim.onnx",
            "0d8c0637be849f092cc7236cae02e55c8b9455ebe37ba50601d6115db4247cd9",
            726198,
        ),
    ),
    3: (
        _file(
            "nanotrackv3_backbone.onnx",
            "master/NanoTrack/models/nanotrackv3/nanotrack_backbone.onnx",
            "50be1320abf9384fd3479ea829f95e244cf3f3838190c5ab60c750fb8c1ce828",
            1431635,
        ),
        _file(
            "nanotrackv3_head.onnx",
            "master/NanoTrack/models/nanotrackv3/nanotrack_head.onnx",
            "75357903be3f4817c965af16cb5a11fd32b1467f597a408405a98635ac63f61d",
            1183740,
        ),
    ),
}
_PRETRAINED = "248663fde6bf7c40190cf10ee396d5662919ecd3/NanoTrack/models/pretrained"
_TORCH = {
    2: _file(
        "nanotrackv2.pth",
        f"{_PRETRAINED}/nanotrackv2.pth",
        "938a320c560fd8c8d6a148a76a072bca29c529ce16591c9a2157859ee0ecc5e1",
        2095829,
    ),
    3: _file(
        "nanotrackv3.pth",
        f"{_PRETRAINED}/nanotrackv3.pth",
        "4f0d25108385a67bdec5fa01ca37c74acb72343b53996dd645fe18b86e512e69",
        3498955,
    ),
}


def _installed(version: int) -> str:
    """The first engine for a version that is installed here; nothing is imported to find out."""
    for engine in ENGINES[:-1] if version in _TORCH else ENGINES[1:-1]:
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(engine) is not None:
                return engine
    return ENGINES[-1]


def _files(version: int, engine: str) -> tuple[WeightFile, ...]:
    return (_TORCH[version],) if engine == "torch" else _ONNX[version]


def _card(version: int) -> dict[str, Any]:
    engine = _installed(version)
    files = _files(version, engine)
    every = [f for e in ENGINES if e != "torch" or version in _TORCH for f in _files(version, e)]
    return {
        "family": "sot",
        "accepts": {BoxPrompt},
        "code": f"{_SOURCE}/tree/master/NanoTrack",
        "licence": "Apache-2.0",
        "weights": files,
        "instead": tuple(dict.fromkeys(f for f in every if f not in files)),
        "options": {"version": version, "engine": engine},
    }


@dataclass(eq=False)
class _Target(Target):
    """A target with what its engine keeps of the template, and the colour that fills what lies outside the frame."""

    template: Any = field(kw_only=True)
    fill: NDArray[np.float64] = field(kw_only=True)


class _Engine(Protocol):
    """What runs a pair of networks. Crops are (S, S, 3) RGB."""

    def templates(self, crops: Sequence[Image]) -> list[Any]:
        """What is kept of each template crop, 127 x 127."""

    def maps(self, templates: Sequence[Any], crops: Sequence[Image]) -> tuple[NDArray[np.float32], ...]:
        """Logits (N, 2, cells) of background and object, distances (N, 4, cells) to the edges, in crops 255 x 255."""


class _Torch:
    """The native network, all crops as one batch."""

    def __init__(self, version: int, weights: str | Path | None, *, device: str, compile: bool):
        from vtlab.nets import nanotrack
        from vtlab.nets.loading import load, place

        network = load(
            lambda: nanotrack.NanoTrack(nanotrack.CONFIGS[version]),
            weights,
            _TORCH[version],
            what=f"nanotrack-v{version}",
            variant_of=nanotrack.variant_of,
        )
        self.network, self._device, _ = place(
            network, device=device, dtype="float32", channels_last=True, compile=compile
        )

    @staticmethod
    def template_of(network: Any, *inputs: Any) -> tuple[Any, ...]:
        """template (B, 3, 127, 127) -> kernels; rows are templates."""
        return tuple(network.template(*inputs))

    @staticmethod
    def step_of(network: Any, *inputs: Any) -> tuple[Any, ...]:
        """search (B, 3, 255, 255), kernels -> logits (B, 2, cells), distances (B, 4, cells)."""
        search, *kernels = inputs
        logits, distances = network(kernels, search)
        return logits.flatten(2), distances.flatten(2)

    def _ask_template(self, images: Any) -> tuple[Any, ...]:
        return self.template_of(self.network, images)

    def _ask_step(self, images: Any, *kernels: Any) -> tuple[Any, ...]:
        return self.step_of(self.network, images, *kernels)

    def _images(self, crops: Sequence[Image]) -> Any:
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(np.stack(crops)[..., ::-1])).to(self._device)
        return pixels.permute(0, 3, 1, 2).float()  # a view of rows of pixels: channels last

    def templates(self, crops: Sequence[Image]) -> list[Any]:
        import torch

        with torch.inference_mode():
            kernels = self._ask_template(self._images(crops))
        return list(zip(*(k.unbind() for k in kernels), strict=True))

    def maps(self, templates: Sequence[Any], crops: Sequence[Image]) -> tuple[NDArray[np.float32], ...]:
        import torch

        with torch.inference_mode():
            kernels = [torch.stack(rows) for rows in zip(*templates, strict=True)]
            logits, distances = self._ask_step(self._images(crops), *kernels)
            return logits.cpu().numpy(), distances.cpu().numpy()


class _Exported(_Torch):
    """The files of `vtlab export` in the native network's place."""

    def __init__(self, pair: Pair):
        import torch

        self._pair = pair
        self.network, self._device = None, torch.device("cpu")

    def _ask_template(self, images: Any) -> tuple[Any, ...]:
        return self._pair.template(images)

    def _ask_step(self, images: Any, *kernels: Any) -> tuple[Any, ...]:
        return self._pair.step(images, *kernels)


class _OpenCV:
    """The ONNX files run by OpenCV's DNN, crops one after another."""

    def __init__(self, version: int):
        from vtlab import weights

        files = [str(weights.fetch(w)) for w in _ONNX[version]]
        try:
            self._backbone, self._head = (cv2.dnn.readNetFromONNX(f) for f in files)
        except cv2.error as error:
            raise WeightsError(
                f"OpenCV can't read {' or '.join(files)}: {error}. Remedy: fetch them again."
            ) from error

    def templates(self, crops: Sequence[Image]) -> list[Any]:
        return [self._template(c) for c in crops]

    def _template(self, crop: Image) -> NDArray[np.float32]:
        self._backbone.setInput(_input(crop))
        return np.array(self._backbone.forward(), dtype=np.float32)

    def maps(self, templates: Sequence[Any], crops: Sequence[Image]) -> tuple[NDArray[np.float32], ...]:
        each = [self._answer(t, c) for t, c in zip(templates, crops, strict=True)]
        logits, distances = (np.concatenate(m) for m in zip(*each, strict=True))
        return logits.reshape(*logits.shape[:2], -1), distances.reshape(*distances.shape[:2], -1)

    def _answer(self, template: NDArray[np.float32], crop: Image) -> list[NDArray[np.float32]]:
        self._head.setInput(template, "input1")
        self._head.setInput(self._template(crop), "input2")
        return [np.array(m, dtype=np.float32) for m in self._head.forward(["output1", "output2"])]


class _OnnxRuntime(_OpenCV):
    """The ONNX files run by ONNX Runtime; templates by OpenCV, since the files state the search region's size."""

    def __init__(self, version: int):
        try:
            import onnxruntime
        except ImportError as error:
            raise needs("onnxruntime", "onnx", f"NanoTrack v{version} by ONNX Runtime") from error
        from vtlab import weights

        super().__init__(version)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._search, self._pair = (
            onnxruntime.InferenceSession(str(weights.fetch(w)), options, providers=["CPUExecutionProvider"])
            for w in _ONNX[version]
        )

    def _answer(self, template: NDArray[np.float32], crop: Image) -> list[NDArray[np.float32]]:
        (name,) = (i.name for i in self._search.get_inputs())
        (found,) = self._search.run(None, {name: _input(crop)})
        answer: list[NDArray[np.float32]] = self._pair.run(
            ["output1", "output2"], {"input1": template, "input2": found}
        )
        return answer


@register("nanotrack-v1", summary="NanoTrack v1: 0.29 M parameters, trained on GOT-10k.", **_card(1))
@register(
    "nanotrack-v2",
    summary="NanoTrack v2: 0.35 M parameters, trained on GOT-10k; the light default.",
    **_card(2),
)
@register(
    "nanotrack-v3",
    summary="NanoTrack v3: 0.56 M parameters, trained on six datasets; the best of the three.",
    **_card(3),
)
class NanoTrack(BatchedTracker[_Target], Exportable):
    """NanoTrack for any number of objects on one network.

    The score is the probability of foreground at the chosen cell, in [0, 1]. It seldom falls when the object is lost:
    the network was trained on crops that hold their target.

    Args:
        version: 1, 2 or 3.
        engine: "torch" (the native network, a batch, on a GPU if there is one), "onnxruntime" or "opencv" (both on the
            CPU). The names `nanotrack-v1` to `-v3` stand for the first of these that is installed here. On a CPU
            "onnxruntime" is the fastest for up to about four objects, "torch" for more.
            With `weights` "onnxruntime", "openvino" and "tensorrt" run exported files (docs/tasks/deploy.md).
        weights: Checkpoint file of PyTorch to use instead of the official one, such as one that was trained further; for
            another engine the folder that `vtlab export` wrote.
        penalty: Weight of changes of scale and aspect ratio; None = the official value of the version.
        window: Influence of the Hann window, 0 to 1; None = the official value.
        rate: Learning rate of the box's size; None = the official value.
        visible_above: Score from which the object counts as seen.
        device: PyTorch device, or "auto"; for the engine "torch".
        dtype: "float32"; by exported files also what their engine has: "bfloat16" (OpenVINO), "float16" (TensorRT).
        compile: Whether `torch.compile` compiles the network; for the engine "torch".
        batch: Most objects in one pass of the network.

    Raises:
        InputError: An option is out of range, or given with an engine that has none of the kind.
        WeightsError: The files are not at hand and can't be fetched, or `weights` is of another variant.
        MissingDependencyError: The engine is not installed.
    """

    # penalty_k, window and lr of the official settings of each version.
    _TUNED: ClassVar = {1: (0.148, 0.462, 0.390), 2: (0.150, 0.490, 0.385), 3: (0.138, 0.455, 0.348)}

    def __init__(
        self,
        *,
        version: int = 2,
        engine: str = "torch",
        weights: str | Path | None = None,
        penalty: float | None = None,
        window: float | None = None,
        rate: float | None = None,
        visible_above: float = 0.5,
        device: str = "auto",
        dtype: str = "float32",
        compile: bool = False,
        batch: int = 64,
    ):
        super().__init__(visible_above=visible_above, batch=batch)
        if version not in self._TUNED:
            raise InputError(f"NanoTrack has versions 1, 2 and 3; got {version!r}.")
        _check_engine(version, engine, weights, elsewhere=device != "auto" or compile)
        exported = engine != "torch" and (weights is not None or engine not in ENGINES)
        if dtype != "float32" and not exported:
            raise InputError(f"NanoTrack runs in float32, but for exported files; got dtype={dtype!r}.")
        tuned = zip((penalty, window, rate), self._TUNED[version], strict=True)
        self.penalty, self.window, self.rate = (best if own is None else own for own, best in tuned)
        # v3's maps lose a cell to a 2 x 2 convolution. With 16 the grid is not symmetric: from -128 to 112.
        self.version, self._side = version, 15 if version == 3 else 16
        self.loads = PAIR if exported else _files(version, engine)
        self.engine: _Engine
        if exported:
            name = f"nanotrack-v{version}"
            self.engine = _Exported(Pair(weights, engine, network=name, around=self.around(), dtype=dtype))
        elif engine == "torch":
            self.engine = _Torch(version, weights, device=device, compile=compile)
        else:
            self.engine = {"onnxruntime": _OnnxRuntime, "opencv": _OpenCV}[engine](version)
        self._hann = hann_window(self._side).ravel()
        offsets = STRIDE * (np.arange(self._side) - self._side // 2)
        self._cells = np.stack(np.meshgrid(offsets, offsets)).reshape(2, -1).astype(np.float64)

    @classmethod
    def wants(cls, card: Card, params: Mapping[str, Any]) -> Sequence[WeightFile]:
        """The files of the engine that is asked for."""
        how = {"version": 2, "engine": "torch", **card.options, **params}
        known = how["engine"] in ENGINES and how["version"] in (_TORCH if how["engine"] == "torch" else _ONNX)
        if params.get("weights") is not None or not known:
            return ()
        return _files(how["version"], how["engine"])

    export_params: ClassVar = {"engine": "torch", "device": "cpu", "dtype": "float32", "compile": False}

    def export_graph(self) -> ExportGraph:
        """See `template_of` and `step_of` of the native network."""
        if not isinstance(native := self.engine, _Torch):
            by = type(native).__name__[1:]
            raise InputError(f"NanoTrack v{self.version} by {by} has no network to export.")
        calls = native.template_of, native.step_of
        return ExportGraph(
            native.network,
            *siamese(native.network, calls, (EXEMPLAR, INSTANCE), "kernel", ("logits", "distances")),
            {"network": f"nanotrack-v{self.version}", **self.around()},
        )

    def around(self) -> dict[str, str]:
        """What it does around its network, as the metadata of an export says it."""
        n = self._side
        return {
            "crop": "p = (w + h) / 2; s = sqrt((w + p) (h + p)); side = round(factor s), half to even; "
            "left = floor(x - 0.5 - side / 2)",
            "template_factor": "1",
            "search_factor": f"{INSTANCE} / {EXEMPLAR}",
            "template_size": str(EXEMPLAR),
            "search_size": str(INSTANCE),
            "outside": MEAN_FILL,
            "images": "BGR, 0 to 255",
            "window": f"score = softmax(logits)[1]; {1 - self.window:g} q score + {self.window:g} Hann {n} x "
            f"{n} with its zero ends; q = exp(-{self.penalty:g} (c(s) c(w / h) - 1)), c = max(new / old, old / new)",
            "box": f"distances to left, top, right, bottom from point {STRIDE} (cell - {n // 2}) around the centre, "
            f"of the best cell (column, row), pixels of the crop; times s / {EXEMPLAR} in the image",
            "limits": CENTRE_LIMITS,
            "update": f"size += {self.rate:g} q score (found size - size); {NO_UPDATE}",
        }

    def _start(self, image: Image, boxes: Boxes) -> list[_Target]:
        fill = image.mean(axis=(0, 1))
        at = xyxy_to_cxcywh(boxes)
        sides = np.rint(context_side(at[:, 2:].T))
        crops = [
            _crop(image, (x, y), side, EXEMPLAR, fill) for (x, y), side in zip(at[:, :2], sides, strict=True)
        ]
        templates = [
            t
            for k in range(0, len(crops), self.batch)
            for t in self.engine.templates(crops[k : k + self.batch])
        ]
        return [_Target(box, template=t, fill=fill) for box, t in zip(boxes, templates, strict=True)]

    def _maps(self, targets: Sequence[_Target], crops: Sequence[Image]) -> tuple[NDArray[np.float32], ...]:
        """Logits (N, 2, cells) of background and foreground, distances (N, 4, cells) to the edges."""
        return self.engine.maps([t.template for t in targets], crops)

    def _follow(self, image: Image, targets: Sequence[_Target]) -> tuple[Boxes, NDArray[np.float64]]:
        before = xyxy_to_cxcywh(np.array([t.box for t in targets]))
        centre, last = before[:, :2], before[:, 2:]
        context = context_side(last.T)
        sides, scale = np.rint(context * INSTANCE / EXEMPLAR), (EXEMPLAR / context)[:, None]
        crops = [
            _crop(image, (x, y), side, INSTANCE, t.fill)
            for (x, y), side, t in zip(centre, sides, targets, strict=True)
        ]
        logits, distances = self._maps(targets, crops)
        with np.errstate(over="ignore"):
            score = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1], dtype=np.float64))
        low, high = self._cells - distances[:, :2], self._cells + distances[:, 2:]
        size = high - low
        penalty = change_penalty(size, last * scale, self.penalty)
        best = np.argmax(penalty * score * (1 - self.window) + self._hann * self.window, axis=1)
        rows = np.arange(len(targets))
        rate = (penalty[rows, best] * score[rows, best] * self.rate)[:, None]
        limits = np.array(image.shape[1::-1])
        found = np.concatenate(
            [
                np.clip(centre + (low + high)[rows, :, best] / 2 / scale, 0, limits),
                np.clip(
                    last * (1 - rate) + size[rows, :, best] / scale * rate,
                    np.minimum(MIN_SIDE, limits),
                    limits,
                ),
            ],
            axis=1,
        )
        return cxcywh_to_xyxy(found), score[rows, best]


def _check_engine(version: int, engine: str, weights: str | Path | None, *, elsewhere: bool) -> None:
    if engine not in (*ENGINES, *EXPORTED):
        raise InputError(f"Unknown engine {engine!r} of NanoTrack. {near(engine, [*ENGINES, *EXPORTED])}")
    if engine == "torch" and version not in _TORCH:
        raise InputError(
            f"NanoTrack v{version} has ONNX files only. Remedy: engine='onnxruntime' or 'opencv'."
        )
    if engine != "torch" and (elsewhere or (weights is not None and engine == "opencv")):
        raise InputError(
            f"NanoTrack's `weights`, `device` and `compile` are for the engine 'torch', got engine={engine!r}. Remedy: "
            "engine='torch' (v2 and v3; pip install 'vtlab[torch]'), or leave them out."
        )


def _crop(
    image: Image, centre: tuple[float, float], side: float, size: int, fill: NDArray[np.float64]
) -> Image:
    """Cut a square of whole pixels around `centre` and resize it."""
    left, top = (math.floor(c - 0.5 - side / 2) for c in centre)  # as the official code: centres are indices
    return crop(image, Window(left, top, max(int(side), 1)), size, fill=fill)


def _input(crop: Image) -> NDArray[np.float32]:
    """The backbone's input (1, 3, H, W) of an RGB crop: BGR, 0 to 255."""
    return np.asarray(cv2.dnn.blobFromImage(crop, swapRB=True), np.float32)
