"""Who is best, as far as that is known, and why: one decision behind best(), the sentences, the report, the command line."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.comparison.boards import N, box_track, comparison
from vtlab.comparison import Comparison, Run
from vtlab.comparison.choice import Evidence, choose
from vtlab.metrics.families import FAMILIES
from vtlab.sequence import Sequence
from vtlab.show.answer import Ground
from vtlab.trackers.measure import Timing
from vtlab.video import open_video

VIDEO = open_video(np.zeros((N, 96, 128, 3), np.uint8))
COSTS = {"latency_ms": [40.0, 10.0, 5.0], "latency_p95_ms": [50.0, 20.0, 6.0]}


def board(**columns):
    return pd.DataFrame(columns, index=pd.Index(["a", "b", "c"][: len(next(iter(columns.values())))]))


def unlabelled(**tracks):
    """Trackers on one clip without truth."""
    runs = tuple(Run(name, "clip", "sot", t) for name, t in tracks.items())
    return Comparison((Sequence("clip", VIDEO),), runs)


def moved(tracks, **columns):
    return tracks.replace(**columns)


def nobody(found):
    """Nothing may be said to be better: no best, no order, no bold number, a reason, and what would decide it."""
    choice = found.choice("sot")
    assert found.best() is None
    assert choice.leaders == ()
    assert "10 labelled frames, spread over the clip (about 3 minutes" in choice.why
    text = " ".join(found.answer())
    assert "best" not in text
    assert "choose" not in text
    assert found.table.index.tolist() == found.trackers
    assert found.board("sot").main is None
    rows = found.board("sot").rows()
    seen = [c for c, m in found.board("sot").columns.items() if m is not None and m.family == "proxy"]
    places = [1 + list(found.board("sot").columns).index(c) for c in seen]
    assert not any(row[i].strong for row in rows for i in places)
    return text


def test_two_trackers_agree_as_much_with_each_other():
    """kcf was 'best with agreement 12 %' though it called itself lost on most frames; reversed, the other one was."""
    lost = box_track(0.0)
    lost = moved(lost, visible=np.arange(N) < 3)
    for order in (("kcf", "nano"), ("nano", "kcf")):
        found = unlabelled(**{name: {"kcf": lost, "nano": box_track(1.0)}[name] for name in order})
        text = nobody(found)
        assert "kcf calls itself lost on 9 of 12 frames of clip" in text
        assert "They agree on clip to " in text
    assert found.table.loc["kcf", "lost_share"] == 9 / 12
    assert found.table.loc["kcf", "lost_at"] == 3
    assert np.isnan(found.table.loc["nano", "lost_at"])


def test_a_tracker_that_stands_still_is_not_best():
    """It comes home on every frame and never says that it is lost."""
    still = box_track(0.0)
    still = moved(still, boxes=np.tile(still.boxes[:1], (N, 1)))
    runs = (
        Run("still", "clip", "sot", still, backward=still),
        Run("moves", "clip", "sot", box_track(0.0), backward=box_track(40.0)),
    )
    found = Comparison((Sequence("clip", VIDEO),), runs)
    nobody(found)
    assert "never moves" in found.table.loc["still", "note"]
    assert np.isnan(found.table.loc["still", "fb_consistency"])


def test_two_that_share_a_mistake_do_not_win():
    """Siblings that drift together agree most; so do clones of the worst tracker."""
    found = unlabelled(
        good=box_track(0.0), drift=box_track(40.0), sibling=box_track(40.5), clone=box_track(41.0)
    )
    nobody(found)
    assert found.table["agreement"].idxmin() == "good"
    matrix = found.agreement("sot")
    assert matrix.loc["drift", "sibling"] > 0.9 > 0.1 > matrix.loc["good", "drift"]
    assert (np.diag(matrix) == 1).all()
    assert matrix.equals(matrix.T)


def test_agreement_is_an_alarm():
    text = nobody(unlabelled(one=box_track(0.0), two=box_track(60.0)))
    assert "an alarm: at least one of them is lost there" in text


def test_jumps_are_counted():
    box = box_track(0.0).boxes.copy()
    box[6] += 60
    found = unlabelled(calm=box_track(0.0), wild=moved(box_track(0.0), boxes=box))
    assert found.table["jumps"].tolist() == [0, 2]


def test_the_order_of_the_list_never_matters():
    tracks = {"b": box_track(0.0), "c": moved(box_track(9.0), visible=np.arange(N) > 3), "a": box_track(30.0)}
    texts = {
        tuple(unlabelled(**{name: tracks[name] for name in order}).answer())
        for order in itertools.permutations(tracks)
    }
    assert len(texts) == 1


def test_without_truth_a_budget_says_who_keeps_it_and_no_more():
    timings = {"a": Timing((np.full(100, 30.0),)), "b": Timing((np.full(100, 5.0),))}
    choice = choose(
        board(agreement=[0.9, 0.9], latency_ms=[30.0, 5.0]), "sot", 15, Evidence(timings=timings, ran=2)
    )
    assert choice.best is None
    assert choice.leaders == ()
    assert choice.sentence.endswith("Within 15 ms on 95 of 100 frames stay b (0 of 100 frames over).")
    values = board(latency_ms=[30.0, 5.0], latency_p95_ms=[30.0, 5.0]).rename(index={"b": "MyTracker"})
    none = choose(values, "sot", 1, Evidence(ran=2))
    assert "None stays within 1 ms on 95 of 100 frames, the fastest is MyTracker with 5 ms" in none.sentence


def test_one_tracker_alone_is_not_judged():
    found = unlabelled(one=box_track(0.0))
    assert "nothing tells how good this tracker is" in nobody(found)


def test_several_objects_by_detection_agree_on_boxes_only():
    runs = tuple(Run(n, "clip", "mot", box_track(0.0).renamed({1: i})) for n, i in (("x", 1), ("y", 7)))
    found = Comparison((Sequence("clip", VIDEO),), runs)
    assert "(boxes, not identities)" in found.answer()[0]
    assert found.best("mot") is None


def test_where_nothing_ran_the_notes_say_why():
    found = Comparison((Sequence("s", VIDEO),), (Run("one", "s", "sot", None, "no weights", False),))
    assert found.best() is None
    assert "no 'sot' tracker could be judged; the notes in the table say why" in found.answer()[0]


def test_a_report_without_truth_names_no_winner(tmp_path):
    found = unlabelled(kcf=box_track(20.0), nano=box_track(0.0))
    page = found.report(tmp_path / "r.html", video=False).read_text()
    assert "it can&#x27;t be decided which of the two trackers is right" in page
    assert "what is seen ranks nobody" in page
    assert "is best" not in page


def test_on_one_clip_the_highest_value_is_named_and_a_cheap_one_close_to_it():
    choice = choose(board(success_auc=[0.80, 0.77, 0.50], **COSTS), "sot")
    assert (choice.best.label, choice.top.label, choice.cheaper.label) == ("a", "a", "b")
    assert choice.sentence == (
        "Boxes from prompts (SOT): on this clip a is highest with success_auc 80.0% at 40 ms a frame, against the labels of "
        "1 clip; 1 clip says nothing about other clips; b comes within 5 % of it (77.0% at 10 ms)."
    )


@pytest.mark.parametrize(
    ("budget", "best", "words"),
    [
        (60, "a", "; it stays within 60 ms on 95 of 100 frames (p95 50 ms)."),
        (20, "b", "; within 20 ms on 95 of 100 frames, choose b (60.0%, p95 20 ms)."),
        (1, None, "; none stays within 1 ms on 95 of 100 frames, the fastest is c with 6 ms (p95 6 ms)."),
    ],
)
def test_the_budget_decides(budget, best, words):
    choice = choose(board(success_auc=[0.8, 0.6, 0.5], **COSTS), "sot", budget)
    assert (choice.best.label if choice.best else None) == best
    assert choice.sentence.endswith(words)


def test_a_budget_is_kept_only_as_far_as_frames_tell():
    """A stall on every 20th frame has a p95 below any budget, and 20 frames can't vouch for 95 of 100."""
    stall = np.where(np.arange(100) % 20 == 19, 200.0, 5.0)
    timings = {"a": Timing((stall,)), "b": Timing((np.full(20, 5.0),)), "c": Timing((np.full(60, 9.0),))}
    values = board(success_auc=[0.8, 0.7, 0.6], latency_ms=[5.0, 5, 9], latency_p95_ms=[14.75, 5, 9])
    choice = choose(values, "sot", 15, Evidence(timings=timings))
    assert choice.best.label == "b"
    assert "0 of 20 frames over, too few to vouch for: 59 needed" in choice.sentence
    assert [c.keeps for c in choice.candidates] == [False, None, True]


