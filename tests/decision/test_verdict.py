"""A verdict from question to sentence: what is asked, what labels do, the file, and what is never claimed."""

from __future__ import annotations

import json

import numpy as np
import pytest

import vtlab
from vtlab.decision import doubtful
from vtlab.decision.quality import MEASURES
from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.geometry import paired_iou
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.tracks.points import PointRows

HOME = np.array([100.0, 100.0, 160.0, 160.0])


def drift(n: int, step: float, seed: int) -> Tracks:
    """A box that wanders off, by more with every frame."""
    way = np.cumsum(np.random.default_rng(seed).normal(0, step, (n, 2)), axis=0)
    return Tracks.of(np.arange(n), 1, HOME + np.concatenate([way, way], axis=1))


def still(frames, **meta) -> Tracks:
    return Tracks.of(np.asarray(frames, int), 1, np.tile(HOME, (len(frames), 1)), source="manual", meta=meta)


def answers(n: int = 300, steps=(0.2, 0.4, 2.0)) -> dict[str, Tracks]:
    return {f"t{i}": drift(n, step, i) for i, step in enumerate(steps)}


def run(v, say=lambda frames: {"labels": still(frames)}, most: int = 1000):
    """Label what is asked for until the verdict has its answer."""
    while v.state == "label" and most > 0:
        frames = [f for _, f in v.next()]
        assert frames, "more labels are needed but none is asked for"
        v.add(**say(frames))
        most -= 1
    return v


def test_the_best_of_three_is_found_and_said():
    v = run(vtlab.verdict(answers()))
    assert v.state in ("best", "good_enough")
    assert v.chosen in (["t0"], ["t1"])
    assert "95 % confidence" in v.sentence
    assert "against your labels" in v.sentence
    assert "on this video" in v.sentence
    table = v.table
    assert list(table.columns) == ["value", "low", "high", "group", "beaten_by"]
    truth = {
        t: MEASURES["iou"](a, still(range(300)), np.array([1]), np.arange(1, 300)).mean()
        for t, a in answers().items()
    }
    for name, row in table.iterrows():
        assert row.low <= truth[name] <= row.high
    assert "t0" in table.loc["t2", "beaten_by"]


def test_nothing_is_said_before_labels():
    v = vtlab.verdict(answers())
    assert v.state == "label"
    assert v.chosen == []
    assert v.table[["value", "low", "high"]].isna().all().all()
    assert set(v.table["group"]) == {1}
    assert "label 10 more frames, about 3 minutes" in v.sentence
    plan = v.plan()
    assert list(plan) == [10, 20, 40, 80]
    assert list(v.plan(half_width=0.999)) == [10]


def test_five_labels_give_no_interval():
    """Five cells are full then, but the standard error of five cells is not to be trusted."""
    v = vtlab.verdict(answers())
    v.add(still([f for _, f in v.order[0][:5]]))
    assert v.standing() is None
    assert v.table["value"].isna().all()


def test_frames_asked_for_are_spread_ordered_and_without_the_prompt():
    v = vtlab.verdict(answers())
    frames = [f for _, f in v.next()]
    assert frames == sorted(frames)
    assert min(frames) > 0
    assert np.diff(frames).max() < 150


def test_the_order_of_trackers_changes_nothing():
    mine = answers()
    there = run(vtlab.verdict(mine))
    back = run(vtlab.verdict(dict(reversed(mine.items()))))
    assert there.chosen == back.chosen
    assert there.next(more=True) == back.next(more=True)
    assert np.allclose(there.table["value"], back.table["value"].reindex(there.table.index))


def test_what_is_drawn_does_not_depend_on_labels():
    worse = run(vtlab.verdict(answers()), lambda frames: {"absent": frames})
    better = run(vtlab.verdict(answers()))
    assert worse.order == better.order


def test_the_first_tracker_of_two_equal_ones_is_not_the_best():
    same = drift(300, 1.0, 3)
    for within in (0.0, 0.02):
        v = run(vtlab.verdict({"a": same, "b": same, "far": drift(300, 5.0, 4)}, within=within))
        assert v.state != "best"
    v = vtlab.verdict({"a": same, "b": same}, labels=still(range(300)))
    assert v.state == "exact"
    assert v.chosen == ["a", "b"]
    assert "a and b have the highest" in v.sentence


