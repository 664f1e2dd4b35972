"""Identities by pairs: against HOTA's own numbers where the truth is known, honest over draws, and blind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vtlab.decision import identity_pairs
from vtlab.decision.identity_draw import interval
from vtlab.decision.identity_pairs import IdentityPairs
from vtlab.errors import FormatError, InputError
from vtlab.geometry import box_iou
from vtlab.metrics.evaluation import score
from vtlab.tracks import Tracks

N, OBJECTS = 120, 6
MOT = {"tracker": {"name": "x", "family": "mot"}}


def lanes(ids) -> Tracks:
    """Objects that walk side by side; ids (N, lanes) is what each box is called, -1 for no box."""
    rows = [(f, int(i), k) for f in range(N) for k, i in enumerate(ids[f]) if i >= 0]
    boxes = [(40.0 * k, f, 40.0 * k + 30, f + 60) for f, _, k in rows]
    order = sorted(range(len(rows)), key=lambda r: rows[r][:2])
    return Tracks.of(
        [rows[r][0] for r in order], [rows[r][1] for r in order], [boxes[r] for r in order], meta=MOT
    )


def truth() -> Tracks:
    """Objects that come and go: lane k is there for another part of the video."""
    ids = np.tile(np.arange(OBJECTS), (N, 1))
    for k in range(OBJECTS):
        ids[: 8 * k, k] = ids[N - 5 * k :, k] = -1 if k else k
    ids[:, 0] = 0
    return lanes(ids)


def tracker(kind: str) -> Tracks:
    """What a tracker makes of it: whole, mixed (two objects swap names), cut (a new name every 30 frames), false boxes."""
    real = truth()
    frame, ids, boxes = real.frame, real.object_id.copy(), real.boxes
    if kind == "mixed":
        late = frame >= N // 2
        ids = np.where(late & (ids < 4), ids ^ 1, ids)
    if kind == "cut":
        ids = ids + 10 * (frame // 30)
    if kind == "false":
        extra = np.arange(0, N, 2)
        frame = np.concatenate([frame, extra])
        ids = np.concatenate([ids, np.full(len(extra), 3)])
        boxes = np.concatenate([boxes, np.tile([600.0, 600, 630, 660], (len(extra), 1))])
        _, keep = np.unique(np.stack([frame, ids]), axis=1, return_index=True)
        frame, ids, boxes = frame[keep], ids[keep], boxes[keep]
    order = np.lexsort((ids, frame))
    return Tracks.of(frame[order], ids[order], boxes[order], meta=MOT)


def held(view, real: Tracks) -> set[int]:
    """Objects that the box of a view holds by half."""
    there = real.at(view.frame)
    if not len(there):
        return set()
    return set(there.object_id[box_iou(np.array([view.box]), there.boxes)[0] >= 0.5].tolist())


def oracle(pair, real: Tracks):
    """The answer of somebody who knows the truth."""
    here = held(pair.first, real)
    if not here:
        return "none"
    if pair.kind == "object":
        return "yes"
    if pair.kind == "same":
        return "yes" if here & held(pair.second, real) else "no"
    there = real.at(pair.second.frame)
    mine = np.flatnonzero(there.object_id == min(here))
    return there.boxes[mine[0]].tolist() if len(mine) else "no"


def run(q: IdentityPairs, real: Tracks, most: int | None = None) -> IdentityPairs:
    """Answer everything up to a look."""
    while (asked := q.next()) and (most is None or q.reached < most):
        for pair in asked:
            q.take(pair.key, oracle(pair, real))
    return q


def true_value(tracks: Tracks, metric: str) -> float:
    """HOTA's number at an overlap of one half."""
    return float(score(tracks, truth(), "mot").counts.hota_curves()[metric][9])


@pytest.mark.parametrize("metric", ["AssPr", "AssRe"])
def test_answers_to_pairs_lead_to_hotas_numbers(metric):
    """Unbiased over draws, and the interval holds; false boxes are told by the first question."""
    real = truth()
    mine = {kind: tracker(kind) for kind in ("whole", "mixed", "cut", "false")}
    wanted = {kind: true_value(t, metric) for kind, t in mine.items()}
    found, covered = {k: [] for k in mine}, {k: [] for k in mine}
    for seed in range(8):
        table = run(identity_pairs(mine, metric=metric, budget=40, seed=seed), real).table
        for kind, value in wanted.items():
            found[kind].append(table.loc[kind, "value"])
            covered[kind].append(table.loc[kind, "low"] <= value <= table.loc[kind, "high"])
    for kind, value in wanted.items():
        assert abs(np.mean(found[kind]) - value) < 0.04, (kind, value, found[kind])
    assert np.mean(list(covered.values())) >= 0.9
    assert wanted["mixed" if metric == "AssPr" else "cut"] < 0.8


def test_the_better_tracker_is_shown_and_said():
    q = run(identity_pairs({"mixed": tracker("mixed"), "whole": tracker("whole")}), truth())
    assert q.state == "best"
    assert q.chosen == ["whole"]
    assert q.table.loc["mixed", "beaten_by"] == "whole"
    assert "against your answers" in q.sentence
    assert "nor of IDF1, HOTA or switches" in q.sentence
    assert q.next() == []


