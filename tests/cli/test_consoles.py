"""Consoles of other systems: every table is printed in whatever encoding they have, and any name."""

from __future__ import annotations

import io
import json
import sys

import pytest

from vtlab.cli import main
from vtlab.testing.scenes import moving_square
from vtlab.video import write_video

ENCODINGS = ("cp1252", "cp437", "ascii", "utf-16", "utf-8")
TABLES = (
    ["--help"],
    ["list", "trackers"],
    ["list", "formats"],
    ["info", "botsort"],
    ["weights", "list"],
    ["data", "list"],
    ["doctor"],
)


@pytest.fixture
def console(monkeypatch):
    """Run a command on a console of an encoding: what it printed, and on which bytes."""

    def run(encoding, *arguments):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        monkeypatch.setattr(sys, "argv", ["vtlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        for stream in streams:
            stream.flush()
        return left.value.code, *(s.buffer.getvalue().decode(encoding) for s in streams)

    return run


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_every_table_in_every_encoding(console, arguments):
    plain = [w for w in console("utf-8", *arguments)[1].split() if w.isascii() and w.isalpha()]
    for encoding in ENCODINGS:
        code, out, _ = console(encoding, *arguments)
        assert code == 0, encoding
        words = set(out.split())
        assert words.issuperset(plain), encoding


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_name_of_another_script_is_no_reason_to_fail(console, encoding, tmp_path):
    clip = tmp_path / "猫 déjà.mp4"
    write_video(clip, moving_square(4), 25)
    given = ["track", clip, "-t", "identity", "-b", "20,16,44,40", "-o", tmp_path / "ネコ.parquet"]
    code, _, err = console(encoding, *given)
    assert (code, (tmp_path / "ネコ.parquet").is_file()) == (0, True), err
    code, out, _ = console(encoding, *given, "--json")
    assert json.loads(out)["frames"] == 4
    code, _, err = console(encoding, "track", tmp_path / "犬.mp4", "-t", "identity", "-b", "1,2,3,4")
    assert code == 1
    assert "Error:" in err
