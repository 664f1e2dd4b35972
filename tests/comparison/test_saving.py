"""What a comparison writes is scored by `vtlab evaluate` with the numbers that it had in memory."""

from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.comparison.boards import N, box_track, comparison
from vtlab import formats
from vtlab.benchmark import evaluate_folders
from vtlab.comparison import Comparison, Run
from vtlab.errors import FormatError
from vtlab.files import file_names, label_of
from vtlab.metrics.families import FAMILIES
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.video import open_video

VIDEO = open_video(np.zeros((N, 96, 128, 3), np.uint8))


def same(found: Comparison, folder, families=None) -> None:
    """Every main and listed metric of every tracker, sequence by sequence and joined, is the same from disk."""
    again = evaluate_folders(folder, folder, "vtlab").tidy
    keys = ["tracker", "sequence", "object_id", "metric"]
    mine = found.scores
    if families is not None:
        mine = mine[mine["family"].isin(families)]
    mine = mine[mine["rule"] != "proxy, without truth"]
    here, there = (t.astype({"object_id": str}).set_index(keys)["value"].sort_index() for t in (mine, again))
    pd.testing.assert_series_equal(here, there)
    assert set(mine["rule"]) == set(again["rule"])
    assert len(here) >= len(found.trackers)


def test_what_is_saved_is_converted_too(tmp_path):
    """The table of scores beside the results was taken for one of them."""
    comparison(1).save(tmp_path / "saved")
    done = formats.convert(tmp_path / "saved", tmp_path / "text", "otb", layout="vtlab", results=True)
    assert {p.parent.name for p in done.written} == set(comparison(1).trackers)


def test_saved_is_scored_as_in_memory(tmp_path):
    found = comparison(3)
    assert found.save(tmp_path / "out") == tmp_path / "out"
    assert sorted(p.name for p in (tmp_path / "out" / "twin").iterdir()) == [
        f"s{i}.parquet" for i in range(3)
    ]
    same(found, tmp_path / "out")


def test_late_prompts_ignore_regions_and_the_rule_come_along(tmp_path):
    truth = box_track(0.0)
    prompts = Prompts([BoxPrompt((24, 20, 54, 60), object_id=1, frame=4)])
    hidden = truth.replace(visible=np.arange(N) != 6)
    sequence = Sequence("late", VIDEO, hidden, prompts, benchmark="got10k")
    found = Comparison((sequence,), (Run("a", "late", "sot", box_track(2.0)),))
    assert set(found.scores["rule"]) == {"got10k"}
    found.save(tmp_path / "own")
    same(found, tmp_path / "own")
    asked = Comparison((sequence,), found.runs, "plain")
    asked.save(tmp_path / "asked")
    same(asked, tmp_path / "asked")

    region = Tracks.of(np.arange(N), 9, np.tile([[60.0, 60, 120, 90]], (N, 1)), size=(96, 128))
    right, false = box_track(0.0).boxes, np.tile([[70.0, 65, 90, 85]], (N, 1))
    boxes = np.stack([right, false], axis=1).reshape(-1, 4)
    both = Tracks.of(np.repeat(np.arange(N), 2), np.tile([1, 5], N), boxes, size=(96, 128))
    seq = Sequence("ignored", VIDEO, truth, ignore=region, benchmark="plain")
    ignored = Comparison((seq,), (Run("b", "ignored", "mot", both),))
    assert ignored.table.loc["b", "MOTA"] == 1  # the false answer lies in the region
    ignored.save(tmp_path / "ignored")
    same(ignored, tmp_path / "ignored")


def test_compositions_are_scored_by_the_family_that_they_were_judged_by(tmp_path):
    one = box_track(1.0).replace(meta={"tracker": {"name": "auto", "family": "multi"}})
    found = Comparison((Sequence("s", VIDEO, box_track(0.0)),), (Run("auto", "s", "mot", one),))
    found.save(tmp_path)
    assert "HOTA" in evaluate_folders(tmp_path, tmp_path, "vtlab").table
    same(found, tmp_path)


def test_families_with_rules_of_their_own_lie_apart(tmp_path):
    runs = Run("a", "s", "sot", box_track(1.0)), Run("b", "s", "mot", box_track(1.0))
    sequence = Sequence("s", VIDEO, box_track(0.0))
    together = Comparison((sequence,), runs)
    together.save(tmp_path / "one")
    same(together, tmp_path / "one")
    apart = Comparison((sequence,), runs, {"sot": "got10k"})
    apart.save(tmp_path / "two")
    for family in apart.families:
        same(apart, tmp_path / "two" / family, [family])


def test_what_failed_is_kept_and_scored_as_far_as_it_came(tmp_path):
    """What it did not answer counts as missed, in the table and when the files are scored again."""
    half = box_track(0.0).between(0, 5)
    sequence = Sequence("s", VIDEO, box_track(0.0))
    runs = Run("whole", "s", "sot", box_track(0.0)), Run("fails", "s", "sot", half, "broken", False)
    found = Comparison((sequence,), runs)
    found.save(tmp_path)
    assert len(Tracks.load(tmp_path / "fails" / "s.parquet")) == 5
    same(found, tmp_path)
    again = evaluate_folders(tmp_path, tmp_path, "vtlab")
    assert again.table.loc[("fails", "s"), "ao"] == pytest.approx(5 / 12)
    assert again.finished == {"fails": (0, 1), "whole": (1, 1)}


