"""Leaderboards with intervals over sequences, the report, what changed beyond noise, and the commands that show them."""

from __future__ import annotations

import json
import re

import IPython.display
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from vtlab.cli import app
from vtlab.datasets.synthetic import synthetic
from vtlab.engine.outcome import Outcome
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError
from vtlab.experiments import Store, leaderboard, live, load_experiment, run_experiment
from vtlab.experiments.report import boards, changes
from vtlab.metrics import combine, score, statistics
from vtlab.registry import load_file
from vtlab.video import open_video

TRIAL = """
def score(clip, level, *, shift=0.0, broken=-1):
    if clip == broken:
        raise ValueError("no such clip")
    rows = []
    for tracker, worth in (("good", 0.7), ("bad", 0.3), ("like-good", 0.7)):
        jitter = 0.01 * ((7 * clip + len(tracker)) % 5)
        rows.append({"tracker": tracker, "family": "sot", "sequence": f"clip-{clip}",
                     "success_auc": worth - 0.1 * level + jitter + (shift if tracker == "bad" else 0)})
    return rows
"""


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "trials_of_reports.py").write_text(TRIAL)
    return tmp_path


def run(lab, name="e", **fixed):
    spec = {
        "trial": "trials_of_reports.py:score",
        "grid": {"clip": list(range(8)), "level": [0, 1]},
        "fixed": {"shift": 0.0, **fixed},
    }
    (lab / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    return run_experiment(lab / f"{name}.yaml")


@pytest.fixture
def store(lab):
    return run(lab)


def test_sequences_are_what_is_counted_not_cells(store):
    """16 cells are 8 sequences at two levels each: two cells of a sequence say the same."""
    board = leaderboard(store.results())
    assert board["cells"].tolist() == [16, 16, 16]
    assert set(board.index[:2]) == {"good", "like-good"}
    assert board.loc["bad", "letters"] == "b"
    assert board["letters"].iloc[0] == "a"
    assert board["p"].iloc[2] == pytest.approx(2 / 2**8)  # the smallest that 8 sequences can give
    assert (
        board["ci_high"] - board["ci_low"]
    ).max() < 0.1  # the two levels, 0.1 apart, are no noise of the sequences
    by_level = leaderboard(store.results(), ["level"])
    assert len(by_level) == 6
    assert by_level.loc["bad 1", "success_auc"] == pytest.approx(by_level.loc["bad 0", "success_auc"] - 0.1)


def test_what_changed_beyond_noise(lab, store):
    later = run(lab, "later", shift=0.05)
    table = changes(store.results(), later.results())
    assert table["verdict"].to_dict() == {"good": "the same", "bad": "better", "like-good": "the same"}
    assert table.loc["bad", "change"] == pytest.approx(0.05)
    assert table.loc["bad", "scenes"] == 8
    back = changes(later.results(), store.results())
    assert back.loc["bad", "verdict"] == "worse"
    noisy = later.results()
    noisy["success_auc"] += [0.02 if i % 2 else -0.02 for i in range(len(noisy))]
    assert changes(later.results(), noisy)["verdict"].isin(["within noise", "the same"]).all()
    with pytest.raises(ExperimentError, match="no tracker and sequence in common"):
        changes(store.results(), later.results().assign(tracker="other"))


def test_the_commands(lab, store):
    ask = CliRunner().invoke
    spec = str(lab / "e.yaml")
    told = json.loads(ask(app, ["lab", "status", spec, "--json"]).stdout)
    assert (told["cells"], told["done"], told["failed"], told["to do"]) == (16, 16, 0, 0)
    made = ask(
        app,
        [
            "lab",
            "show",
            spec,
            "--html",
            str(lab / "r.html"),
            "--markdown",
            str(lab / "r.md"),
            "--latex",
            str(lab / "r.tex"),
        ],
    )
    assert made.exit_code == 0, made.output
    page = (lab / "r.html").read_text()
    assert "16 cells finished, 0 failed" in page
    assert "like-good" in page
    assert "| tracker |" in (lab / "r.md").read_text()
    assert r"\toprule" in (lab / "r.tex").read_text()
    run(lab, "later", shift=0.05)
    changed = ask(app, ["lab", "diff", spec, str(lab / "runs/later"), "--json"])
    assert {row["tracker"]: row["verdict"] for row in json.loads(changed.stdout)}["bad"] == "better"
    assert ask(app, ["lab", "diff", spec]).exit_code == 1
    nothing = ask(app, ["lab", "diff", spec, "--since", "2000-01-01"])
    assert isinstance(nothing.exception, ExperimentError)


def test_results_of_older_specifications_are_kept_until_gc(lab, store):
    said = yaml.safe_load((lab / "e.yaml").read_text())
    said["grid"]["clip"].remove(7)
    (lab / "e.yaml").write_text(yaml.safe_dump(said))
    spec = str(lab / "e.yaml")
    told = json.loads(CliRunner().invoke(app, ["lab", "status", spec, "--json"]).stdout)
    assert (told["cells"], told["done"], told["of older specifications"]) == (14, 14, 2)
    assert len(Store.of(load_experiment(spec), store.folder).results()) == 14 * 3
    assert (
        "2 results of older specifications would be removed"
        in CliRunner().invoke(app, ["lab", "gc", spec]).stdout
    )
    assert len(store.archive.done()) == 16
    assert CliRunner().invoke(app, ["lab", "gc", spec, "--yes"]).exit_code == 0
    assert len(store.archive.done()) == 14
    assert pd.read_parquet(store.folder / "metrics")["cell"].nunique() == 14


def test_failed_cells_stand_in_the_report_with_their_reasons(lab):
    store = run(lab, "broken", broken=3)
    ran = CliRunner().invoke(app, ["lab", "show", str(lab / "broken.yaml"), "--html", str(lab / "r.html")])
    assert "ValueError: no such clip" in ran.output
    page = (lab / "r.html").read_text()
    assert "What failed" in page
    assert "ValueError: no such clip" in page
    assert "log.txt" in page
    assert len(store.failures()) == 2


def test_parameters_of_a_tracker_are_one_line_and_a_column(lab):
    spec = {
        "name": "grid",
        "data": [{"synthetic": {"seed": [0], "seconds": 0.3, "objects": 1, "size": [[160, 96]]}}],
        "trackers": [{"ncc": {"search": [1.5, 2.5]}}],
    }
    rows = run_experiment(load_experiment(spec, lab), lab / "runs").results()
    assert rows["search"].tolist() == [1.5, 2.5]
    board = leaderboard(rows)
    assert sorted(board["search"]) == [1.5, 2.5]
    assert sorted(board.index) == ["ncc search=1.5", "ncc search=2.5"]


FOUND = """
import numpy as np
from vtlab.comparison.cells import outcome_of
from vtlab.comparison.proxies import Run

def found(sequence, who):
    return outcome_of(Run(who, sequence.name, "mot", answers(sequence, who), "", True), sequence, None, timed=False)

def answers(sequence, who):
    lost = int(sequence.name[-1]) / 10 + 0.2 * (who == "bad")
    truth = sequence.truth.seen()
    return truth.take(np.random.default_rng(len(truth)).random(len(truth)) > lost)
"""


def test_hota_is_of_all_sequences_joined_as_a_comparison_has_it(lab):
    """It was the mean of the sequences' HOTA, which is another number than TrackEval's."""
    (lab / "trials_of_mot.py").write_text(FOUND)
    made = {"seconds": 0.3, "points": 0, "size": (96, 64), "difficulty": "still"}
    data = [{"synthetic": {**made, "size": [[96, 64]], "seed": n, "objects": 1 + n % 3}} for n in range(5)]
    spec = {"name": "mot", "data": data, "trial": "trials_of_mot.py:found", "grid": {"who": ["good", "bad"]}}
    store = run_experiment(load_experiment(spec, lab), lab / "runs")
    assert store.failed() == []
    board = leaderboard(store.results())
    clips = [synthetic(seed=n, objects=1 + n % 3, name=f"synthetic-{n}", **made) for n in range(5)]
    answers = load_file(str(lab / "trials_of_mot.py:answers"), "trial")
    parts = {w: [score(answers(c, w), c, "mot") for c in clips] for w in ("good", "bad")}
    for who, mine in parts.items():
        whole = combine(mine)
        for metric in ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW", "CLR_FN"):
            assert board.loc[who, metric] == pytest.approx(whole[metric])
        assert abs(whole["HOTA"] - sum(p.values()["HOTA"] for p in mine) / 5) > 0.005
    ranks = statistics.leaderboard(parts, "HOTA")
    for mine, theirs in (("ci_low", "low"), ("ci_high", "high"), ("p", "p")):
        assert board[mine].to_dict() == pytest.approx(ranks[theirs].to_dict(), nan_ok=True)
    assert board["letters"].to_dict() == ranks["letters"].to_dict()
    (shown,) = boards(store)
    assert "HOTA, sequences joined ↑" in shown.headings
    assert "as TrackEval does" in shown.caption
    assert "success_auc, mean over sequences ↑" in boards(run(lab))[0].headings


def test_a_run_is_followed_by_a_live_table_in_a_notebook_and_a_bar_in_a_terminal(lab, monkeypatch, capsys):
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    def display(bundle, raw, display_id):
        shown.append(bundle)
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(live, "in_a_notebook", lambda: True)
    monkeypatch.setattr(live, "LEAST", 0.0)
    monkeypatch.setattr(live, "SHARE", 0)
    (lab / "trials_of_reports.py").write_text(TRIAL)
    spec = {"name": "live", "trial": "trials_of_reports.py:score", "grid": {"clip": [0, 1, 2], "level": [0]}}
    experiment = load_experiment({**spec, "fixed": {"broken": 1}}, lab)
    run_experiment(experiment, lab / "runs", progress=True)
    texts = [bundle["text/plain"] for bundle in shown]
    assert texts[0] == "0 of 3 cells done."
    assert "1 of 3 cells done; at work: clip=1, level=0." in texts
    assert texts[-1] == "2 of 3 cells done, 1 failed."
    assert "like-good" in shown[-1]["text/html"]
    monkeypatch.setattr(live, "in_a_notebook", lambda: False)
    run_experiment(experiment, lab / "runs", progress=True)
    assert "3/3" in capsys.readouterr().err


def test_plain_cells_are_seen_side_by_side(lab):
    size = {"seconds": 0.2, "objects": 1, "points": 0, "size": [[96, 64]]}
    spec = {"data": [{"synthetic": {**size, "seed": [0, 1]}}], "trackers": ["identity", "ncc"]}
    (lab / "plain.yaml").write_text(yaml.safe_dump(spec))
    run_experiment(lab / "plain.yaml")
    page = lab / "out" / "r.html"
    ran = CliRunner().invoke(app, ["lab", "show", str(lab / "plain.yaml"), "--html", str(page), "--videos"])
    assert ran.exit_code == 0, ran.output
    links = set(re.findall(r"<a href='([^']+mp4)'>side by side</a>", page.read_text()))
    assert len(links) == 2  # one for each clip, in which both trackers are
    for link in links:
        video = open_video(page.parent / link)
        assert len(video) == 6
        assert video.width >= 2 * 96


def test_what_changed_since_a_day(tmp_path):
    """Results of an older version stay beside the new ones of the same cells; what is younger than the day is "after"."""
    archive = Archive(tmp_path / "e")
    for day, better in (("2026-11-01", 0.0), ("2026-11-20", 0.1)):
        for clip in range(8):
            rows = [
                {
                    "tracker": t,
                    "family": "sot",
                    "sequence": f"clip-{clip}",
                    "success_auc": 0.4 + clip / 100 + more,
                }
                for t, more in (("better", better), ("same", 0.0), ("noisy", better * (-1) ** clip / 10))
            ]
            record = {"axes": json.dumps({"clip": clip}), "created": f"{day}T12:00:00+00:00"}
            key = f"c{day[-2:]}{clip}"
            archive.finish(key, archive.begin(key, "run"), Outcome(rows), record)
    ask = ["lab", "diff", str(tmp_path / "e"), "--json", "--since"]
    told = json.loads(CliRunner().invoke(app, [*ask, "2026-11-10"]).stdout)
    assert {row["tracker"]: row["verdict"] for row in told} == {
        "better": "better",
        "same": "the same",
        "noisy": "within noise",
    }
    assert told[0]["change"] == pytest.approx(0.1)
    later = json.loads(CliRunner().invoke(app, [*ask, "2026-11-21"]).stdout)
    assert {row["verdict"] for row in later} == {"the same"}  # nothing is younger
    assert "no result is older" in str(CliRunner().invoke(app, [*ask, "2026-10-01"]).exception)
