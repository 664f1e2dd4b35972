"""Auto Track by evidence: nearest neighbours that say how much is expected, and abstain where they can't tell."""

from __future__ import annotations

import json

import numpy as np
import pytest

import vtlab
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import InputError
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers.compose.auto import SHIPPED
from vtlab.trackers.compose.evidence import FEATURES, Evidence, features_of

N = 40
SPEED = list(FEATURES).index("speed")


def evidence(*, noise: float = 0.02, seed: int = 0, n: int = N) -> Evidence:
    """`ncc` is good on slow objects and `identity` on fast ones (a toy); `kcf` is worth the same everywhere."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(n, len(FEATURES)))
    fast = seen[:, SPEED] > 0
    seen[:, SPEED] = np.where(fast, 3, -3) + rng.normal(size=n) / 4
    quality = {
        "ncc": np.where(fast, 0.2, 0.8) + rng.normal(0, noise, n),
        "identity": np.where(fast, 0.7, 0.3) + rng.normal(0, noise, n),
        "kcf": np.full(n, 0.5) + rng.normal(0, noise, n),
    }
    cost = {"ncc": 1.0, "identity": 0.1, "kcf": 4.0}
    return Evidence("success_auc", tuple(f"scene {i // 2}" for i in range(n)), seen, quality, cost, "a toy")


def like(speed: float) -> np.ndarray:
    """An object that is ordinary but for its speed."""
    seen = np.zeros(len(FEATURES))
    seen[SPEED] = speed
    return seen


def test_the_neighbours_choose_and_say_how_much_to_expect():
    known = evidence()
    slow, fast = known.advise(like(-3), instead_of="kcf"), known.advise(like(3), instead_of="kcf")
    assert (slow.tracker, slow.runner_up) == ("ncc", "kcf")
    assert (fast.tracker, fast.runner_up) == ("identity", "kcf")
    assert slow.low < 0.8 < slow.high
    assert slow.low <= slow.expected <= slow.high
    assert "objects most like it of 20 scenes" in slow.reason


def test_intervals_hold_what_they_claim():
    """80 % of new objects' quality lies in the interval, on draws that the evidence never saw."""
    known, new = evidence(noise=0.1), evidence(noise=0.1, seed=1, n=200)
    held = [
        low <= new.quality[name][i] <= high
        for i in range(200)
        for name, (_, low, high) in known.advise(new.features[i]).table.items()
    ]
    assert 0.72 < np.mean(held) < 0.95


def test_it_abstains_where_it_cannot_tell():
    known = evidence()
    rng = np.random.default_rng(5)
    twin = known.quality["ncc"] + rng.normal(0, 0.1, N)
    twins = Evidence(
        known.metric,
        known.scenes,
        known.features,
        known.quality | {"mosse": twin},
        {**known.cost, "mosse": 1.0},
    )
    told = [
        twins.advise(like(-3) + rng.normal(size=len(FEATURES)) / 2, instead_of="mosse") for _ in range(20)
    ]
    assert any("ncc is not clearly better than mosse on such objects" in t.reason for t in told)
    far = known.advise(np.full(len(FEATURES), 50.0), instead_of="kcf")
    assert (far.tracker, far.reason) == ("", "abstains: nothing in the evidence is like this object")
    few = evidence(n=10).advise(like(3))
    assert (few.tracker, few.reason) == ("", "abstains: it knows 5 scenes, 8 are needed")
    assert known.advise(like(3), ["csrt"]).reason == "abstains: it knows none of the trackers"
    assert "csrt is not in the evidence" in known.advise(like(3), instead_of="csrt").reason


def test_a_budget_leaves_out_what_costs_more():
    assert evidence().advise(like(-3), budget_ms=0.5, instead_of="identity").tracker == "identity"


def test_regret_is_of_scenes_that_were_left_out():
    """Where speed decides, the advice loses far less than always taking one; pure noise teaches nothing."""
    regret = evidence().regret("kcf")
    assert regret["auto"] < 0.05 < min(regret[n] for n in ("ncc", "identity", "kcf"))
    known = evidence()
    rng = np.random.default_rng(2)
    shuffled = {n: rng.permutation(q) for n, q in known.quality.items()}
    noise = Evidence(known.metric, known.scenes, known.features, shuffled, known.cost).regret()
    assert noise["auto"] > 0.1


def test_a_file_keeps_it_and_a_wrong_one_is_refused(tmp_path):
    known = evidence()
    known.quality["kcf"][3] = np.nan
    again = Evidence.load(known.save(tmp_path / "e.json"))
    assert again.scenes == known.scenes
    np.testing.assert_allclose(again.features, known.features, atol=1e-4)
    np.testing.assert_allclose(again.quality["kcf"], known.quality["kcf"], atol=1e-4)
    data = json.loads((tmp_path / "e.json").read_text())
    for wrong in (
        {},
        {**data, "version": 2},
        {**data, "features": ["size"]},
        {**data, "objects": [{"scene": "a"}]},
        [1],
    ):
        (tmp_path / "wrong.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"wrong\.json.*evidence"):
            Evidence.load(tmp_path / "wrong.json")
    with pytest.raises(InputError, match="budget_ms"):
        vtlab.create_tracker("auto", budget_ms=3)


def test_features_are_seen_on_a_real_scene():
    scene = synthetic(seed=1, objects=2, seconds=0.5, size=(320, 180))
    prompt = next(p for p in scene.prompts if isinstance(p, vtlab.BoxPrompt))
    images = [scene.video[i] for i in range(6)]
    found = dict(
        zip(FEATURES, features_of(images, prompt.box(180, 320), fps=30, seconds=0.5, together=2), strict=True)
    )
    x1, y1, x2, y2 = prompt.box(180, 320)
    assert found["size"] == pytest.approx(np.sqrt((x2 - x1) * (y2 - y1) / (320 * 180)))
    assert found["crowding"] == 1
    assert found["rate"] == pytest.approx(np.log2(30))
    assert 0 < found["contrast"] <= 1
    still = features_of(images[:1] * 6, prompt.box(180, 320), fps=30, seconds=0.5, together=2)
    assert still[SPEED] < found["speed"]
    flat = features_of(
        [np.zeros((4, 5, 3), np.uint8)], np.array([0.0, 0, 5, 4]), fps=0, seconds=0, together=1
    )
    assert np.isfinite(flat).all()


def test_auto_goes_by_the_evidence_and_says_so(tmp_path):
    path = evidence().save(tmp_path / "e.json")
    prompts = [
        vtlab.BoxPrompt(square_box(2), object_id=1, frame=2),
        vtlab.BoxPrompt(square_box(6), object_id=2, frame=6),
    ]
    found = vtlab.track(
        moving_square(14), prompts, "auto", evidence=path, table={"box": ("kcf",)}, progress=False
    )
    events = [e["reason"] for e in found.meta["events"] if e["event"] == "method"]
    assert len(events) == 2
    assert events[0].startswith("box: ")
    assert "evidence" in events[0]
    assert "the evidence is of boxes that are prompted first" in events[1]
    assert set(found.at(13).object_ids.tolist()) == {1, 2}
    assert found.frames.min() == 2


def test_what_is_shipped_can_be_read_and_is_honest_about_itself():
    known = Evidence.load(SHIPPED)
    assert "objects in" in known.about
    assert len(set(known.scenes)) >= 20
    regret = known.regret()
    assert regret["auto"] <= min(v for n, v in regret.items() if n != "auto") + 0.02
