"""No winner by a hair: intervals and tie groups in a comparison's leaderboard."""

from __future__ import annotations

import pytest

from tests.comparison.boards import comparison
from vtlab.metrics import statistics
from vtlab.show.board import Board


def test_trackers_that_cannot_be_told_apart_share_a_group():
    board = comparison(9).leaderboard("sot")
    assert board.columns[:4].tolist() == ["success_auc", "tie_group", "ci_low", "ci_high"]
    assert board.tie_group[["twin", "best", "weak"]].tolist() == [1, 1, 2]
    assert ((board.ci_low <= board.success_auc) & (board.success_auc <= board.ci_high)).all()
    page = Board(board).to_html()
    assert "tie group" in page
    assert "ci low" in page


def test_one_sequence_has_no_groups():
    board = comparison(1).leaderboard("sot")
    assert "tie_group" not in board
    assert board.success_auc["best"] == pytest.approx(board.success_auc.max(), abs=0.05)


def test_a_bootstrap_is_drawn_once(monkeypatch, tmp_path):
    """Every figure, table and sentence of a report once drew it anew, seven times in all."""
    drawn = []
    draw = statistics.leaderboard

    def counted(*args, **kwargs):
        drawn.append(args[1])
        return draw(*args, **kwargs)

    monkeypatch.setattr(statistics, "leaderboard", counted)
    found = comparison(3)
    found.report(tmp_path / "report.html", video=False)
    assert found.best()
    assert found.answer()
    assert found._repr_html_()
    assert drawn == ["success_auc"]
    found.intervals("sot", "ao")
    found.intervals("sot", "ao")
    assert drawn == ["success_auc", "ao"]


def test_a_board_that_was_given_away_does_not_change_the_next_one():
    found = comparison(3)
    board, ranks = found.leaderboard("sot"), found.intervals("sot")
    board["success_auc"] = ranks["value"] = 0.0
    assert found.leaderboard("sot")["success_auc"].max() > 0.5
    assert found.intervals("sot")["value"].max() > 0.5
