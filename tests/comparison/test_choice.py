"""Who is best, and why: one decision behind best(), the sentences, the report and the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.comparison.boards import box_track, comparison
from vtlab.comparison import Comparison, Run
from vtlab.comparison.choice import choose
from vtlab.errors import InputError
from vtlab.metrics.families import FAMILIES
from vtlab.sequence import Sequence
from vtlab.video import open_video


def board(**columns):
    return pd.DataFrame(columns, index=pd.Index(["a", "b", "c"][: len(next(iter(columns.values())))]))


COSTS = {"latency_ms": [40.0, 10.0, 5.0], "latency_p95_ms": [50.0, 20.0, 6.0]}


def test_the_best_value_wins_and_a_cheap_one_close_to_it_is_named():
    choice = choose(board(success_auc=[0.80, 0.77, 0.50], **COSTS), "sot")
    assert (choice.best.label, choice.top.label, choice.cheaper.label) == ("a", "a", "b")
    assert choice.sentence == (
        "Boxes from prompts (SOT): a is best with success_auc 80.0% at 40.00 ms a frame; b comes within 5 % of it "
        "(77.0%) at 10.00 ms."
    )


@pytest.mark.parametrize(
    ("budget", "best", "words"),
    [
        (60, "a", "; it stays within 60 ms on 95 of 100 frames."),
        (20, "b", "; within 20 ms on 95 of 100 frames, choose b (60.0% at 20.00 ms)."),
        (1, None, "; none stays within 1 ms on 95 of 100 frames, the fastest is c with 6.00 ms."),
    ],
)
def test_the_budget_decides(budget, best, words):
    choice = choose(board(success_auc=[0.8, 0.6, 0.5], **COSTS), "sot", budget)
    assert (choice.best.label if choice.best else None) == best
    assert choice.sentence.endswith(words)


def test_nothing_to_choose_from_says_why():
    nan = [np.nan] * 3
    judged = choose(board(success_auc=nan, **COSTS), "sot")
    assert judged.best is None
    assert judged.sentence.endswith("no tracker could be judged; the notes say why.")
    lost = choose(board(success_auc=[0.0] * 3, **COSTS), "sot")
    assert lost.best is None
    assert "no tracker found any of the objects (success_auc 0 %)" in lost.sentence
    for choice, word in ((judged, "could be judged"), (lost, "found any of the objects")):
        assert f"No 'sot' tracker {word}" in choice.refusal


def test_a_proxy_is_named_as_one():
    choice = choose(board(success_auc=[np.nan] * 3, agreement=[0.5, 0.9, 0.1], **COSTS), "sot")
    assert choice.best.label == "b"
    assert choice.sentence.endswith("(a proxy: there is no ground truth).")


def test_every_door_gives_the_same_decision(tmp_path):
    """best(), the sentences and the report agree where there is nothing to choose, too: best() once named the first."""
    found = comparison(3)
    choice = found.choice("sot")
    assert choice.best.label == found.best() == found.leaderboard("sot").index[0]
    assert found.answer() == [choice.sentence]
    assert choice.sentence in found.report(tmp_path / "r.html", video=False).read_text()
    video = open_video(np.zeros((12, 96, 128, 3), np.uint8))
    alone = Comparison(
        (Sequence("s", video),),
        (Run("one", "s", "sot", box_track(0.0)), Run("two", "s", "mot", box_track(0.0))),
    )
    assert "no tracker could be judged" in alone.answer()[0]
    with pytest.raises(InputError, match="No 'sot' tracker could be judged"):
        alone.best()


def test_the_first_of_a_board_is_the_best_also_where_few_sequences_have_truth():
    """A tracker that failed where there is truth once stood above all others by its proxies elsewhere."""
    video = open_video(np.zeros((12, 96, 128, 3), np.uint8))
    sequences = Sequence("truth", video, box_track(0.0)), Sequence("none", video)
    runs = (
        Run("fails", "truth", "sot", None, "broken", False),
        Run("fails", "none", "sot", box_track(1.0), backward=box_track(1.0)),
        Run("works", "truth", "sot", box_track(12.0)),
        Run("works", "none", "sot", box_track(1.0), backward=box_track(30.0)),
    )
    found = Comparison(sequences, runs)
    assert found.table.index.tolist() == ["works", "fails"]
    assert found.best() == "works"


def test_every_family_can_be_decided():
    for code, family in FAMILIES.items():
        choice = choose(board(**{family.main: [0.2, 0.4]}, latency_ms=[1.0, 1.0]), code)
        assert choice.best.label == "b"
        assert choice.sentence.startswith(family.title)