def test_nothing_found_says_so():
    lost = choose(board(success_auc=[0.0] * 3, **COSTS), "sot", None, Evidence(ran=3))
    assert lost.best is None
    assert "no 'sot' tracker found any of the objects (success_auc 0 %)" in lost.sentence


def test_nan_never_wins_or_hides():
    for values in ([np.nan, 0.2, 0.1], [0.2, np.nan, 0.1], [0.1, 0.2, np.nan]):
        choice = choose(board(success_auc=values, **COSTS), "sot")
        assert choice.best.quality == 0.2
        assert len(choice.candidates) == 2


def test_a_tie_has_no_winner_and_names_the_cheapest():
    choice = choose(board(success_auc=[0.9052, 0.9052, 0.5], **COSTS), "sot")
    assert choice.best is None
    assert [c.label for c in choice.leaders] == ["a", "b"]
    assert "a and b are level on this clip with success_auc 90.5%" in choice.why


def test_one_that_did_not_finish_is_never_best():
    evidence = Evidence(Ground(1), finished={"a": (3, 6), "b": (6, 6), "c": (6, 6)})
    choice = choose(board(success_auc=[0.9, 0.6, 0.5], **COSTS), "sot", None, evidence)
    assert choice.best.label == "b"
    assert choice.candidates[-1].label == "a"
    assert "a finished 3 of 6 clips, so it is not chosen" in choice.sentence
    alone = choose(board(success_auc=[0.9], latency_ms=[1.0]), "sot", None, Evidence(finished={"a": (3, 6)}))
    assert alone.best is None
    assert "no 'sot' tracker finished every clip, so none is best" in alone.why


