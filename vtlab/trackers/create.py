"""Trackers and detectors from what callers name: a name, `path/to/file.py:Class`, a class or an instance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from vtlab.contracts import Detector, OfflineTracker, OnlineTracker, SingleObjectTracker, Tracker
from vtlab.errors import InputError, RegistryError, VtlabWarning, WeightsError
from vtlab.registry import DETECTORS, TRACKERS
from vtlab.trackers.compose.per_object import PerObject


def create_tracker(spec: Any, **params: Any) -> Tracker:
    """Make a tracker.

    Args:
        spec: A name (`vtlab.list_trackers()`), `path/to/file.py:Class`, a registered class, or an instance.
        params: Parameters of its constructor.

    Returns:
        An online or offline tracker; a single-object method comes wrapped so that it serves many objects.

    Raises:
        RegistryError: The name is unknown, or a parameter is.
        MissingDependencyError: A package that it needs is not installed.
        WeightsError: A checkpoint that it needs can't be had.
    """
    made = TRACKERS.create(spec, **params)
    if isinstance(made, SingleObjectTracker):
        if not isinstance(spec, (str, type)):
            raise RegistryError(
                f"{type(spec).__name__} follows one object, so vtlab needs to make one instance for each: "
                "give the class or its name (and parameters) instead of an instance."
            )
        ready = [made]  # the first object gets the instance that proved the parameters right
        tracker = PerObject(
            lambda: ready.pop() if ready else TRACKERS.create(spec, **params), made.card, made.forms
        )
        tracker.params = made.params  # type: ignore[attr-defined]
        return tracker
    if not isinstance(made, (OnlineTracker, OfflineTracker)):
        raise RegistryError(
            f"{type(made).__name__} is not a tracker: it must inherit from SingleObjectTracker, OnlineTracker or "
            "OfflineTracker (see vtlab/contracts)."
        )
    return made


def make_detector(spec: Any, params: Mapping[str, Any] | None = None) -> Detector:
    """Make a detector.

    Args:
        spec: A name, `file.py:Class`, a class, an instance, or "auto": FastestDet where its weights can be had,
            otherwise HOG people with a warning that says so.
        params: Parameters of its constructor.

    Raises:
        RegistryError: Unknown detector or parameter.
    """
    if spec != "auto":
        made = DETECTORS.create(spec, **(params or {}))
    else:
        try:
            made = DETECTORS.create("fastestdet", **(params or {}))
        except WeightsError as error:
            warnings.warn(
                f"No detector was named and FastestDet can't be loaded, so 'hog-people' is used, which finds only "
                f"upright people. ({error})",
                VtlabWarning,
                stacklevel=3,
            )
            made = DETECTORS.create("hog-people")
    if not isinstance(made, Detector):
        raise InputError(
            f"{type(made).__name__} is not a detector: it must inherit from vtlab.contracts.Detector."
        )
    return made
