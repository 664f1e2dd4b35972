"""What Auto Track learns from an experiment's results."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from vtlab.cli.app import app
from vtlab.errors import ExperimentError
from vtlab.experiments import load_experiment, run_experiment
from vtlab.experiments.learn import learn
from vtlab.experiments.store import Store
from vtlab.trackers.compose.evidence import FEATURES, Evidence

SPEC = """
trial: vtlab.experiments.trials:track_and_score
data:
  - synthetic: {seed: [0, 1, 2, 3], objects: 2, seconds: 0.3, size: [[160, 96]], difficulty: [still, easy]}
trackers: [ncc, identity]
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learn")
    (folder / "toy.yaml").write_text(SPEC)
    assert not run_experiment(load_experiment(folder / "toy.yaml"), folder / "runs").failures()
    return folder / "toy.yaml"


def test_objects_are_told_by_what_is_seen_and_what_trackers_were_worth(spec):
    experiment = load_experiment(spec)
    store = Store.of(experiment, spec.parent / "runs" / experiment.name)
    found = learn(store)
    assert found.metric == "success_auc"
    assert set(found.quality) == {"identity", "ncc"}
    assert found.features.shape == (len(found.scenes), len(FEATURES))
    assert len(set(found.scenes)) == 8
    assert all(np.isfinite(q).all() and (q >= 0).all() and (q <= 1).all() for q in found.quality.values())
    table = store.results()
    for name, values in found.quality.items():
        by_scene = [values[np.array(found.scenes) == s].mean() for s in dict.fromkeys(found.scenes)]
        mine = table[table["tracker"] == name].set_index("sequence")["success_auc"]
        np.testing.assert_allclose(by_scene, mine[list(dict.fromkeys(found.scenes))], atol=1e-9)
        assert found.cost[name] > 0


def test_the_command_writes_evidence_and_says_what_it_would_have_cost(spec, tmp_path):
    where = ["--out", str(spec.parent / "runs"), "--to", str(tmp_path / "evidence.json")]
    ran = CliRunner().invoke(app, ["lab", "learn", str(spec), *where], catch_exceptions=False)
    assert "regret of auto" in ran.stdout
    assert len(Evidence.load(tmp_path / "evidence.json").scenes) == 16


def test_results_that_teach_nothing_are_refused(spec, tmp_path):
    experiment = load_experiment(spec)
    with pytest.raises(ExperimentError, match="nothing to learn"):
        learn(Store.of(experiment, tmp_path))