def test_a_tracker_that_crashes_on_the_hard_clips_does_not_win():
    """It had .811 over its three easy clips, above .646 over all six, and was the best."""
    clips = [Sequence(f"s{i}", VIDEO, box_track(0.0)) for i in range(6)]
    runs = []
    for i, clip in enumerate(clips):
        runs.append(Run("steady", clip.name, "sot", box_track(1.0 if i < 3 else 12.0)))
        crashed = i >= 3
        track = box_track(0.0).between(0, 2) if crashed else box_track(0.0)
        runs.append(Run("crashes", clip.name, "sot", track, "broken" if crashed else "", not crashed))
    found = Comparison(tuple(clips), tuple(runs))
    assert found.table.index.tolist() == ["steady", "crashes"]
    assert found.table["finished"].tolist() == ["6 of 6", "3 of 6"]
    assert found.best() != "crashes"
    assert "crashes finished 3 of 6 clips" in found.answer()[0]
    rows = {row[0].text: row for row in found.board("sot").rows()}
    assert not any(cell.strong for cell in rows["crashes"][:3])


@pytest.mark.parametrize("family", ["sot", "mot", "vos", "points"])
def test_a_run_that_could_not_start_counts_as_no_answer(family):
    """Where the tracker ran on other clips: there it has nothing, and that is 0 of what is to be found."""
    from vtlab.datasets.synthetic import synthetic

    scene = synthetic(seed=1, objects=1, seconds=0.2, size=(96, 64), difficulty="easy", points=2)
    clips = [Sequence(n, scene.video, scene.truth) for n in ("one", "two")]
    runs = (Run("x", "one", family, scene.truth), Run("x", "two", family, None, "too large", False))
    found = Comparison(tuple(clips), runs)
    alone = Comparison(tuple(clips[:1]), runs[:1])
    main = FAMILIES[family].main
    assert found.table.loc["x", main] < 0.75 * alone.table.loc["x", main]
    assert found.best() is None


def test_an_offline_tracker_is_never_within_a_budget_by_its_steps():
    timing = Timing((np.array([3000.0, 0, 0, 0]),), 3000.0, True, 4000.0)
    values = board(success_auc=[0.8], latency_ms=[timing.latency_ms], latency_p95_ms=[timing.p95_ms])
    choice = choose(values, "sot", 15, Evidence(timings={"a": timing}))
    assert choice.best is None
    assert "none stays within 15 ms on 95 of 100 frames" in choice.why
    assert choice.top.latency_ms == 4750


def test_every_door_gives_the_same_decision(tmp_path):
    """best(), the sentences and the report agree, where there is nothing to choose, too."""
    for clips in (1, 3, 9):
        found = comparison(clips)
        choice = found.choice("sot")
        assert (choice.best.label if choice.best else None) == found.best()
        assert choice.top.label == found.leaderboard("sot").index[0]
        assert found.answer() == [choice.sentence]
        assert choice.sentence in found.report(tmp_path / "r.html", video=False).read_text()


def test_the_first_of_a_board_is_the_best_also_where_few_sequences_have_truth():
    """A tracker that failed where there is truth once stood above all others by its proxies elsewhere."""
    sequences = Sequence("truth", VIDEO, box_track(0.0)), Sequence("none", VIDEO)
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
