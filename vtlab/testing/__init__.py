"""What anybody can test a part with, their own above all: contracts, small scenes, seeded networks.

`vtlab check tracker my_tracker.py:MyTracker` prints a contract's table. In pytest each check is a test:

    from vtlab.testing import TRACKER

    @pytest.mark.parametrize("check", TRACKER, ids=str)
    def test_my_tracker(check):
        check("my_tracker.py:MyTracker")
"""

from __future__ import annotations

from typing import Any

from vtlab.testing import odd as odd  # its checks join those of TRACKER
from vtlab.testing.associators import ASSOCIATOR
from vtlab.testing.contract import Check, Contract, NotAsked, Result
from vtlab.testing.detectors import DETECTOR
from vtlab.testing.formats import FORMAT
from vtlab.testing.segmenters import SEGMENTER
from vtlab.testing.trackers import TRACKER
from vtlab.weights.here import lacking

CONTRACTS = {
    "tracker": TRACKER,
    "detector": DETECTOR,
    "associator": ASSOCIATOR,
    "segmenter": SEGMENTER,
    "format": FORMAT,
}
"""Kind of part -> its contract."""

__all__ = [
    "ASSOCIATOR",
    "CONTRACTS",
    "DETECTOR",
    "FORMAT",
    "SEGMENTER",
    "TRACKER",
    "Check",
    "Contract",
    "NotAsked",
    "Result",
    "check_associator",
    "check_detector",
    "check_format",
    "check_segmenter",
    "check_tracker",
    "lacking",
]


def check_tracker(spec: Any, **params: Any) -> list[Result]:
    """Ask every check of a tracker (a name, `file.py:Class` or a class, with its parameters)."""
    return TRACKER.results(spec, **params)


def check_detector(spec: Any, *, video: Any = None, **params: Any) -> list[Result]:
    """Ask every check of a detector.

    Args:
        spec: A name, `file.py:Class`, a class or a function.
        video: Footage on which it finds something, as `open_video` takes it (its first frames are asked); None: a scene
            in which a drawn person walks.
        params: Parameters of its constructor.
    """
    return DETECTOR.on(video=video).results(spec, **params)


def check_associator(spec: Any, **params: Any) -> list[Result]:
    """Ask every check of an associator."""
    return ASSOCIATOR.results(spec, **params)


def check_segmenter(spec: Any, **params: Any) -> list[Result]:
    """Ask every check of a segmenter."""
    return SEGMENTER.results(spec, **params)


def check_format(spec: Any, **params: Any) -> list[Result]:
    """Ask every check of a format (a name, `file.py:FORMAT` or a record, with its options)."""
    return FORMAT.results(spec, **params)