@pytest.mark.parametrize("count", [2, 3, 4])
def test_rivals_and_looks_share_the_chance_of_error(monkeypatch, count):
    """Every look pays for its part of what is left to each rival."""
    from vtlab.decision import answer

    paid, known = [], answer.spend
    monkeypatch.setattr(answer, "spend", lambda alpha, at, i: paid.append(alpha) or known(alpha, at, i))
    run(vtlab.verdict(answers(steps=(0.2, 0.4, 1.0, 2.0)[:count]), within=0.0, guarantee=False, level=0.9))
    assert paid
    assert np.allclose(paid, 0.1 / (count - 1))


@pytest.mark.parametrize(("short", "state"), [(0.019, "good_enough"), (0.021, "label")])
def test_good_enough_is_shown_to_the_margin_that_was_asked_for(monkeypatch, short, state):
    from vtlab.decision.answer import Verdict
    from vtlab.decision.standing import Standing

    low = np.array([[0.0, -short], [-0.3, 0.0]])
    monkeypatch.setattr(Verdict, "_at", lambda self, n: Standing(np.array([0.6, 0.5]), np.zeros(2), low))
    v = vtlab.verdict(answers(steps=(0.2, 0.4)), within=0.02)
    v.add(still([f for _, f in v.next()]))
    v.add(still([f for _, f in v.next(more=True)]))
    assert v.state == state


def test_trackers_that_share_a_mistake_do_not_win_by_it():
    """Two clones sit on the wrong thing together: they agree with each other and with nobody's labels."""
    lost = Tracks.of(np.arange(300), 1, np.tile(HOME + 300, (300, 1)))
    v = run(vtlab.verdict({"clone 1": lost, "clone 2": lost, "alone": drift(300, 0.3, 1)}))
    assert v.chosen == ["alone"]


def test_undecided_is_not_called_equal():
    noisy = {
        f"n{i}": Tracks.of(np.arange(400), 1, HOME + np.random.default_rng(i).normal(0, 25, (400, 1)))
        for i in range(3)
    }
    v = run(vtlab.verdict(noisy, within=0.001, budget=20))
    assert v.state == "tie"
    assert len(v.chosen) == 3
    assert "not told apart" in v.sentence
    assert "does not make them equal" in v.sentence


@pytest.mark.parametrize("within", [0.0, 0.02])
def test_the_guaranteed_mode(within):
    v = run(vtlab.verdict(answers(steps=(0.2, 3.0)), within=within, guarantee=None if within == 0 else True))
    assert v.question.guarantee
    assert v.state == ("best" if within == 0 else "good_enough")
    assert v.chosen == ["t0"]
    assert "proven" in v.sentence
    assert (v.table["low"] <= v.table["value"]).all()


def test_where_the_guarantee_is_on_by_itself():
    def asked(count, **more):
        return vtlab.verdict(answers(steps=(0.2, 0.5, 1, 2)[:count]), **more).question.guarantee

    assert asked(2, within=0)
    assert asked(3, within=0)
    assert not asked(4, within=0)
    assert not asked(2)
    assert not asked(2, within=0, metric="success")
    with pytest.raises(InputError, match="no proven bound"):
        asked(2, metric="precision", guarantee=True)


def test_a_guaranteed_budget_that_runs_out_decides_nothing():
    v = run(vtlab.verdict(answers(steps=(1.0, 1.0)), within=0, budget=12))
    assert v.state == "out_of_labels"
    assert v.labelled == 12
    assert v.next() == []


def test_all_frames_labelled_is_exact():
    for frames in (12, 60):
        v = run(vtlab.verdict(answers(frames, (1.0, 1.01, 1.02)), within=0.0, guarantee=False))
        if v.state != "exact":
            v.add(still(range(1, frames)))
        assert v.state == "exact"
        assert (v.table["low"] == v.table["high"]).all()
        assert "nothing is estimated" in v.sentence
        assert v.next(more=True) == []


def test_a_short_video_is_labelled_whole_rather_than_left_open():
    same = drift(40, 0.3, 1)
    v = run(vtlab.verdict({"a": same, "b": same, "c": drift(40, 0.3, 2)}, within=0.0, guarantee=False))
    assert v.state in ("exact", "best")


