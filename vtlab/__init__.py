"""vtlab: compare video trackers of every kind behind one API, and label video with them.

    import vtlab
    video = vtlab.open_video("street.mp4")
    tracks = vtlab.track(video, vtlab.BoxPrompt((40, 30, 120, 200)), "nanotrack-v2")

The public names below are imported when they are first used, so `import vtlab` is fast and never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "open_video": "vtlab.video",
    "Video": "vtlab.video",
    "Prompts": "vtlab.prompts",
    "BoxPrompt": "vtlab.prompts",
    "MaskPrompt": "vtlab.prompts",
    "ClickPrompt": "vtlab.prompts",
    "PointPrompt": "vtlab.prompts",
    "SkeletonPrompt": "vtlab.prompts",
    "Tracks": "vtlab.tracks",
    "Sequence": "vtlab.datasets",
    "Session": "vtlab.session",
    "track": "vtlab.run",
    "create_tracker": "vtlab.trackers.per_object",
    "compare": "vtlab.comparison",
    "evaluate": "vtlab.metrics",
    "profile": "vtlab.lab.profiling",
    "annotate": "vtlab.widgets",
    "Corrector": "vtlab.widgets",
    "figures_at": "vtlab.figures",
    "register": "vtlab.registry",
    "list_trackers": "vtlab.registry",
    "tracker_card": "vtlab.registry",
    "register_detector": "vtlab.registry",
    "register_associator": "vtlab.registry",
    "register_segmenter": "vtlab.registry",
    "VtlabError": "vtlab.errors",
    "VtlabWarning": "vtlab.errors",
}

__all__ = ["__version__", *_NAMES]

if TYPE_CHECKING:
    from vtlab.comparison import compare
    from vtlab.datasets import Sequence
    from vtlab.errors import VtlabError, VtlabWarning
    from vtlab.figures import figures_at
    from vtlab.lab.profiling import profile
    from vtlab.metrics import evaluate
    from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
    from vtlab.registry import (
        list_trackers,
        register,
        register_associator,
        register_detector,
        register_segmenter,
        tracker_card,
    )
    from vtlab.run import track
    from vtlab.session import Session
    from vtlab.trackers.per_object import create_tracker
    from vtlab.tracks import Tracks
    from vtlab.video import Video, open_video
    from vtlab.widgets.annotator import annotate
    from vtlab.widgets.corrector import Corrector


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'vtlab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
