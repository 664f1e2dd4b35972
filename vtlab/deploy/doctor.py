"""Checks of the set-up for `vtlab doctor`: what is installed, what is wrong, what to do."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

_OPTIONAL = (
    ("torch", "torch", "native networks (TransT, MixFormer, XMem, TAPIR, ...)"),
    ("onnxruntime", "onnx", "exported networks (YOLO, OSNet)"),
    ("openvino", "openvino", "exported trackers by OpenVINO"),
    ("motmetrics", "mot", "py-motmetrics' summary"),
    ("papermill", "notebook", "notebooks and batch runs"),
    ("anywidget", "notebook", "widgets"),
    ("sam2", "sam2", "SAM 2"),
    ("cutie", "cutie", "Cutie"),
    ("transformers", "transformers", "RT-DETR, D-FINE"),
    ("gdown", "weights", "weights on Google Drive"),
    ("huggingface_hub", "weights", "gated weights on the Hugging Face hub"),
    ("sleap_io", "poses", "projects of SLEAP"),
    ("fiftyone", "fiftyone", "comparisons as data sets of FiftyOne"),
    ("distributed", "cluster", "batches over processes and clusters"),
)


@dataclass(frozen=True)
class Check:
    """One check: its state, what was found, and the remedy ("" if none is needed)."""

    name: str
    state: Literal["ok", "missing", "wrong"]
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Run all checks; nothing heavy is imported."""
    return [*_opencv(), *_video(), *_extras(), *_weights(), _gpu()]


def _opencv() -> Iterator[Check]:
    import cv2

    builds = [
        d
        for d in (
            "opencv-contrib-python-headless",
            "opencv-contrib-python",
            "opencv-python",
            "opencv-python-headless",
        )
        if _version(d)
    ]
    found = f"cv2 {cv2.__version__} from {', '.join(builds) or 'the system'}"
    repair = (
        "pip uninstall opencv-python opencv-python-headless, then "
        "pip install --force-reinstall --no-deps opencv-contrib-python-headless"
    )
    if not hasattr(cv2, "TrackerCSRT_create"):
        yield Check("OpenCV", "wrong", f"{found}, without the trackers of opencv-contrib", repair)
    elif len(builds) > 1:
        yield Check("OpenCV", "wrong", f"{found}: several builds overwrite each other", repair)
    else:
        yield Check("OpenCV", "ok", found)


def _video() -> Iterator[Check]:
    import av

    codecs = [c for c in ("libx264", "h264") if c in av.codecs_available]
    state: Literal["ok", "wrong"] = "ok" if "libx264" in codecs else "wrong"
    remedy = (
        "" if state == "ok" else "install PyAV's wheel (pip install --force-reinstall av): reports need H.264"
    )
    yield Check(
        "video (PyAV)",
        state,
        f"av {av.__version__}, H.264 encoder {'found' if state == 'ok' else 'missing'}",
        remedy,
    )


def _extras() -> Iterator[Check]:
    for module, extra, purpose in _OPTIONAL:
        present = importlib.util.find_spec(module) is not None
        remedy = "" if present else f"pip install 'vtlab[{extra}]'"
        yield Check(module, "ok" if present else "missing", purpose, remedy)


def _weights() -> Iterator[Check]:
    from vtlab.weights import cache_folder, list_weights, local_folder

    states = list_weights()
    have = sum(s.path is not None for s in states)
    local = local_folder()
    where = f"cache {cache_folder()}" + (f", VTLAB_WEIGHTS {local}" if local else "")
    yield Check(
        "weights",
        "ok" if have else "missing",
        f"{have} of {len(states)} files; {where}",
        "" if have else "vtlab weights fetch NAME",
    )


def _gpu() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("GPU", "missing", "torch is not installed", "pip install 'vtlab[torch]'")
    import torch

    if torch.cuda.is_available():
        return Check("GPU", "ok", f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}")
    return Check("GPU", "missing", f"none seen by torch {torch.__version__}; networks run on the CPU")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
