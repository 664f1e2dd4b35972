"""Keys by content: the same result is found again wherever it lies, and what changed is run again."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import time

import numpy as np
import pytest
import yaml
from PIL import Image

from vtlab.engine.keys import plain, tracks_digest
from vtlab.errors import ExperimentError
from vtlab.experiments import load_experiment
from vtlab.files import digests, file_digest
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Tracks

TRIAL = """
from helper import FACTOR

def trial(sequence, tracker, *, scale=1.0, seed=0):
    return {"frames": FACTOR * scale * len(sequence.video)}
"""
TRACKER = """
import vtlab
from vtlab.contracts import Observation, SingleObjectTracker

@vtlab.register("still-19", family="sot", accepts=(vtlab.BoxPrompt,))
class Still(SingleObjectTracker):
    def __init__(self, *, shift: float = 0.0):
        self.shift = shift

    def init(self, frame, prompt):
        self.box = prompt.xyxy

    def step(self, frame):
        return Observation(self.box)
"""
SPEC = {
    "trial": "trials.py:trial",
    "data": [{"clip": "clips/street", "prompts": "prompts.json", "truth": "truth.parquet"}],
    "trackers": [{"ncc": {}}, {"still.py:Still": {"shift": [0.0, 1.0]}}],
    "seeds": [0, 1],
    "fixed": {"scale": 2.0},
}


@pytest.fixture
def lab(tmp_path):
    """A folder with an experiment and all that its results depend on."""
    folder = tmp_path / "lab"
    (folder / "clips/street").mkdir(parents=True)
    for i, image in enumerate(moving_square(3)):
        Image.fromarray(image).save(folder / f"clips/street/{i:03}.png")
    Prompts([BoxPrompt((20, 16, 44, 40))]).save(folder / "prompts.json")
    Tracks.of([0, 1, 2], 1, np.array([[20, 16, 44, 40]] * 3, float)).save(folder / "truth.parquet")
    (folder / "trials.py").write_text(TRIAL)
    (folder / "helper.py").write_text("FACTOR = 1\n")
    (folder / "still.py").write_text(TRACKER)
    (folder / "e.yaml").write_text(yaml.safe_dump(SPEC))
    return folder


def planned(folder):
    """The cells, as a process of its own finds them: what the files were imported as is forgotten."""
    paths = list(sys.path)
    try:
        return load_experiment(folder / "e.yaml").cells
    finally:
        sys.path[:] = paths
        for name in [n for n in sys.modules if n == "helper" or n.startswith("vtlab_file_")]:
            del sys.modules[name]
        TRACKERS._entries.pop("still-19", None)
        importlib.invalidate_caches()


def keys(folder):
    return [cell.key for cell in planned(folder)]


def test_a_grid_is_every_combination_in_order(lab):
    cells = planned(lab)
    assert [str(c) for c in cells[:3]] == [
        "data=street, tracker=ncc, seed=0",
        "data=street, tracker=ncc, seed=1",
        "data=street, tracker=still.py:Still shift=0.0, seed=0",
    ]
    assert len({c.key for c in cells}) == 6


def test_the_same_content_has_the_same_keys_in_another_folder_and_at_another_time(lab, tmp_path, monkeypatch):
    first = keys(lab)
    shutil.copytree(lab, tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").rglob("*"):
        os.utime(file, (1, 1))
    monkeypatch.chdir(lab.parent)
    assert keys(tmp_path / "elsewhere") == first
    lab.rename(tmp_path / "moved")
    assert keys(tmp_path / "moved") == first


def replaced(lab, name):
    """Change one thing that results depend on, under the name it had."""
    file = lab / name
    if name.endswith(".png"):
        stat = file.stat()
        Image.fromarray(np.full((60, 80, 3), 9, np.uint8)).save(file)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its time is no sign
    elif name == "prompts.json":
        Prompts([BoxPrompt((20, 16, 44, 41))]).save(file)
    elif name == "truth.parquet":
        Tracks.of([0, 1, 2], 1, np.array([[20, 16, 44, 41]] * 3, float)).save(file)
    else:
        file.write_text(
            file.read_text().replace("FACTOR = 1", "FACTOR = 2").replace("self.box)", "self.box, 0.5)")
        )


@pytest.mark.parametrize("name", ["clips/street/001.png", "prompts.json", "truth.parquet", "helper.py"])
def test_a_changed_input_of_the_same_name_runs_again(lab, name):
    first = keys(lab)
    replaced(lab, name)
    assert not set(keys(lab)) & set(first)


def test_a_changed_tracker_runs_again_and_the_others_do_not(lab):
    first = keys(lab)
    replaced(lab, "still.py")
    now = keys(lab)
    assert now[:2] == first[:2]
    assert not set(now[2:]) & set(first[2:])


def test_weights_and_vtlab_are_part_of_a_key(lab, monkeypatch, tmp_path):
    spec = {"data": ["clips/street"], "trackers": ["nanotrack-v2"]}
    weights = tmp_path / "weights"
    weights.mkdir()
    monkeypatch.setenv("VTLAB_WEIGHTS", str(weights))
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    seen = [load_experiment(spec, lab).cells[0].key]
    for content in (b"a", b"b"):
        for file in TRACKERS.card("nanotrack-v2").weights:
            (weights / file.name).write_bytes(content)
        seen.append(load_experiment(spec, lab).cells[0].key)
    monkeypatch.setattr("vtlab.engine.keys.package_digest", lambda: "other")
    monkeypatch.setattr("vtlab.experiments.spec.package_digest", lambda: "other")
    seen.append(load_experiment(spec, lab).cells[0].key)
    assert len(set(seen)) == 4


def test_digests_are_remembered_and_never_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED", 0.0)
    file = tmp_path / "a.bin"
    file.write_bytes(b"one")
    time.sleep(0.02)
    first = file_digest(file)
    monkeypatch.setattr(digests.hashlib, "sha256", None)  # nothing is read again
    assert file_digest(file) == first
    moved = file.rename(tmp_path / "b.bin")
    monkeypatch.undo()
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    stat = moved.stat()
    moved.write_bytes(b"two")
    os.utime(moved, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_digest(moved) != first
    (tmp_path / "cache/digests/files.sqlite").write_bytes(b"no database" * 1000)
    digests._OPEN.clear()
    assert file_digest(moved) == file_digest(moved) != first


def test_what_has_no_content_is_refused():
    with pytest.raises(ExperimentError, match="has no content by which its results could be found again"):
        plain({"a": object()})
    assert plain(np.float64(2.5)) == 2.5
    assert plain(np.arange(3)) == plain(np.arange(3)) != plain(np.arange(4))


def test_tracks_are_told_by_what_they_say():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10]], float)
    one, same = Tracks.of([0, 1], 1, boxes), Tracks.of([0, 1], 1, boxes, meta={"created": "now"})
    assert tracks_digest(one) == tracks_digest(same)
    assert tracks_digest(one) != tracks_digest(Tracks.of([0, 1], 1, boxes + 0.001))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": []}, "data must be a non-empty list"),
        ({"data": ["none.mp4"]}, "there is no 'none.mp4'"),
        ({"data": [{"clips": 1}]}, "expected a path, or a mapping with one of clip"),
        ({"data": [{"clip": "clips/street", "prompt": 1}]}, "a clip has no 'prompt'"),
        ({"data": ["clips/street", "clips/street"]}, "data has 'street' twice"),
        ({"trackers": ["no-such"]}, "Unknown tracker 'no-such'"),
        ({"trackers": ["ncc", "ncc"]}, "the tracker 'ncc' is given twice"),
        ({"trackers": [{"ncc": 3}]}, "expected a name, or a mapping of a name to its parameters"),
        ({"seeds": [0.5]}, "seeds must be a non-empty list of whole numbers"),
        ({"perturbations": ["blurr"]}, "unknown perturbation 'blurr'"),
        (
            {"fixed": {"scales": 1}},
            "the trial trial has no parameter 'scales'; it has scale, seed, sequence, tracker",
        ),
        ({"trial": "trials.py:other"}, "no 'other' in"),
        ({"trial": "math:no"}, "names no function"),
        ({"notebook": "n.ipynb"}, "expected a trial or a notebook, not both"),
        ({"limits": {"second": 3}}, "limits: expected seconds, memory_mb"),
        ({"limits": {"seconds": -1}}, "seconds must be above 0, got -1"),
    ],
)
def test_bad_specifications_are_named(lab, change, message):
    (lab / "e.yaml").write_text(yaml.safe_dump({**SPEC, **change}))
    with pytest.raises(Exception, match=message):
        planned(lab)


def test_a_trial_that_lacks_an_axis_says_which(lab):
    (lab / "e.yaml").write_text(yaml.safe_dump({k: v for k, v in SPEC.items() if k != "trackers"}))
    with pytest.raises(ExperimentError, match=r"needs 'tracker'. Remedy: trackers: \[...\]"):
        planned(lab)
