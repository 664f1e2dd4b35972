"""vtlab: compare video trackers of every kind behind one API, and label video with them.

    import vtlab
    video = vtlab.open_video("street.mp4")
    tracks = vtlab.track(video, vtlab.BoxPrompt((40, 30, 120, 200)), "nanotrack-v2")

The public names below are imported when they are first used, so `import vtlab` is fast and never imports torch.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
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
    "Skeleton": "vtlab.prompts.skeletons",
    "Tracks": "vtlab.tracks",
    "Sequence": "vtlab.sequence",
    "Session": "vtlab.session",
    "track": "vtlab.trackers.loop",
    "stream": "vtlab.trackers.loop",
    "create_tracker": "vtlab.trackers.create",
    "compare": "vtlab.comparison",
    "convert": "vtlab.formats",
    "evaluate": "vtlab.metrics",
    "verdict": "vtlab.decision",
    "decide": "vtlab.decision",
    "profile": "vtlab.trackers.profiling",
    "annotate": "vtlab.studio",
    "Corrector": "vtlab.studio",
    "review": "vtlab.studio",
    "TrackPlayer": "vtlab.studio",
    "figures_at": "vtlab.prompts.shapes",
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
    from vtlab.decision import decide, verdict
    from vtlab.errors import VtlabError, VtlabWarning
    from vtlab.formats import convert
    from vtlab.metrics import evaluate
    from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
    from vtlab.prompts.shapes import figures_at
    from vtlab.prompts.skeletons import Skeleton
    from vtlab.registry import (
        list_trackers,
        register,
        register_associator,
        register_detector,
        register_segmenter,
        tracker_card,
    )
    from vtlab.sequence import Sequence
    from vtlab.session import Session
    from vtlab.studio.annotator import annotate
    from vtlab.studio.corrector import Corrector, review
    from vtlab.studio.player import TrackPlayer
    from vtlab.trackers.create import create_tracker
    from vtlab.trackers.loop import stream, track
    from vtlab.trackers.profiling import profile
    from vtlab.tracks import Tracks
    from vtlab.video import Video, open_video


_MOVED = {
    "figures": "prompts.shapes",
    "protocols": "contracts",
    "checkpoints": "weights.checkpoints",
    "device": "weights.device",
    "datasets.base": "sequence",
    "datasets.otb": "datasets",
    "datasets.mot": "datasets",
    "datasets.davis": "datasets",
    "datasets.tapvid": "datasets",
    "association.postprocess": "association.mend",
    "association.kalman": "association.parts.kalman",
    "association.similarity": "association.parts.similarity",
    "association.assignment": "association.parts.assignment",
    "association.lifecycle": "association.parts.lifecycle",
    "association.cmc": "association.parts.cmc",
    "association.reid": "association.parts.reid",
    "metrics.protocols": "metrics.rules",
    "trackers.opencv": "trackers.boxes.opencv",
    "trackers.ncc": "trackers.boxes.ncc",
    "trackers.nanotrack": "trackers.boxes.nanotrack",
    "trackers.transt": "trackers.boxes.transt",
    "trackers.mixformer": "trackers.boxes.mixformer",
    "trackers.mcitrack": "trackers.boxes.mcitrack",
    "trackers.sam2": "trackers.masks.sam2.tracker",
    "trackers.sam2_transformers": "trackers.masks.sam2.on_transformers",
    "trackers.xmem": "trackers.masks.xmem.tracker",
    "trackers.cutie": "trackers.masks.cutie",
    "trackers.flow": "trackers.masks.flow",
    "trackers.tapir": "trackers.points.tapir.tracker",
    "trackers.cotracker": "trackers.points.cotracker.tracker",
    "trackers.pips": "trackers.points.pips",
    "trackers.tapnext": "trackers.points.tapnext",
    "trackers.lucas_kanade": "trackers.points.lucas_kanade",
    "trackers.per_object": "trackers.create",
    "trackers.by_detection": "trackers.compose.by_detection",
    "trackers.auto": "trackers.compose.auto",
    "trackers.assistant": "trackers.compose.assistant.tracker",
    "trackers.interpolation": "trackers.compose.interpolation",
    "trackers.identity": "trackers.compose.identity",
    "run": "trackers.loop",
    "memory": "trackers.memory",
    "lab.profiling": "trackers.profiling",
    "draw": "show.draw",
    "plot": "show.plot",
    "report": "comparison.report",
    "lab.spec": "experiments.spec",
    "lab.runner": "experiments.runner",
    "lab.store": "experiments.store",
    "lab": "experiments",
    "folders": "benchmark",
    "formats.mot": "formats.motchallenge",
    "formats.boxes": "formats.single_object",
    "export": "deploy.export",
    "doctor": "deploy.doctor",
    "widgets.annotator": "studio.annotator",
    "widgets.annotator_state": "studio.annotator_state",
    "widgets.corrector": "studio.corrector",
    "widgets.corrector_state": "studio.corrector_state",
    "widgets.player": "studio.player",
    "widgets.player_data": "studio.player_data",
    "widgets": "studio",
}
"""Modules of version 0.1 -> where they are now; their old paths work until version 0.3, with a warning."""


class _Moved:
    """Finds a module that moved under its old path."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.startswith("vtlab.") and name[6:] in _MOVED:
            loader: Any = self
            return importlib.machinery.ModuleSpec(name, loader)
        return None

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        import warnings

        from vtlab.errors import VtlabWarning

        old, new = module.__name__, f"vtlab.{_MOVED[module.__name__[6:]]}"
        text = f"{old} is now {new}; the old path goes in version 0.3."
        warnings.warn(text, VtlabWarning, stacklevel=2)
        sys.modules[old] = importlib.import_module(new)


sys.meta_path.insert(0, _Moved())


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'vtlab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
