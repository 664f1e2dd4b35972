"""Every notebook goes over a video of one's own: from what was drawn on it, or to one sentence on what is missing."""

from __future__ import annotations

import ast
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from vtlab.errors import ExperimentError, VtlabError
from vtlab.experiments import run_notebook
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.studio.clip import PromptsMissing, TruthMissing, own_clip
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import Tracks
from vtlab.video import write_video

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(p.stem for p in FOLDER.glob("*.ipynb"))
FRAMES = 8
NO_PROMPTS = {"02_multi_object", "06_association_ablation"}  # by detection
SMALL: dict[str, dict[str, Any]] = {
    "00_quickstart": {
        "TRACKERS": ["ncc"],
        "MOT_TRACKERS": ["sort"],
        "REAL_TRACKERS": ["ncc"],
        "SECONDS": 0.2,
    },
    "01_compare_single_object": {"TRACKERS": ["ncc", "identity"]},
    "02_multi_object": {"TRACKERS": ["sort", "bytetrack"], "DETECTOR": "motion", "FOLLOWER": "ncc"},
    "03_masks": {"TRACKERS": ["flow"]},
    "04_points": {"TRACKERS": ["lucas-kanade"]},
    "05_multi_object_prompts": {"TRACKER": "ncc"},
    "06_association_ablation": {"DETECTOR": "motion"},
    "07_annotate_track_correct": {},
    "08_own_tracker": {"TRACKERS": [["my-csrt", {"padding": 2.0}], "ncc"]},
    "09_batch": {"TRACKERS": ["ncc", "identity"]},
    "10_metrics": {"TRACKERS": ["ncc", "identity"], "DETECTOR": "motion"},
    "11_verdict": {"TRACKERS": ["ncc", "identity"]},
    "12_serve": {"TRACKERS": ["ncc", "flow"], "FRAMES": 3},
    "13_experiments": {"TRACKERS": ["ncc"], "LADDERS": ["frame_rate"], "FRAMES": 400},
}


def cells(name: str) -> list[Any]:
    book = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [c for c in book["cells"] if c["cell_type"] == "code"]


def source(cell: Any) -> str:
    return "".join(cell["source"])


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The working folder of a notebook, with a video in it and its notebooks beside."""
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    for file in FOLDER.glob("*.ipynb"):
        shutil.copy(file, tmp_path)
    write_video(tmp_path / "mine.mp4", moving_square(FRAMES, height=96, width=160), 25)
    prompts = [BoxPrompt(square_box(0)), MaskPrompt(polygon=corners(), object_id=1)]
    Prompts([*prompts, PointPrompt(corners(), object_id=1)]).save(tmp_path / "mine.json")
    yield tmp_path
    import matplotlib.pyplot as plt

    plt.close("all")


def corners() -> tuple[tuple[float, float], ...]:
    x1, y1, x2, y2 = square_box(0)
    return ((x1 + 2, y1 + 2), (x2 - 2, y1 + 2), (x2 - 2, y2 - 2), (x1 + 2, y2 - 2))


def truth(folder: Path) -> Path:
    boxes = [square_box(f) for f in range(FRAMES)]
    size = (96, 160)
    return Tracks.of(range(FRAMES), 1, boxes, size=size).save(folder / "truth.parquet")


def execute(name: str, given: dict[str, Any], monkeypatch) -> tuple[dict[str, Any], list[Any]]:
    """Run the cells of a notebook in this process: the names that they leave, and what they show."""
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda *things, **_: shown.extend(things))
    known = {card.name for card in TRACKERS.cards()}  # all of them: what comes in the notebook goes with it
    monkeypatch.setattr(TRACKERS, "_entries", {n: e for n, e in TRACKERS._entries.items() if n in known})
    space: dict[str, Any] = {"__name__": "notebook"}
    for i, cell in enumerate(cells(name)):
        tree = ast.parse(source(cell), f"{name}[{i}]")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{name}[{i}]", "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"{name}[{i}]", "eval"), space)
            shown += [value, getattr(value, "_repr_html_", lambda: "")()]
        if "parameters" in cell["metadata"].get("tags", ()):
            space |= given
    return space, shown


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_name_a_video_and_the_one_helper_opens_it(name):
    (parameters,) = [c for c in cells(name) if "parameters" in c["metadata"].get("tags", ())]
    space: dict[str, Any] = {}
    exec(source(parameters), space)
    assert space["VIDEO"] == ""
    assert ("PROMPTS" in space) == (name not in NO_PROMPTS)
    text = "\n".join(source(c) for c in cells(name))
    assert "from vtlab.studio import own_clip" in text
    assert "own_clip(VIDEO, " in text or "own_clip(video, PROMPTS)" in text
    assert "open_video(VIDEO" not in text
    assert "tqdm" not in text  # whose bar would leave its last line in a saved notebook


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NO_PROMPTS and n != "10_metrics"])
def test_without_prompts_it_opens_the_annotator_and_stops_with_one_sentence(name, mine, monkeypatch):
    pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vtlab[serve]'")
    with pytest.raises(PromptsMissing, match=r"^mine has no .* draw in the annotator above") as told:
        execute(name, {**SMALL[name], "VIDEO": "mine.mp4", "OUT": "out"}, monkeypatch)
    assert told.value._render_traceback_() == [str(told.value)]
    assert f"there is no {mine / 'mine-'}" in str(told.value)


def test_a_notebook_about_truth_asks_for_labels(mine, monkeypatch):
    with pytest.raises(TruthMissing, match="give their file as TRUTH"):
        execute("10_metrics", {**SMALL["10_metrics"], "VIDEO": "mine.mp4", "OUT": "out"}, monkeypatch)


SLOW = {
    "00_quickstart",
    "06_association_ablation",
    "09_batch",
    "13_experiments",
}  # reports, twenty variants, a kernel for each video, processes of an engine


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES])
def test_it_runs_on_a_video_of_ones_own(name, mine, monkeypatch):
    pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vtlab[serve]'")
    given = {**SMALL[name], "VIDEO": "mine.mp4", "OUT": "out"}
    if name == "10_metrics":
        given |= {"TRUTH": str(truth(mine))}
    elif name not in NO_PROMPTS:
        given |= {"PROMPTS": "mine.json"}
    left, shown = execute(name, given, monkeypatch)
    assert shown
    own = left.get("clip") or left.get("own") or left.get("sequence") or left["clips"][0]
    assert own.name == "mine"
    assert len(own.video) == FRAMES
    if name != "12_serve":
        assert os.listdir("out")


@pytest.mark.notebook
def test_under_papermill_it_says_which_file_is_missing(mine):
    with pytest.raises(
        ExperimentError, match=r"mine has no prompts: .*there is no .*\.prompts\.json\)\. The"
    ):
        run_notebook("08_own_tracker.ipynb", mine / "done.ipynb", {"VIDEO": "mine.mp4", "OUT": "out"})
    outputs = [
        o for c in json.loads((mine / "done.ipynb").read_text())["cells"] for o in c.get("outputs", ())
    ]
    assert any("image/png" in o.get("data", {}) for o in outputs)  # the annotator's picture


def test_labels_of_another_length_are_refused(mine):
    Tracks.of(range(20), 1, [square_box(0)] * 20, size=(96, 160)).save("long.parquet")
    with pytest.raises(VtlabError, match="20 frames|frame 19"):
        own_clip("mine.mp4", None, truth="long.parquet")
