"""Re-identification: unit vectors that describe the appearance of objects.

"histogram" needs no weights; "osnet-x0.25" is OSNet for people (Zhou et al., "Omni-Scale Feature Learning for Person
Re-Identification", ICCV 2019; code: KaiyangZhou/deep-person-reid, MIT); "timm:NAME" is any model of timm; a path
ending in .onnx is any export with an input (N, 3, H, W), a path ending in .pth, .pt, .tar or .safetensors a checkpoint of
torchreid's OSNet of any width, with or without IBN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Embedder, Image, WeightFile
from vtlab.errors import InputError, WeightsError, needs

Vectors = NDArray[np.float32]
OSNET = WeightFile(
    "osnet_x0_25_msmt17.onnx",
    "https://raw.githubusercontent.com/czqosu/person_tracking/ccce98f6196f/models/osnet_x0_25_msmt17.onnx",
    sha256="dddd73c80b78e24ef982f9c352c1947b42d67433887011e8eb33a00313edef5e",
    size=891413,
    licence="unclear (torchreid is MIT; trained on MSMT17, for research)",
    source="https://github.com/KaiyangZhou/deep-person-reid",
)
_MEAN, _STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's mean and deviation, with which OSNet was trained (torchreid)."""
_BATCH = 32
"""Crops at once: a crowd fits memory."""


