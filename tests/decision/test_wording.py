"""What a verdict says in words, and what it promises before a label."""

from __future__ import annotations

import re

import numpy as np
import pytest
from typer.testing import CliRunner

import vtlab
from vtlab.cli import app
from vtlab.errors import InputError, VtlabWarning
from vtlab.tracks import Record, Source, Tracks
from vtlab.video import Marks

HOME = np.array([100.0, 100.0, 160.0, 160.0])


def drift(step: float, seed: int, n: int = 300) -> Tracks:
    """A box that wanders off, by more with every frame."""
    way = np.cumsum(np.random.default_rng(seed).normal(0, step, (n, 2)), axis=0)
    return Tracks.of(np.arange(n), 1, HOME + np.concatenate([way, way], axis=1))


def run(v):
    """Label what is asked for until the verdict has its answer."""
    while v.state == "label":
        frames = [f for _, f in v.next()]
        v.add(Tracks.of(frames, 1, np.tile(HOME, (len(frames), 1))))
    return v


def test_a_plan_never_promises_less_than_a_later_level():
    """Single frames on which two lost trackers agree are missed by few labels, whose intervals then look narrow."""
    n = 112
    gone = np.arange(n) >= 36
    rare = np.isin(np.arange(n), [56, 75, 92, 96, 99, 108])
    good = Tracks.of(np.arange(n), 1, np.tile(HOME, (n, 1)))
    lost = {
        name: Tracks.of(
            np.arange(n), 1, np.tile(HOME + off, (n, 1)), visible=~(gone & (rare if both else True))
        )
        for name, off, both in (("a", 500.0, False), ("b", 300.0, True))
    }
    for seed in range(6):
        plan = vtlab.verdict({"good": good, **lost}, seed=seed).plan()
        assert list(plan.values()) == sorted(plan.values(), reverse=True)


def test_numbers_in_words_have_the_unit_of_the_tables():
    v = run(vtlab.verdict({f"t{i}": drift(step, i) for i, step in enumerate((0.2, 0.4, 2.0))}, within=0.015))
    told = " ".join([v.sentence, *v.notes])
    assert re.search(r"labels would shrink the intervals to about ±\d+(\.\d)? percentage points\.", told)
    assert "lower every level by 1 to 4 percentage points" in told
    q = run(vtlab.verdict({"a": drift(0.2, 1), "b": drift(0.21, 2)}, within=0.3))
    assert q.state == "good_enough"
    assert "at most 30 percentage points of mean IoU below the best of the 2" in q.sentence


def recorded(tracks: Tracks, digest: str, looks: int | None = None) -> Tracks:
    """Tracks that know on which footage they were made, and with `looks` what its frames look like."""
    marks = None
    if looks is not None:
        marks = Marks.of_hashes({f: np.random.default_rng(looks + f).bytes(32) for f in range(300)}).to_dict()
    source = Source(name="street", digest=digest, width=420, height=240, frames=300, fps=25.0, marks=marks)
    return tracks.replace(record=Record(source=source))


def test_labels_of_another_video_are_refused():
    """Without the footage too, by the one rule of identity: a number of a frame is no frame."""
    v = vtlab.verdict({f"t{i}": recorded(drift(0.2 + i, i), "sha256:a", looks=1) for i in range(3)})
    frames = [f for _, f in v.next()]
    mine = Tracks.of(frames, 1, np.tile(HOME, (len(frames), 1)))
    with pytest.raises(InputError, match="their frames differ. The first that does is frame 0"):
        v.add(recorded(mine, "sha256:b", looks=5000))
    assert v.labelled == 0
    with pytest.warns(VtlabWarning, match="can't be told"):
        v.add(recorded(mine, "sha256:b"))
    assert v.labelled == len(frames)


def test_labels_of_a_copy_are_taken():
    v = vtlab.verdict({f"t{i}": recorded(drift(0.2 + i, i), "sha256:a", looks=1) for i in range(3)})
    frames = [f for _, f in v.next()]
    mine = Tracks.of(frames, 1, np.tile(HOME, (len(frames), 1)))
    with pytest.warns(VtlabWarning, match="look the same in both"):
        v.add(recorded(mine, "sha256:copy", looks=1))
    assert v.labelled == len(frames)


def test_the_command_prints_the_units_of_every_table(tmp_path):
    for i in range(3):
        drift(0.2 + i, i).save(tmp_path / f"t{i}.parquet")
    v = run(vtlab.verdict({f"t{i}": drift(0.2 + i, i) for i in range(3)}, file=tmp_path / "v.json"))
    given = [str(tmp_path / f"t{i}.parquet") for i in range(3)]
    text = CliRunner().invoke(app, ["verdict", *given, "--file", str(tmp_path / "v.json")]).output
    assert f"{v.table['value'].iloc[0]:.1%}" in text
    assert "beaten_by" not in text
