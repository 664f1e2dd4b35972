"""TAPIR around its network: coordinates, windows, streams, chunks, bad input. The network is an oracle (blobs.py)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trackers.blobs import SIZE, blobs, find, positions
from vtlab.errors import InputError, PromptError, VtlabWarning, WeightsError
from vtlab.prompts import PointPrompt, Prompts
from vtlab.registry import tracker_card
from vtlab.run import track
from vtlab.video import Frame

torch = pytest.importorskip("torch")

from vtlab.nets.tapir import CausalState, Estimate, Grids, QueryVectors, Tapir  # noqa: E402
from vtlab.trackers import _tapir_core as core  # noqa: E402
from vtlab.trackers.tapir import TAPIR, OnlineTAPIR  # noqa: E402


class Oracle(torch.nn.Module):
    """Finds the blob that lay nearest to the query on the query's frame; remembers how many frames it has seen."""

    initial_resolution = (256, 256)
    resolutions = Tapir.resolutions

    def __init__(self):
        super().__init__()
        self.images, self.points, self.lengths = 0, [], []

    def encode(self, images):
        assert -1 <= images.min() <= images.max() <= 1
        self.images += len(images)
        seen = images.amax(dim=(2, 3)) > -0.5
        return Grids(find(images, edge=True).float() * 256 / images.shape[-1], seen)

    def query_vectors(self, grids, xy):
        lowres = torch.zeros(len(xy), 256)
        lowres[torch.arange(len(xy)), torch.cdist(xy, grids.lowres[0]).argmin(dim=1)] = 1
        return QueryVectors(lowres, torch.zeros(len(xy), 128))

    def track(self, grids, vectors, known=None, state=None):
        assert (vectors[0].lowres.sum(dim=1) == 1).all(), "a point is followed before its query was looked up"
        self.points.append(len(vectors[0].lowres))
        self.lengths.append(len(grids[0].lowres))
        colour = vectors[0].lowres.argmax(dim=1)
        logits = torch.where(grids[0].hires[:, colour].T, -4.0, 4.0)
        found = Estimate(grids[0].lowres[:, colour].transpose(0, 1), logits, torch.full_like(logits, -9.0))
        after = None if state is None else CausalState(state.inputs + 1, state.hidden)
        return [found] * (1 + 4 * (len(grids) - 1)), after

    def empty_state(self, points, resolutions, like):
        return CausalState(torch.zeros(4 * resolutions, 1, points, 1, 1), torch.zeros(1, 1, points, 1, 1))


@pytest.fixture
def make(monkeypatch):
    def made(kind=TAPIR, **options):
        def load(variant, causal, weights, device, resolution, softmax_temperature):
            return core.Network(Oracle(), device, resolution)

        monkeypatch.setattr(core.Network, "load", load)
        return kind(weights="unused", device="cpu", **options)

    return made


def follow(tracker, video, prompts, **options):
    """Positions (T, K, 2) and visibilities (T, K) of prompts of one point each, NaN before a query."""
    prompts = Prompts(prompts)
    tracks = track(np.asarray(video), prompts, tracker, progress=False, **options)
    xy = np.full((len(video), max(prompts.object_ids), 2), np.nan)
    seen = np.zeros(xy.shape[:2], bool)
    rows = tracks.points
    xy[rows.frame, rows.object_id - 1], seen[rows.frame, rows.object_id - 1] = rows.xy, rows.visible
    return xy, seen


def point(centres, frame, blob, object_id):
    return PointPrompt((tuple(centres[frame, blob]),), frame=frame, object_id=object_id)


BOTH = pytest.mark.parametrize("kind", [TAPIR, OnlineTAPIR])


@BOTH
@pytest.mark.parametrize("size", [SIZE, (180, 300), (97, 131)])
def test_tracks_are_in_the_raster_of_the_frame(make, kind, size):
    """Whatever the frame's size, also where it is no multiple of the stride."""
    scale = np.array(size[::-1]) / SIZE[::-1]
    centres = positions(10) * scale
    video = blobs(centres, size, tuple(5 * scale))
    xy, seen = follow(make(kind), video, [point(centres, 0, k, k + 1) for k in range(3)])
    assert np.abs(xy - centres).max() < 0.1
    assert seen.all()


