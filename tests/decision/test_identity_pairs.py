"""Identities by pairs: against HOTA's own numbers where the truth is known, honest over draws, and blind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vtlab.decision import identity_pairs
from vtlab.decision.clips import clips_of
from vtlab.decision.identity_draw import Boxes, Draw, interval, matches, together
from vtlab.decision.identity_pairs import IdentityPairs
from vtlab.errors import FormatError, InputError
from vtlab.geometry import box_iou
from vtlab.metrics.evaluation import score
from vtlab.tracks import Tracks

N, OBJECTS = 120, 6
MOT = {"tracker": {"name": "x", "family": "mot"}}


def lanes(ids) -> Tracks:
    """Objects that walk side by side; ids (frames, lanes) is what each box is called, -1 for no box."""
    rows = [(f, int(i), k) for f in range(len(ids)) for k, i in enumerate(ids[f]) if i >= 0]
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
    assert 40 < len(asked) < 80, "what would be asked of both is asked once"
    assert q.progress == (0, len(asked))
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


def boxes_of(tracks: Tracks) -> Boxes:
    return Boxes.of(clips_of({"a": tracks}, least=1).clips, "a")


@pytest.mark.parametrize("turn", [1, -1])
def test_every_box_is_drawn_alike_and_beside_another_tracker_too(turn):
    """The one lacks boxes of the other and has some of its own; each is drawn beside the other, and as if alone."""
    mine = tracker("false")
    some = mine.take((mine.frame % 3 != 0) | (mine.object_id > 2))
    lead, other = (boxes_of(t) for t in (tracker("whole"), some)[::turn])
    count = 15_000
    points = np.random.default_rng(0).random((4, count))
    first = Draw.of(lead, points)
    beside = Draw.of(other, points, first)
    for draw in (first, beside):
        share = np.bincount(draw.first, minlength=len(draw.boxes.frame)) / count
        even = 1 / len(share)
        assert np.abs(share - even).max() < 5 * np.sqrt(even / count)
    same = (first.boxes.boxes[first.first] == beside.boxes.boxes[beside.first]).all(axis=1)
    same &= first.boxes.frame[first.first] == beside.boxes.frame[beside.first]
    assert same.mean() > 0.7


def test_the_other_box_is_any_of_the_identity_but_the_first():
    """Never the box beside itself, and every other one alike: an identity of 3 boxes gives 6 pairs of equal share."""
    draw = Draw.of(
        boxes_of(lanes(np.array([[0, -1]] * 3 + [[-1, 1]]))), np.random.default_rng(1).random((4, 24_000))
    )
    long = draw.boxes.length[draw.first] == 3
    assert (draw.first[long] != draw.other[long]).all()
    assert (draw.first[~long] == draw.other[~long]).all()
    pairs = np.bincount(3 * draw.first[long] + draw.other[long], minlength=9).reshape(3, 3)
    assert np.abs(pairs[~np.eye(3, dtype=bool)] / long.sum() - 1 / 6).max() < 0.01


def test_a_box_is_its_own_object_whatever_is_answered():
    """Every identity holds two boxes of two objects: all answers are no, and AssPr is one half."""
    ids = np.full((N, 4), -1)
    for k in range(N // 2):
        ids[2 * k, 0] = ids[2 * k + 1, 3] = k
    q = identity_pairs({"a": lanes(ids)}, budget=40)
    for pair in q.next():
        assert pair.first.frame != pair.second.frame
        q.add(pair.key, "no")
    assert q.table.loc["a", "value"] == 0.5


def test_frames_without_the_object_are_not_asked_again():
    q = identity_pairs({"a": tracker("whole")}, metric="AssRe", budget=40)
    while asked := q.next():
        for pair in asked:
            q.take(pair.key, "no" if pair.kind == "find" else "yes")
    for i in range(40):
        frames = [p.second.frame for p in q._walk(0, i)[0] if p.second is not None]
        assert len(frames) == len(set(frames))
    assert q.table.loc["a", "value"] == 1, "only on its own frame is it to be seen, where it is followed"


def test_trackers_that_answer_alike_are_asked_once_and_do_not_differ():
    same, real = tracker("mixed"), truth()
    q = identity_pairs({"a": same, "b": same})
    assert len(q.next()) == 40
    run(q, real)
    value, low, high = q.difference("a", "b")
    assert value == 0
    assert low == pytest.approx(-high)
    apart = q.table.loc["a"]
    assert high < 0.5 * np.hypot(apart.value - apart.low, apart.high - apart.value)
    assert q.state == "open"


def test_the_order_of_the_list_does_not_matter():
    mine = {kind: tracker(kind) for kind in ("whole", "mixed", "cut")}
    there, back = (run(identity_pairs(m), truth()) for m in (mine, dict(reversed(mine.items()))))
    first, second = there.table, back.table.loc[there.table.index]
    assert first[["value", "low", "high"]].equals(second[["value", "low", "high"]])
    beaten = [[set(names.split(", ")) for names in table["beaten_by"]] for table in (first, second)]
    assert beaten[0] == beaten[1]


@pytest.mark.parametrize("metric", ["AssPr", "AssRe"])
def test_differences_hold_and_are_known_better_than_levels(metric):
    real, mine = truth(), {kind: tracker(kind) for kind in ("mixed", "cut", "false")}
    held, narrower = [], []
    for seed in range(10):
        q = run(identity_pairs(mine, metric=metric, budget=80, seed=seed), real)
        for one, other in (("mixed", "cut"), ("cut", "false"), ("mixed", "false")):
            value, low, high = q.difference(one, other)
            held.append(low <= true_value(mine[one], metric) - true_value(mine[other], metric) <= high)
            a, b = q.table.loc[one], q.table.loc[other]
            assert value == pytest.approx(a.value - b.value)
            narrower.append(
                (high - low)
                / (np.hypot(a.value - a.low, b.high - b.value) + np.hypot(a.high - a.value, b.value - b.low))
            )
    assert np.mean(held) >= 0.9
    assert max(narrower) <= 1 + 1e-9
    with pytest.raises(InputError, match="no tracker 'x'"):
        q.difference("x", "cut")
    assert np.isnan(identity_pairs(mine, metric=metric).difference("cut", "mixed")).all()


def test_what_answers_share_is_taken_from_below():
    """All alike, or few of them differ: nothing is known of how they go together."""
    rng = np.random.default_rng(0)
    sure, none = np.ones((40, 3)), np.zeros((40, 3))
    assert together(sure, sure) == together(none, sure) == 0
    one = np.repeat((rng.random(40) < 0.6).astype(float)[:, None], 3, axis=1)
    one[:, 0] = 1
    part = np.where(rng.random((40, 1)) < 0.2, 1 - one, one)
    part[:, 0] = 1
    correlation = np.corrcoef(one[:, 1], part[:, 1])[0, 1]
    assert 0 < together(one, part) < correlation
    assert together(one, part) == pytest.approx(correlation - 1 / 80 / (one[:, 1].std() * part[:, 1].std()))
    against = one.copy()
    against[:, 1:] = 1 - against[:, 1:]
    assert together(one, against) == 0


@pytest.mark.parametrize("rivals", [1, 3])
def test_rivals_and_looks_share_the_chance_of_error(monkeypatch, rivals):
    q = run(identity_pairs({f"t{k}": tracker("whole") for k in range(rivals + 1)}), truth())
    spent, known = [], IdentityPairs._ahead
    monkeypatch.setattr(
        IdentityPairs, "_ahead", lambda q, n, error: spent.append(error) or known(q, n, error)
    )
    assert not q.beaten.any()
    assert len(spent) == len(q.looks) == 3
    assert sum(spent) == pytest.approx(0.05 / rivals)


def test_boxes_are_matched_one_to_one():
    """Two boxes that both lie on one of the other tracker: the nearer one is its partner, and one box has none."""
    one = Tracks.of([0, 0, 0], [1, 2, 3], [(0.0, 0, 30, 60), (5.0, 0, 35, 60), (300.0, 0, 330, 60)], meta=MOT)
    other = Tracks.of(
        [0, 0, 1], [7, 8, 9], [(4.0, 0, 34, 60), (315.0, 0, 345, 60), (0.0, 0, 30, 60)], meta=MOT
    )
    assert matches(boxes_of(one), boxes_of(other)).tolist() == [-1, 0, -1]
    assert matches(boxes_of(other), boxes_of(one)).tolist() == [1, -1, -1]


def test_only_boxes_that_are_seen_on_frames_that_count_are_drawn():
    seen = np.arange(6) != 3
    plain = Tracks.of(np.arange(6), 1, np.tile([0.0, 0, 30, 60], (6, 1)), visible=seen)
    assert boxes_of(plain).frame.tolist() == [1, 2, 4, 5], "the first frame is the prompted one"
