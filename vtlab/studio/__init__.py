"""Widgets for Jupyter: annotate, play, correct. State in plain classes, thin views with small ES modules."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "annotate": "vtlab.studio.annotator",
    "PromptAnnotator": "vtlab.studio.annotator",
    "TrackPlayer": "vtlab.studio.player",
    "Corrector": "vtlab.studio.corrector",
    "review": "vtlab.studio.corrector",
    "own_clip": "vtlab.studio.clip",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'vtlab.studio' has no attribute {name!r}")
    try:
        module = importlib.import_module(_NAMES[name])
    except ModuleNotFoundError as error:
        if error.name not in ("anywidget", "traitlets", "ipywidgets"):
            raise
        from vtlab.errors import needs

        raise needs(error.name, "notebook", "A widget") from None
    return getattr(module, name)