@BOTH
@given(shift=st.tuples(st.floats(-15, 15), st.floats(-10, 10)))
@settings(max_examples=5, deadline=None)
def test_a_translated_video_gives_translated_tracks(kind, shift):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.Network, "load", lambda *a, **k: core.Network(Oracle(), a[3], k["resolution"]))
        centres = positions(4)
        answers = [
            follow(
                kind(weights="unused", device="cpu"),
                blobs(centres + offset),
                [point(centres + offset, 0, k, k + 1) for k in range(3)],
            )[0]
            for offset in (np.zeros(2), np.array(shift))
        ]
    assert np.abs(answers[1] - answers[0] - shift).max() < 0.1


@BOTH
def test_late_queries_begin_on_their_frames(make, kind):
    centres = positions(9)
    xy, _ = follow(
        make(kind),
        blobs(centres),
        [point(centres, 0, 0, 1), point(centres, 5, 1, 2), point(centres, 8, 2, 3)],
    )
    assert np.isnan(xy[:5, 1]).all()
    assert np.isnan(xy[:8, 2]).all()
    assert np.abs(xy - centres)[~np.isnan(xy)].max() < 0.1
    assert np.array_equal(xy[8, 2], centres[8, 2])


@BOTH
@pytest.mark.parametrize("direction", ["backward", "both"])
def test_backward_and_both_directions(make, kind, direction):
    centres = positions(9)
    xy, _ = follow(
        make(kind), blobs(centres), [point(centres, 6, 1, 1), point(centres, 3, 0, 2)], direction=direction
    )
    answered = ~np.isnan(xy[..., 0])
    expected = np.arange(9)[:, None] <= [6, 3] if direction == "backward" else np.ones((9, 2), bool)
    assert np.array_equal(answered, expected)
    assert np.abs(xy - centres[:, [1, 0]])[answered].max() < 0.1


@BOTH
def test_an_occluded_point_is_not_visible(make, kind):
    centres, video = positions(8), blobs(positions(8))
    video[3:5, ..., 1] = 0
    _, seen = follow(make(kind), video, [point(centres, 0, k, k + 1) for k in range(3)])
    assert seen[:, 1].tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert seen[:, [0, 2]].all()


@BOTH
def test_a_correction_takes_over_from_its_frame(make, kind):
    centres = positions(8)
    xy, _ = follow(make(kind), blobs(centres), [point(centres, 0, 0, 1), point(centres, 4, 2, 1)])
    assert np.abs(xy[:4, 0] - centres[:4, 0]).max() < 0.1
    assert np.abs(xy[4:, 0] - centres[4:, 2]).max() < 0.1


def test_an_online_correction_replaces_points_and_keeps_the_label(make):
    tracker, centres = make(OnlineTAPIR), positions(4)
    frames = [Frame(i, i / 25, image) for i, image in enumerate(blobs(centres))]
    first = PointPrompt((tuple(centres[0, 0]), tuple(centres[0, 1])), object_id=1, label="ball")
    tracker.init(frames[0], Prompts([first, point(centres, 0, 1, 2)]))
    tracker.step(frames[1])
    answer = tracker.step(frames[2], Prompts([point(centres, 2, 2, 1)]))
    assert answer.labels == ("ball", None)
    assert tracker._run._state.inputs[0, 0, :, 0, 0].tolist() == [3, 1]
    answer = tracker.step(frames[3])
    assert np.abs(answer.points - centres[3, [2, 1]]).max() < 0.1


@BOTH
def test_one_frame_duplicates_and_the_last_frame(make, kind):
    centres = positions(1)
    twice = [point(centres, 0, 1, 1), point(centres, 0, 1, 2)]
    xy, seen = follow(make(kind), blobs(centres), twice)
    assert np.array_equal(xy[0], centres[0, [1, 1]])
    assert seen.all()


@BOTH
def test_thousands_of_points_go_in_chunks(make, kind):
    tracker, centres = make(kind, points_at_once=500), positions(3)
    grid = np.random.default_rng(0).uniform((1, 1), (149, 89), (2300, 2))
    tracks = track(blobs(centres), PointPrompt(grid), tracker, progress=False)
    assert len(tracks.points) == 3 * 2300
    assert max(tracker._network.net.points) == 500
    assert set(tracker._network.net.points) == {500, 300}


