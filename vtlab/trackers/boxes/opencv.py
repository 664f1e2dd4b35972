"""OpenCV's trackers: CSRT, KCF, MIL, MOSSE, MedianFlow, Boosting, and the networks DaSiamRPN and VitTrack.

Code: https://github.com/opencv/opencv_contrib (Apache-2.0). Only the trackers that the installed build of OpenCV
has are registered. OpenCV takes and returns boxes as left, top, width, height in whole pixels (fractions in the
`legacy` trackers) and BGR images; the conversion is here. Most of them have no score: it is 1 while OpenCV says that
it follows the object and 0 otherwise; a lost object keeps its last box with `visible = False`. Targets below 5 px are
enlarged to that, because on smaller ones CSRT and MOSSE fail, and MIL and Boosting never return. TLD is left out: it
draws samples from a generator that can't be seeded, so that no two of its runs agree. OpenCV's KCF learns its target on the
first frame after the prompt's, in the prompt's box, so that its answers are late by the target's way between these two; that
is left as it is, as it is what others measure under the name.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vtlab.contracts import Observation, SingleObjectTracker, WeightFile
from vtlab.errors import InputError, PromptError, VtlabWarning, WeightsError
from vtlab.geometry import clip_boxes, xyxy_to_xywh
from vtlab.prompts import BoxPrompt, Prompt
from vtlab.registry import register

if TYPE_CHECKING:
    from vtlab.video import Frame

_ZOO = "https://github.com/opencv/opencv_zoo"
_VIT = WeightFile(
    "object_tracking_vittrack_2023sep.onnx",
    f"{_ZOO}/raw/main/models/object_tracking_vittrack/object_tracking_vittrack_2023sep.onnx",
    "6b4e32f6eec82e1aecf90077b2ea2589c4dfd30e8533e9f7c5da4125f52588af",
    714726,
    "Apache-2.0",
    _ZOO,
)
_DASIAM = tuple(
    WeightFile(
        name,
        f"https://www.dropbox.com/s/{key}/{name}?dl=1",
        None,
        0,
        "MIT",
        "https://github.com/foolwood/DaSiamRPN",
    )
    for key, name in (
        ("rr1lk9355vzolqv", "dasiamrpn_model.onnx"),
        ("999cqx5zrfi7w4p", "dasiamrpn_kernel_r1.onnx"),
        ("qvmtszx5h339a0w", "dasiamrpn_kernel_cls1.onnx"),
    )
)


SMALLEST = 5
"""Least side of a target in pixels."""


class _Method(NamedTuple):
    factory: str
    summary: str
    paper: str
    url: str
    weights: tuple[WeightFile, ...] = ()
    deterministic: bool = True


_METHODS = {
    "csrt": _Method(
        "TrackerCSRT_create",
        "Correlation filter with channel and spatial reliability; accurate, tens of frames a second.",
        "Discriminative Correlation Filter with Channel and Spatial Reliability, CVPR 2017",
        "https://arxiv.org/abs/1611.08461",
    ),
    "kcf": _Method(
        "TrackerKCF_create",
        "Kernelised correlation filter; fast, no change of scale, gives up early.",
        "High-Speed Tracking with Kernelized Correlation Filters, TPAMI 2015",
        "https://arxiv.org/abs/1404.7584",
    ),
    "mil": _Method(
        "TrackerMIL_create",
        "Boosted classifier by multiple-instance learning; no change of scale.",
        "Visual Tracking with Online Multiple Instance Learning, CVPR 2009",
        "https://doi.org/10.1109/CVPR.2009.5206737",
        deterministic=False,  # draws its samples from one generator for the whole process
    ),
    "mosse": _Method(
        "legacy.TrackerMOSSE_create",
        "Minimum output sum of squared error filter; the fastest, no change of scale.",
        "Visual Object Tracking using Adaptive Correlation Filters, CVPR 2010",
        "https://doi.org/10.1109/CVPR.2010.5539960",
    ),
    "medianflow": _Method(
        "legacy.TrackerMedianFlow_create",
        "Median of optical flow with forward-backward check; smooth motion, notices failure.",
        "Forward-Backward Error: Automatic Detection of Tracking Failures, ICPR 2010",
        "https://doi.org/10.1109/ICPR.2010.675",
    ),
    "boosting": _Method(
        "legacy.TrackerBoosting_create",
        "Online AdaBoost classifier; the oldest one.",
        "Real-Time Tracking via On-line Boosting, BMVC 2006",
        "https://doi.org/10.5244/C.20.6",
        deterministic=False,  # draws its samples from one generator for the whole process
    ),
    "vittrack": _Method(
        "TrackerVit_create",
        "Light vision transformer of OpenCV's model zoo (2023).",
        "",
        "",
        (_VIT,),
    ),
    "dasiamrpn": _Method(
        "TrackerDaSiamRPN_create",
        "Distractor-aware Siamese region proposal network.",
        "Distractor-aware Siamese Networks for Visual Object Tracking, ECCV 2018",
        "https://arxiv.org/abs/1808.06048",
        _DASIAM,
    ),
}


class OpenCVTracker(SingleObjectTracker):
    """One of OpenCV's trackers.

    Args:
        method: Name of the method as registered, such as "csrt".
        visible_above: Score from which an object counts as seen, for the methods that give a score.
        weights: For the methods with a network: an ONNX file of the same architecture to use instead of the official one
            (vittrack), or a folder that holds the three files under their official names (dasiamrpn).

    Raises:
        WeightsError: The method's network is not at hand and can't be fetched, or OpenCV can't read `weights`.
        InputError: `weights` for a method without a network.
    """

    forms = ("bgr",)

    def __init__(
        self, *, method: str = "csrt", visible_above: float = 0.3, weights: str | Path | None = None
    ):
        import cv2

        self.method, self.visible_above = method, visible_above
        self._scored = bool(_METHODS[method].weights)  # only the networks have a score
        self._error: Any = cv2.error
        if weights is not None and not _METHODS[method].weights:
            raise InputError(f"{method!r} has no network, so it takes no weights, got {str(weights)!r}.")
        _seed()
        self._tracker = _build(_METHODS[method], weights)

    def init(self, frame: Frame, prompt: Prompt) -> None:
        """Start on the prompt's box, cut to the frame, sides of at least `SMALLEST`, rounded to whole pixels.

        Raises:
            InputError: The frame itself is smaller than that.
            PromptError: OpenCV can't start on this box; MIL needs some of the frame on all sides of its target.
        """
        import cv2

        height, width = frame.image.shape[:2]
        if min(height, width) < SMALLEST:
            raise InputError(
                f"The frame of {width} x {height} px is too small: {self.method} needs {SMALLEST} x {SMALLEST}."
            )
        box = prompt.box(height, width)
        self._box: ArrayLike = box
        corner, size = np.split(xyxy_to_xywh(clip_boxes(box, width, height)), 2)
        grown = np.maximum(size, SMALLEST)
        corner = np.clip(corner - (grown - size) / 2, 0, (width, height) - grown)
        if not _METHODS[self.method].weights:  # without a network they keep what they learnt before
            self._tracker = _build(_METHODS[self.method], None)
        _seed()
        try:
            self._tracker.init(frame.bgr, np.rint([*corner, *grown]).astype(int).tolist())
        except cv2.error as error:
            raise PromptError(
                f"{self.method} can't start on the box {box.tolist()} in a frame of {width} x {height} px "
                f"({error.err or error}). Remedy: give a smaller box, or use another tracker."
            ) from error

    def step(self, frame: Frame) -> Observation:
        """Follow the object; a lost one keeps its last box. Where OpenCV fails the object is lost, with a warning."""
        try:
            found, box = self._tracker.update(frame.bgr)
        except self._error as error:  # such as a frame of another size
            warnings.warn(
                f"{self.method} fails on frame {frame.index} of shape {frame.image.shape} ({error.err or error}); "
                "its object counts as not seen.",
                VtlabWarning,
                stacklevel=2,
            )
            return Observation(self._box, 0.0, False)
        score = 1.0 if found else 0.0
        if found and self._scored:
            score = float(np.clip(self._tracker.getTrackingScore(), 0.0, 1.0))
            found = score >= self.visible_above
        if found:
            x, y, width, height = box
            self._box = x, y, x + width, y + height
        return Observation(self._box, score, bool(found))


def _seed() -> None:
    """Start OpenCV's and C's generators anew: MIL and Boosting draw from both, and the same run must give the same."""
    import ctypes

    import cv2

    cv2.setRNGSeed(0)
    ctypes.CDLL(None if sys.platform != "win32" else "msvcrt").srand(0)


def _find(factory: str) -> Callable[..., Any] | None:
    import cv2

    found: Any = cv2
    for name in factory.split("."):
        found = getattr(found, name, None)
    return found


def _build(method: _Method, own: str | Path | None) -> Any:
    import cv2

    create = _find(method.factory)
    if create is None:
        raise RuntimeError(f"this build of OpenCV {cv2.__version__} has no {method.factory}")
    if not method.weights:
        return create()
    files = _files(method.weights, own)
    params = getattr(cv2, method.factory.replace("_create", "_Params"))()
    for field, file in zip(
        ("net",) if len(files) == 1 else ("model", "kernel_r1", "kernel_cls1"), files, strict=True
    ):
        setattr(params, field, file)
    try:
        return create(params)
    except cv2.error as error:
        raise WeightsError(
            f"OpenCV can't read {', '.join(files)} as its network: {error.err or error}."
        ) from error


def _files(official: tuple[WeightFile, ...], own: str | Path | None) -> list[str]:
    """Paths of a method's files: the official ones, or the user's own file or folder of files."""
    if own is None:
        from vtlab import weights

        return [str(weights.fetch(w)) for w in official]
    given = [Path(own) / w.name for w in official] if len(official) > 1 else [Path(own)]
    missing = [str(p) for p in given if not p.is_file()]
    if missing:
        raise WeightsError(f"There is no file {', '.join(missing)}. Remedy: give weights= that exist.")
    return [str(p) for p in given]


for _name, _method in _METHODS.items():
    if _find(_method.factory) is not None:
        register(
            _name,
            family="sot",
            summary=_method.summary,
            accepts={BoxPrompt},
            paper=_method.paper,
            paper_url=_method.url,
            code="https://github.com/opencv/opencv_contrib",
            licence="Apache-2.0",
            weights=_method.weights,
            options={"method": _name},
            deterministic=_method.deterministic,
        )(OpenCVTracker)
