"""A comparison that keeps its runs: found again, run at once with honest times, the same numbers either way."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError, InputError, Interrupted
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
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    result = vtlab.compare(clips(3), ["ncc", "identity"], out=tmp_path, jobs=2, progress=False)
    plain = vtlab.compare(clips(3), ["ncc", "identity"], progress=False)
    assert result.table["ao"].to_dict() == plain.table["ao"].to_dict()
    timed = [r for r in result.runs if len(r.tracks.step_seconds)]
    assert {r.sequence for r in timed} == {"clip0"}
    assert all("Timed on clip0, alone on cores" in r.note for r in timed)
    assert np.isfinite(result.table["latency_ms"]).all()


MOODY = """
import pathlib
import vtlab
from vtlab.contracts import Card, Observation, SingleObjectTracker

class Moody(SingleObjectTracker):
    card = Card("moody", "sot", accepts=frozenset({vtlab.BoxPrompt}))

    def init(self, frame, prompt):
        self.box = prompt.box(*frame.image.shape[:2])
        self.mood = pathlib.Path(__file__).with_name("mood.txt").read_text()

    def step(self, frame):
        if frame.index == 5 and self.mood == "fail":
            raise RuntimeError("not today")
        if frame.index == 5 and self.mood == "interrupt":
            raise KeyboardInterrupt
        return Observation(self.box)
"""


@pytest.fixture
def moody(tmp_path):
    (tmp_path / "moody.py").write_text(MOODY)

    def compared(mood, said):
        (tmp_path / "mood.txt").write_text(mood)
        trackers = ["ncc", f"{tmp_path / 'moody.py'}:Moody"]
        return vtlab.compare(clips(), trackers, out=tmp_path / "runs", progress=said.append)

    return compared


def test_what_failed_is_run_again_and_only_that(moody):
    said = []
    first = moody("fail", said)
    assert said == ["ncc on clip0", "moody on clip0", "ncc on clip1", "moody on clip1"]
    assert first.table.loc["moody", "finished"] == "0 of 2"
    assert "not today" in first.table.loc["moody", "note"]
    said.clear()
    again = moody("well", said)
    assert said == ["moody on clip0", "moody on clip1"]
    assert "finished" not in again.table
    said.clear()
    assert moody("fail", said).table.equals(again.table)
    assert said == []


def test_an_interrupted_comparison_goes_on_where_it_was(moody, tmp_path):
    said = []
    with pytest.raises(Interrupted, match="1 of 4 runs had finished; they are kept in") as caught:
        moody("interrupt", said)
    assert caught.value.comparison.trackers == ["ncc"]
    said.clear()
    result = moody("well", said)
    assert said == ["moody on clip0", "ncc on clip1", "moody on clip1"]
    assert len(result.runs) == 4
    assert list((tmp_path / "runs").glob("staging/*")) == []
