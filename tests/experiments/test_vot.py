"""VOT's experiments: started anew after a failure, or from each anchor; `evaluate` reads the same numbers of the files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vtlab
from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import InputError
from vtlab.experiments.reproduction import BENCHMARKS, reproduce, rescore
from vtlab.formats import write_sequence
from vtlab.registry import TRACKERS


@pytest.fixture
def slipping(monkeypatch):
    """Stands still for six frames after a start, then is far away."""

    TRACKERS.names()
    monkeypatch.setattr(TRACKERS, "_entries", dict(TRACKERS._entries))

    @vtlab.register("slipping", family="sot", accepts={vtlab.BoxPrompt}, licence="MIT")
    class Slipping(SingleObjectTracker):
        """Stands still, then slips."""

        def init(self, frame, prompt):
            self.box, self.left = np.array(prompt.box(*frame.image.shape[:2])), 6

        def step(self, frame):
            self.left -= 1
            return Observation(self.box if self.left > 0 else self.box * 0 + [0, 0, 2, 2], score=0.5)


@pytest.fixture(scope="module")
def clips():
    return [
        synthetic(seed=s, objects=1, points=0, seconds=1.2, size=(96, 64), difficulty="still") for s in (0, 1)
    ]


def truth_on_disk(clips, root):
    for clip in clips:
        write_sequence(clip, root, "vot")
    return root


def test_a_tracker_is_started_anew_after_a_failure(slipping, clips, tmp_path):
    made = reproduce("slipping", "vot2018", clips, out=tmp_path / "out")
    codes = vtlab.Tracks.load(made.folder / f"{clips[0].name}.parquet").meta["codes"]
    count = len(clips[0].video)
    starts = list(range(0, count, 11))  # six frames good, the failure, four more that are left out
    failures = [s + 6 for s in starts if s + 6 < count]
    assert codes == {str(f): 1 for f in starts} | {str(f): 2 for f in failures}
    rows = {row.metric: row.value for row in made.rows}
    assert set(rows) == {"accuracy", "failures", "eao"}
    assert rows["failures"] == len(failures)
    text = next((made.folder / "official").rglob(f"{clips[0].name}_001.txt")).read_text().splitlines()
    assert [text[i] for i in (0, 6, 7, 10, 11)] == ["1", "2", "0", "0", "1"]
    again = rescore(made.folder / "official", "vot2018", truth_on_disk(clips, tmp_path / "data"))["slipping"]
    assert {r.metric: r.value for r in again.rows} == pytest.approx(rows, abs=1e-3, nan_ok=True)


def test_runs_from_anchors_go_on_and_back(slipping, clips, tmp_path):
    anchors = {"0": 1, "15": -1, "20": 1}
    marked = [replace(c, truth=c.truth.replace(meta={**c.truth.meta, "anchors": anchors})) for c in clips]
    made = reproduce("slipping", "vot2020", marked, out=tmp_path / "out")
    name, count = clips[0].name, len(clips[0].video)
    runs = {
        p.stem: len(p.read_text().splitlines()) for p in (made.folder / "official").rglob(f"{name}_*.txt")
    }
    assert runs == {f"{name}_00000000": count, f"{name}_00000015": 16, f"{name}_00000020": count - 20}
    rows = {row.metric: row.value for row in made.rows}
    assert set(rows) == {"accuracy", "robustness", "eao"}
    tracked = count + 16 + count - 20  # frames of the three runs, six of each before the failure
    assert rows["robustness"] == pytest.approx(18 / tracked)
    again = rescore(made.folder / "official", "vot2020", truth_on_disk(marked, tmp_path / "data"))["slipping"]
    assert {r.metric: r.value for r in again.rows} == pytest.approx(rows, abs=1e-3, nan_ok=True)
    kept = reproduce("slipping", "vot2020", marked, out=tmp_path / "out")
    assert kept.rows[0].tracks == made.rows[0].tracks


def test_anchors_are_asked_for(clips, tmp_path):
    with pytest.raises(InputError, match=r"no anchors \(anchor.value beside the truth\)"):
        reproduce("identity", "vot2020", clips, out=tmp_path / "out")


def test_names_that_differ_by_capitals_only_have_files_of_their_own(clips, tmp_path):
    pair = [replace(clips[0], name="Car"), replace(clips[1], name="car")]
    made = reproduce("identity", "otb", pair, out=tmp_path)
    files = [p.name.lower() for p in made.folder.glob("*.parquet")]
    assert len(set(files)) == 2


@pytest.mark.parametrize(
    "on", sorted(set(BENCHMARKS) - {"mot17", "mot15", "vot2020", "vot2021", "tapvid", "badja"})
)
def test_every_benchmark_can_be_handed_in(on, clips, tmp_path):
    """Points, anchors and public detections have tests of their own."""
    made = reproduce("identity", on, clips[:1], out=tmp_path)
    assert made.rows
    assert [p for p in (made.folder / "official").rglob("*") if p.is_file()]
