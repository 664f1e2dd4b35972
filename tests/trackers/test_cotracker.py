"""CoTracker3 around its network: coordinates, windows, groups, bad input. The network is an oracle (blobs.py)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trackers.blobs import SIZE, blobs, find, positions
from tests.trackers.test_tapir import follow, point
from vtlab.errors import InputError, PromptError, WeightsError
from vtlab.prompts import PointPrompt, Prompts, SkeletonPrompt
from vtlab.registry import tracker_card
from vtlab.run import track
from vtlab.video import Frame

torch = pytest.importorskip("torch")

from vtlab.nets.cotracker3 import CoTracker3, Motion  # noqa: E402
from vtlab.trackers import _cotracker_core as core  # noqa: E402
from vtlab.trackers.cotracker import CoTracker  # noqa: E402


class Oracle(torch.nn.Module):
    """Finds the blob that lay nearest to the query; its "maps" hold the blobs' centres and whether they are there."""

    model_resolution = (384, 512)

    def __init__(self):
        super().__init__()
        self.images, self.calls = 0, []

    def encode(self, images):
        assert 0 <= images.min() <= images.max() <= 255
        assert images.shape[-2:] == (384, 512)
        self.images += len(images)
        seen = images.amax(dim=(2, 3)) > 60
        return torch.cat([find(images, edge=False).float() / 4, seen[..., None].float()], dim=-1)[..., None]

    def templates(self, maps, xy):
        nearest = torch.cdist(xy, maps[0, :, :2, 0]).argmin(dim=1)
        templates = torch.zeros(len(xy), 4, 49, 128)
        templates[torch.arange(len(xy)), :, :, nearest] = 1
        return templates

    def forward(self, maps, templates, start, iterations):
        self.calls.append((len(maps), templates.amax(dim=(1, 2, 3)), start))
        colour = templates[:, 0, 0].argmax(dim=1)
        logits = torch.where(maps[:, colour, 2, 0] > 0, 6.0, -6.0)
        return Motion(maps[:, colour, :2, 0], logits, torch.full_like(logits, 6.0))


@pytest.fixture
def make(monkeypatch):
    def made(**options):
        load = lambda *_: core.Network(Oracle(), torch.device("cpu"))  # noqa: E731
        monkeypatch.setattr(core.Network, "load", load)
        return CoTracker(weights="unused", device="cpu", **options)

    return made


VARIANTS = pytest.mark.parametrize("variant", ["offline", "online"])


@VARIANTS
@pytest.mark.parametrize("size", [SIZE, (180, 300), (97, 131)])
def test_tracks_are_in_the_raster_of_the_frame(make, variant, size):
    """Whatever the frame's size, also where it is no multiple of the stride."""
    scale = np.array(size[::-1]) / SIZE[::-1]
    centres = positions(10) * scale
    video = blobs(centres, size, tuple(5 * scale))
    xy, seen = follow(make(variant=variant), video, [point(centres, 0, k, k + 1) for k in range(3)])
    assert np.abs(xy - centres).max() < 0.1
    assert seen.all()


@VARIANTS
@pytest.mark.parametrize("shift", [(12.0, 7.0), (-9.5, 4.25)])
def test_a_translated_video_gives_translated_tracks(make, variant, shift):
    centres = positions(5)
    here, there = (
        follow(make(variant=variant), blobs(c), [point(c, 0, k, k + 1) for k in range(3)])[0]
        for c in (centres, centres + shift)
    )
    assert np.abs(there - here - shift).max() < 0.1


