"""No winner by a hair: intervals and tie groups in a comparison's leaderboard."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.comparison import Comparison, Run
from vtlab.datasets import Sequence
from vtlab.show.board import Board
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 12


def box_track(shift):
    x = 20.0 + np.arange(N)
    box = np.stack([x + shift, x * 0 + 20, x + 30 + shift, x * 0 + 60], axis=1)
    return Tracks.of(np.arange(N), 1, box, size=(96, 128), step_seconds=np.full(N, 0.01))


def comparison(sequences):
    rng = np.random.default_rng(0)
    video = open_video(np.zeros((N, 96, 128, 3), np.uint8))
    items = [Sequence(f"s{i}", video, box_track(0.0)) for i in range(sequences)]
    runs = []
    for s in items:
        base = rng.uniform(1, 6)
        for name, shift in (("twin", base + rng.normal(0, 0.1)), ("best", base), ("weak", base + 15)):
            runs.append(Run(name, s.name, "sot", box_track(shift)))
    return Comparison(tuple(items), tuple(runs), None)


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
