"""Reproduced results: run or scored, compared with what is published, written down once, taken up again."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vtlab.cli.app import app
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import FormatError, InputError
from vtlab.experiments import ledger, reproduction
from vtlab.experiments.ledger import Published, add_rows, page, read_ledger, verdict_of
from vtlab.formats import read_tracks as read_format
from vtlab.formats import write_sequence
from vtlab.sequence import first_prompts
from vtlab.tracks import Tracks

ROOT = Path(__file__).parents[2]
TOLD = Published("m", "otb", "pysot", "success_auc", 0.6, "https://example.org", "table 1")


@pytest.fixture(scope="module")
def clips():
    return [
        synthetic(seed=s, objects=1, points=0, seconds=0.4, size=(96, 64), difficulty="still")
        for s in range(6)
    ]


def test_a_run_is_written_down_and_taken_up_again(
    clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reproduction.reproduce("identity", "otb", clips, part=50, out=tmp_path)
    assert {row.metric for row in first.rows} == {"success_auc", "precision_20px", "ao"}
    row = first.rows[0]
    assert (row.sequences, row.of, row.made, row.verdict) == (3, 100, "run", "measured")
    assert row.rule == "pysot"
    assert row.value > 0.9
    assert first.folder is not None
    ran: list[str] = []
    track = reproduction.track
    monkeypatch.setattr(
        reproduction, "track", lambda video, *a, **k: ran.append(video.name) or track(video, *a, **k)
    )
    lines: list[str] = []
    whole = reproduction.reproduce("identity", "otb", clips, out=tmp_path, report=lines.append)
    assert len(ran) == 3  # the other half; the first part is kept
    assert len(lines) == 6
    assert whole.rows[0].sequences == 6
    assert math.isfinite(whole.rows[0].low)
    again = reproduction.reproduce("identity", "otb", clips, out=tmp_path)
    assert len(ran) == 3
    assert (again.rows[0].tracks, again.rows[0].value) == (whole.rows[0].tracks, whole.rows[0].value)


def test_a_kept_run_of_another_edition_of_a_sequence_is_run_again(clips, tmp_path: Path) -> None:
    """Same names, another start or other frames: what is kept would be scored as if it were of these."""
    first = reproduction.reproduce("identity", "otb", clips[:1], out=tmp_path).rows[0]
    truth = clips[0].truth
    truth = Tracks.of(truth.frame, truth.object_id, truth.boxes + 15, size=truth.size)
    moved = replace(clips[0], truth=truth, prompts=first_prompts(truth))
    later = reproduction.reproduce("identity", "otb", [moved], out=tmp_path).rows[0]
    assert later.value == pytest.approx(first.value)  # 15 px off, were the first run's boxes scored
    other = replace(clips[1], name=clips[0].name)
    assert reproduction.reproduce("identity", "otb", [other], out=tmp_path).rows[0].tracks != first.tracks


@pytest.mark.parametrize(("on", "layout"), [("otb", "otb"), ("got10k", "got10k"), ("lasot", "lasot")])
def test_results_in_the_official_layout_can_be_handed_in(clips, tmp_path: Path, on: str, layout: str) -> None:
    """They are read back by the format, and score what the run scored."""
    found = reproduction.reproduce("identity", on, clips[:2], out=tmp_path / "out")
    assert found.folder is not None
    for clip in clips[:2]:
        write_sequence(clip, tmp_path / "root", layout)
    again = reproduction.rescore(found.folder / "official", on, tmp_path / "root")
    assert again["identity"].rows[0].value == pytest.approx(found.rows[0].value, abs=5e-3)


def test_mot_and_davis_results_are_written_as_their_servers_want_them(tmp_path: Path) -> None:
    clip = synthetic(seed=1, objects=2, points=0, seconds=0.4, size=(96, 64), difficulty="still")
    masks = reproduction.reproduce("identity", "davis", [clip], out=tmp_path)
    assert masks.folder is not None
    assert sorted(p.suffix for p in (masks.folder / "official").rglob("*.png"))
    det = tmp_path / "det.txt"
    rows = [
        (f + 1, -1, *(b[:2] + 1), *(b[2:] - b[:2]), 1, -1, -1, -1)
        for f, b in zip(clip.truth.frame, clip.truth.boxes, strict=True)
    ]
    det.write_text("\n".join(",".join(f"{v:.2f}" for v in row) for row in rows))
    boxes = reproduction.reproduce("sort", "mot17", [clip], out=tmp_path, detections={clip.name: det})
    assert boxes.folder is not None
    (text,) = (boxes.folder / "official").rglob(f"{clip.name}.txt")
    assert len(read_format(text, "mot17")) > 0
    assert {"HOTA", "MOTA", "IDF1"} == {row.metric for row in boxes.rows}


def test_what_a_number_says_of_the_published_one() -> None:
    nan = float("nan")
    assert verdict_of(0.6, (nan, nan), (5, 5), None) == "measured"
    assert verdict_of(0.604, (0.5, 0.7), (100, 100), TOLD) == "reproduced"
    assert verdict_of(0.594, (0.5, 0.7), (100, 100), TOLD) == "differs"
    assert verdict_of(0.55, (0.5, 0.61), (10, 100), TOLD) == "agrees with a part"
    assert verdict_of(0.55, (0.5, 0.59), (10, 100), TOLD) == "a part differs"
    assert verdict_of(0.6, (nan, nan), (3, 100), TOLD) == "too few sequences"


def test_one_row_for_a_number_and_a_page_of_all(clips, tmp_path: Path) -> None:
    path = tmp_path / "results" / "ledger.csv"
    rows = reproduction.reproduce("identity", "otb", clips[:1], out=tmp_path).rows
    add_rows(path, rows)
    assert [r.key for r in add_rows(path, rows)] == [r.key for r in read_ledger(path)]
    assert len(read_ledger(path)) == len(rows)
    text = page(read_ledger(path), [TOLD])
    assert "| identity | otb | pysot | success_auc |" in text
    assert "| m | otb | success_auc | 0.600 | not reproduced | [table 1](https://example.org) |" in text
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match=r"is no ledger: expected the columns method, on"):
        read_ledger(tmp_path / "other.csv")


def test_parts_nest_and_are_checked(clips) -> None:
    names = [{c.name for c in reproduction._part(clips, p)} for p in (1, 20, 50, 100)]
    assert [len(n) for n in names] == [1, 2, 3, 6]
    assert names[0] < names[1] < names[2] < names[3]
    for wrong in (0, 101, -5):
        with pytest.raises(InputError, match="expected per cent"):
            reproduction.reproduce("identity", "otb", clips, part=wrong)
    with pytest.raises(InputError, match=r"Unknown benchmark 'otb10'.*Did you mean"):
        reproduction.reproduce("identity", "otb10", clips)


def test_published_numbers_have_a_source_and_a_place() -> None:
    for told in ledger.published():
        assert told.source.startswith("https://")
        assert told.place
        assert 0 < told.value < 1
        assert told.on in reproduction.BENCHMARKS


def test_the_command(clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduction, "open_dataset", lambda root, layout: clips[:2])
    given = [
        "--on",
        "otb",
        "--root",
        str(tmp_path),
        "--ledger",
        str(tmp_path / "l.csv"),
        "--out",
        str(tmp_path / "o"),
    ]
    wrong = CliRunner().invoke(app, ["lab", "reproduce", "identiti", *given])
    assert wrong.exit_code == 1
    assert not (tmp_path / "l.csv").exists()
    ran = CliRunner().invoke(app, ["lab", "reproduce", "identity", *given])
    assert ran.exit_code == 0, ran.output
    assert "success_auc" in ran.output
    assert "2 of 100" in ran.output
    assert len(read_ledger(tmp_path / "l.csv")) == 3


@pytest.mark.shared
def test_published_results_of_dtb70_give_the_published_numbers(shared: Path, tmp_path: Path) -> None:
    """Five trackers' raw results on 70 sequences, against the table that their publisher made of them."""
    folder = shared / "data/sot/benchmarks/DTB70"
    arguments = ["lab", "reproduce", "siamtpn", "--on", "dtb70", "--root", str(folder / "anno"), "--json"]
    more = ["--tracks", str(folder / "results_5trackers.zip"), "--ledger", str(tmp_path / "ledger.csv")]
    ran = CliRunner().invoke(app, [*arguments, *more])
    assert ran.exit_code == 0, ran.output
    rows = {row["metric"]: row for row in json.loads(ran.stdout)}
    assert rows["success_auc"]["verdict"] == rows["precision_20px"]["verdict"] == "reproduced"
    assert rows["success_auc"]["value"] == pytest.approx(0.572, abs=6e-4)


def test_the_page_of_results_is_up_to_date() -> None:
    """As `python .ci/results_page.py` writes it."""
    docs = ROOT / "docs"
    text = page(read_ledger(docs / "ledger.csv"), ledger.published())
    assert (docs / "results.md").read_text(encoding="utf-8") == text
