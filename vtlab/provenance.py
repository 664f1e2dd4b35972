"""Provenance: what a result must record so that somebody else can make it again."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import types
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np

_PACKAGES = (
    "numpy",
    "scipy",
    "opencv-contrib-python-headless",
    "av",
    "supervision",
    "torch",
    "onnxruntime",
    "transformers",
    "rf-sam-2",
    "rf-cutie",
)


def versions() -> dict[str, str]:
    """Versions of vtlab, Python and the installed packages that influence results."""
    found = {"vtlab": _version("vtlab") or "source", "python": platform.python_version()}
    for package in _PACKAGES:
        version = _version(package)
        if version:
            found[package] = version
    return found


@lru_cache(maxsize=32)
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def hardware() -> dict[str, Any]:
    """Processor, cores, memory, operating system, and the GPU if torch is in use and sees one."""
    import psutil

    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux: the platform module knows
    return platform.processor() or platform.machine()


def now() -> str:
    """The time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; functions become their names, other objects their `repr`."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {
            "array": list(value.shape),
            "sha256": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest(),
        }
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, types.FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
