"""Batch experiments: the specification, resuming, failing cells, the leaderboard; and the notebooks themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from vtlab.errors import ExperimentError
from vtlab.experiments import Store, leaderboard, load_experiment, run_experiment

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

CODE = """
import json, pathlib
log = pathlib.Path("log.txt")  # beside the notebook
log.write_text((log.read_text() if log.exists() else "") + f"{TRACKER}{SEED}\\n")
if TRACKER == "bad" and not (log.parent / "mended").exists():
    raise ValueError("can not")
row = f"tracker,family,success_auc\\n{TRACKER},sot,{0.5 + SEED / 10}\\n"
pathlib.Path(OUT, "table.csv").write_text(row)
"""


@pytest.fixture
def experiment(tmp_path):
    notebook = nbformat.v4.new_notebook()
    parameters = nbformat.v4.new_code_cell("TRACKER = 'x'\nSEED = 0\nOUT = '.'")
    parameters.metadata["tags"] = ["parameters"]
    notebook.cells = [parameters, nbformat.v4.new_code_cell(CODE)]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "n.ipynb")
    spec = tmp_path / "e.yaml"
    spec.write_text("notebook: n.ipynb\ngrid:\n  TRACKER: [good, bad]\n  SEED: [1]\n")
    return spec


@pytest.mark.notebook
def test_a_failed_cell_does_not_stop_the_others_and_is_retried(experiment, tmp_path):
    seen = []
    store = run_experiment(experiment, tmp_path / "runs", progress=lambda p: seen.append((p.ended, p.total)))
    assert list(dict.fromkeys(seen)) == [(0, 2), (1, 2), (2, 2)]
    assert store.results()["tracker"].tolist() == ["good"]
    assert "ValueError: can not" in store.failed()[0]
    assert list((store.folder / "staging").iterdir()) == []
    (tmp_path / "mended").touch()
    assert run_experiment(experiment, tmp_path / "runs").failed() == store.failed()
    again = run_experiment(experiment, tmp_path / "runs", retry="failed")
    assert again.failed() == []
    assert (tmp_path / "log.txt").read_text().split() == ["good1", "bad1", "bad1"]
    board = leaderboard(again.results())
    assert board.loc["good", "cells"] == 1
    assert board.loc["good", "success_auc"] == pytest.approx(0.6)
    (row,) = again.archive.table("provenance", {load_experiment(experiment).cells[0].key}).to_pylist()
    assert json.loads(row["parameters"]) == {"SEED": 1, "TRACKER": "good"}
    assert row["versions"]
    assert row["seconds"] > 0


AT_ONCE = """
import sys
from vtlab.experiments import run_notebook
run_notebook("n.ipynb", f"{sys.argv[1]}.ipynb", {"TRACKER": "good", "OUT": sys.argv[2]})
"""


@pytest.mark.notebook
def test_notebooks_started_at_once_reach_their_own_kernels(experiment, tmp_path):
    """Their sockets had one name in a shared working folder, and each client read the other kernel's messages."""
    out = tmp_path / "a" / "b" / "c"
    out.mkdir(parents=True)
    several = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, name, str(out)], cwd=tmp_path, stderr=subprocess.PIPE
        )
        for name in "pqr"
    ]
    try:
        said = [run.communicate(timeout=120)[1].decode() for run in several]
    finally:
        for run in several:
            run.kill()
    assert [run.returncode for run in several] == [0, 0, 0], said


@pytest.mark.notebook
def test_a_dead_kernel_is_a_failed_cell_and_messages_name_what_exists(experiment, tmp_path):
    notebook = nbformat.read(tmp_path / "n.ipynb", 4)
    notebook.cells[1].source = "import os\nif TRACKER == 'bad':\n    os._exit(1)\n" + CODE
    nbformat.write(notebook, tmp_path / "n.ipynb")
    store = run_experiment(experiment, tmp_path / "runs")
    assert store.results()["tracker"].tolist() == ["good"]
    (line,) = store.failed()
    assert "kernel died" in line
    paths = [
        word.strip("().") for word in line.split() if word.strip("().").endswith(".ipynb") and "/" in word
    ]
    assert paths
    assert all(Path(p).is_file() for p in paths)


@pytest.mark.notebook
def test_only_cells_of_the_present_specification_count(experiment, tmp_path):
    experiment.write_text("notebook: n.ipynb\ngrid:\n  TRACKER: [good]\n  SEED: [1, 2]\n")
    assert len(run_experiment(experiment, tmp_path / "runs").results()) == 2
    experiment.write_text("notebook: n.ipynb\ngrid:\n  TRACKER: [good]\n  SEED: [2]\n")
    store = run_experiment(experiment, tmp_path / "runs")
    assert store.results()["SEED"].tolist() == [2]
    assert len(Store(store.folder).results()) == 2
    assert pd.read_parquet(store.folder / "cells.parquet")["SEED"].tolist() == [2]