def test_frames_chosen_by_hand_change_only_the_known_part():
    mine = answers()
    chosen = still(range(10, 40))
    v = vtlab.verdict(mine, labels=chosen)
    assert v.labelled == 30
    drawn = {f for _, f in v.order[0]}
    assert not drawn & set(range(10, 40))
    run(v)
    if v.standing() is None:
        pytest.fail("no estimate")
    ids, frames = np.array([1]), np.arange(1, 300)
    for t, a in mine.items():
        true = MEASURES["iou"](a, still(range(300)), ids, frames)
        assert v.table.loc[t, "low"] <= true.mean() <= v.table.loc[t, "high"]
    # lies about the known frames move the value by their weight and nothing else
    away = Tracks.of(np.arange(10, 40), 1, np.tile(HOME + 500, (30, 1)))
    lied = run(vtlab.verdict(mine, labels=away))
    known = np.array([MEASURES["iou"](a, chosen, ids, np.arange(10, 40)).mean() for a in mine.values()])
    if v.labelled == lied.labelled:
        gap = v.table["value"].reindex(mine) - lied.table["value"].reindex(mine)
        assert np.allclose(gap, known * 30 / 299)


def test_a_bet_over_known_frames_is_about_all_frames():
    mine = answers(steps=(0.2, 3.0))
    v = run(vtlab.verdict(mine, within=0, labels=still(range(150, 300))))
    assert v.chosen == ["t0"]
    swapped = {"t0": mine["t1"], "t1": mine["t0"]}
    assert run(vtlab.verdict(swapped, within=0, labels=still(range(150, 300)))).chosen == ["t1"]


def test_a_frame_drawn_twice_is_asked_once():
    v = vtlab.verdict(answers(60), budget=80)
    order = v.order[0]
    assert len(set(order)) < len(order)
    asked = [f for _, f in v.next()]
    assert len(asked) == len(set(asked))


def test_a_frame_drawn_twice_counts_twice():
    """The value is that of the whole draw, repeats and all: counted once, hard frames would weigh too little."""
    from vtlab.decision.sampling import Population, estimate

    mine, n = answers(60, (0.5, 1.0, 2.0)), 60
    v = vtlab.verdict(mine, budget=40, within=0.0, guarantee=False)
    while frames := v.next(more=True):
        v.add(still([f for _, f in frames]))
    places, points = v.order
    index = np.array([f - 1 for _, f in places])
    assert len(set(index.tolist())) < len(index) == 40
    boxes = np.stack([t.boxes[1:] for t in mine.values()])
    population = Population(np.full(n - 1, 1 / (n - 1)), paired_iou(boxes[:, None], boxes[None]))
    quality = paired_iou(boxes, HOME)
    made = estimate(population, index, np.array(points), quality[:, index], 40)
    assert np.allclose(v.standing().value, made.value)


def test_unsure_frames_widen_and_never_decide():
    def mostly(frames):
        return {"labels": still(frames[2:]), "unsure": frames[:2]}

    clear, unsure = vtlab.verdict(answers()), vtlab.verdict(answers())
    frames = [f for _, f in clear.next()]
    clear.add(still(frames))
    unsure.add(**mostly(frames))
    width = [(v.table["high"] - v.table["low"]).reindex(["t0", "t1"]) for v in (clear, unsure)]
    assert (width[1] > width[0]).all()
    assert (unsure.standing().low <= clear.standing().low + 1e-9).all() or unsure.state == "label"
    nobody = run(vtlab.verdict(answers(40)), lambda frames: {"unsure": frames})
    assert nobody.state in ("tie", "out_of_labels")


def test_absent_is_an_answer():
    gone = Tracks.of(np.arange(100), 1, np.tile(HOME, (100, 1)), visible=np.arange(100) < 50)
    v = vtlab.verdict({"says so": gone, "never": still(range(100))})
    v.add(still(range(50)), absent=range(50, 100))
    assert v.state == "exact"
    assert v.chosen == ["says so"]
    assert v.table.loc["never", "value"] == pytest.approx(49 / 99)


