"""A family of metrics is one record: a new one gets tables, timelines and a leaderboard without a change elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vtlab.errors import InputError
from vtlab.metrics import METRICS, evaluate, families, score, statistics
from vtlab.metrics.families import FAMILIES, Family
from vtlab.metrics.per_frame import NOBODY, Judged
from vtlab.metrics.records import Metric
from vtlab.metrics.rules import SOT, Rule
from vtlab.tracks import Tracks


@dataclass(frozen=True)
class TimingRule(Rule):
    """How many frames an answer may be late."""

    slack: int = 0


def presence(case, rule):
    """Whether the answer says on each true frame that something is there."""
    frames = case.truth.frames
    here = np.isin(frames, case.answers(rule).frames + rule.slack)
    ids = np.zeros(len(frames), np.int64)
    return Judged(frames, ids, np.where(here, ids, NOBODY), here.astype(float))


TOY = Family(
    code="presence",
    title="Presence",
    short="there",
    main="missed",
    columns=("missed",),
    listed=("missed",),
    rules={r.name: r for r in (TimingRule("prompt", "a test"), TimingRule("late", "a test", 1))},
    default="prompt",
    metrics=(
        Metric(
            "missed", "presence", "Frames on which nothing is said", higher_is_better=False, paper="a test"
        ),
    ),
    score=lambda case, rule: (1 - presence(case, rule).value, {}),
    combine=lambda counts: {"missed": float(np.concatenate(counts).mean())},
    judge=presence,
    timeline_label="there",
)


@pytest.fixture
def toy():
    families.register(TOY)
    yield
    del FAMILIES[TOY.code], METRICS["missed"]


def boxes(frames, shift=0.0):
    return Tracks.of(frames, 1, np.tile([10.0 + shift, 10, 40, 60], (len(frames), 1)))


@pytest.mark.usefixtures("toy")
def test_a_new_family_is_one_record():
    answers = {"good": range(10), "fair": range(8), "weak": range(2)}
    parts = {
        name: [score(boxes(np.array(f)), boxes(np.arange(10)), "presence") for _ in range(6)]
        for name, f in answers.items()
    }
    table = evaluate(boxes(np.arange(8)), boxes(np.arange(10)), "presence", "late")
    assert table[["metric", "value", "rule"]].to_numpy().tolist() == [["missed", pytest.approx(0.2), "late"]]
    board = statistics.leaderboard(parts, "missed", samples=1000)
    assert list(board.index) == ["good", "fair", "weak"]  # lower is better
    line = FAMILIES["presence"].timeline(boxes(np.arange(8)), boxes(np.arange(10)))
    assert line.tolist() == [1] * 8 + [0] * 2
    with pytest.raises(InputError, match="Unknown rule 'otb' of the family 'presence'"):
        score(boxes(np.arange(8)), boxes(np.arange(8)), "presence", "otb")
    with pytest.raises(InputError, match="its code is taken"):
        families.register(TOY)


def test_families_have_rules_of_their_own():
    assert {"sot", "mot", "vos", "points", "skeletons"} <= set(FAMILIES)
    with pytest.raises(InputError, match="'otb' is not of the family 'mot'"):
        FAMILIES["mot"].rule(SOT["otb"])


def test_one_table_of_directions_units_and_formats():
    lower = ("J_decay", "F_decay", "CLR_FP", "CLR_FN", "IDSW", "latency_ms", "latency_p95_ms", "memory_mb")
    assert all(METRICS[name].higher_is_better is False for name in lower)
    assert METRICS["agreement"].higher_is_better is None  # what is seen without truth ranks nobody
    assert METRICS["CLR_FP"].heading == "CLR_FP ↓"
    assert METRICS["latency_p95_ms"].heading == "p95 ms ↓"
    assert METRICS["cells"].heading == "cells"
    texts = {"HOTA": "41.7%", "CLR_FP": "0", "fps": "0.4", "latency_ms": "0.42", "memory_mb": "0"}
    assert {name: METRICS[name].text(0.417) for name in texts} == texts
    assert METRICS["HOTA"].text(float("nan")) == "–"


def test_a_leaderboard_of_the_same_parts_is_made_once(monkeypatch):
    parts = {
        n: [score(boxes(np.arange(9), d), boxes(np.arange(9)), "sot")] * 3 for n, d in (("a", 0), ("b", 5))
    }
    first = statistics.leaderboard(parts, "ao", samples=50)
    monkeypatch.setattr(statistics, "intervals", None)
    again = statistics.leaderboard(parts, "ao", samples=50)
    assert again.equals(first)
    again["value"] = 0.0
    assert statistics.leaderboard(parts, "ao", samples=50).equals(first)