@pytest.mark.notebook
def test_errors_are_printed_when_all_cells_fail(experiment, tmp_path):
    from typer.testing import CliRunner

    from vtlab.cli import app

    experiment.write_text("notebook: n.ipynb\ngrid:\n  TRACKER: [bad]\n  SEED: [1]\n")
    result = CliRunner().invoke(app, ["run", str(experiment), "--out", str(tmp_path / "runs")])
    assert result.exit_code == 1
    assert "ValueError: can not" in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("notebook: none.ipynb\n", "there is no such notebook"),
        ("notebook: n.ipynb\ngrid: {SEEED: [1]}\n", "has no parameter 'SEEED'; it has OUT, SEED, TRACKER"),
        ("notebook: n.ipynb\ngrid: {SEED: 3}\n", "grid.SEED must be a non-empty list, got 3"),
        ("notebook: n.ipynb\nloops: 3\n", "expected the keys name, notebook, .*unknown: 'loops'"),
        ("- a\n", "expected the keys"),
        ("a: [\n", "not a readable YAML file"),
        ("notebook: n.ipynb\nfixed: [1]\n", "fixed must map"),
    ],
)
def test_bad_specifications_are_named(experiment, text, message):
    experiment.write_text(text)
    with pytest.raises(ExperimentError, match=message) as caught:
        load_experiment(experiment)
    assert "e.yaml" in str(caught.value) or "none.ipynb" in str(caught.value)


def rows(**cells):
    """Results of an experiment: tracker -> {case: value}."""
    import pandas as pd

    table = pd.DataFrame(
        [(t, "sot", v, json.dumps([t]), case) for t, mine in cells.items() for case, v in mine.items()],
        columns=["tracker", "family", "success_auc", "TRACKERS", "CLIP"],
    )
    table.attrs["parameters"] = ["CLIP", "TRACKERS"]
    return table


def test_a_tracker_that_lacks_cells_is_not_first():
    """One that failed on the hard clips had the better mean over the rest, and stood first."""
    board = leaderboard(rows(steady={"easy": 0.9, "hard": 0.4, "hard2": 0.3}, crashes={"easy": 0.95}))
    assert board.index.tolist() == ["steady", "crashes"]
    assert board["cells"].tolist() == [3, 1]
    assert board["of"].tolist() == [3, 3]
    both = leaderboard(rows(a={"easy": 0.9, "hard": 0.4}, b={"easy": 0.8, "easy2": 0.9}))
    assert both.index.tolist() == ["a", "b"]  # on the clip that both have
    assert both["success_auc"].tolist() == [0.9, 0.8]
    assert both["success_auc_std"].isna().all()  # one cell varies by nothing, which the column says


def test_a_leaderboard_without_truth_ranks_nobody():
    table = rows(late={"x": 0.1}, early={"x": 0.9}).rename(columns={"success_auc": "agreement"})
    table.attrs["parameters"] = ["CLIP", "TRACKERS"]
    assert leaderboard(table).index.tolist() == ["late", "early"]


def test_keys_follow_the_inputs(experiment):
    first = load_experiment(experiment)
    assert first == load_experiment(experiment)
    experiment.write_text(experiment.read_text().replace("[1]", "[2]"))
    assert not {c.key for c in first.cells} & {c.key for c in load_experiment(experiment).cells}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_short_stripped_and_parametrised(path):
    notebook = nbformat.read(path, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code), "strip the outputs (nbstripout)"
    assert sum("parameters" in c.metadata.get("tags", ()) for c in code) == 1
    assert len(code) <= 16
    assert notebook.cells[0].cell_type == "markdown"
    for cell in code:
        lines = cell.source.splitlines()
        assert len(lines) <= 24, lines[0]
        assert not any(line.startswith(("!", "%pip")) for line in lines)


def test_a_leaderboard_of_trackers_that_all_failed():
    """It raised that 'success_auc' is not in list."""
    rows = {
        "tracker": ["a", "b"],
        "family": "sot",
        "success_auc": [0.5, 0.25],
        "finished": ["0 of 1", "0 of 1"],
    }
    board = leaderboard(pd.DataFrame(rows))
    assert board["cells"].tolist() == [0, 0]
    assert board["of"].tolist() == [1, 1]
