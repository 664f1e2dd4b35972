"""Frames that a rule leaves out, truth that comes with a comparison, proven levels, and what more labels would bring."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.comparison import Comparison
from vtlab.comparison.proxies import Run
from vtlab.decision import betting, sampling
from vtlab.decision.betting import Levels, Race
from vtlab.decision.sampling import Known, Population, draw, estimate
from vtlab.errors import InputError
from vtlab.geometry import paired_iou
from vtlab.metrics.evaluation import score
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

HOME = np.array([100.0, 100.0, 160.0, 160.0])
N = 240
GONE = (np.arange(N) % 60) >= 42  # away for 30 % of the time


def drift(step: float, seed: int, n: int = N) -> Tracks:
    way = np.cumsum(np.random.default_rng(seed).normal(0, step, (n, 2)), axis=0)
    return Tracks.of(np.arange(n), 1, HOME + np.concatenate([way, way], axis=1))


def answers() -> dict[str, Tracks]:
    return {f"t{i}": drift(step, i) for i, step in enumerate((0.2, 0.6, 2.0))}


def there(gone=GONE) -> Tracks:
    """The truth: an object that is away on some frames, said by rows that are not visible."""
    return Tracks.of(np.arange(N), 1, np.tile(HOME, (N, 1)), visible=~gone, source="manual")


def run(v, gone=GONE):
    while v.state == "label":
        v.add(there(gone).take(np.isin(np.arange(N), [f for _, f in v.next()])))
    return v


def scene(n: int = 400, seed: int = 0):
    """Three trackers beside a standing box, worse in the middle; and how much of each frame counts."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / n
    wanted = np.clip(0.8 - 0.5 * ((t > 0.4) & (t < 0.7)) + rng.normal(0, 0.08, (3, n)), 0.01, 1)
    shift = (60 * (1 - wanted) / (1 + wanted))[:, :, None] * np.array(((1, 0), (-1, 0), (0, 1)))[:, None]
    boxes = np.concatenate([shift, shift + 60], axis=2)
    quality = paired_iou(boxes, np.array([0.0, 0, 60, 60]))
    return Population(np.full(n, 1 / n), paired_iou(boxes[:, None], boxes[None])), quality


def counted(kind: str, n: int = 400) -> np.ndarray:
    """How much of each frame counts: where the object comes and goes, where it is away exactly when it is hard."""
    t = np.arange(n) / n
    if kind == "often":
        return ((np.arange(n) % 40) < 28).astype(float)
    if kind == "hard":
        return (~((t > 0.35) & (t < 0.55))).astype(float)
    return np.random.default_rng(1).choice(
        [0.0, 0.5, 1.0], n
    )  # two objects, of which none, one or both are there


def spread_of(kind: str, labels: int, draws: int = 150):
    """(bias, simulation error, coverage) of the worst tracker, over the draws in which ten labels count."""
    population, quality = scene()
    count = counted(kind)
    truth = (quality * count) @ population.weight / (count @ population.weight)
    error, held = [], []
    for seed in range(draws):
        i, u = (x[:labels] for x in draw(population, 80, seed))
        made = estimate(population, i, u, quality[:, i], 80, count=count[i])
        if np.isfinite(made.error).all():
            error.append(made.value - truth)
            held.append(np.abs(error[-1]) <= made.half_width(0.95))
    assert len(error) > draws / 2
    found = np.array(error)
    noise = found.std(axis=0) / np.sqrt(len(found))
    return np.abs(found.mean(axis=0)), noise, np.mean(held, axis=0)


@pytest.mark.parametrize("kind", ["often", "hard", "part"])
@pytest.mark.parametrize("labels", [20, 40, 80])
def test_a_mean_over_frames_that_count_is_unbiased_and_covered(kind, labels):
    bias, noise, coverage = spread_of(kind, labels)
    assert (bias < 4 * noise + 0.01).all(), (bias, noise)
    assert coverage.min() >= 0.90, coverage
    assert coverage.mean() >= 0.94


def test_counting_absent_frames_as_if_they_counted_is_caught(monkeypatch):
    """The mutant: divide by all labels in place of those that count."""
    known = estimate

    def all_count(population, index, points, quality, budget, *, count):
        return known(population, index, points, quality * count, budget)

    monkeypatch.setitem(globals(), "estimate", all_count)
    assert spread_of("often", 40)[2].max() < 0.5