class HistogramEmbedder:
    """Colour and gradient histograms of horizontal stripes; always there.

    Each of four stripes gives a histogram of hue and saturation, one of brightness, and one of gradient directions;
    the vector is the root of all of them (Hellinger), so the cosine of two is their overlap.

    Attributes:
        threshold: Cosine above which two vectors are taken for one object. In PETS09-S2L1, seconds apart, half of the
            same people are above 0.87 and 5 % of different ones above 0.84.
    """

    threshold = 0.85
    stripes = 4

    def embed(self, image: Image, boxes: NDArray[np.float64]) -> Vectors:
        """Return unit vectors (N, 192) for the boxes (N, 4) xyxy on an RGB image (H, W, 3)."""
        import cv2

        out = np.zeros((len(boxes), self.stripes * 48), np.float32)
        for row, crop in zip(out, crops(image, boxes), strict=True):
            small = cv2.resize(crop, (32, 64), interpolation=cv2.INTER_AREA)
            hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
            gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
            dx, dy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
            angle = (np.arctan2(dy, dx) % np.pi) * (8 / np.pi)
            row[:] = self._histograms(hsv, np.hypot(dx, dy), np.minimum(angle.astype(np.int64), 7))
        return unit(out)

    def _histograms(self, hsv: NDArray[Any], strength: NDArray[Any], direction: NDArray[Any]) -> Vectors:
        hue, saturation, value = (hsv[..., i].astype(np.int64) for i in range(3))
        colour = np.minimum(hue * 8 // 180, 7) * 4 + saturation // 64
        stripe = np.arange(hsv.shape[0])[:, None] * self.stripes // hsv.shape[0] + np.zeros_like(hue)
        parts = (
            _histogram(stripe, colour, 32, saturation / 255.0 + 0.05),
            _histogram(stripe, value // 32, 8, np.ones(hue.shape)),
            _histogram(stripe, direction, 8, strength),
        )
        return np.sqrt(np.concatenate(parts, axis=1)).ravel().astype(np.float32)


def _histogram(
    stripe: NDArray[Any], bins: NDArray[Any], n: int, weights: NDArray[Any]
) -> NDArray[np.float64]:
    """Histogram of each stripe, (stripes, n), each with the sum 1."""
    count = int(stripe[-1, 0]) + 1
    flat = np.bincount((stripe * n + bins).ravel(), weights=weights.ravel(), minlength=count * n).reshape(
        count, n
    )
    return flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-9)


class OnnxEmbedder:
    """A re-identification network in ONNX, such as OSNet; runs in OpenCV's DNN.

    Args:
        path: The file, or None for OSNet x0.25.
        size: (height, width) of the network's input.
        threshold: Cosine above which two vectors are taken for one object.
    """

    def __init__(
        self, path: str | Path | None = None, *, size: tuple[int, int] = (256, 128), threshold: float = 0.6
    ):
        import cv2

        from vtlab.weights import fetch

        file = Path(path) if path is not None else fetch(OSNET)
        if not file.is_file():
            raise WeightsError(f"There is no re-identification network at {str(file)!r}.")
        self._net = cv2.dnn.readNetFromONNX(str(file))
        self._size, self.threshold = size, threshold

    def embed(self, image: Image, boxes: NDArray[np.float64]) -> Vectors:
        """Return unit vectors (N, D) for the boxes (N, 4) xyxy on an RGB image (H, W, 3)."""
        found = []
        for batch in _batches(image, boxes, self._size):
            for one in batch:  # OpenCV fixes the batch size of an export when it is first run
                self._net.setInput(np.ascontiguousarray(one[None]))
                found.append(self._net.forward()[0].copy())
        return unit(np.array(found, dtype=np.float32)) if found else np.zeros((0, 1), np.float32)


class OsnetEmbedder:
    """OSNet from a checkpoint of torchreid (extra `torch`).

    Args:
        path: A .pth, .pt, .tar or .safetensors file; its width, and whether it is of the IBN kind, are read from it.
        device: "cpu", "cuda", ...
        size: (height, width) of the input.
        threshold: Cosine above which two vectors are taken for one object.

    Raises:
        WeightsError: The file is missing, damaged, or no OSNet.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device: str = "cpu",
        size: tuple[int, int] = (256, 128),
        threshold: float = 0.6,
    ):
        from vtlab.weights.checkpoints import load_into, load_tensors

        tensors = load_tensors(path)
        from vtlab.nets.osnet import OsNet, variant_of

        self.variant = variant_of(tensors)
        if self.variant is None:
            raise WeightsError(
                f"{str(path)!r} is no checkpoint of OSNet: give one of torchreid's osnet_*.pth."
            )
        network = OsNet(self.variant.rsplit("-", 1)[1], instance="-ibn-" in self.variant)
        features = {n: t for n, t in tensors.items() if not n.startswith("classifier.")}
        load_into(network, path, what=self.variant, variant_of=variant_of, read=lambda _: features)
        self._model = network.eval().requires_grad_(False).to(device)
        self._device, self._size, self.threshold = device, size, threshold

    def embed(self, image: Image, boxes: NDArray[np.float64]) -> Vectors:
        """Return unit vectors (N, 512) for the boxes (N, 4) xyxy on an RGB image (H, W, 3)."""
        return _run(self._model, self._device, image, boxes, self._size)


class TimmEmbedder:
    """Any image model of timm, its pooled features (extra `transformers` brings timm, which itself needs torchvision).

    Args:
        name: Name of the model, for instance "resnet18.a1_in1k".
        device: "cpu", "cuda", ...
        pretrained: Load timm's weights (its hub, its licence); False is for tests.
        size: (height, width) of the input.
        threshold: Cosine above which two vectors are taken for one object.
    """

    def __init__(
        self,
        name: str,
        *,
        device: str = "cpu",
        pretrained: bool = True,
        size: tuple[int, int] = (224, 224),
        threshold: float = 0.8,
    ):
        try:
            import timm
        except ImportError as error:
            raise needs(error.name or "timm", "transformers", f"The embedder 'timm:{name}'") from None
        except RuntimeError as error:  # torchvision's operators are of another build than torch
            raise InputError(
                f"timm can't be imported: {error}. Remedy: install the torchvision that belongs to the torch at hand, see "
                "https://pytorch.org/get-started."
            ) from error
        if not timm.is_model(name.split(".")[0]):
            raise InputError(f"timm has no model {name!r}; timm.list_models() names them.")
        self._model = timm.create_model(name, pretrained=pretrained, num_classes=0).eval().to(device)
        self._device, self._size, self.threshold = device, size, threshold

    def embed(self, image: Image, boxes: NDArray[np.float64]) -> Vectors:
        """Return unit vectors (N, D) for the boxes (N, 4) xyxy on an RGB image (H, W, 3)."""
        return _run(self._model, self._device, image, boxes, self._size)


def _run(model: Any, device: str, image: Image, boxes: NDArray[np.float64], size: tuple[int, int]) -> Vectors:
    """Unit vectors (N, D) of a torch model for the crops of `boxes`."""
    import torch

    found = []
    with torch.inference_mode():
        for batch in _batches(image, boxes, size):
            found.append(model(torch.from_numpy(batch).to(device)).float().cpu().numpy())
    return unit(np.concatenate(found)) if found else np.zeros((0, 1), np.float32)


class CallableEmbedder:
    """A Python function as an embedder.

    Args:
        function: Called with an RGB image (H, W, 3) and boxes (N, 4) xyxy; returns vectors (N, D), of any length.
        threshold: Cosine above which two vectors are taken for one object.
    """

    def __init__(self, function: Callable[[Image, NDArray[np.float64]], Vectors], *, threshold: float = 0.7):
        self._function, self.threshold = function, threshold
        self.params = {"function": function}

    def embed(self, image: Image, boxes: NDArray[np.float64]) -> Vectors:
        """Return the function's vectors for the boxes (N, 4), each divided by its length."""
        vectors = self._function(image, boxes)
        whole = isinstance(vectors, np.ndarray) and vectors.ndim == 2 and vectors.dtype.kind in "fiu"
        return unit(vectors) if whole else vectors  # what is no table of numbers is named by its check


def make_embedder(spec: Any) -> Embedder:
    """Make an embedder.

    Args:
        spec: "histogram", "osnet-x0.25", "timm:NAME", a path ending in .onnx or (OSNet) .pth, .pt, .tar, .safetensors,
            anything with `embed` and `threshold`, see `contracts.Embedder`, or a function (see `CallableEmbedder`).

    Raises:
        InputError: Nothing of that name.
    """
    if isinstance(spec, Embedder) and not isinstance(spec, type):
        return spec
    if callable(spec) and not isinstance(spec, type):
        return CallableEmbedder(spec)
    if isinstance(spec, (str, Path)):
        name = str(spec)
        if name == "histogram":
            return HistogramEmbedder()
        if name == "osnet-x0.25":
            return OnnxEmbedder()
        if name.startswith("timm:"):
            return TimmEmbedder(name[5:])
        if name.endswith(".onnx"):
            return OnnxEmbedder(name)
        if name.endswith((".pth", ".pt", ".tar", ".safetensors")):
            return OsnetEmbedder(name)
    raise InputError(
        f"Unknown embedder {spec!r}. Known: 'histogram', 'osnet-x0.25', 'timm:NAME', a path ending in .onnx or .pth, an "
        "object with embed(image, boxes) and threshold, or a function of an image and boxes."
    )


def crops(image: Image, boxes: ArrayLike) -> Iterator[Image]:
    """The image inside each box (N, 4), cut to the image; one pixel where nothing is left."""
    height, width = image.shape[:2]
    for x1, y1, x2, y2 in np.asarray(boxes, dtype=np.float64).reshape(-1, 4).tolist():
        left, top = (int(min(max(np.floor(v), 0), n - 1)) for v, n in ((x1, width), (y1, height)))
        right, bottom = (
            int(min(max(np.ceil(v), low + 1), n)) for v, low, n in ((x2, left, width), (y2, top, height))
        )
        yield image[top:bottom, left:right]


def _batches(image: Image, boxes: NDArray[np.float64], size: tuple[int, int]) -> Iterator[Vectors]:
    """Crops as network inputs (n, 3, H, W), ImageNet mean and deviation, at most 32 at a time."""
    import cv2

    batch = []
    for crop in crops(image, boxes):
        scaled = cv2.resize(crop, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        batch.append(((scaled - _MEAN) / _STD).transpose(2, 0, 1))
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def unit(vectors: Vectors) -> Vectors:
    """Vectors (N, D) of length 1; a zero vector stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)