def test_a_tracker_that_failed_counts_as_missing_from_there_on():
    from vtlab.comparison import Comparison
    from vtlab.comparison.proxies import Run
    from vtlab.video import open_video

    video = open_video(np.zeros((60, 32, 32, 3), np.uint8))
    sequence = Sequence("s", video, prompts=Prompts([BoxPrompt((2, 2, 20, 20))]))
    box = Tracks.of(np.arange(60), 1, np.tile([2.0, 2, 20, 20], (60, 1)))
    runs = (
        Run("whole", "s", "sot", box),
        Run("half", "s", "sot", box.between(0, 30), ok=False, note="failed"),
        Run("none", "s", "sot", None, ok=False, note="no start"),
    )
    v = vtlab.verdict(Comparison((sequence,), runs), labels=box)
    assert v.chosen == ["whole"]
    assert v.table.loc["half", "value"] == pytest.approx(29 / 59)
    assert v.table.loc["none", "value"] == 0
    assert any("half failed on s" in n and "frame 30" in n for n in v.notes)


def test_several_videos_count_the_same():
    clips = {"long": answers(300), "short": answers(60)}
    v = vtlab.verdict(clips)
    assert {c for c, _ in v.next()} == {"long", "short"}
    with pytest.raises(InputError, match="Give clip="):
        v.add(still([1]))
    v = vtlab.verdict(clips, labels={"long": still(range(300)), "short": still(range(60))})
    ids = np.array([1])
    for t in v.trackers:
        each = [
            MEASURES["iou"](a[t], still(range(n)), ids, np.arange(1, n)).mean()
            for a, n in ((clips["long"], 300), (clips["short"], 60))
        ]
        assert v.table.loc[t, "value"] == pytest.approx(np.mean(each))
    assert "these 2 clips" in v.sentence


