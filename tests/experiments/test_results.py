"""One callback takes every result: of a comparison, a batch and a benchmark; docs/elsewhere.md hands it to three tools."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vtlab
from vtlab.datasets.synthetic import synthetic
from vtlab.experiments import run_experiment
from vtlab.experiments.reproduction import reproduce
from vtlab.tracks import Tracks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scene():
    return synthetic(seed=3, objects=1, points=0, seconds=0.3, size=(96, 64), difficulty="easy")


@pytest.fixture
def told():
    return []


@pytest.fixture
def log(told):
    def keep(row, files):
        assert all(isinstance(v, (str, int, float)) and v == v for v in row.values()), row
        assert all(type(v).__module__ == "builtins" for v in row.values()), row  # no numpy: JSON takes it
        told.append((row, list(files)))

    return keep


def test_a_comparison_tells_each_run_with_its_tracks_and_each_tracker(scene, told, log, tmp_path):
    trackers = {"still": "identity", "a/b": "ncc", "broken": ("nanotrack-v2", {"weights": tmp_path / "none"})}
    result = vtlab.compare(scene, trackers, progress=False)
    result.save(tmp_path, on_result=log)
    runs = [(row, files) for row, files in told if row["sequence"] == scene.name]
    assert [row["tracker"] for row, _ in runs] == list(trackers)
    for row, files in runs[:2]:
        (path,) = files
        assert len(Tracks.load(path)) == len(scene.video)
        assert row["success_auc"] == pytest.approx(result.table.loc[row["tracker"], "success_auc"])
        assert row["rule"] == "otb"
    assert runs[2][1] == []
    assert "success_auc" not in runs[2][0]
    assert runs[2][0]["note"]
    whole = [(row, files) for row, files in told if row["sequence"] == "all"]
    assert {row["tracker"] for row, _ in whole} == set(trackers)
    assert [f.name for f in whole[0][1]] == ["table.csv", "scores.parquet"]
    assert all(f.is_file() for f in whole[0][1])
    assert whole[0][0]["fps"] == pytest.approx(result.table.iloc[0]["fps"])


def test_a_batch_tells_each_result_once(told, log, tmp_path):
    spec = {
        "data": [{"synthetic": {"seed": 3, "objects": 1, "points": 0, "seconds": 0.2, "size": [[96, 64]]}}],
        "trackers": ["identity", "ncc"],
    }
    store = run_experiment(spec, tmp_path, on_result=log)
    assert store.failed() == []
    assert [row["tracker"] for row, _ in told] == store.results()["tracker"].tolist() == ["identity", "ncc"]
    for (row, files), expected in zip(told, store.results()["success_auc"], strict=True):
        assert row["success_auc"] == pytest.approx(expected)
        assert all(f.is_file() for f in files)
        assert len(Tracks.load(next(f for f in files if f.suffix == ".parquet"))) > 0
    run_experiment(spec, tmp_path, on_result=log)
    assert len(told) == 2
    run_experiment(spec, tmp_path, retry="all", on_result=log)
    assert [row["tracker"] for row, _ in told[2:]] == ["identity", "ncc"]


def test_a_benchmark_tells_its_numbers_with_the_tracks(scene, told, log, tmp_path):
    made = reproduce("identity", "otb", [scene], out=tmp_path, on_result=log)
    ((row, files),) = told
    assert {row[r.metric] for r in made.rows} == {r.value for r in made.rows}
    assert (row["tracker"], row["on"], row["sequence"], row["sequences"]) == ("identity", "otb", "all", 1)
    assert [len(Tracks.load(f)) for f in files] == [len(scene.video)]
    assert "success_auc_published" not in row  # none is known, so none is told


def test_what_the_callback_raises_ends_the_work_and_keeps_what_was_written(scene, tmp_path):
    def full(row, files):
        raise OSError("no space at the tool")

    with pytest.raises(OSError, match="no space at the tool"):
        vtlab.compare(scene, ["identity"], progress=False).save(tmp_path, on_result=full)
    assert (tmp_path / "table.csv").is_file()


def test_the_page_shows_one_example_for_each_tool():
    page = (ROOT / "docs" / "elsewhere.md").read_text(encoding="utf-8")
    examples = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", page, re.DOTALL))
    assert list(examples) == ["tensorboard", "mlflow", "wandb"]
    for text in examples.values():
        assert "def log(row, files):" in text
        compile(text, "elsewhere.md", "exec")
