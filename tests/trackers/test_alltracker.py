"""AllTracker on a stream: its windows against a plain loop, passes that end, options. The network is tested for parity."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from tests.trackers.blobs import blobs, positions  # noqa: E402
from tests.trackers.oracles import follow, make, point  # noqa: E402
from vtlab.decision.limits import allows_commerce  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.nets.alltracker import WINDOW, AllTracker, Dense, Motion  # noqa: E402
from vtlab.prompts import PointPrompt, Prompts  # noqa: E402
from vtlab.registry import TRACKERS  # noqa: E402
from vtlab.trackers.create import create_tracker  # noqa: E402
from vtlab.trackers.points import alltracker  # noqa: E402


class Drift(torch.nn.Module):
    """A network whose flow depends on where a window starts from and on its frames, so that each window's answer differs."""

    def encode(self, images):
        return images.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1)

    start = AllTracker.start

    def forward(self, anchor, frames, start, iterations):
        moved = start.flow + (frames - anchor).permute(0, 2, 3, 1) / 10 + frames.mean() / 100
        return Dense(Motion(moved, start.seen + moved), moved)

    def read(self, found, pixels):
        return tuple(v[:, 0, 0, :, None].transpose(1, 2).expand(-1, len(pixels), -1) for v in found.motion)


def plain(values: np.ndarray, revise: bool) -> np.ndarray:
    """Flow (T,) on frames of these mean values, by the official procedure written down."""
    net, count = Drift(), len(values)
    maps = torch.from_numpy(values).double().view(-1, 1, 1, 1)
    if count == 2:
        return np.array([0.0, net(maps[0], maps[1:], net.start(1, maps), 1).motion.flow[0, 0, 0, 0]])
    starts = [0]
    while starts[-1] + WINDOW < count:
        starts.append(starts[-1] + WINDOW // 2)
    full = torch.cat([maps, maps[-1:].expand(starts[-1] + WINDOW - count, -1, -1, -1)])
    found, motion = np.full(len(full), np.nan), net.start(WINDOW, maps)
    for start in starts:
        if start:
            motion = Motion(*(torch.cat([v[8:], v[-1:].expand(8, -1, -1, -1)]) for v in motion))
        motion = net(maps[0], full[start : start + WINDOW], motion, 1).motion
        new, here = motion.flow[:, 0, 0, 0].numpy(), slice(start, start + WINDOW)
        found[here] = new if revise else np.where(np.isnan(found[here]), new, found[here])
    return found[:count]


@pytest.mark.parametrize("readout", ["benchmark", "demo"])
@pytest.mark.parametrize("count", [2, 3, 15, 16, 17, 24, 25, 41])
def test_windows_are_those_of_the_official_procedure(monkeypatch, readout, count):
    """However long the video is, for queries on the first frame and on a later one."""
    monkeypatch.setattr(alltracker, "_load", lambda *_: (Drift(), torch.device("cpu")))
    tracker = create_tracker("alltracker", readout=readout, size=(80, 80))
    values = np.random.default_rng(count).integers(0, 256, count)
    video = np.broadcast_to(values[:, None, None, None], (count, 80, 80, 3)).astype(np.uint8)
    late = count // 3
    queries = [
        PointPrompt(((40.25, 40.0),), object_id=1),
        PointPrompt(((40.25, 40.0),), object_id=2, frame=late),
    ]
    xy, _ = follow(tracker, video, queries if late else queries[:1])
    for k, begin in enumerate((0, late) if late else (0,)):
        expected = plain(values[begin:], readout == "benchmark")[1:]
        np.testing.assert_allclose(xy[begin + 1 :, k, 0], 40.25 + expected, rtol=1e-4, atol=1e-3)


def test_a_pass_ends_where_all_its_objects_began_anew(monkeypatch):
    centres = np.concatenate([positions(20), positions(20)[::-1]])
    tracker = make("alltracker", monkeypatch)
    follow(
        tracker, blobs(centres), [point(centres, 0, 0, 1), point(centres, 0, 1, 2), point(centres, 4, 2, 1)]
    )
    both = len(tracker.oracle.lengths)
    tracker = make("alltracker", monkeypatch)
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1), point(centres, 4, 2, 1)])
    assert (both, len(tracker.oracle.lengths)) == (4 + 4, 1 + 4)
    expected = np.concatenate([centres[:4, 0], centres[4:, 2]])
    assert np.abs(xy[:, 0] - expected).max() < 0.1


def test_the_fraction_of_a_pixel_stays_unless_it_is_to_be_official(monkeypatch):
    still = np.repeat(positions(1), 3, axis=0) + np.array([0.25, 0.125])
    for official, most in ((False, 0.05), (True, 0.6)):
        tracker = make("alltracker", monkeypatch, official=official, size=(90, 150))
        xy, _ = follow(tracker, blobs(still), [point(still, 0, k, k + 1) for k in range(3)])
        off = np.abs(xy[1:] - still[1:]).max()
        assert off < most
        assert (off > 0.2) == official


def test_cards_and_options(tmp_path):
    full, tiny = (TRACKERS.card(n) for n in ("alltracker", "alltracker-tiny"))
    assert all(allows_commerce(c.licence) and allows_commerce(c.weights[0].licence) for c in (full, tiny))
    for wrong in ({"variant": "small"}, {"readout": "last"}, {"size": (64, 512)}, {"iterations": 0}):
        with pytest.raises(InputError, match="alltracker"):
            create_tracker("alltracker", weights="unused", **wrong)
    torch.save({"model": AllTracker(tiny=True).state_dict()}, tmp_path / "tiny.pth")
    with pytest.raises(WeightsError, match="a checkpoint of alltracker-tiny"):
        create_tracker("alltracker", weights=tmp_path / "tiny.pth")
    tracker = create_tracker("alltracker-tiny", weights=tmp_path / "tiny.pth", device="cpu", size=(100, 120))
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    prompts = Prompts([PointPrompt(((20.0, 30.0), (59.9, 49.9), (0.1, 0.1)))])
    xy, _ = follow(tracker, np.stack([image, image]), prompts)
    assert np.isfinite(xy).all()