@pytest.mark.parametrize("within", [0.0, 0.004])
def test_a_verdict_that_is_taken_up_goes_on_as_in_one_go(tmp_path, within):
    file = tmp_path / "street.verdict.json"
    whole = run(vtlab.verdict(answers(), within=within))
    first = vtlab.verdict(answers(), within=within, file=file)
    for _ in range(30):
        taken = vtlab.verdict(answers(), within=within, file=file)
        assert taken.next() == first.next()
        if taken.state != "label":
            break
        asked = [f for _, f in taken.next()]
        taken.add(still(asked[: max(1, len(asked) // 2)]))
        first = taken
    assert taken.state == whole.state
    assert taken.sentence == whole.sentence
    assert taken.table.equals(whole.table)
    data = json.loads(file.read_text())
    assert data["key"]["question"]["within"] == within
    assert data["sentence"] == whole.sentence


def test_a_changed_question_begins_anew_and_says_so(tmp_path):
    file = tmp_path / "v.json"
    v = vtlab.verdict(answers(), file=file)
    frames = [f for _, f in v.next()]
    v.add(still(frames))
    with pytest.warns(VtlabWarning, match=r"within 0.02 -> 0.05"):
        other = vtlab.verdict(answers(), within=0.05, file=file)
    assert other.labelled == len(frames)
    assert other.standing() is None, "labels of another draw are known, no sample"
    assert not set(other.order[0]) & {("video", f) for f in frames}
    with pytest.warns(VtlabWarning, match="trackers' answers"):
        vtlab.verdict(answers(steps=(0.2, 0.4, 1.0)), within=0.05, file=file)


def test_before_the_first_label_a_question_may_change_silently(tmp_path, recwarn):
    file = tmp_path / "v.json"
    vtlab.verdict(answers(), file=file)
    vtlab.verdict(answers(), within=0.05, file=file)
    assert not [w for w in recwarn if issubclass(w.category, VtlabWarning)]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"vtlab": "verdict", "version": 1}', '{"vtlab": "verdict", "version": 9}', "[]"]
)
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "v.json"
    file.write_text(text)
    with pytest.raises(FormatError, match=r"v\.json"):
        vtlab.verdict(answers(), file=file)
    assert file.read_text() == text


def test_masks_points_and_absence_survive_the_file(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[3:9, 4:12] = True
    n = 40
    masks = Tracks.of(np.arange(n), 1, masks=[mask] * n)
    other = Tracks.of(np.arange(n), 1, masks=[np.roll(mask, 3, axis=1)] * n)
    file = tmp_path / "m.json"
    v = vtlab.verdict({"a": masks, "b": other}, file=file)
    assert v.measure.name == "J"
    v.add(masks.between(1, 11), absent=[12], unsure=[14])
    again = vtlab.verdict({"a": masks, "b": other}, file=file)
    assert again.labels["video"].looked == {*range(1, 11), 12}
    assert again.labels["video"].unsure == {14}
    assert np.array_equal(again.labels["video"].tracks.mask(0), mask)

    def dots(shift):
        return Tracks.of(
            np.arange(n), 1, points=PointRows.of(np.arange(n), 1, 0, np.full((n, 2), 5.0 + shift))
        )

    v = vtlab.verdict({"a": dots(0), "b": dots(3)}, labels=dots(0), file=tmp_path / "p.json")
    assert v.measure.name == "within"
    assert v.table.loc["a", "value"] == pytest.approx(1)
    assert v.table.loc["b", "value"] == pytest.approx(2 / 5)  # 4.2 px: within 8 and 16 of five thresholds
    taken = vtlab.verdict({"a": dots(0), "b": dots(3)}, file=tmp_path / "p.json")
    assert taken.state == "exact"


def test_the_labeller_is_held_against_herself(tmp_path):
    v = vtlab.verdict(answers(), file=tmp_path / "v.json")
    v.add(still([f for _, f in v.next()]))
    again = [f for _, f in v.again()]
    assert len(again) == 5
    before = v.table
    v.add(Tracks.of(again, 1, np.tile(HOME + 3, (5, 1))), again=True)
    assert v.again() == []
    assert v.table.equals(before)
    assert v.agreement == pytest.approx(57**2 / (2 * 60**2 - 57**2))
    assert "Labelled twice, you agree with yourself by 82.2%" in v.sentence
    assert vtlab.verdict(answers(), file=tmp_path / "v.json").agreement == v.agreement


def test_wrong_questions_are_refused():
    mine = answers()
    for wrong, why in (
        ({"within": -1}, "within="),
        ({"level": 95}, "level="),
        ({"budget": 5}, "at least 10"),
        ({"metric": "IDF1"}, "identity metrics"),
    ):
        with pytest.raises(InputError, match=why):
            vtlab.verdict(mine, **wrong)
    with pytest.raises(InputError, match="at least two"):
        vtlab.verdict({"a": mine["t0"]})
    with pytest.raises(InputError, match="Expected a comparison"):
        vtlab.verdict([1])
    v = vtlab.verdict(mine)
    with pytest.raises(InputError, match="frames 0 to 299"):
        v.add(still([300]))
    with pytest.raises(InputError, match="hold object 2"):
        v.add(Tracks.of([5, 5], [1, 2], np.tile(HOME, (2, 1))))


@pytest.mark.parametrize("again", [False, True])
def test_of_labels_that_are_refused_nothing_stays(again):
    drawn = np.zeros((40, 40), bool)
    drawn[10:30, 10:30] = True
    mine = {
        name: Tracks.of(range(20), 1, masks=[np.roll(drawn, shift, axis=1)] * 20)
        for name, shift in {"a": 1, "b": 4}.items()
    }
    v = vtlab.verdict(mine, metric="J", budget=10)
    good, box = (
        Tracks.of([3], 1, masks=[drawn], source="manual"),
        Tracks.of([5], 1, [HOME / 10], source="manual"),
    )
    v.add(good)
    v.add(good, again=True)
    for wrong, unsure in ((box, ()), (Tracks.concat([good.replace(frame=np.array([4])), box]), (6,))):
        with pytest.raises(InputError, match="object 1 has none on frame 5"):
            v.add(wrong, unsure=unsure, again=again)
        for kept in (*v.labels.values(), *v.second.values()):
            assert (kept.looked, kept.unsure, len(kept.tracks)) == ({3}, set(), 1)
    assert v.labelled == 1
    v.add(good.replace(frame=np.array([5])))  # the right label is taken
    assert v.labelled == 2


def test_doubtful_frames_are_those_on_which_trackers_differ():
    mine = answers()
    found = doubtful(mine, 10)
    assert list(found.columns) == ["clip", "frame", "disagreement"]
    assert found["disagreement"].is_monotonic_decreasing
    away = Tracks.of([7], 1, [HOME + 400])
    odd = mine["t0"].take(mine["t0"].frame != 7)
    found = doubtful({"a": mine["t0"], "b": Tracks.concat([odd, away])}, 3)
    assert found.loc[0, "frame"] == 7
    assert found.loc[0, "disagreement"] == 1
    assert found.loc[1, "disagreement"] == 0
