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
from vtlab.comparison import Comparison, Run
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
    board = found.boards[0]
    own = ["eao", "accuracy", "failures", "robustness", "success_auc"]
    assert [c for c in board.frame.columns if c in own] == own
    assert board.main == "success_auc"  # an expected overlap with restarts is not one without
    assert any("of different experiments" in note for note in found.notes)


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
                tidy = evaluate(runs[0], sequence.truth, rule="vot").set_index("metric")["value"]
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


def boxes(shift) -> list[str]:
    """200 boxes; `shift` pixels beside the truth, by frame."""
    return [vot_scene.region("box", 40 + f / 5 + shift(f), 45, 24, 20) for f in range(200)]


EARLY = {"early": lambda f: 60 * (20 <= f < 40), "steady": lambda f: 6}
"""A tracker that is exact but lost for 20 frames early on, where a run ends for VOT, and one that is never lost."""


def early(root: Path, count: int = 3) -> None:
    """Multi-start results of both trackers on some sequences."""
    info = ["width=128", "height=96", "length=200", "fps=30", "channels.color=color/%08d.jpg"]
    for name in [f"clip{i}" for i in range(count)]:
        for path, lines in (
            (f"truth/{name}/sequence", info),
            (f"truth/{name}/groundtruth.txt", boxes(lambda f: 0)),
            (f"truth/{name}/anchor.value", ["1", *["0"] * 199]),
            *((f"mine/{t}/{name}/{name}_00000000.txt", ["1", *boxes(s)[1:]]) for t, s in EARLY.items()),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("clips", [1, 3, 6])
def test_vots_board_ranks_by_vots_number(tmp_path, clips):
    early(tmp_path, clips)
    found = evaluate_folders(tmp_path / "truth", tmp_path / "mine", "vot")
    board = found.boards[0]
    joined = found.tidy[(found.tidy["sequence"] == "all") | (clips == 1)].pivot_table(
        "value", "tracker", "metric"
    )
    assert joined.loc["early", "success_auc"] > joined.loc["steady", "success_auc"] + 0.2
    assert joined.loc["early", "eao"] < 0.8 * joined.loc["steady", "eao"]
    assert board.main == "eao"
    assert board.title == "vot: eao decides"
    assert board.frame.index.tolist() == found.leaderboard.index.tolist() == ["steady", "early"]
    assert found.leaderboard["value"].tolist() == pytest.approx(
        joined.loc[["steady", "early"], "eao"].tolist()
    )
    assert "success_auc" in board.frame


def test_vots_truth_ranks_a_comparison_by_vots_number(tmp_path):
    early(tmp_path)
    vot = find_format("vot")
    sequences = {n: vot.read_sequence(p, images=False) for n, p in vot.find(tmp_path / "truth").items()}
    runs = [
        Run(t, n, "sot", vot.read_tracks(tmp_path / f"mine/{t}/{n}/{n}_00000000.txt", s))
        for n, s in sequences.items()
        for t in EARLY
    ]
    compared = Comparison(tuple(sequences.values()), tuple(runs))
    assert compared.table.index.tolist() == ["steady", "early"]
    assert compared.choice("sot").metric == compared.board("sot").main == "eao"
    assert compared.intervals("sot").index.tolist() == ["steady", "early"]
    assert "eao clip0" in compared.leaderboard("sot")
    ranked = evaluate_folders(tmp_path / "truth", tmp_path / "mine", "vot").leaderboard["value"]
    assert compared.table["eao"].to_dict() == pytest.approx(ranked.to_dict())


def test_where_no_run_is_as_long_as_vots_lengths_the_success_decides(tmp_path):
    early(tmp_path)
    for path in (
        *tmp_path.rglob("groundtruth.txt"),
        *tmp_path.rglob("*_00000000.txt"),
        *tmp_path.rglob("anchor.value"),
    ):
        path.write_text("\n".join(path.read_text().splitlines()[:60]) + "\n")
    for path in tmp_path.rglob("sequence"):
        path.write_text(path.read_text().replace("=200", "=60"))
    found = evaluate_folders(tmp_path / "truth", tmp_path / "mine", "vot")
    assert found.boards[0].main == "success_auc"
    assert (
        found.table["eao"].loc["steady"].isna().all()
    )  # a run that failed speaks for all lengths, it goes on at 0
