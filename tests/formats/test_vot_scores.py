"""VOT's measures of the three experiments equal what the toolkit's own analyses say of the same files (`make judges`)."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.judges import vot_scene
from vtlab.benchmark import evaluate_folders
from vtlab.errors import FormatError, InputError
from vtlab.formats import find_format
from vtlab.metrics import evaluate
from vtlab.metrics.evaluation import combine, score
from vtlab.metrics.families import find_family

GOLDEN = Path(__file__).parent / "golden"


def told(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


VOT_EXPERIMENTS = ("supervised", "multistart", "unsupervised")


@pytest.fixture(scope="module")
def vot_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("vot")
    vot_scene.write(root)
    return root


def close(golden):
    return pytest.approx(golden, abs=5e-7)  # the toolkit sums curves in float32


def test_vots_measures_on_disk_are_the_toolkits(vot_folder):
    golden = told("vot_scores")
    found = evaluate_folders(vot_folder / "truth", vot_folder / "mine", "vot")
    for experiment in VOT_EXPERIMENTS:
        for name, measures in golden[experiment].items():
            row = found.table.loc[(experiment, name), ["accuracy", "failures", "robustness", "eao"]].dropna()
            assert row.to_dict() == close(measures), (experiment, name)
    assert found.boards[0].frame.columns[-4:].tolist() == ["accuracy", "failures", "robustness", "eao"]


def test_vots_measures_in_memory_are_the_toolkits(vot_folder):
    golden, vot = told("vot_scores"), find_format("vot")
    for name, place in vot.find(vot_folder).items():
        sequence = vot.read_sequence(place, images=False)
        for experiment in VOT_EXPERIMENTS:
            files = sorted((vot_folder / "mine" / experiment / name).iterdir())
            runs = [vot.read_tracks(path, sequence) for path in files]
            for truth in (sequence, sequence.truth):
                parts = [score(run, truth, "sot", "vot") for run in runs]
                joined = find_family("sot").combine([find_family("sot").repeated([p.counts for p in parts])])
                assert {m: joined[m] for m in golden[experiment][name]} == close(golden[experiment][name])
            if experiment == "unsupervised":
                tidy = evaluate(runs[0], sequence.truth, protocol="vot").set_index("metric")["value"]
                assert tidy["accuracy"] == close(golden[experiment][name]["accuracy"])
            if experiment == "supervised":  # the average overlap is that of the toolkit's overlaps
                overlaps = np.array(golden["overlaps"]["unsupervised"][name][0])
                once = vot.read_tracks(vot_folder / f"mine/unsupervised/{name}/{name}_001.txt", sequence)
                seen = sequence.truth.visible
                assert combine([score(once, sequence, "sot", "vot")])["ao"] == close(overlaps[seen].mean())


def test_vots_experiments_are_kept_apart(vot_folder, tmp_path):
    both = tmp_path / "mine/both/leaf"
    both.mkdir(parents=True)
    for experiment in ("supervised", "multistart"):
        for path in (vot_folder / "mine" / experiment / "leaf").iterdir():
            shutil.copy(path, both / path.name)
    truth = vot_folder / "truth/leaf"
    with pytest.raises(InputError, match="experiments multistart and supervised can't be joined"):
        evaluate_folders(truth, tmp_path / "mine", "vot")
    for path in both.glob("leaf_0??.txt"):
        path.unlink()
    (both / "leaf_00000060.txt").unlink()
    with pytest.raises(FormatError, match=r"leaf: .* no run from the anchors 60. Add leaf_00000060.txt"):
        evaluate_folders(truth, tmp_path / "mine", "vot")
    copy = tmp_path / "truth/leaf"
    copy.mkdir(parents=True)
    for name in ("groundtruth.txt", "anchor.value"):
        shutil.copy(truth / name, copy / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FormatError, match="no run from the anchors"):
            evaluate_folders(copy, tmp_path / "mine", "vot")
