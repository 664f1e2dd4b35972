"""Timelines are made by the same judging as the metric."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.metrics import score
from vtlab.metrics.families import FAMILIES
from vtlab.tracks import PointRows, Tracks

N, SIZE = 12, (128, 128)


def boxes(shift=0.0, ids=(1,), frames=N, **columns):
    frame, owner = (a.ravel() for a in np.meshgrid(np.arange(frames), ids, indexing="ij"))
    x = 10.0 + 30 * (owner - ids[0]) + frame + np.repeat(np.broadcast_to(shift, frames), len(ids))
    return Tracks.of(frame, owner, np.stack([x, x * 0 + 8, x + 20, x * 0 + 48], axis=1), size=SIZE, **columns)


def masks(shift, hide=()):
    found = []
    for f, d in zip(range(N), np.broadcast_to(shift, N), strict=True):
        mask = np.zeros(SIZE, bool)
        mask[20:60, 10 + f + d : 50 + f + d] = f not in hide
        found.append(mask)
    return Tracks.of(np.arange(N), 1, masks=found)


def points(shift):
    frame, point = np.repeat(np.arange(N), 2), np.tile([0, 1], N)
    xy = np.stack([frame + 20.0 + np.repeat(np.broadcast_to(shift, N), 2), 30.0 * point + 10], axis=1)
    return Tracks.of(np.arange(N), 1, points=PointRows.of(frame, 1, point, xy), size=SIZE)


SHIFTS = np.arange(N) % 5


@pytest.mark.parametrize("rule", sorted(FAMILIES["sot"].rules))
def test_single_objects_sum_up_to_the_average_overlap(rule):
    seen = np.arange(N) % 4 != 3
    truth, answer = boxes(visible=seen), boxes(4.0 * SHIFTS).take(np.arange(N) != 6)
    line = FAMILIES["sot"].timeline(answer, truth, rule)
    values = score(answer, truth, "sot", rule).values()
    assert np.nanmean(line) == pytest.approx(values["ao"])
    absent = FAMILIES["sot"].rules[rule].absent
    assert np.isnan(line[~seen]).all() if absent == "excluded" else (line[~seen] == 0).all()


def test_masks_sum_up_to_j_and_points_to_delta_avg():
    truth, answer = masks(0, hide=[7]), masks(SHIFTS, hide=[4])
    line = FAMILIES["vos"].timeline(answer, truth, "davis")
    assert np.isnan(line[[0, N - 1]]).all()
    assert line[4] == line[7] == 0
    assert np.nanmean(line) == pytest.approx(score(answer, truth, "vos", "davis").values()["J"])
    for rule in FAMILIES["points"].rules:
        line = FAMILIES["points"].timeline(points(SHIFTS), points(0), rule)
        found = score(points(SHIFTS), points(0), "points", rule).values()
        assert np.nanmean(line) == pytest.approx(found["delta_avg"])
    # 4 px at native size are within 8 and 16 px only, at 256 x 256 they are 8 px: within 16 px only.
    assert FAMILIES["points"].timeline(points(4), points(0), "native-first")[3] == pytest.approx(2 / 5)
    assert FAMILIES["points"].timeline(points(4), points(0), "tapvid-first")[3] == pytest.approx(1 / 5)


def test_an_answer_over_two_true_boxes_counts_once():
    """0.905 as the mean of each true box's best overlap, 0.452 one to one."""
    truth = Tracks.of([0, 0], [1, 2], [[0.0, 0, 19, 20], [1, 0, 20, 20]], size=SIZE)
    answer = Tracks.of([0], [7], [[0.0, 0, 20, 20]], size=SIZE)
    best = 19 / 20
    assert FAMILIES["mot"].timeline(answer, truth).tolist() == [pytest.approx(best / 2)]


def test_many_objects_sum_up_to_sfda_and_false_answers_are_zero():
    truth, answer = boxes(ids=(1, 2)), boxes(4.0 * SHIFTS, ids=(7, 8))
    line = FAMILIES["mot"].timeline(answer, truth)
    assert line.mean() == pytest.approx(score(answer, truth, "mot").values()["SFDA"])
    stray = Tracks.of([3], [99], [[100.0, 100, 120, 120]], size=SIZE)
    extra = Tracks.concat([answer, stray])
    assert FAMILIES["mot"].timeline(extra, truth) == pytest.approx(line)  # a mean over true objects
    by_answer = FAMILIES["mot"].timelines(extra, truth, of="answer")
    assert by_answer[99][3] == 0
    assert np.isnan(np.delete(by_answer[99], 3)).all()
    assert np.mean([by_answer[7], by_answer[8]], axis=0) == pytest.approx(line)
    assert np.mean(list(FAMILIES["mot"].timelines(extra, truth).values()), axis=0) == pytest.approx(line)


def test_hidden_answers_count_in_a_timeline_as_in_the_metric():
    answer = boxes(visible=np.arange(N) % 2 == 0)
    assert FAMILIES["sot"].timeline(answer, boxes(), "otb").tolist() == [1] * N
    plain = FAMILIES["sot"].timeline(answer, boxes(), "plain")
    assert plain[1:].tolist() == [0, 1] * (N // 2 - 1) + [0]