@VARIANTS
@pytest.mark.parametrize("frames", [1, 5, 9, 15, 16, 17, 24, 29])
def test_videos_shorter_and_longer_than_a_window(make, variant, frames):
    centres = positions(10).repeat(3, axis=0)[:frames]
    tracker = make(variant=variant)
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1), point(centres, frames - 1, 1, 2)])
    assert np.abs(xy[:, 0] - centres[:, 0]).max() < 0.1
    assert np.array_equal(xy[-1, 1], centres[-1, 1])
    assert np.isnan(xy[:-1, 1]).all()
    lengths = [n for n, *_ in tracker._network.net.calls]
    online = [16] * (max(0, -(-(frames - 16) // 8)) + 1)
    assert lengths == (online if variant == "online" else [frames])
    assert tracker._network.net.images == frames


def test_offline_windows_end_with_the_video(make):
    tracker, centres = make(window=8), positions(10).repeat(3, axis=0)[:27]
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1), point(centres, 13, 2, 2)])
    assert [n for n, *_ in tracker._network.net.calls] == [8] * 6
    assert tracker._network.net.images == 27
    assert np.abs(xy[:, 0] - centres[:, 0]).max() < 0.1
    assert np.abs(xy[13:, 1] - centres[13:, 2]).max() < 0.1


def test_a_window_takes_over_what_the_one_before_found(make):
    """Points that have started go on from the shared frames; others stand at their query, without a template."""
    tracker, centres = make(variant="online"), positions(10).repeat(3, axis=0)[:28]
    queries = [
        point(centres, 0, 0, 1),
        point(centres, 12, 1, 2),
        point(centres, 17, 2, 3),
        point(centres, 26, 0, 4),
    ]
    follow(tracker, blobs(centres), queries)
    (_, first, _), (_, second, begin), (_, third, last) = tracker._network.net.calls
    assert first.tolist() == [1, 1, 0, 0]
    assert second.tolist() == [1, 1, 1, 0]
    assert third.tolist() == [1, 1, 1, 1]
    network = tracker._network
    found = network.outside(begin.xy, SIZE)
    assert np.abs(found[:8, :2] - centres[8:16, :2]).max() < 0.1
    assert np.abs(found[8:, :2] - centres[15, :2]).max() < 0.1
    assert np.abs(found[:, 2] - centres[17, 2]).max() < 1e-3
    assert begin.visible[:, 0].tolist() == [6.0] * 16
    assert begin.visible[:, 2].tolist() == [0.0] * 16
    assert last.visible[0].tolist() == [6.0, 6.0, 6.0, 0.0]


@VARIANTS
@pytest.mark.parametrize("direction", ["backward", "both"])
def test_backward_and_both_directions(make, variant, direction):
    centres = positions(10).repeat(3, axis=0)[:25]
    queries = [point(centres, 20, 1, 1), point(centres, 3, 0, 2)]
    xy, _ = follow(make(variant=variant), blobs(centres), queries, direction=direction)
    answered = ~np.isnan(xy[..., 0])
    expected = np.arange(25)[:, None] <= [20, 3] if direction == "backward" else np.ones((25, 2), bool)
    assert np.array_equal(answered, expected)
    assert np.abs(xy - centres[:, [1, 0]])[answered].max() < 0.1


@VARIANTS
def test_an_occluded_point_is_not_visible(make, variant):
    centres, video = positions(8), blobs(positions(8))
    video[3:5, ..., 1] = 0
    _, seen = follow(make(variant=variant), video, [point(centres, 0, k, k + 1) for k in range(3)])
    assert seen[:, 1].tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert seen[:, [0, 2]].all()


@VARIANTS
def test_thousands_of_points_go_in_groups(make, variant):
    tracker, centres = make(variant=variant, points_at_once=2000, support_grid=3), positions(3)
    grid = np.random.default_rng(0).uniform((1, 1), (149, 89), (5000, 2))
    tracks = track(blobs(centres), PointPrompt(grid), tracker, progress=False)
    assert len(tracks.points) == 3 * 5000
    assert [len(t) for _, t, _ in tracker._network.net.calls] == [2009, 2009, 1009]