def test_equal_trackers_are_rarely_told_apart():
    same, real = tracker("mixed"), truth()
    told = [run(identity_pairs({"a": same, "b": same}, seed=s), real).state == "best" for s in range(15)]
    assert np.mean(told) <= 0.2


def test_nothing_is_said_before_forty_answers():
    q = identity_pairs({"one": tracker("whole")})
    assert q.state == "label"
    assert q.progress == (0, 40)
    assert q.table[["value", "low", "high"]].isna().all().all()
    assert "40 more questions, about 4 minutes" in q.sentence
    run(q, truth(), most=40)
    assert q.state == "told"
    assert q.reached == 40
    assert q.progress == (40, 80)


def test_who_answers_does_not_see_which_tracker_is_asked_about():
    q = identity_pairs({"a": tracker("whole"), "b": tracker("mixed")}, seed=2)
    asked = q.next()
    assert len(asked) == 80
    of = [p.key.split(".")[0] for p in asked]
    assert of != sorted(of)
    assert [p.key for p in asked] == [p.key for p in q.next()]
    assert {p.kind for p in asked} <= {"same", "object"}
    assert all(p.text and "unsure" in p.says for p in asked)


def test_what_nobody_can_tell_widens():
    real, q = truth(), identity_pairs({"a": tracker("mixed")}, budget=40)
    clear = run(q, real).table.loc["a"]
    for pair in identity_pairs({"a": tracker("mixed")}, budget=40).next()[:8]:
        q.add(pair.key, "unsure")
    wide = q.table.loc["a"]
    assert wide.low < clear.low
    assert wide.high > clear.high


def test_an_identity_of_one_box_is_asked_whether_it_is_an_object():
    ids = np.full((N, OBJECTS), -1)
    ids[np.arange(N), 0] = np.arange(N)
    q = identity_pairs({"flicker": lanes(ids)}, budget=40)
    assert {p.kind for p in q.next()} == {"object"}
    run(q, truth())
    assert q.table.loc["flicker", "value"] == 1, (
        "no identity mixes objects; AssRe is what such a tracker lacks"
    )


def test_false_boxes_alone_tell_nothing_of_identities():
    q = identity_pairs({"a": tracker("whole")}, budget=40)
    for pair in q.next():
        q.add(pair.key, "none")
    row = q.table.loc["a"]
    assert np.isnan(row.value)
    assert (row.low, row.high) == (0, 1)


def test_certain_answers_keep_an_interval():
    """Forty times yes is no proof of 1: the bound is Wilson's, not a variance of nothing."""
    value, low, high = interval(np.tile([1.0, 1.0, 1.0], (40, 1)), 0.025)
    assert value == high == 1
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 40), abs=1e-6)


@pytest.mark.parametrize("metric", ["AssPr", "AssRe"])
def test_the_file_is_taken_up(tmp_path, metric):
    file, real = tmp_path / "q.json", truth()
    q = identity_pairs({"a": tracker("mixed")}, metric=metric, budget=40, file=file)
    for pair in q.next()[:15]:
        q.add(pair.key, oracle(pair, real))
    again = identity_pairs({"a": tracker("mixed")}, metric=metric, budget=40, file=file)
    assert again.said == q.said
    assert again.next() == q.next()
    run(q, real)
    run(again, real)
    assert again.table.equals(q.table)
    with pytest.raises(FormatError, match="other questions"):
        identity_pairs({"a": tracker("cut")}, metric=metric, budget=40, file=file)
    for text in (
        "",
        "[]",
        "{}",
        '{"vtlab": "verdict", "version": 1}',
        json.dumps({"vtlab": "identity pairs", "version": 9}),
    ):
        file.write_text(text)
        with pytest.raises(FormatError, match=r"q\.json"):
            identity_pairs({"a": tracker("mixed")}, metric=metric, budget=40, file=file)


def test_wrong_questions_and_answers_are_refused():
    mine = {"a": tracker("whole")}
    for wrong, why in (
        ({"metric": "IDF1"}, "'AssPr' or 'AssRe'"),
        ({"budget": 39}, "at least 40"),
        ({"level": 95}, "confidence"),
    ):
        with pytest.raises(InputError, match=why):
            identity_pairs(mine, **wrong)
    with pytest.raises(InputError, match="no boxes"):
        identity_pairs({"a": tracker("whole"), "none": Tracks.empty(meta=MOT)})
    q = identity_pairs(mine)
    pair = q.next()[0]
    for key, answer, why in (
        ("0.900", "yes", "no question"),
        ("x", "yes", "no question"),
        (pair.key, "maybe", "Expected one of"),
        (pair.key, [0, 0, 1, 1], "Expected one of"),
    ):
        with pytest.raises(InputError, match=why):
            q.add(key, answer)
    assert q.said == {}


def test_an_object_that_is_not_there_is_looked_for_elsewhere():
    q = identity_pairs({"a": tracker("whole")}, metric="AssRe", budget=40)
    pair = next(p for p in q.next() if p.kind == "find")
    q.add(pair.key, "no")
    followed = [p for p in q.next() if p.key.rsplit(".", 1)[0] == pair.key.rsplit(".", 1)[0]]
    assert len(followed) == 1
    assert followed[0].first == pair.first
    assert followed[0].second.frame != pair.second.frame
    q.add(followed[0].key, [0, 0, 9, 9])
    assert q.reached >= 0