def test_an_error_that_forgets_who_counts_is_caught(monkeypatch):
    """The mutant: an interval from the spread of the quality, as if the number of frames that count were known."""
    monkeypatch.setattr(sampling, "_variance", lambda cells: np.full(cells.shape[:-1], 1e-9))
    assert spread_of("part", 40)[2].min() < 0.90


def test_where_every_frame_counts_the_ratio_is_the_mean():
    population, quality = scene()
    i, u = (x[:40] for x in draw(population, 80, 3))
    plain = estimate(population, i, u, quality[:, i], 80)
    ratio = estimate(population, i, u, quality[:, i], 80, count=np.ones(40))
    assert np.array_equal(plain.value, ratio.value)
    assert np.array_equal(plain.pair_error, ratio.pair_error)


def test_known_frames_enter_a_ratio_with_what_counts_of_them():
    """Everything but 20 frames is known: the value moves by no more than the few that are not."""
    population, quality = scene()
    count = counted("often")
    truth = (quality * count) @ population.weight / (count @ population.weight)
    rest = np.arange(0, 400, 8)
    outside = np.setdiff1d(np.arange(400), rest)
    share = population.weight[rest].sum()
    weight = population.weight[outside] * count[outside] / share
    known = Known(quality[:, outside] @ weight, float(weight.sum()))
    part = population.keep(rest)
    i, u = (x[:20] for x in draw(part, 80, 1))
    made = estimate(part, i, u, quality[:, rest][:, i], 80, count=count[rest][i], known=known)
    assert (np.abs(made.value - truth) <= made.half_width(0.95)).all()
    assert (made.half_width(0.95) < 0.05).all()


def test_nothing_is_said_before_ten_labels_count():
    population, quality = scene()
    i, u = (x[:20] for x in draw(population, 80, 0))
    count = np.zeros(20)
    count[:9] = 1
    made = estimate(population, i, u, quality[:, i], 80, count=count)
    assert np.isinf(made.half_width(0.95)).all()
    assert np.isinf(made.margin(0.05)).all()


@pytest.mark.parametrize("absent", ["judged", "excluded", "missed"])
def test_absent_frames_count_as_they_are_asked_to(absent):
    """All frames labelled: the exact value is worked out by hand."""
    mine = answers()
    v = vtlab.verdict(mine, labels=there(), absent=absent)
    seen = ~GONE[1:]
    for name, tracks in mine.items():
        iou = paired_iou(tracks.boxes[1:], HOME)
        # all three say that the object is there, always
        wanted = iou[seen].mean() if absent == "excluded" else iou[seen].sum() / (N - 1)
        assert v.table.loc[name, "value"] == pytest.approx(wanted)
    assert v.state == "exact"


@pytest.mark.parametrize("absent", ["excluded", "missed"])
def test_intervals_hold_the_mean_that_the_rule_means(absent):
    mine, held = answers(), []
    exact = vtlab.verdict(mine, labels=there(), absent=absent).table["value"]
    for seed in range(12):
        v = run(vtlab.verdict(mine, absent=absent, seed=seed, within=0.001, budget=40))
        table = v.table
        held += ((table["low"] <= exact[table.index]) & (exact[table.index] <= table["high"])).tolist()
    assert np.mean(held) >= 0.9
    assert ("over the frames that show the object" in v.sentence) == (absent == "excluded")


def test_points_that_are_hidden_are_left_out():
    """As TAP-Vid's delta_avg does: what a tracker answers where nothing is to be seen counts nothing."""
    n = 40
    xy = np.full((n, 2), 5.0)
    hidden = np.arange(n) >= 20
    truth = Tracks.of(np.arange(n), 1, points=PointRows.of(np.arange(n), 1, 0, xy, visible=~hidden))
    wild = xy + np.where(hidden, 300.0, 3.0)[:, None]
    off = Tracks.of(np.arange(n), 1, points=PointRows.of(np.arange(n), 1, 0, wild))
    good = Tracks.of(np.arange(n), 1, points=PointRows.of(np.arange(n), 1, 0, xy))
    v = vtlab.verdict({"off": off, "good": good}, labels=truth)
    assert v.table.loc["off", "value"] == pytest.approx(2 / 5)
    assert v.table.loc["good", "value"] == pytest.approx(1)
    judged = vtlab.verdict({"off": off, "good": good}, labels=truth, absent="judged")
    assert judged.table.loc["good", "value"] < 0.6


