"""A comparison that keeps its runs: found again, run at once with honest times, the same numbers either way."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError, InputError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Tracks


def clips(n=2):
    found = []
    for i in range(n):
        video = vtlab.open_video(moving_square(8), name=f"clip{i}")
        truth = Tracks.of(np.arange(8), 1, [[20.0 + i, 16, 44, 40]] * 8)
        found.append(Sequence(f"clip{i}", video, truth, Prompts([BoxPrompt((20, 16, 44, 40))])))
    return found


def test_runs_are_kept_and_found_again(tmp_path):
    said = []
    first = vtlab.compare(clips(), ["ncc", "identity"], out=tmp_path / "runs", progress=said.append)
    plain = vtlab.compare(clips(), ["ncc", "identity"], progress=False)
    assert said == ["ncc on clip0", "identity on clip0", "ncc on clip1", "identity on clip1"]
    for metric in ("success_auc", "ao"):
        assert first.table[metric].to_dict() == plain.table[metric].to_dict()
    said.clear()
    again = vtlab.compare(clips(), ["ncc", "identity", "csrt"], out=tmp_path / "runs", progress=said.append)
    assert said == ["csrt on clip0", "csrt on clip1"]
    assert again.table.loc["ncc", "fps"] == first.table.loc["ncc", "fps"]  # not measured anew
    assert len(Archive(tmp_path / "runs").done()) == 6


def test_what_cannot_be_found_again_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="was made already"):
        vtlab.compare(clips(1), {"made": vtlab.create_tracker("lucas-kanade")}, out=tmp_path, progress=False)
    with pytest.raises(InputError, match="jobs must be at least 1"):
        vtlab.compare(clips(1), ["ncc"], jobs=0, progress=False)


def test_a_comparison_on_two_processes_times_alone_and_says_so(tmp_path):
    pytest.importorskip("distributed", reason="needs vtlab[cluster]")
    result = vtlab.compare(clips(3), ["ncc", "identity"], out=tmp_path, jobs=2, progress=False)
    plain = vtlab.compare(clips(3), ["ncc", "identity"], progress=False)
    assert result.table["ao"].to_dict() == plain.table["ao"].to_dict()
    timed = [r for r in result.runs if len(r.tracks.step_seconds)]
    assert {r.sequence for r in timed} == {"clip0"}
    assert all("Timed on clip0, alone on cores" in r.note for r in timed)
    assert np.isfinite(result.table["latency_ms"]).all()
