"""TAPNext around its network: resolutions, checkpoint files. See also contracts/test_every_point_tracker.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trackers.blobs import blobs, positions
from tests.trackers.oracles import follow, make
from vtlab.errors import InputError, WeightsError
from vtlab.prompts import PointPrompt, SkeletonPrompt
from vtlab.trackers.points.tapnext import TapNext, read_official

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")


@pytest.mark.parametrize(("name", "side"), [("tapnext++", 256), ("tapnext++-512", 512)])
def test_the_network_sees_the_resolution_of_the_variant(monkeypatch, name, side):
    tracker = make(name, monkeypatch)
    follow(tracker, blobs(positions(2)), [PointPrompt(positions(1)[0])])
    assert tracker.oracle.sizes == {(side, side)}


def test_a_figure_without_a_visible_node_needs_no_network(monkeypatch):
    tracker = make("tapnext++", monkeypatch)
    follow(tracker, blobs(positions(3)), [SkeletonPrompt(((5, 5), (9, 9)), occluded=(True, True))])
    assert tracker.oracle.points == []


def test_wrong_parameters_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"unknown variant 'tapnex'.*Did you mean"):
        TapNext(variant="tapnex")
    with pytest.raises(InputError, match="points_at_once"):
        TapNext(points_at_once=0)
    np.savez(tmp_path / "other.npz", weight=np.zeros(3))
    with pytest.raises(WeightsError, match=r"not one of TAPNext.*backbone/mask_token"):
        read_official(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", **{"backbone/mask_token": np.array([object()])})
    with pytest.raises(WeightsError, match="can't be read as arrays"):
        read_official(tmp_path / "pickled.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:100])
    with pytest.raises(WeightsError, match="can't be read as arrays"):
        read_official(tmp_path / "broken.npz")
    with pytest.raises(WeightsError, match="can't be read as arrays"):
        read_official(tmp_path / "missing.npz")


def test_prefixed_names_and_a_missing_position_table_are_understood(tmp_path):
    torch.save({"state_dict": {"tapnext.mask_token": torch.ones(1, 1, 1, 768)}}, tmp_path / "official.pt")
    found = read_official(tmp_path / "official.pt")
    assert set(found) == {"mask_token", "query_pos_embed"}
    assert found["query_pos_embed"].shape == (1, 65536, 768)
