"""MCITrack as a tracker, on a narrow random network: its state, its memory of templates, options."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from tests.trackers import narrow  # noqa: E402
from vtlab.errors import InputError, VtlabWarning, WeightsError  # noqa: E402
from vtlab.nets.mcitrack import CONFIGS, variant_of  # noqa: E402
from vtlab.nets.mcitrack import MCITrack as Network  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.registry import TRACKERS  # noqa: E402
from vtlab.weights.checkpoints import load_into  # noqa: E402

BOXES = {1: (20, 15, 60, 65), 2: (90, 60, 130, 90), 3: (100, 5, 128, 50)}


@pytest.fixture(scope="module")
def network():
    return narrow.network("mcitrack")


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes a tracker on the narrow network."""
    return partial(narrow.make, monkeypatch, "mcitrack")


@pytest.fixture(scope="module")
def frames():
    return narrow.smooth_frames()


def prompts(*ids, at=0):
    return Prompts(BoxPrompt(BOXES[i], object_id=i, frame=at) for i in ids)


def run(tracker, frames, *ids):
    answers = [tracker.init(frames[0], prompts(*ids, at=frames[0].index))]
    return [*answers, *(tracker.step(frame) for frame in frames[1:])]


def test_the_state_is_kept_above_its_threshold_only(make, frames):
    tracker = make(keep_state_above=0.0)
    run(tracker, frames[:3], 1)
    kept = tracker._targets[1].state
    assert [tuple(rows.shape) for rows in kept] == [(16, 128, 16)] * 4
    tracker.keep_state_above = 1.0
    tracker.step(frames[3])
    assert tracker._targets[1].state is None


def test_templates_come_from_the_memory_when_they_are_due(make, frames):
    tracker = make(update_above=0.0)
    tracker.init(frames[0], prompts(1))
    target = tracker._targets[1]
    first = target.templates[0]
    for n, frame in enumerate(frames[1:7], start=1):
        tracker.step(frame)
        assert target.changes == n // 2
        assert target.templates[0] is first
        assert len(target.memory) == 6
        if n % 2 == 0:
            assert target.templates[1:] == target.memory[1:5]
    assert first not in target.memory
    assert all(t.tokens is not None for t in target.templates[:1])


def test_nothing_is_learned_below_the_threshold(make, frames):
    tracker = make(update_above=1.0)
    run(tracker, frames, 1)
    target = tracker._targets[1]
    assert set(map(id, target.memory + target.templates)) == {id(target.templates[0])}


def test_an_answer_that_is_no_number_does_no_harm(make, frames, network, monkeypatch):
    tracker = make(keep_state_above=0.0)
    before = run(tracker, frames[:2], 1, 2)[-1]
    forward = network.forward

    def broken(*args):
        score, size, offset, state = forward(*args)
        score = score.clone()
        score[0] = float("nan")
        return score, size, offset, [torch.full_like(s, float("nan")) for s in state]

    monkeypatch.setattr(network, "forward", broken)
    with pytest.warns(VtlabWarning, match=r"\[1\]"):
        answer = tracker.step(frames[2])
    np.testing.assert_array_equal(answer.boxes[0], before.boxes[0])
    assert answer.scores[0] == 0
    assert answer.visible.tolist()[0] is False
    monkeypatch.setattr(network, "forward", forward)
    assert [t.state for t in tracker._targets.values()] == [None, None]
    again = tracker.step(frames[3])
    assert np.isfinite(again.boxes).all()
    assert (again.scores > 0).all()


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"channels_last": True}])
def test_other_formats_stay_near(make, frames, network, options):
    plain = run(make(), frames[:2], 1, 2)[-1].boxes
    other = run(make(copy.deepcopy(network), **options), frames[:2], 1, 2)[-1].boxes
    np.testing.assert_allclose(other, plain, rtol=0, atol=0.05 if "channels_last" in options else 3.0)


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "x999"},
        {"update_every": 0},
        {"memory": 0},
        {"batch": 0},
        {"dtype": "int8"},
        {"device": "abacus"},
    ],
)
def test_bad_options_are_refused(make, options):
    with pytest.raises(InputError):
        make(**options)


def test_the_checkpoint_of_another_variant_is_named(tmp_path, network):
    with torch.device("meta"):
        state = Network(CONFIGS["s224"]).state_dict()
    tensors = {name: torch.zeros(()) for name in state}
    tensors["encoder.body.pos_embed"] = torch.zeros(state["encoder.body.pos_embed"].shape)
    torch.save({"net": tensors}, tmp_path / "MCITRACK_ep0300.pth.tar")
    with pytest.raises(WeightsError, match=r"does not fit narrow.*a checkpoint of mcitrack-s224"):
        load_into(network, tmp_path / "MCITRACK_ep0300.pth.tar", what="narrow", variant_of=variant_of)


def test_every_variant_is_registered():
    cards = [TRACKERS.card(f"mcitrack-{name}") for name in CONFIGS]
    assert len({w.name for card in cards for w in card.weights}) == 5
    assert all(card.notice and card.paper_url and card.requires == "torch" for card in cards)
