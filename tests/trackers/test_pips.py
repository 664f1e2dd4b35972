"""PIPs around its network: chaining, chunks, the official archive. See also contracts/test_every_point_tracker.py."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pytest

from tests.trackers.blobs import blobs, positions
from tests.trackers.oracles import follow, make
from vtlab.errors import InputError, WeightsError
from vtlab.prompts import PointPrompt
from vtlab.trackers.create import create_tracker
from vtlab.trackers.points.pips import Pips, hand_over, padded, unpacked

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")


def test_the_chain_steps_over_frames_on_which_a_point_is_hidden(monkeypatch):
    wanted = positions(24)
    video = blobs(wanted)
    video[5:9, :, :, 1] = 0
    xy, _ = follow(make("pips", monkeypatch), video, [PointPrompt(wanted[0])])
    np.testing.assert_allclose(xy[9:], wanted[9:], atol=0.05)


def test_points_in_chunks_give_the_same(monkeypatch):
    wanted = positions(12)
    one, two = (
        follow(make("pips", monkeypatch, **options), blobs(wanted), [PointPrompt(wanted[0])])[0]
        for options in ({}, {"points_at_once": 2})
    )
    np.testing.assert_array_equal(one, two)


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


def test_the_official_archive_loads_strictly_and_tracks(tmp_path):
    from vtlab.nets.pips import Pips as Network

    with torch.device("meta"):
        names = Network().state_dict()
    state, file = {k: torch.full(v.shape, 0.01) for k, v in names.items()}, io.BytesIO()
    torch.save({"model_state_dict": state, "optimizer_state_dict": {"state": {}, "param_groups": []}}, file)
    path = tmp_path / "pips_reference_model.tar.gz"
    archive(path, model_000200000=file.getvalue())
    tracker = create_tracker("pips", weights=path, device="cpu", size=(64, 64), iterations=1)
    xy, seen = follow(tracker, blobs(positions(2)), [PointPrompt(positions(1)[0])])
    assert np.isfinite(xy).all()
    assert seen[0].all()


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