def test_a_group_waits_for_the_first_of_its_points(make):
    tracker = make(variant="online", points_at_once=2, support_grid=2)
    centres = positions(10).repeat(4, axis=0)
    queries = [point(centres, t, k, i + 1) for i, (t, k) in enumerate([(0, 0), (2, 1), (26, 1), (36, 2)])]
    xy, _ = follow(tracker, blobs(centres), queries)
    assert np.abs(xy - centres[:, [0, 1, 1, 2]])[~np.isnan(xy)].max() < 0.1
    begun = [templates.tolist() for _, templates, _ in tracker._network.net.calls]
    assert begun == [[1] * 6, [1] * 6, [1] * 6, [1, 0, 1, 1, 1, 1], [1] * 6, [1] * 6]


def test_the_support_grid_lies_on_the_earliest_frame(make):
    """As in the official code, whose backward pass flips the grid's time with that of the queries."""
    tracker = make(support_grid=2)
    margin = 512 / 64
    corners = [[margin, margin], [512 - margin, margin], [margin, 384 - margin], [512 - margin, 384 - margin]]
    assert (tracker._network.support(2) * 4).tolist() == corners
    places, enter = [], core.Group.enter

    def recorded(group, rows, place, maps):
        places.append((len(rows), place))
        enter(group, rows, place, maps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.Group, "enter", recorded)
        centres = positions(6)
        follow(tracker, blobs(centres), [point(centres, 4, 0, 1)], direction="both")
    assert places == [(1, 0), (4, 0), (1, 0), (4, 4)]


@VARIANTS
def test_duplicates_corrections_and_hidden_nodes(make, variant):
    centres = positions(10).repeat(2, axis=0)
    twice = [point(centres, 0, 1, 1), point(centres, 0, 1, 2), point(centres, 9, 2, 2)]
    xy, _ = follow(make(variant=variant), blobs(centres), twice)
    assert np.abs(xy[:, 0] - centres[:, 1]).max() < 0.1
    assert np.abs(xy[9:, 1] - centres[9:, 2]).max() < 0.1
    hidden = SkeletonPrompt(centres[0, :2], occluded=(True, True))
    tracks = track(blobs(centres), hidden, make(variant=variant), progress=False)
    assert not tracks.points.visible.any()
    assert len(tracks.points) == 40


def test_answers_come_before_the_video_ends(make):
    tracker, pulled = make(variant="online"), 0

    def frames():
        nonlocal pulled
        for pulled, image in enumerate(blobs(positions(10).repeat(6, axis=0))):
            yield Frame(pulled, pulled / 25, image)

    for index, _ in tracker.run(frames(), Prompts([PointPrompt(((40.0, 30.0),))]), 60):
        assert pulled <= index + 16


def test_points_outside_the_frame_are_refused(make):
    with pytest.raises(PromptError, match="outside the frame"):
        follow(make(), blobs(positions(3)), [PointPrompt(((200.0, 30.0),))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "causal"}, "'offline' or 'online'"),
        ({"variant": "online", "window": 32}, "window must be 16"),
        ({"window": 1}, "at least 2"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(options, message):
    with pytest.raises(InputError, match=message):
        CoTracker(**{"weights": "nowhere.pt", **options})


def test_a_checkpoint_of_the_other_variant_is_named(tmp_path):
    with torch.device("meta"):
        names = CoTracker3(window=16).state_dict()
    torch.save({"model": {k: torch.zeros(v.shape) for k, v in names.items()}}, tmp_path / "online.pth")
    with pytest.raises(WeightsError, match="It is a checkpoint of cotracker3-online"):
        CoTracker(weights=tmp_path / "online.pth", device="cpu")
    CoTracker(variant="online", weights=tmp_path / "online.pth", device="cpu")


@pytest.mark.parametrize("name", ["cotracker3-offline", "cotracker3-online"])
def test_the_card_says_that_use_is_non_commercial(name):
    card = tracker_card(name)
    assert card.licence == "CC-BY-NC-4.0"
    assert {w.licence for w in card.weights} == {"CC-BY-NC-4.0"}
    assert "may not be used commercially" in card.notice
