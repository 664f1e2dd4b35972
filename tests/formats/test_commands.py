"""The words of formats on the command line: convert writes, evaluate scores, and the help lists them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from vtlab import formats
from vtlab.cli.app import app
from vtlab.formats import FORMATS
from vtlab.metrics import score
from vtlab.tracks import Tracks


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def walk(shift: float = 0.0) -> Tracks:
    boxes = np.array([[10 + i, 5 + i, 30 + i, 45 + i] for i in range(30)], float)
    boxes[15:] += shift
    return Tracks.of(np.arange(30), 1, boxes, size=(120, 160))


def test_list_names_every_format():
    printed = run("list", "formats")
    for name in FORMATS:
        assert name in printed


@pytest.mark.parametrize("word", ["otb", "got10k", "lasot", "trackingnet", "vot", "boxes", "vtlab"])
def test_what_convert_writes_evaluate_scores_as_memory_does(word, tmp_path):
    formats.write_tracks(walk(), tmp_path / "own", "vtlab", sequence="walk")
    formats.write_tracks(walk(4.0), tmp_path / "own", "vtlab", sequence="walk", tracker="mine")
    first = json.loads(run("convert", tmp_path / "own", tmp_path / "out", "--to", word, "--json"))
    assert (first["from"], first["to"]) == ("vtlab", word)
    run("convert", tmp_path / "own", tmp_path / "out", "--to", word, "--from", "vtlab", "--results")
    out = ("evaluate", "--truth", tmp_path / "out", "--tracks", tmp_path / "out", "--as", word, "--json")
    (row,) = json.loads(run(*out))
    assert (row["tracker"], row["sequence"]) == ("mine", "walk")
    rule = FORMATS[word].rule or "otb"
    expected = score(walk(4.0), walk(), "sot", rule).values()
    for metric in ("success_auc", "precision_20px", "ao"):
        assert row[metric] == pytest.approx(expected[metric], rel=1e-9)


def test_losses_are_printed(tmp_path):
    formats.write_tracks(walk().replace(score=np.full(30, 0.5)), tmp_path / "own", "vtlab", sequence="walk")
    result = CliRunner().invoke(
        app, ["convert", str(tmp_path / "own"), str(tmp_path / "out"), "--to", "otb", "--json"]
    )
    losses = {row["kind"]: row["count"] for row in json.loads(result.stdout)["losses"]}
    assert losses == {"scores": 30, "size": 1, "source": 30}
    assert "30 scores" in result.stderr
    asked = ["convert", str(tmp_path / "own"), str(tmp_path / "strict"), "--to", "otb", "--strict"]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code
    assert "30 scores" in str(refused.exception or refused.output)
    assert not (tmp_path / "strict").exists()