def test_a_strict_winner_is_proven_over_the_frames_that_count():
    v = run(vtlab.verdict({"a": drift(0.2, 0), "b": drift(3.0, 2)}, within=0, absent="excluded"))
    assert v.state == "best"
    assert v.chosen == ["a"]
    assert v.table["value"].isna().all(), "an order is proven, levels over these frames are not"
    with pytest.raises(InputError, match="strict winner only"):
        vtlab.verdict(answers(), guarantee=True, within=0.02, absent="excluded")
    with pytest.raises(InputError, match="absent='never'"):
        vtlab.verdict(answers(), absent="never")


def test_labels_without_any_object_decide_nothing():
    v = vtlab.verdict(answers(), labels=there(np.ones(N, bool)), absent="excluded")
    assert v.state == "out_of_labels"
    assert v.table["value"].isna().all()
    assert "Not decided" in v.sentence


def comparison(truth: Tracks | None, benchmark: str = "", mine=None) -> Comparison:
    video = open_video(np.zeros((N, 240, 240, 3), np.uint8))
    sequence = Sequence("s", video, truth, Prompts([BoxPrompt(tuple(HOME))]), benchmark=benchmark)
    runs = [Run(name, "s", "sot", tracks) for name, tracks in (mine or answers()).items()]
    return Comparison((sequence,), tuple(runs))


def test_full_truth_gives_the_exact_answer_without_a_label(tmp_path):
    """By the comparison's own rule: `plain` leaves absent frames out, and its table says the same."""
    result = comparison(there(), "plain")
    v = vtlab.verdict(result, file=tmp_path / "v.json")
    assert v.state == "exact"
    assert v.next() == []
    for tracker, tracks in answers().items():
        wanted = score(tracks, result.sequences[0], "sot", "plain").values()["ao"]
        assert v.table.loc[tracker, "value"] == pytest.approx(wanted)
    assert "against the truth of the comparison" in v.sentence
    assert "your labels" not in v.sentence
    assert vtlab.verdict(result, file=tmp_path / "v.json").sentence == v.sentence


def test_the_rule_of_the_benchmark_says_what_absent_frames_count():
    assert vtlab.verdict(comparison(there(), "otb")).question.absent == "missed"
    assert vtlab.verdict(comparison(there(), "got10k")).question.absent == "excluded"
    assert vtlab.verdict(comparison(None)).question.absent == "judged"
    assert vtlab.verdict(comparison(there(), "otb"), absent="judged").question.absent == "judged"


def test_truth_on_few_frames_is_known_and_labels_win_over_it(tmp_path):
    few = there(np.zeros(N, bool)).take(np.arange(0, N, 8))
    v = vtlab.verdict(comparison(few), file=tmp_path / "v.json")
    assert v.labelled == len(few) - 1  # the prompted frame doesn't count
    assert v.state == "label"
    run(v, np.zeros(N, bool))
    assert v.chosen == ["t0"] or v.state in ("tie", "good_enough", "best")
    assert "against your labels and the truth of the comparison" in v.sentence
    again = vtlab.verdict(comparison(few), file=tmp_path / "v.json")
    assert again.sentence == v.sentence
    moved = Tracks.of([8], 1, [HOME + 70])
    w = vtlab.verdict(comparison(few), labels=moved)
    assert w.known["s"].tracks.at(8).boxes[0].tolist() == (HOME + 70).tolist()
    assert "your labels" in w.sentence or w.state == "label"