@BOTH
def test_points_outside_the_frame_are_refused(make, kind):
    with pytest.raises(PromptError, match="outside the frame"):
        follow(make(kind), blobs(positions(3)), [PointPrompt(((200.0, 30.0),))])


def test_long_videos_go_in_windows_and_each_frame_is_seen_once(make):
    tracker, centres = make(window=10, overlap=4), positions(12).repeat(4, axis=0)[:47]
    video = blobs(centres)
    xy, _ = follow(
        tracker, video, [point(centres, 0, 0, 1), point(centres, 23, 1, 2), point(centres, 46, 2, 3)]
    )
    assert tracker._network.net.images == 47
    assert set(tracker._network.net.lengths) == {10}
    assert tracker._network.net.points[:2] == [1, 1]
    assert np.isnan(xy[:23, 1]).all()
    assert np.isnan(xy[:46, 2]).all()
    assert np.abs(xy - centres)[~np.isnan(xy)].max() < 0.1


def test_answers_come_before_the_video_ends(make):
    tracker, pulled = make(window=8, overlap=2), 0

    def frames():
        nonlocal pulled
        for pulled, image in enumerate(blobs(positions(40))):
            yield Frame(pulled, pulled / 25, image)

    for index, _ in tracker.run(frames(), Prompts([PointPrompt(((40.0, 30.0),))]), 40):
        assert pulled <= index + 8


def test_several_resolutions_see_the_frame_at_each(make):
    tracker = make(resolution=320)
    assert tracker._network.sizes == [(256, 256), (320, 320)]
    assert tracker._network.levels == [0, 0, 1]
    centres = positions(3)
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1)])
    assert np.abs(xy[:, 0] - centres[:, 0]).max() < 0.1


def test_online_memory_follows_its_points(make):
    """A point enters with an empty memory, another's removal takes its own with it."""
    tracker, centres = make(OnlineTAPIR, points_at_once=2), positions(6)
    frames = [Frame(i, i / 25, image) for i, image in enumerate(blobs(centres))]
    tracker.init(frames[0], Prompts([point(centres, 0, k, k + 1) for k in range(3)]))
    tracker.step(frames[1])
    tracker.step(frames[2], Prompts([point(centres, 2, 0, 4)]))
    assert tracker._run._state.inputs[0, 0, :, 0, 0].tolist() == [3, 3, 3, 1]
    tracker.remove([2, 99])
    answer = tracker.step(frames[3])
    assert tracker._run._state.inputs[0, 0, :, 0, 0].tolist() == [4, 4, 2]
    assert answer.object_ids.tolist() == [1, 3, 4]
    assert np.abs(answer.points - centres[3, [0, 2, 0]]).max() < 0.1
    answer = tracker.init(frames[0], Prompts([point(centres, 0, 1, 7)]))
    assert answer.object_ids.tolist() == [7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 250}, "multiple of 8"),
        ({"resolution": 128}, "at least 256"),
        ({"window": 8, "overlap": 8}, "overlap must be from 0 to window - 1 = 7"),
        ({"variant": "tapnet"}, "'tapir' or 'bootstapir'"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(options, message):
    with pytest.raises(InputError, match=message):
        TAPIR(**{"weights": "nowhere.pt", **options})


def test_a_checkpoint_of_the_other_variant_is_named(tmp_path):
    with torch.device("meta"):
        names = Tapir(pyramid_level=0, extra_convs=False).state_dict()
    torch.save({k: torch.zeros(v.shape) for k, v in names.items()}, tmp_path / "tapir.pt")
    with pytest.raises(WeightsError, match="It is a checkpoint of tapir"):
        TAPIR(weights=tmp_path / "tapir.pt", device="cpu")
    TAPIR(variant="tapir", weights=tmp_path / "tapir.pt", device="cpu")


@pytest.mark.parametrize("name", ["tap-net", "tapnet"])
def test_tap_net_means_tapir_and_says_so(name):
    with pytest.warns(VtlabWarning, match="succeeded by TAPIR"):
        assert tracker_card(name).name == "tapir"


def test_cards_name_source_and_licence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cards = [tracker_card(name) for name in ("tapir", "bootstapir", "bootstapir-online")]
    assert {c.licence for c in cards} == {"Apache-2.0"}
    assert all(c.weights[0].url.startswith("https://storage.googleapis.com/dm-tapnet/") for c in cards)
