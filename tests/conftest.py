"""Fixtures that every test may use."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.dont_write_bytecode:
    # Hundreds of tests start a fresh process, and each would compile pandas, torch and vtlab anew, for longer than most run:
    # what is compiled is kept, in a folder of its own, as whoever said so wants none beside the sources.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / "build" / "pycache")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from vtlab.testing.scenes import moving_square

os.environ.setdefault("OMP_NUM_THREADS", "1")

# The machine's load is no property of the code: no deadline, no complaint about slow drawing.
settings.register_profile("vtlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vtlab")

ROOT = Path(__file__).parents[1]
LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
SHARED = Path(os.environ.get("VTLAB_SHARED", ROOT.parent / "shared"))

# Before any test module is read: the small real weights where they are, and never the network.
if (SHARED / "data" / "weights").is_dir():
    os.environ.setdefault("VTLAB_WEIGHTS", str(SHARED / "data" / "weights"))
os.environ.setdefault("VTLAB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


LONG = (
    "parity/test_cotracker3",
    "parity/test_mixformer",
    "parity/test_tapir",
    "parity/test_xmem",
    "parity/test_mcitrack",
    "fuzz/test_fuzz",
    "experiments/test_reports",
    "experiments/test_batches",
    "experiments/test_offered",
    "trackers/test_sam2",
    "studio/test_lab",
    "studio/test_front_ends",
    "studio/test_work",
    "contracts/test_every_tracker",
    "notebooks/",
    "parity/",
    "experiments/",
)
"""Files, or the beginnings of their names, that take the longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: processes that share the work (`--no-loadscope-reorder`) end together."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT / "tests").as_posix() if item.path.is_relative_to(ROOT) else ""
        return next((k for k, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """What a file's networks took goes back to the system: glibc keeps their pieces, gigabytes over a whole run."""
    yield
    if "torch" in sys.modules and (trim := getattr(LIBC, "malloc_trim", None)):
        trim(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real videos, ground truth and weights; the test is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no shared data at {SHARED} (set VTLAB_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def shared_weights(shared: Path) -> Path:
    """The folder of small real weights."""
    return shared / "data" / "weights"


@pytest.fixture(scope="session")
def square_video() -> np.ndarray:
    """12 frames of a square that moves over a background, 96 x 128 px."""
    video = moving_square()
    video.setflags(write=False)
    return video
