"""No winner by a hair: what a comparison's table says of one clip, a few, and enough for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.comparison.boards import comparison
from vtlab.comparison import Comparison
from vtlab.metrics import statistics


def test_from_five_clips_on_there_are_intervals_letters_and_p():
    found = comparison(9)
    board = found.leaderboard("sot")
    assert board.columns[:7].tolist() == [
        "success_auc", "ci_low", "ci_high", "letters", "p", "clips_low", "clips_high"
    ]  # fmt: skip
    assert board.letters[["twin", "best", "weak"]].tolist() == ["a", "a", "b"]
    assert ((board.ci_low <= board.success_auc) & (board.success_auc <= board.ci_high)).all()
    assert board.p["weak"] < 0.01
    page = found.board("sot").to_html()
    for words in (
        "letters",
        "ci low",
        "95% jackknife-t",
        "adjusted for all pairs",
        "of 9 clips, 108 frames by the rule otb",
    ):
        assert words in page
    text = found.answer()[0]
    assert "not told apart from it: " in text
    assert found.best() is None
    assert [c.label for c in found.choice().leaders] == board.index[:2].tolist()


def test_the_best_is_best_where_all_others_are_rejected():
    found = comparison(9)
    alone = replace(found, runs=tuple(r for r in found.runs if r.tracker != "twin"))
    assert alone.best() == "best"
    assert "best is best with success_auc" in alone.answer()[0]
    assert "against the labels of 9 clips, 108 frames by the rule otb" in alone.answer()[0]


def test_a_few_clips_stand_side_by_side_and_none_is_best():
    found = comparison(3)
    board = found.leaderboard("sot")
    assert board.columns[:5].tolist() == [
        "success_auc", "success_auc s0", "success_auc s1", "success_auc s2", "won"
    ]  # fmt: skip
    assert "ci_low" not in board
    assert board.won.sum() >= 3
    text = found.answer()[0]
    assert "3 clips cannot separate 3 trackers; 6 are needed" in text
    assert "of 3 clips;" in text
    assert "is best with" not in text
    assert found.best() is None


def test_one_clip_says_nothing_about_others():
    found = comparison(1)
    board = found.leaderboard("sot")
    assert not {"letters", "ci_low", "won"} & set(board)
    alone = replace(found, runs=tuple(r for r in found.runs if r.tracker != "twin"))
    assert alone.best() == "best"
    assert "on this clip best is highest with success_auc" in alone.answer()[0]
    assert "1 clip says nothing about other clips" in alone.answer()[0]
    assert "is best with" not in alone.answer()[0]
    assert found.best() is None  # the twin has the very same value


@pytest.mark.parametrize("clips", [1, 3, 9])
def test_the_order_of_the_list_never_matters(clips):
    found = comparison(clips)
    for order in (["weak", "best", "twin"], ["best", "twin", "weak"], ["twin", "weak", "best"]):
        runs = tuple(sorted(found.runs, key=lambda r: order.index(r.tracker)))
        again = Comparison(found.sequences, runs)
        assert again.answer() == found.answer()
        assert again.best() == found.best()
        assert (
            again.leaderboard("sot")
            .drop(columns="memory_mb")
            .equals(found.leaderboard("sot").drop(columns="memory_mb"))
        )


def test_the_tests_are_made_once(monkeypatch, tmp_path):
    """Every figure, table and sentence of a report once drew its bootstrap anew, seven times in all."""
    made = []
    make = statistics.leaderboard

    def counted(*args, **kwargs):
        made.append(args[1])
        return make(*args, **kwargs)

    monkeypatch.setattr(statistics, "leaderboard", counted)
    found = comparison(3)
    found.report(tmp_path / "report.html", video=False)
    assert found.answer()
    assert found._repr_html_()
    assert made == ["success_auc"]
    found.intervals("sot", "ao")
    found.intervals("sot", "ao")
    assert made == ["success_auc", "ao"]


def test_a_board_that_was_given_away_does_not_change_the_next_one():
    found = comparison(5)
    board, ranks = found.leaderboard("sot"), found.intervals("sot")
    board["success_auc"] = ranks["value"] = 0.0
    assert found.leaderboard("sot")["success_auc"].max() > 0.5
    assert found.intervals("sot")["value"].max() > 0.5


def test_one_tracker_has_an_interval_but_no_letters():
    found = comparison(9)
    alone = replace(found, runs=tuple(r for r in found.runs if r.tracker == "best"))
    board = alone.leaderboard("sot")
    assert "letters" not in board
    assert np.isfinite(board.loc["best", ["ci_low", "ci_high"]].astype(float)).all()
    assert "best reaches success_auc" in alone.answer()[0]


@pytest.mark.parametrize("clips", [5, 9, 20])
def test_groups_agree_with_the_p_that_stand_beside_them(clips):
    """Whoever shares a letter with the first has a p above 0.05, whoever shares none has not."""
    board = comparison(clips).leaderboard("sot")
    first = set(board.letters.iloc[0])
    for row in board.iloc[1:].itertuples():
        assert bool(first & set(row.letters)) == (row.p > 0.05)


def test_the_budget_stands_with_the_table():
    found = replace(comparison(1), budget_ms=40.0)
    assert "Budget: 40 ms on 95 of 100 frames" in found.board("sot").caption
    assert "Budget" not in comparison(1).board("sot").caption
