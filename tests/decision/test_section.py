"""What a report shows of a verdict: levels and differences with intervals, and the frames that were labelled."""

from __future__ import annotations

import re

import numpy as np
import pytest

import vtlab
from vtlab.comparison import Comparison, Run
from vtlab.decision import doubtful
from vtlab.sequence import Sequence
from vtlab.show import draw
from vtlab.show.intervals import Interval, chart
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 120
HOME = np.array([10.0, 10.0, 40.0, 40.0])
HOSTILE = "<img src=x onerror='alert(1)'>\""


def drift(step: float, seed: int) -> Tracks:
    """A box that wanders off, by more with every frame."""
    way = np.cumsum(np.random.default_rng(seed).normal(0, step, (N, 2)), axis=0)
    return Tracks.of(np.arange(N), 1, HOME + np.concatenate([way, way], axis=1), size=(48, 64))


def still(frames: list[int]) -> Tracks:
    return Tracks.of(np.array(frames), 1, np.tile(HOME, (len(frames), 1)))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    trackers = {"steady": drift(0.1, 0), HOSTILE: drift(0.6, 1), "far": drift(4.0, 2)}
    video = open_video(np.full((N, 48, 64, 3), 90, np.uint8))
    runs = tuple(Run(name, "street", "sot", tracks) for name, tracks in trackers.items())
    return Comparison((Sequence("street", video),), runs)


def section_of(comparison: Comparison, verdict, folder) -> str:
    """The verdict's section of the written page."""
    page = comparison.report(folder / "r.html", video=False, verdict=verdict).read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "<img src=x" not in page
    return page.split("<h2>Verdict</h2>")[1].split("<h2>")[0]


def test_a_report_shows_levels_differences_and_labelled_frames(comparison, tmp_path):
    v = vtlab.verdict(comparison, labels=still([50, 51, 52]))
    while frames := [f for _, f in v.next(more=v.labelled < 20)]:
        v.add(still(frames[1:] if v.labelled == 3 else frames), unsure=frames[:1] if v.labelled == 3 else ())
    twice = [f for _, f in v.again()]
    v.add(still(twice), again=True)
    text = section_of(comparison, v, tmp_path)
    best = v.table.iloc[0]
    assert f"{best.value:.1%}" in text
    assert f"{best.low:.1%} to {best.high:.1%}" in text
    assert "mean IoU ↑" in text
    assert "beaten_by" not in text

    now, i, j = v.standing(), v.trackers.index("steady"), v.trackers.index("far")
    assert f"{100 * (now.value[i] - now.value[j]):+.1f}" in text
    assert f"{100 * now.low[i, j]:+.1f} to {-100 * now.low[j, i]:+.1f}".replace("-", "\u2212") in text

    own = v.labelled - 3
    assert f"{own} of {N} frames labelled; 5 of them asked twice (agreement 100.0%)" in text
    assert "3 more known before; 1 more of which nobody can tell" in text
    ticks = dict(re.findall(r"class='tick (\w+)' d='([^']*)'", text))
    assert {k: d.count("M") for k, d in ticks.items()} == {"labelled": own - 5, "again": 5, "unsure": 1}
    assert all(f"M{f + 0.5:g} 0" in ticks["again"] for f in twice)
    assert "<rect class=known x=50 y=90 width=3" in text
    assert text.count("<img ") == 16  # labelled frames, and doubtful ones


def test_beside_a_verdict_nothing_asks_for_one_and_all_numbers_have_one_unit(comparison, tmp_path):
    v = vtlab.verdict(comparison, within=0.3)
    while frames := [f for _, f in v.next(more=v.labelled < 20)]:
        v.add(still(frames))
    assert "vtlab.verdict" in comparison.report(tmp_path / "a.html", video=False).read_text(encoding="utf-8")
    page = comparison.report(tmp_path / "b.html", video=False, verdict=v).read_text(encoding="utf-8")
    assert "labelled frames, spread" not in page
    assert "vtlab.verdict" not in page
    assert "seen without labels, which ranks nobody" in page
    assert "percentage points" in page.split("<h2>Verdict</h2>")[0]


def test_before_labels_and_without_footage_it_says_what_there_is(comparison, tmp_path):
    text = section_of(comparison, vtlab.verdict(comparison), tmp_path)
    assert "0 of 120 frames labelled; none of them asked twice." in text
    assert "<img" not in text.split("Where the trackers differ most")[0]
    assert "Differences" not in text
    blind = vtlab.verdict({"a": drift(0.1, 0), "b": drift(2.0, 1)}, labels=still(list(range(N))))
    assert blind.state == "exact"
    assert "the differences are what they are" in blind.section.to_html()
    proven = vtlab.verdict({"a": drift(0.1, 0), "b": drift(2.0, 1)}, within=0, guarantee=True)
    proven.add(still([proven.next()[0][1]]))
    assert "proven by a bet" in proven.section.to_html()
    assert "the footage of video isn" in proven.section.to_html()


def test_a_chart_cuts_at_its_ends_and_leaves_out_what_is_unknown():
    nan = float("nan")
    text = chart(
        [Interval(HOSTILE, 0.5, -0.2, 0.7), Interval("b", nan, nan, nan), Interval("c", 0.25, nan, nan)], "J"
    )
    assert text.count("<circle") == 2
    assert "<img" not in text
    name = "&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;&quot;"
    assert text.count(name) == 2  # in writing, and what is read aloud
    assert text.count("<rect") == 1
    assert "x='0.00%' width='70.00%'" in text
    assert chart([Interval("b", nan, nan, nan)], "J") == ""


def test_doubtful_places_are_shown_as_pictures(comparison, tmp_path):
    """In a notebook and in the report: every tracker in its own colour, moments apart from each other, one file for all."""
    found = doubtful(comparison, 5)
    assert len(found) == 5
    sheet = found.picture
    assert sheet.shape == (2 * 48 + 4, 4 * 64 + 3 * 4, 3)
    for k in (1, 2, 3):
        assert (sheet == draw.colour(k)).all(axis=2).any()
    text = found._repr_html_()
    assert text.count("<img ") == 8
    assert HOSTILE not in text
    assert "For review only" in text
    shown = re.findall(r"<figcaption>frame (\d+), differ by (\d+)%", text)
    frames = [int(frame) for frame, _ in shown]
    assert frames == sorted(frames)
    assert np.diff(frames).min() > N // 9
    assert max(int(amount) for _, amount in shown) == round(100 * found["disagreement"].iloc[0])
    page = section_of(comparison, vtlab.verdict(comparison), tmp_path)
    assert "Where the trackers differ most" in page
    assert page.count("<img ") == 8
    blind = doubtful({"a": drift(0.1, 0), "b": drift(2.0, 1)}, 3)
    assert blind.picture is None
    assert "the footage of video isn" in blind._repr_html_()
    same = doubtful({"a": drift(0.1, 0), "b": drift(0.1, 0)}, 3)
    assert "<img" not in same._repr_html_()
