"""Doors by their hosts' names. A door is imported when it is opened."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtlab.errors import InputError, near
from vtlab.registry import DETECTORS, TRACKERS
from vtlab.serve.door import Door
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward

DOORS = {
    "http": "vtlab.serve.http:Http",
    "label-studio": "vtlab.serve.label_studio:LabelStudio",
    "supervisely": "vtlab.serve.supervisely:Supervisely",
}
"""Host -> where its door is."""


def open_door(name: str, core: Core, way: Outward) -> Door:
    """The door of a host.

    Raises:
        InputError: There is none of that name.
    """
    if name not in DOORS:
        raise InputError(f"There is no door {name!r}. {near(name, DOORS)}")
    module, _, kind = DOORS[name].partition(":")
    door: Door = getattr(importlib.import_module(module), kind)(core, way)
    return door


def detection_of(spec: str, trackers: Sequence[Any]) -> Any:
    """What tracking by detection uses.

    Args:
        spec: Name of a detector, or NAME:FILE for one that needs a file.
        trackers: Those of the server; the first that follows detections is taken, else BoT-SORT. BoT-SORT goes by
            Supervisely's names for its settings.

    Raises:
        RegistryError: There is no such detector.
        InputError: The file isn't there.
    """
    from vtlab.serve.supervisely_detection import Detection

    name, _, file = (spec, "", "") if ".py:" in spec else spec.partition(":")
    if file and not Path(file).is_file():
        raise InputError(f"--detector {spec!r}: there is no file {file!r}.")
    DETECTORS.card(name)
    joining = [t for t in trackers if TRACKERS.card(t).family == "mot"]
    tracker = joining[0] if joining else "botsort"
    return Detection(
        name, {"path": file} if file else {}, "supervisely-botsort" if tracker == "botsort" else tracker
    )
