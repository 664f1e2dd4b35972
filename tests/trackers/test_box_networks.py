"""TransT and MixFormer as trackers, on narrow random networks: many objects at once, updates, odd input."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
from torch import nn  # noqa: E402

import vtlab  # noqa: E402
from vtlab.errors import InputError, PromptError, VtlabWarning, WeightsError  # noqa: E402
from vtlab.nets import mixformer_cvt, mixformer_vit  # noqa: E402
from vtlab.nets.mixformer import MixFormer as MixFormerNet  # noqa: E402
from vtlab.nets.mixformer import ScorePrediction  # noqa: E402
from vtlab.nets.transt import TransT as TransTNet  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.trackers import mixformer, transt  # noqa: E402
from vtlab.video import Frame  # noqa: E402

KINDS = ("transt", "cvt", "cvt-offline", "vit")
TOLERANCE = 1e-3  # pixels


class BoxHead(nn.Module):
    """A box near the middle of the crop that depends on the features."""

    def __init__(self, channels):
        super().__init__()
        self.proj = nn.Linear(channels, 4)

    def forward(self, x):
        y = torch.tanh(2 * self.proj(x.mean(dim=(2, 3)))).float()
        return torch.cat([0.5 + 0.05 * y[:, :2], 0.22 + 0.02 * y[:, 2:]], dim=1)


@pytest.fixture(scope="module")
def networks():
    """A narrow network of each kind."""
    torch.manual_seed(0)
    cvt = mixformer_cvt.MixCvt(mixformer_cvt.CvtConfig((16, 32, 64), (1, 2, 1), (1, 1, 1)))
    vit = mixformer_vit.MixVit(mixformer_vit.VitConfig(64, 2, 2, 128, 288))
    nets = {
        "transt": TransTNet(2, channels=32, heads=2, hidden=32),
        "cvt": MixFormerNet(cvt, BoxHead(64), ScorePrediction(64)),
        "cvt-offline": MixFormerNet(cvt, BoxHead(64), None),
        "vit": MixFormerNet(vit, BoxHead(64), ScorePrediction(64)),
    }
    nets["transt"].backbone[0].body = nn.Conv2d(3, 1024, 8, stride=8)
    nn.init.normal_(nets["transt"].class_embed.layers[2].weight, std=3)
    for name in ("cvt", "vit"):
        nn.init.normal_(nets[name].score_branch.score_token)
        nn.init.normal_(nets[name].score_branch.score_head.layers[2].weight, std=1)
    return {name: net.eval() for name, net in nets.items()}


@pytest.fixture
def make(networks, monkeypatch):
    """Return a function that makes a tracker of a kind on the narrow network."""

    def make(kind, **options):
        module = transt if kind == "transt" else mixformer
        monkeypatch.setattr(module, "load", lambda *_, **__: networks[kind])
        options = {"device": "cpu", **options}
        if kind == "transt":
            return transt.TransT(**options)
        options = {"update_every": 0.2, "search_factor": 4.5, **options}
        return mixformer.MixFormer(backbone=kind[:3], online="offline" not in kind, **options)

    return make


@pytest.fixture(scope="module")
def frames():
    """Eight smooth random images of 160 x 120 px, ten per second."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (8, 15, 20, 3), dtype=np.uint8)
    return [Frame(i, i / 10, np.kron(c, np.ones((8, 8, 1), np.uint8))) for i, c in enumerate(coarse)]


BOXES = {1: (20, 15, 60, 65), 2: (90, 60, 130, 90), 3: (100, 5, 128, 50), 4: (0, 80, 30, 120)}


def prompts(*ids, at=0):
    return Prompts(BoxPrompt(BOXES[i], object_id=i, frame=at) for i in ids)