def test_truth_with_regions_that_do_not_count_is_not_used():
    crowd = Tracks.of(
        np.arange(N), 1, np.tile(HOME, (N, 1)), meta={"tracker": {"name": "x", "family": "mot"}}
    )
    video = open_video(np.zeros((N, 240, 240, 3), np.uint8))
    clear = Sequence("s", video, crowd, benchmark="mot15")
    masked = Sequence("s", video, crowd, benchmark="mot15", ignore=crowd.take([0]))
    runs = tuple(Run(name, "s", "mot", crowd) for name in ("a", "b"))
    assert vtlab.verdict(Comparison((clear,), runs)).state == "exact"
    v = vtlab.verdict(Comparison((masked,), runs))
    assert v.state == "label"
    assert any("is not used" in note for note in v.notes)


def levels_of(quality, population, labels: int, seed: int):
    """(ever wrong (K,), last half-width) of the proven bounds over all stops."""
    truth = quality @ population.weight
    race, wrong = Race(population, 0.0, 0.05, seed), np.zeros(len(truth), bool)
    for _ in range(labels):
        race.add(quality[:, race.next()])
        _, low, high = race.levels.bounds()
        wrong |= (low > truth + 1e-9) | (high < truth - 1e-9)
    return wrong, float((high - low).mean() / 2)


def test_levels_of_a_bet_hold_at_every_stop():
    population, quality = scene(200)
    found = [levels_of(quality, population, 60, seed) for seed in range(40)]
    assert np.mean([w for w, _ in found]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
    assert np.mean([half for _, half in found]) < 0.2


def coins(alpha: float) -> float:
    """How often bounds fail at any of 150 stops, of 400 trackers that are right on every second frame by chance."""
    rng, n = np.random.default_rng(4), 10**6
    made, wrong = Levels(400, alpha), np.zeros(400, bool)
    for _ in range(150):
        made.add(1 / n, 1 / n, (rng.random(400) < 0.5).astype(float))
        _, low, high = made.bounds()
        wrong |= (low >= 0.5) | (high <= 0.5)
    return float(wrong.mean())


def test_levels_are_proven_to_the_chance_that_was_asked_for(monkeypatch):
    """Where every bet is at its hardest; the mutant asks for an eighth of the proof."""
    monkeypatch.setattr(betting, "_GRID", np.linspace(0, 1, 41))
    assert coins(0.05) <= 0.05
    assert coins(8 * 0.05) > 0.05


def test_levels_of_a_bet_are_shown_with_what_nobody_can_tell_in_them():
    mine = {"a": drift(0.2, 0), "b": drift(3.0, 2)}
    v = vtlab.verdict(mine, within=0)
    assert v.table["value"].isna().all()
    for turn in range(12):
        frame = v.next(more=True)[0][1]
        v.add(**({"unsure": [frame]} if turn % 2 else {"labels": there(np.zeros(N, bool)).take([frame])}))
    low, high = v.table["low"], v.table["high"]
    exact = vtlab.verdict(mine, labels=there(np.zeros(N, bool))).table["value"]
    assert (low <= exact[low.index]).all()
    assert (exact[low.index] <= high).all()
    assert (high - low > 0.2).all()


def test_a_bet_with_every_frame_labelled_knows_the_levels():
    population, quality = scene(40)
    race = Race(population, 0.0, 0.05, 1)
    while (i := race.next()) is not None:
        race.add(quality[:, i])
    _, low, high = race.levels.bounds()
    assert np.allclose(low, quality @ population.weight)
    assert np.allclose(high, low)


def test_what_more_labels_would_bring_is_told_and_comes_true():
    v = vtlab.verdict(answers(), within=0.02, budget=80)
    assert list(v.outlook) == sorted(v.outlook)
    assert "are to be expected then" in v.sentence
    frames = there(np.zeros(N, bool))
    v.add(frames.take(np.isin(np.arange(N), [f for _, f in v.next()])))
    told = v.outlook
    more = v.next(more=True)
    assert next(iter(told)) == len(more)
    if v.state != "label":
        assert f"{len(more)} more labels would shrink the intervals to about ±" in v.sentence
    v.add(frames.take(np.isin(np.arange(N), [f for _, f in more])))
    half = float((v.table["high"] - v.table["low"]).mean() / 2)
    assert half / 2.5 < next(iter(told.values())) < 2.5 * half
    assert vtlab.verdict({"a": drift(0.2, 0), "b": drift(3.0, 2)}, within=0).outlook == {}
    assert vtlab.verdict(answers(), labels=frames).outlook == {}