def test_who_broke_off_is_not_ranked_when_saved_runs_are_scored(tmp_path):
    """It had the better mean on what it answered, and the table said nothing of the clip that it failed on."""
    clips = [Sequence(f"s{i}", VIDEO, box_track(0.0)) for i in range(3)]
    steady = [Run("steady", s.name, "sot", box_track(6.0)) for s in clips]
    fails = [Run("fails", s.name, "sot", box_track(0.0)) for s in clips[:2]]
    fails.append(Run("fails", "s2", "sot", box_track(0.0).between(0, 8), "broken", False))
    found = Comparison(tuple(clips), (*steady, *fails))
    found.save(tmp_path)
    again = evaluate_folders(tmp_path, tmp_path, "vtlab")
    assert again.leaderboard.index.tolist() == ["steady", "fails"] == found.table.index.tolist()
    assert again.leaderboard.value["fails"] > again.leaderboard.value["steady"]
    board = again.boards[0]
    assert board.frame["finished"].tolist() == ["3 of 3", "2 of 3"]
    assert not [c.text for c in list(board.rows())[1] if c.strong]
    assert any("fails finished 2 of 3 sequences (s2 broke off)" in note for note in again.notes)


LABELS = [
    *(
        "truth",
        "a/b",
        "a:b",
        "a-b",
        "..",
        ".",
        "data",
        "results",
        "csrt padding=2.0",
        "con",
        "NUL.x",
        "COM1",
        "com10",
    ),
    *(
        "x.",
        "x",
        "X",
        "xX",
        "Xx",
        " x ",
        "x%41",
        "100 %",
        "%",
        "",
        "é",
        "e\u0301",
        "É",
        "ẞ",
        "ss",
        "?*<>|",
        "a\nb",
        "a\\b",
    ),
    *(
        ".hidden",
        "__MACOSX",
        "table.csv",
        "scores.parquet",
        "Table.csv",
        "x.ignore",
        "日本",
        "-",
        "--help",
        "s.prompts",
    ),
]
"""What people call trackers and sequences: names of devices, other capitals, other accents, what means something here."""


def test_labels_survive_the_disk(tmp_path):
    runs = tuple(
        Run(label, s, "sot", box_track(i / 9)) for i, label in enumerate(LABELS) for s in ("x/1", "X/1")
    )
    found = Comparison(tuple(Sequence(s, VIDEO, box_track(0.0)) for s in ("x/1", "X/1")), runs)
    found.save(tmp_path)
    names = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")]
    assert len({unicodedata.normalize("NFC", n).casefold() for n in names}) == len(names)
    for part in {part for n in names for part in n.split("/")}:
        assert not set(part) & set('\\:*?"<>|\n')
        assert part == part.strip(" .")
        assert part.split(".")[0].lower() not in ("con", "nul", "com1")
    again = evaluate_folders(tmp_path, tmp_path, "vtlab").table["ao"]
    assert set(again.index.get_level_values(0)) == set(LABELS)
    for label in LABELS:
        assert again[label, "all"] == pytest.approx(found.table.loc[label, "ao"])
    assert {"truth", "csrt padding=2.0", "a%3Ab", "%74ruth"} <= {p.name for p in tmp_path.iterdir()}


def test_sequences_have_any_name_too(tmp_path):
    names = [n for n in LABELS if n not in ("truth",)]
    sequences = tuple(Sequence(name, VIDEO, box_track(0.0)) for name in names)
    found = Comparison(sequences, tuple(Run("a", n, "sot", box_track(i / 9)) for i, n in enumerate(names)))
    found.save(tmp_path)
    again = evaluate_folders(tmp_path, tmp_path, "vtlab").table["ao"]["a"].drop("all")
    assert set(again.index) == set(names)
    here = found.scores.query("metric == 'ao' and sequence != 'all'").set_index("sequence")["value"]
    assert again.to_dict() == pytest.approx(here.to_dict())


@given(st.lists(st.text(st.characters(), max_size=6), max_size=8, unique=True))
def test_names_of_files_are_never_the_same(labels):
    names = file_names(labels, ("data",))
    assert [label_of(names[label]) for label in labels] == labels
    seen = {unicodedata.normalize("NFC", unicodedata.normalize("NFC", n).casefold()) for n in names.values()}
    assert len(seen) == len(labels)
    assert "data" not in seen


def test_without_truth_the_tracks_are_kept(tmp_path):
    found = Comparison((Sequence("s", VIDEO),), (Run("a", "s", "sot", box_track(0.0)),))
    found.save(tmp_path)
    assert not (tmp_path / "truth").exists()
    assert len(Tracks.load(tmp_path / "a" / "s.parquet")) == N


@pytest.mark.parametrize("trackers", ["a", "ab"])
def test_without_truth_nothing_is_scored(tmp_path, trackers):
    """A tracker's own answers were taken for the truth: two were 'there twice', one was perfect."""
    runs = tuple(Run(name, "s", "sot", box_track(0.0)) for name in trackers)
    Comparison((Sequence("s", VIDEO),), runs).save(tmp_path)
    with pytest.raises(
        FormatError, match=r"there is no truth, only what trackers answered \(a in .*s\.parquet"
    ):
        evaluate_folders(tmp_path, tmp_path, "vtlab")
    assert evaluate_folders(tmp_path / "a", tmp_path / "a", "vtlab").parts  # as truth, where one says so


def test_every_family_has_a_main_metric_that_is_listed_on_disk():
    for family in FAMILIES.values():
        assert family.listed[0] == family.columns[0] == family.main