def alone(make, kind, frames, object_id, box=None):
    """What a tracker of its own says of one object, prompted on the first of the frames."""
    tracker = make(kind)
    start = BoxPrompt(box or BOXES[object_id], object_id=object_id, frame=frames[0].index)
    answers = [tracker.init(frames[0], Prompts(start)), *(tracker.step(f) for f in frames[1:])]
    return {f.index: (a.boxes[0], a.scores[0], a.visible[0]) for f, a in zip(frames, answers, strict=True)}


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_join_leave_and_are_corrected_equal_lone_ones(make, frames, kind):
    tracker = make(kind)
    seen = [tracker.init(frames[0], prompts(1, 2))]
    seen.append(tracker.step(frames[1]))
    seen.append(tracker.step(frames[2], prompts(3, at=2)))
    seen.append(tracker.step(frames[3]))
    correction = Prompts(BoxPrompt(BOXES[4], object_id=2, frame=4))
    seen.append(tracker.step(frames[4], correction))
    tracker.remove([1])
    seen += [tracker.step(f) for f in frames[5:]]
    lone = {
        1: alone(make, kind, frames, 1),
        2: alone(make, kind, frames[:4], 2) | alone(make, kind, frames[4:], 2, BOXES[4]),
        3: alone(make, kind, frames[2:], 3),
    }
    assert [a.object_ids.tolist() for a in seen] == [[1, 2]] * 2 + [[1, 2, 3]] * 3 + [[2, 3]] * 3
    moved = 0.0
    for index, answer in enumerate(seen):
        for row, object_id in enumerate(answer.object_ids.tolist()):
            box, score, visible = lone[object_id][index]
            np.testing.assert_allclose(answer.boxes[row], box, rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(answer.scores[row], score, rtol=0, atol=1e-5)
            assert answer.visible[row] == visible
            moved = max(moved, np.abs(box - BOXES[object_id]).max())
    assert moved > 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_the_batch_does_not_matter(make, frames, kind):
    answers = []
    for batch in (1, 3, 64):
        tracker = make(kind, batch=batch)
        tracker.init(frames[0], prompts(1, 2, 3, 4))
        answers.append(np.stack([tracker.step(f).boxes for f in frames[1:4]]))
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(answers[2], answers[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_run_is_the_same_and_images_stay_as_they_are(make, frames, kind):
    tracker = make(kind)
    before = [f.image.copy() for f in frames]
    runs = []
    for _ in range(2):
        tracker.init(frames[0], prompts(1, 2))
        runs.append(np.stack([tracker.step(f).boxes for f in frames[1:]]))
    np.testing.assert_array_equal(runs[0], runs[1])
    for image, f in zip(before, frames, strict=True):
        np.testing.assert_array_equal(image, f.image)


@pytest.mark.parametrize(
    "box",
    [
        (-30, -20, 15, 12),
        (150, 100, 400, 300),
        (50, 50, 51, 51),
        (-500, -400, 900, 700),
        (10, 60, 150, 61),
        (80, 0, 81, 120),
        (-1e5, -1e5, 2e5, 2e5),
    ],
    ids=["over-a-corner", "over-another", "one-pixel", "larger-than-frame", "flat", "thin", "enormous"],
)
@pytest.mark.parametrize("kind", ["transt", "cvt"])
def test_odd_targets_give_finite_boxes(make, frames, kind, box):
    tracker = make(kind)
    answer = tracker.init(frames[0], Prompts(BoxPrompt(box)))
    np.testing.assert_allclose(answer.boxes[0], box)
    for f in frames[1:3]:
        x1, y1, x2, y2 = tracker.step(f).boxes[0]
        assert np.isfinite([x1, y1, x2, y2]).all()
        assert x2 - x1 >= 10 - 1e-6
        assert y2 - y1 >= 10 - 1e-6
        assert 0 <= (x1 + x2) / 2 <= 160
        assert 0 <= (y1 + y2) / 2 <= 120


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_outside_the_frame_is_refused(make, frames, kind):
    with pytest.raises(PromptError, match="outside the frame of 160 x 120 px"):
        make(kind).init(frames[0], Prompts(BoxPrompt((160, 10, 190, 40))))


@pytest.mark.parametrize("kind", ["transt", "cvt"])
def test_the_frame_may_change_its_size(make, frames, kind):
    tracker = make(kind)
    tracker.init(frames[0], prompts(2))
    small = Frame(1, 0.1, np.ascontiguousarray(frames[1].image[:50, :70]))
    x1, y1, x2, y2 = tracker.step(small).boxes[0]
    assert (x1 + x2) / 2 <= 70
    assert (y1 + y2) / 2 <= 50
    assert np.isfinite(tracker.step(frames[2]).boxes).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_no_number_does_no_harm(make, frames, kind, monkeypatch):
    tracker = make(kind)
    tracker.init(frames[0], prompts(1, 2))
    forward = tracker._network.forward

    def broken(*args):
        first, second = forward(*args)
        first, second = first.clone(), None if second is None else second.clone()
        first[0] = torch.nan
        if second is not None:
            second[0] = torch.nan
        return first, second

    with monkeypatch.context() as patch:
        patch.setattr(tracker._network, "forward", broken)
        with pytest.warns(VtlabWarning, match="objects \\[1\\]"):
            answer = tracker.step(frames[1])
    np.testing.assert_array_equal(answer.boxes[0], BOXES[1])
    assert (answer.scores[0], answer.visible[0]) == (0, False)
    expected = make(kind)
    expected.init(frames[0], prompts(1))
    np.testing.assert_allclose(
        tracker.step(frames[2]).boxes[0], expected.step(frames[2]).boxes[0], atol=TOLERANCE
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"channels_last": False}], ids=str)
def test_other_formats_stay_near(make, frames, kind, options, networks, monkeypatch):
    reference = make(kind)
    reference.init(frames[0], prompts(1, 2))
    state = networks[kind]
    monkeypatch.setitem(networks, kind, copy.deepcopy(state))
    tracker = make(kind, **options)
    tracker.init(frames[0], prompts(1, 2))
    near = 12.0 if "dtype" in options else TOLERANCE
    np.testing.assert_allclose(
        tracker.step(frames[1]).boxes, reference.step(frames[1]).boxes, rtol=0, atol=near
    )


def test_templates_change_when_they_are_due_and_in_turn(make, frames):
    tracker = make("cvt", online_size=2, update_every=0.2)
    tracker.init(frames[0], prompts(1))
    target = tracker._targets[1]
    network_scores = iter([0.9, 0.7, 0.3, 0.2, 0.8, 0.95, 0.6])
    forward = tracker._network.forward

    def scored(memory, search):
        return forward(memory, search)[0], torch.logit(torch.tensor([next(network_scores)]))

    tracker._network.forward = scored
    held, best = [], []
    try:
        for f in frames[1:]:
            tracker.step(f)
            held.append(len(target.online))
            best.append(target.best_score)
    finally:
        del tracker._network.forward
    assert held == [1, 2, 2, 2, 2, 2, 2]
    np.testing.assert_allclose(best, [0.9, -1, -1, -1, 0.8, -1, 0.6], atol=1e-6)
    # due on frames 2, 4, 6: the best of 1-2 is appended, no score above 0.5 in 3-4 brings the initial one
    assert target.online[0] is target.initial
    assert target.slot == 0
    assert target.online[1] is not target.initial


def test_decay_lets_a_later_template_win(make, frames):
    tracker = make("cvt", score_decay=0.9, update_every=100)
    tracker.init(frames[0], prompts(1))
    target = tracker._targets[1]
    forward = tracker._network.forward
    tracker._network.forward = lambda m, s: (forward(m, s)[0], torch.logit(torch.tensor([0.8])))
    try:
        tracker.step(frames[1])
        first = target.best
        tracker.step(frames[2])
    finally:
        del tracker._network.forward
    assert target.best is not first


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("transt", {"fusion_layers": 3}),
        ("transt", {"dtype": "int8"}),
        ("transt", {"device": "quantum"}),
        ("transt", {"batch": 0}),
        ("cvt", {"size": "huge"}),
        ("cvt", {"checkpoint": "nonsense"}),
        ("cvt", {"update_every": 0}),
        ("cvt", {"online_size": 0}),
        ("cvt", {"search_factor": 0}),
    ],
)
def test_bad_options_are_refused(make, kind, options):
    with pytest.raises(InputError):
        make(kind, **options)


def test_the_checkpoint_of_another_variant_is_named(tmp_path):
    small = TransTNet(2)
    torch.save({"net": small.state_dict()}, tmp_path / "n2.pth")
    with pytest.raises(WeightsError, match="transt-n2"):
        vtlab.create_tracker("transt", weights=tmp_path / "n2.pth")
    with pytest.raises(WeightsError, match="mixformer-cvt"):
        vtlab.create_tracker("mixformer-cvt", weights=tmp_path / "n2.pth")
    tracker = vtlab.create_tracker("transt-n2", weights=tmp_path / "n2.pth", device="cpu")
    assert tracker.card.name == "transt-n2"


def test_every_variant_names_its_checkpoint_and_licence():
    for name in vtlab.list_trackers("sot"):
        card = vtlab.tracker_card(name)
        if name.startswith(("transt", "mixformer")):
            assert card.paper
            assert card.licence
            assert len(card.weights) == 1
            assert card.weights[0].licence in ("MIT", "GPL-3.0")
