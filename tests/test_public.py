"""What the outside may rely on: public names, and the paths that version 0.1 documented."""

from __future__ import annotations

import importlib
import sys
import warnings

import pytest

import vtlab
from vtlab.errors import VtlabWarning

STAYED = [
    "datasets:open_dataset",
    "datasets.samples:sample",
    "datasets.synthetic:synthetic",
    "detectors.noisy_truth:NoisyTruth",
    "detectors.recorded:record",
    "errors:VtlabError",
    "geometry:xywh_to_xyxy",
    "geometry:xyxy_to_xywh",
    "masks:iou",
    "metrics:METRICS",
    "metrics:evaluate",
    "metrics:explain",
    "metrics.attributes:",
    "metrics.calibration:",
    "metrics.consistency:",
    "metrics.events:",
    "metrics.quality:",
    "metrics.statistics:",
    "metrics.vot:",
    "prompts:Prompts",
    "registry:Registry",
    "session:Session",
    "tracks:Tracks",
    "video:Video",
    "video:open_video",
    "weights:fetch",
    "comparison:Comparison",
    "comparison:compare",
]
MOVED = [
    "association.postprocess:interpolate_gaps",
    "checkpoints:load_tensors",
    "datasets.base:Sequence",
    "draw:overlay",
    "export:export",
    "figures:figures_at",
    "formats.boxes:read_boxes",
    "formats.boxes:write_boxes",
    "lab:leaderboard",
    "lab:load_experiment",
    "lab:run_experiment",
    "lab:Store",
    "lab.profiling:profile",
    "plot:pareto",
    "protocols:Observation",
    "protocols:SingleObjectTracker",
    "report:answer",
    "run:track",
    "trackers.by_detection:make_detector",
    "trackers.per_object:create_tracker",
]
"""Module and name as README, docs and notebooks of version 0.1 wrote them."""


@pytest.mark.parametrize("path", STAYED)
def test_documented_paths_stay(path, recwarn):
    module, name = path.split(":")
    found = importlib.import_module(f"vtlab.{module}")
    assert not name or callable(getattr(found, name)) or name == "METRICS"
    assert not [w for w in recwarn if issubclass(w.category, VtlabWarning)]


@pytest.mark.parametrize("path", MOVED)
def test_documented_paths_that_moved_work_with_a_warning(path):
    module, name = path.split(":")
    sys.modules.pop(f"vtlab.{module}", None)
    with pytest.warns(VtlabWarning, match=rf"vtlab\.{module} is now vtlab\..*0\.3"):
        found = importlib.import_module(f"vtlab.{module}")
    assert callable(getattr(found, name))


OLD_CLASSES = [
    "datasets.otb:Otb",
    "datasets.mot:MotChallenge",
    "datasets.davis:Davis",
    "datasets.tapvid:TapVid",
]


@pytest.mark.parametrize("path", OLD_CLASSES)
def test_old_classes_of_benchmarks_work_from_their_old_modules(path):
    module, name = path.split(":")
    sys.modules.pop(f"vtlab.{module}", None)
    with pytest.warns(VtlabWarning, match=rf"vtlab\.{module} is now vtlab\.datasets"):
        found = importlib.import_module(f"vtlab.{module}")
    with pytest.warns(VtlabWarning, match=rf"{name}\(root\) is now open_dataset"):
        assert callable(getattr(found, name))


@pytest.mark.parametrize("old", sorted(vtlab._MOVED))
def test_every_old_module_leads_somewhere(old):
    sys.modules.pop(f"vtlab.{old}", None)
    with pytest.warns(VtlabWarning, match="is now"):
        importlib.import_module(f"vtlab.{old}")


def test_from_an_old_module_of_a_benchmark_a_class_is_imported(recwarn):
    sys.modules.pop("vtlab.datasets.otb", None)
    warnings.simplefilter("always")
    from vtlab.datasets.otb import Otb

    assert callable(Otb)
    assert {w.category for w in recwarn} == {VtlabWarning}
    assert "vtlab.datasets.otb is now vtlab.datasets" in str(recwarn[0].message)


def test_what_nothing_uses_is_not_public():
    assert not hasattr(vtlab.video, "frame_number")
