"""The decision: quality, time, memory and licence joined; what is not known is never taken for kept."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import vtlab
from vtlab import provenance
from vtlab.cli import app
from vtlab.comparison import Comparison, Run
from vtlab.decision import store
from vtlab.decision.conditions import BreakingPoint
from vtlab.decision.limits import allows_commerce, licence_of
from vtlab.errors import InputError
from vtlab.registry import REGISTRIES
from vtlab.sequence import Sequence
from vtlab.testing.scenes import moving_square
from vtlab.trackers.measure import Timing
from vtlab.trackers.profiling import Profile
from vtlab.tracks import Maker, Record, Tracks
from vtlab.video import open_video

N = 120
VIDEO = open_video(np.zeros((N, 48, 64, 3), np.uint8))
TRUTH = np.array([[10.0 + 0.1 * i, 10, 30 + 0.1 * i, 30] for i in range(N)])


def run(name, off, ms, mb=10.0, **timing):
    """A run of a registered tracker that is `off` pixels off (a number, or one a frame), with steps of `ms`."""
    steps = np.broadcast_to(np.asarray(ms, float), (N,)) / 1000
    hardware = timing.pop("hardware", provenance.hardware())
    return Tracks.of(
        np.arange(N),
        1,
        TRUTH + np.outer(np.broadcast_to(off, (N,)), [1, 0, 1, 0]),
        step_seconds=steps,
        meta=Record(
            tracker=Maker(name=name, family="sot", params={}, weights={"net.pth": "ab" * 32}),
            memory={"rss_before_bytes": 0, "rss_peak_bytes": int(mb * 2**20), "slope_bytes": 0.0},
            timing={
                "offline": False,
                "delay_ms": 0.0,
                "device": "cpu",
                "waiting": 0.0,
                "load": 0.5,
                **timing,
            },
            hardware=hardware,
        ).to_dict(),
    )


def labels(frames):
    frames = np.asarray(frames)
    return Tracks.of(frames, 1, TRUTH[frames], source="manual")


def told(answers, *, full=False, **asked):
    """A verdict that was given the labels it asked for; all of them for `full`."""
    found = vtlab.verdict(answers, **asked)
    if full:
        found.add(labels(np.arange(N)))
    while found.state == "label":
        found.add(labels([f for _, f in found.next()]))
    return found


GOOD, FAIR, POOR = (run("csrt", 1.0, 30.0), run("kcf", 1.3, 5.0), run("mosse", 9.0, 1.0))


def test_without_limits_the_best_is_taken_or_who_comes_close_for_less():
    found = vtlab.decide(told({"good": GOOD, "poor": POOR}))
    assert (found.chosen, found.runner_up, found.sure) == ("good", "poor", True)
    assert found.table.index.tolist() == ["good", "poor"]
    assert re.search(r"Take good: quality 9\d\.\d% \[\d+\.\d%, ", found.sentence)
    assert (
        "at most 2 percentage points below the best of those that keep the limits (95% confidence)"
        in found.sentence
    )
    close = vtlab.decide(told({"good": GOOD, "fair": FAIR, "poor": POOR}, within=0.1))
    assert close.chosen in ("good", "fair")
    assert close.sure


def test_the_best_of_poor_ones_comes_with_a_warning():
    lost, worse = run("csrt", 12.0, 30.0), run("kcf", 18.0, 5.0)
    found = vtlab.decide(told({"lost": lost, "worse": worse}, full=True))
    assert found.chosen == "lost"
    assert "below 50%: the best of these need not be good" in found.sentence
    assert "need not be good" not in vtlab.decide(told({"good": GOOD, "poor": POOR})).sentence


def test_a_budget_is_kept_only_by_the_upper_end():
    """19 of 20 frames keep 15 ms, so the 95th percentile does; its bound does not."""
    stalls = np.where(np.arange(N) % 21 == 20, 200.0, 5.0)
    answers = {"stalls": run("csrt", 0.5, stalls), "steady": run("kcf", 4.0, 8.0)}
    assert np.percentile(stalls[1:], 95) < 15
    found = vtlab.decide(told(answers), budget_ms=15)
    assert found.chosen == "steady"
    assert found.table.loc["stalls", "keeps"] == "no"
    assert "5 of 119 frames over 15 ms, p95 at most 200 ms" in found.table.loc["stalls", "why"]
    assert any("It takes a budget of 200 ms to let stalls (quality 9" in s for s in found.changes)


def test_what_is_not_known_is_not_kept():
    there = run("kcf", 2.0, 1.0, hardware={"processor": "another", "cores": 99})
    bare = Tracks.of(np.arange(N), 1, TRUTH)
    few = Tracks.of(np.arange(N), 1, TRUTH + 1, step_seconds=[0.001] * 20)
    answers = {"there": there, "bare": bare, "few": few, "here": run("mosse", 8.0, 1.0)}
    found = vtlab.decide(told(answers, guarantee=False), budget_ms=40)
    assert found.chosen == "here"
    assert found.table["keeps"].to_dict() == dict.fromkeys(("there", "bare", "few"), "not known") | {
        "here": "yes"
    }
    told_why = " ".join(found.changes)
    assert "measured on another machine (another)" in told_why
    assert "its times are not known" in told_why
    assert "0 of 19 frames over 40 ms, too few to vouch for: 59 are needed" in told_why
    timing = Timing((np.full(100, 3.0),), first_ms=21.0, devices=("cpu",), threads={"opencv": 2}, waiting=0.3)
    measured = Profile("bare", 1, run("csrt", 0.0, 3.0), timing, 5.0, 0.0, by_objects={1: 3.0, 4: 9.5})
    by_profile = vtlab.decide(told(answers, guarantee=False), budget_ms=40, profiles=[measured])
    assert by_profile.chosen == "bare"
    costs = {row["tracker"]: row for row in json.loads(by_profile.to_json())["costs"]}["bare"]
    assert (costs["first"], costs["max"], costs["by objects"]) == ("21", "3", "1: 3, 4: 9.5")
    assert costs["missed 40 ms"] == "0 of 100 (at most 3.0%)"
    assert (costs["device"], costs["threads"], costs["waited"]) == ("cpu", "opencv 2", "30%")
    assert "Times disturbed by other work: bare waited 30% of the time." in by_profile.to_markdown()
    with pytest.raises(InputError, match="there is no tracker 'nobody' here"):
        vtlab.decide(told(answers, guarantee=False), profiles={"nobody": measured})


def test_what_a_tracker_holds_out_stands_on_the_card(tmp_path):
    point = BreakingPoint("good", "frame_rate", 0.5, 8, 10, 5, 5, "{:g} fps", ground="over 6 clips")
    found = vtlab.decide(told({"good": GOOD, "poor": POOR}), breaking=[point])
    assert found.holds == ["good holds to 8 fps (mean overlap of at least 0.5; over 6 clips)."]
    for ending in ("html", "md", "json"):
        text = found.save(tmp_path / f"card.{ending}").read_text(encoding="utf-8")
        assert "good holds to 8 fps" in text
    assert "8 fps [10, 5]" in found.to_html()
    assert json.loads(found.to_json())["breaking"][0]["fails"] == 5
    with pytest.raises(InputError, match="breaking: there is no tracker 'good' here"):
        vtlab.decide(told({"fair": FAIR, "poor": POOR}), breaking=[point])


def test_memory_and_device_count():
    answers = {
        "big": run("csrt", 0.0, 5.0, mb=900),
        "gpu": run("kcf", 1.0, 1.0, device="cuda"),
        "small": POOR,
    }
    verdict = told(answers)
    assert vtlab.decide(verdict, memory_mb=500, device="cpu").chosen == "small"
    table = vtlab.decide(verdict, memory_mb=500, device="cpu").table
    assert "900 MB is above 500 MB" in table.loc["big", "why"]
    assert "measured on cuda, not on cpu" in table.loc["gpu", "why"]
    assert vtlab.decide(verdict, memory_mb=1000, device="cpu").chosen == "big"


def test_an_offline_tracker_keeps_no_budget():
    late = run("csrt", 0.0, 0.001, offline=True, delay_ms=2000.0)
    found = vtlab.decide(told({"late": late, "live": POOR}), budget_ms=40)
    assert found.chosen == "live"
    assert "it answers late" in found.table.loc["late", "why"]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("Apache-2.0", True), ("MIT", True), ("BSD-3-Clause", True),
        ("Apache-2.0 (vtlab); official code MIT", True), ("Apache-2.0 (vtlab); official code GPL-3.0", True),
        ("GPL-3.0 (official code; this implementation is independent of it)", False),
        ("Apache-2.0 (vtlab); ultralytics' weights AGPL-3.0", False), ("CC-BY-NC-4.0", False),
        ("none stated", None), ("unknown", None), ("", None), ("that of the methods chosen", None),
        ("unclear (torchreid is MIT; trained on MSMT17, for research)", None),
    ],
)  # fmt: skip
def test_licences(text, allowed):
    assert allows_commerce(text) is allowed


def test_an_unknown_licence_is_not_commercial():
    answers = {"mine": run("my own method", 0.0, 1.0), "nc": run("cotracker3-online", 1.0, 1.0), "kcf": POOR}
    found = vtlab.decide(told(answers), licence="commercial")
    assert found.chosen == "kcf"
    assert "not known to allow it" in found.table.loc["mine", "why"]
    assert "CC-BY-NC-4.0" in found.table.loc["nc", "why"]
    for registry in REGISTRIES:
        for card in registry.cards():
            assert allows_commerce(card.licence) in (True, False, None)
    parts = Maker(name="bytetrack", family="mot", params={"detector": "ultralytics"}, weights={})
    assert licence_of([Record(tracker=parts)])[1] is False  # the detector's licence counts, too
    own = Maker(name="csrt", family="sot", params={"weights": "mine.pth"}, weights={})
    assert licence_of([Record(tracker=own)])[1] is None


def test_while_labels_are_needed_nothing_is_chosen_unless_one_is_left():
    asked = vtlab.verdict({"good": GOOD, "fair": FAIR, "poor": POOR})
    found = vtlab.decide(asked)
    assert found.chosen is None
    assert "No choice yet among good, fair, poor. No answer yet: label" in found.sentence
    alone = vtlab.decide(asked, budget_ms=3)
    assert alone.chosen == "poor"
    assert "the only one that keeps the limits" in alone.sentence
    nobody = vtlab.decide(asked, budget_ms=0.1)
    assert nobody.chosen is None
    assert "No tracker keeps the limits (0.1 ms on 95 of 100 frames)" in nobody.sentence


def test_while_nothing_is_shown_it_says_who_is_ahead_of_those_that_keep_the_limits():
    rng = np.random.default_rng(0)
    off = rng.gamma(1, [[2], [2.5], [9]], (3, N))
    dear, cheap, poor = run("csrt", off[0], 30), run("kcf", off[1], 5), run("mosse", off[2], 1)
    asked = vtlab.verdict({"dear": dear, "cheap": cheap, "poor": poor}, within=0.001)
    assert "Ahead so far" not in asked.sentence  # no label, no level
    while asked.labelled < 10:
        asked.add(labels([asked.next()[0][1]]))
    assert asked.state == "label"
    of = asked.table["value"]
    assert f"isn't shown yet: {of.index[0]} ({of.iloc[0]:.1%} [" in asked.sentence
    assert f"isn't shown yet: {of.index[0]} (" in vtlab.decide(asked).sentence
    kept = of.drop("dear").index[0]
    assert f"isn't shown yet: {kept} ({of[kept]:.1%} [" in vtlab.decide(asked, budget_ms=9).sentence


def test_labels_have_their_price_in_words():
    found = told({"good": GOOD, "fair": FAIR, "poor": POOR})
    more = vtlab.decide(found).grades.more
    if found.state != "exact":
        assert "more labels would shrink the intervals from ±" in more
        assert "percentage point" in more


def test_trackers_that_are_not_told_apart_are_chosen_by_price():
    """As good on the whole, each on other frames: neither is shown to be better, and one costs a tenth."""
    wobble = np.random.default_rng(0).normal(3, 1.5, (N, 1)) * [1, 0, 1, 0]
    dear = run("csrt", 0.0, 30.0).replace(boxes=TRUTH + wobble)
    cheap = run("kcf", 0.0, 3.0).replace(boxes=TRUTH + wobble[::-1])
    verdict = told({"dear": dear, "cheap": cheap}, budget=20, within=0.04)
    assert verdict.state == "tie"
    found = vtlab.decide(verdict)
    assert (found.chosen, found.sure) == ("cheap", False)
    assert "not told apart from dear, of whom it is the cheapest" in found.sentence
    assert "Quality is not settled: further labels may turn the choice." in found.changes


def test_the_order_of_the_list_never_matters():
    answers = {"good": GOOD, "fair": FAIR, "poor": POOR, "nc": run("cotracker3-online", 0.0, 2.0)}
    made = []
    for order in itertools.permutations(answers):
        found = vtlab.decide(
            told({t: answers[t] for t in order}, full=True), budget_ms=40, licence="commercial", within=None
        )
        made.append((found.chosen, found.runner_up, tuple(found.table.index)))
    assert len(set(made)) == 1


def comparison(**answers):
    clip = Sequence("clip", VIDEO, truth=Tracks.of(np.arange(N), 1, TRUTH))
    runs = tuple(Run(t, "clip", "sot", tracks, ok=t != "broken") for t, tracks in answers.items())
    return Comparison((clip,), runs)


def test_a_comparison_with_truth_is_decided_too():
    result = comparison(good=GOOD, fair=FAIR, poor=POOR, broken=run("ncc", 0.0, 1.0))
    found = vtlab.decide(result, budget_ms=10)
    assert found.chosen == "fair"
    assert "1 clip says nothing about others" in found.sentence
    assert "it finished 0 of 1 clips" in found.table.loc["broken", "why"]
    assert any("It takes a budget of 30 ms to let good" in s for s in found.changes)
    assert vtlab.decide(result).chosen == "good"


def test_bad_questions_are_named():
    dark = Comparison(
        (Sequence("clip", VIDEO),), (Run("a", "clip", "sot", GOOD), Run("b", "clip", "sot", FAIR))
    )
    with pytest.raises(InputError, match="has no truth.*Ask for a verdict first"):
        vtlab.decide(dark)
    verdict = told({"good": GOOD, "poor": POOR})
    for given, message in (
        ({"budget_ms": 0}, "budget_ms=0: expected a number above 0"),
        ({"memory_mb": -1}, "memory_mb=-1"),
        ({"licence": "free"}, "licence='free': expected 'commercial'"),
        ({"device": "tpu"}, "device='tpu'"),
        ({"within": 0.5}, "A verdict has its own `within`"),
    ):
        with pytest.raises(InputError, match=message):
            vtlab.decide(verdict, **given)
    with pytest.raises(InputError, match="Expected a verdict or a comparison"):
        vtlab.decide({"good": GOOD})


def test_the_card_holds_what_repeats_it_and_no_markup_of_names(tmp_path):
    name = "<img src=x onerror=alert(1)>|`*b*`"
    verdict = told({name: GOOD, "poor": POOR})
    found = vtlab.decide(verdict, budget_ms=50)
    page, text, data = (found.save(tmp_path / f"card.{e}").read_text("utf-8") for e in ("html", "md", "json"))
    assert "<img src=x" not in page + text
    assert "<script" not in page
    assert all(line.count("```") in (0, 1) for line in text.splitlines())
    assert text.count("```") == 4  # the program and the data, nothing that a name could close
    card = json.loads(data)
    assert (card["chosen"], card["sure"]) == (name, True)
    repeat = card["repeat"]
    assert repeat["trackers"][name]["weights"] == {"net.pth": "ab" * 32}
    assert repeat["versions"]["vtlab"]
    assert "budget_ms=50" in repeat["code"]
    assert "seed=0" in repeat["code"]
    compile(repeat["code"], "card", "exec")
    kept = tmp_path / "verdict.json"
    kept.write_text(json.dumps(repeat["verdict"]))
    again = vtlab.verdict({name: GOOD, "poor": POOR}, file=kept)
    assert again.sentence == verdict.sentence
    assert store.content(again) == store.content(verdict)
    with pytest.raises(InputError, match=r"can't write '\.pdf'\. Known: \.html"):
        found.save(tmp_path / "card.pdf")


def test_a_card_of_a_comparison_names_footage_prompts_and_truth(tmp_path):
    box = vtlab.BoxPrompt((20, 16, 44, 40))
    video = moving_square()
    truth = vtlab.track(video, box, "identity", progress=False)
    result = vtlab.compare(video, ["ncc", "identity"], prompts=box, truth=truth, progress=False)
    card = json.loads(vtlab.decide(result).to_json())["repeat"]
    clip = next(iter(card["clips"].values()))
    assert clip["video"]["digest"] == result.sequences[0].video.digest()
    assert len(clip["truth"]) == 64
    assert clip["prompts"]["prompts"][0]["kind"] == "box"
    asked = vtlab.decide(
        vtlab.verdict(vtlab.compare(video, ["ncc", "identity"], prompts=box, progress=False))
    )
    again = next(iter(asked.repeat["clips"].values()))
    assert again["prompts"] == clip["prompts"]


def test_the_card_on_the_command_line(tmp_path):
    for name, tracks in (("good", GOOD), ("poor", POOR)):
        tracks.save(tmp_path / name / "street.parquet")
    labels(np.arange(N)).save(tmp_path / "labels.parquet")
    given = ["verdict", *(str(tmp_path / n / "street.parquet") for n in ("good", "poor"))]
    given += [
        "--file",
        str(tmp_path / "v.json"),
        "--labels",
        str(tmp_path / "labels.parquet"),
        "--max-ms",
        "10",
    ]
    done = CliRunner().invoke(app, [*given, "--commercial", "--card", str(tmp_path / "card.json")])
    assert done.exit_code == 0, done.output
    assert "Take poor" in done.stderr
    card = json.loads((tmp_path / "card.json").read_text())
    assert {k: v for k, v in card["limits"].items() if v is not None} == {
        "budget_ms": 10,
        "licence": "commercial",
    }
    refused = CliRunner().invoke(app, given)
    assert "are limits for a choice: name its --card" in str(refused.exception)
