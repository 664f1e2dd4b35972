"""PIPs around its network: coordinates, chaining, streams, bad input. The network is an oracle (see blobs.py)."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trackers.blobs import SIZE, blobs, find, positions
from vtlab.errors import InputError, WeightsError
from vtlab.prompts import PointPrompt, Prompts
from vtlab.run import track
from vtlab.trackers import pips
from vtlab.trackers.pips import Pips, hand_over, padded, unpacked
from vtlab.video import Frame

torch = pytest.importorskip("torch")


class Oracle(torch.nn.Module):
    """Finds the blob whose colour the template has; hidden blobs (all black) have low visibility."""

    def __init__(self):
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(0))
        self.points, self.frames = [], 0

    def features(self, image):
        self.frames += 1
        return image

    def look_up(self, maps, xy):
        nearest = torch.cdist(xy.double(), find(maps[None], edge=False)[0]).argmin(dim=1)
        return torch.nn.functional.one_hot(nearest, 128).float()

    def forward(self, window, start, template, iterations):
        self.points.append(len(start))
        colour = template[:, :3].argmax(dim=1)
        xy = find(window, edge=False)[:, colour].float()
        seen = window.amax(dim=(2, 3))[:, colour] > 60
        xy = torch.cat([start[None], xy[1:]])
        return type("Refined", (), {"xy": xy[None], "visibility": torch.where(seen, 5.0, -5.0)})


@pytest.fixture
def make(monkeypatch):
    def made(**options):
        net = Oracle()
        monkeypatch.setattr(pips, "_load", lambda weights, device: (net, torch.device("cpu")))
        tracker = Pips(**{"size": (128, 192), **options})
        tracker.net = net
        return tracker

    return made


def follow(tracker, video, prompts, order=None):
    """Positions (T, K, 2) and visibilities (T, K) over the frames in `order`, NaN before a query."""
    prompts = Prompts(prompts)
    order = list(range(len(video))) if order is None else order
    count = sum(len(p.points) for p in prompts)
    xy, seen = np.full((len(video), count, 2), np.nan), np.zeros((len(video), count), bool)
    offsets = dict(
        zip([p.object_id for p in prompts], np.cumsum([0, *(len(p.points) for p in prompts)]), strict=False)
    )
    indices = []
    for i, answer in tracker.run((Frame(t, t / 25, video[t]) for t in order), prompts, len(order)):
        rows = [
            offsets[o] + k
            for o, k in zip(answer.point_owners.tolist(), answer.point_ids.tolist(), strict=True)
        ]
        xy[i, rows], seen[i, rows] = answer.points, answer.point_visible
        indices.append(i)
    assert indices == order
    return xy, seen


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 31])
def test_points_of_videos_shorter_and_longer_than_a_window(make, frames):
    wanted = positions(frames)
    xy, seen = follow(make(), blobs(wanted), [PointPrompt(wanted[0])])
    np.testing.assert_allclose(xy, wanted, atol=0.05)
    assert seen.all()


@settings(max_examples=12, deadline=None)
@given(
    shift=st.tuples(st.floats(-15, 15), st.floats(-10, 10)),
    scale=st.tuples(st.floats(0.8, 2.5), st.floats(0.8, 2.5)),
)
def test_a_translated_and_a_scaled_video_give_translated_and_scaled_tracks(shift, scale):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pips, "_load", lambda weights, device: (Oracle(), torch.device("cpu")))
        tracker = Pips(size=(128, 192))
    start = positions(6)
    original, _ = follow(tracker, blobs(start), [PointPrompt(start[0])])
    moved = (start + shift) * scale
    size = tuple(round(n * s) for n, s in zip(SIZE, scale[::-1], strict=True))
    video = blobs(moved, size, (5.0 * scale[0], 5.0 * scale[1]))
    xy, _ = follow(tracker, video, [PointPrompt(moved[0])])
    np.testing.assert_allclose(xy, (original + shift) * scale, atol=0.1 * max(scale))


def test_late_backward_and_last_frame_queries(make):
    wanted = positions(20)
    video = blobs(wanted)
    late = [PointPrompt(wanted[t][k], object_id=k + 1, frame=t) for k, t in enumerate((0, 6, 19))]
    xy, _ = follow(make(), video, late)
    for k, t in enumerate((0, 6, 19)):
        assert np.isnan(xy[:t, k]).all()
        np.testing.assert_allclose(xy[t:, k], wanted[t:, k], atol=0.05)
    back, _ = follow(make(), video, [PointPrompt(wanted[19], frame=19)], order=list(range(19, -1, -1)))
    np.testing.assert_allclose(back, wanted, atol=0.05)


def test_both_directions_through_the_loop(make):
    make()
    wanted = positions(12)
    prompts = [
        PointPrompt(wanted[5], frame=5, shape="polygon"),
        PointPrompt(wanted[3][:1], object_id=2, frame=3),
    ]
    tracks = track(blobs(wanted), prompts, "pips", direction="both", progress=False)
    np.testing.assert_allclose(tracks.of_object(1).points.xy.reshape(12, 3, 2), wanted, atol=0.05)
    np.testing.assert_allclose(tracks.of_object(2).points.xy, wanted[:, 0], atol=0.05)


def test_a_hidden_point_is_reported_and_the_chain_steps_over_it(make):
    wanted = positions(24)
    video = blobs(wanted)
    video[5:9, :, :, 1] = 0
    xy, seen = follow(make(), video, [PointPrompt(wanted[0])])
    assert seen[:, 1].tolist() == [not 5 <= t < 9 for t in range(24)]
    assert seen[:, [0, 2]].all()
    np.testing.assert_allclose(xy[9:], wanted[9:], atol=0.05)


def test_features_are_computed_once_a_frame_and_points_in_chunks_give_the_same(make):
    wanted = positions(12)
    video = blobs(wanted)
    whole, parts = make(), make(points_at_once=2)
    one, _ = follow(whole, video, [PointPrompt(wanted[0])])
    two, _ = follow(parts, video, [PointPrompt(wanted[0])])
    np.testing.assert_array_equal(one, two)
    assert whole.net.frames == 12
    assert max(parts.net.points) == 2


def test_thousands_duplicated_and_outside_queries_and_odd_sizes(make):
    wanted = positions(9) * 0.9
    many = np.repeat(wanted[0], 1000, axis=0)
    xy, _ = follow(
        make(), blobs(wanted, (81, 137)), [PointPrompt(many), PointPrompt(((-40, 500), (5, 5)), object_id=2)]
    )
    assert np.isfinite(xy).all()
    np.testing.assert_array_equal(xy[:, 0], xy[:, 999])
    np.testing.assert_allclose(xy[:, :1000], np.repeat(wanted[:, :1], 1000, axis=1), atol=0.05)


def test_the_stream_is_read_no_further_than_a_window_ahead(make):
    wanted = positions(40)
    video, read = blobs(wanted), []

    def stream():
        for t, image in enumerate(video):
            read.append(t)
            yield Frame(t, t / 25, image)

    for i, _ in make().run(stream(), Prompts(PointPrompt(wanted[0])), 0):
        assert max(read) <= i + 7


def test_batches_have_few_sizes():
    assert [padded(n) for n in (1, 2, 3, 5, 8, 9, 16, 17, 33, 128)] == [1, 2, 4, 8, 8, 16, 16, 32, 48, 128]


def test_hand_over_lowers_the_bar_until_a_frame_passes():
    assert hand_over(np.array([1, 1, 0.95, 0.2, 0.92, 0.1, 0.1, 0.89])) == 4
    assert hand_over(np.array([1, 1, 0.1, 0.2, 0.35, 0.1, 0.34, 0.1])) == 6
    assert hand_over(np.zeros(8)) == 7
    assert hand_over(np.full(8, np.nan)) == 7


def test_wrong_parameters_are_named():
    for options, words in (
        ({"size": (360, 642)}, "multiples of 4"),
        ({"size": (32, 640)}, "at least 64"),
        ({"iterations": 0}, "iterations"),
        ({"points_at_once": 0}, "points_at_once"),
    ):
        with pytest.raises(InputError, match=words):
            Pips(**options)
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        Pips(weights="nowhere.pth", device="cpu")


def archive(path, **members):
    with tarfile.open(path, "w:gz") as file:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"reference_model/{name.replace('_', '-')}.pth")
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))


def test_the_official_archive_is_unpacked_once_to_its_highest_step(tmp_path):
    path = tmp_path / "pips_reference_model.tar.gz"
    archive(path, model_000100000=b"early", model_000200000=b"late", notes=b"x")
    found = unpacked(path)
    assert (found.name, found.read_bytes()) == ("pips_reference_model-000200000.pth", b"late")
    before = os.stat(found).st_mtime_ns
    assert unpacked(path) == found
    assert os.stat(found).st_mtime_ns == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [found.name, path.name]
    assert unpacked(found) == found


def test_a_damaged_or_foreign_archive_is_named_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.tar.gz"
    archive(path, notes=b"x")
    with pytest.raises(WeightsError, match=r"no model-<step>\.pth"):
        unpacked(path)
    archive(path, model_000200000=os.urandom(100_000))
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(WeightsError, match=r"can't be unpacked"):
        unpacked(path)
    archive(path, model_000200000=b"a" * 100_000)
    path.write_bytes(path.read_bytes()[:60] + b"?" * 60 + path.read_bytes()[120:])
    with pytest.raises(WeightsError, match=r"can't be unpacked"):
        unpacked(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"can't be unpacked"):
        unpacked(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]
