"""What may come to a verdict besides what it hopes for: clones, wrong types, labels of another kind, files in a mix."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from typer.testing import CliRunner

import vtlab
from vtlab.cli import app
from vtlab.decision import decide, doubtful, identity_pairs, sheet
from vtlab.errors import InputError, VtlabWarning
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.tracks import PointRows, Tracks

N = 120
HOME = np.array([20.0, 10.0, 44.0, 34.0])


def noisy(step: float, seed: int, lost: int = N) -> Tracks:
    off = np.random.default_rng(seed).normal(0, step, (N, 2))
    off[0] = 0
    boxes = HOME + np.concatenate([off, off], axis=1)
    return Tracks.of(np.arange(N), 1, boxes, visible=np.arange(N) < lost)


TRUTH = Tracks.of(np.arange(N), 1, np.tile(HOME, (N, 1)))


def labelled(v):
    """Label what is asked for until there is an answer."""
    while v.state == "label":
        frames = [f for _, f in v.next()]
        v.add(TRUTH.take(np.isin(TRUTH.frame, frames)))
    return v


@pytest.mark.parametrize("within", [0.02, 0.1])
@pytest.mark.parametrize("guarantee", [False, True])
def test_clones_are_named_together_whatever_their_order(within, guarantee):
    three = {"a": noisy(0.5, 1), "b": noisy(0.5, 1), "worse": noisy(9, 2)}
    found = set()
    for order in permutations(three):
        v = labelled(vtlab.verdict({t: three[t] for t in order}, within=within, guarantee=guarantee))
        found.add((v.state, tuple(sorted(v.chosen)), decide(v).chosen, tuple(sorted(v.table.index))))
    assert found == {("good_enough", ("a", "b"), "a", ("a", "b", "worse"))}
    assert "are each at most" in v.sentence


def test_two_that_are_lost_from_the_start_are_named_together():
    v = labelled(vtlab.verdict({"a": noisy(1, 1, lost=1), "b": noisy(1, 2, lost=1)}))
    assert (v.state, v.chosen) == ("good_enough", ["a", "b"])


def test_without_costs_the_better_of_two_that_are_close_is_taken():
    three = {"a": noisy(1.0, 1), "b": noisy(0.4, 2)}
    v = labelled(vtlab.verdict(three, within=0.3))
    assert decide(v).chosen == v.table.index[0] == "b"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"within": "a"}, "within='a'"),
        ({"level": None}, "level=None"),
        ({"budget": 10.5}, "budget=10.5"),
        ({"budget": True}, "budget=True"),
        ({"budget": 10**9}, "budget=1000000000"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_values_that_cannot_be_are_told(given, told):
    answers = {"a": noisy(1, 1), "b": noisy(2, 2)}
    with pytest.raises(InputError, match=told):
        vtlab.verdict(answers, **given)
    if "within" not in given:
        with pytest.raises(InputError, match=told):
            identity_pairs(answers, **given)


@pytest.mark.parametrize("count", [-1, 2.5, "x"])
def test_a_count_of_doubtful_frames_is_a_number(count):
    with pytest.raises(InputError, match="count="):
        doubtful({"a": noisy(1, 1), "b": noisy(2, 2)}, count)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"labels": [1, 2]}, "Expected labels as Tracks, got list"),
        ({"labels": Prompts([BoxPrompt(tuple(HOME))])}, r"got Prompts.*sheet\.read"),
        ({"absent": 3}, "absent=3"),
        ({"absent": "12"}, "absent='12'"),
        ({"absent": [3.5]}, "absent: 3.5 is no frame number"),
        ({"unsure": ["4"]}, "unsure: '4'"),
        (
            {"labels": Tracks.of([5], 1, [[np.nan] * 4])},
            "object 1 on frame 5 .* no boxes, and boxes are compared",
        ),
    ],
)
def test_what_is_no_label_is_told_and_nothing_of_it_stays(said, told):
    v = vtlab.verdict({"a": noisy(1, 1), "b": noisy(2, 2)})
    with pytest.raises(InputError, match=told):
        v.add(**said)
    assert v.labelled == 0


def dots(frames, shift=0.0) -> Tracks:
    rows = PointRows.of(frames, 1, 0, np.tile([20.0 + shift, 20.0], (len(frames), 1)))
    return Tracks.of(frames, 1, points=rows)


def test_points_and_boxes_are_not_taken_for_each_other():
    boxes, points = {"a": noisy(1, 1), "b": noisy(2, 2)}, {"a": dots(range(N)), "b": dots(range(N), 5)}
    with pytest.raises(InputError, match="'within' compares points, and no tracker has any"):
        vtlab.verdict(boxes, metric="within")
    with pytest.raises(InputError, match="'iou' compares boxes, and no tracker has any"):
        vtlab.verdict(points, metric="iou")
    v = vtlab.verdict(points)
    with pytest.raises(InputError, match="object 1 on frame 5 .* no points"):
        v.add(Tracks.of([5], 1, [HOME]))
    v.add(dots([5]))
    v.add(Tracks.of([7], 1, [[np.nan] * 4], visible=False))
    assert v.labelled == 2


def test_results_and_labels_may_be_of_different_formats(tmp_path):
    """--as names the format of what doesn't tell it by itself: vtlab's own files beside it are read as what they are."""
    for name, tracks in (("good", noisy(0.2, 1)), ("bad", noisy(5, 2))):
        tracks.save(tmp_path / name / "street.parquet")
    (tmp_path / "truth.txt").write_text("21,11,24,24\n" * N)
    given = [f"{tmp_path / name / 'street.parquet'}" for name in ("good", "bad")]
    ask = ["verdict", *given, "--as", "got10k", "--json"]
    ask += ["--file", f"{tmp_path / 'v.json'}", "--labels", f"{tmp_path / 'truth.txt'}"]
    with pytest.warns(VtlabWarning, match="columns 3 and 4 exceed"):
        done = CliRunner().invoke(app, ask)
    answer = json.loads(done.stdout)
    assert (answer["state"], answer["chosen"]) == ("exact", ["good"])
    assert not any("unlabelled" in note for note in answer["notes"])
    Prompts([BoxPrompt(tuple(HOME), frame=9)]).save(tmp_path / "labels.json")
    assert sheet.read(tmp_path / "labels.json", "got10k").frames.tolist() == [9]


def test_a_decision_names_what_it_was_held_against():
    video = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    truth = Tracks.of(np.arange(20), 1, np.tile(HOME, (20, 1)))
    found = vtlab.compare(video, ["ncc", "identity"], prompts=BoxPrompt(HOME), truth=truth, progress=False)
    told = decide(vtlab.verdict(found)).sentence
    assert "against the truth of the comparison on 19 of 19 frames" in told
    assert "your labels" not in told


@pytest.mark.parametrize(
    "given", [{"budget_ms": "fast"}, {"memory_mb": True}, {"within": -1}, {"within": "x"}]
)
def test_limits_that_cannot_be_are_told(given):
    video = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    truth = Tracks.of(np.arange(20), 1, np.tile(HOME, (20, 1)))
    found = vtlab.compare(video, ["ncc", "identity"], prompts=BoxPrompt(HOME), truth=truth, progress=False)
    with pytest.raises(InputError, match=f"{next(iter(given))}="):
        decide(found, **given)
