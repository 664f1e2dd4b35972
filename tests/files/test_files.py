"""Files are written whole or not at all, whoever else writes them and whatever fails."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from vtlab.errors import TracksError, WriteError
from vtlab.files import check_folder, check_place, write_whole


@pytest.mark.parametrize(
    ("fill", "content"),
    [
        (b"\x00\xff", b"\x00\xff"),
        ("é\r\nb\n", "é\r\nb\n".encode()),
        (lambda part: part.write_bytes(b"mine"), b"mine"),
    ],
)
def test_content_of_each_kind(tmp_path, fill, content):
    path = tmp_path / "new" / "deep" / "out.tar.gz"
    assert write_whole(str(path), fill) == path
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["out.tar.gz"]


def test_the_temporary_file_has_the_folder_and_the_suffix_of_the_target(tmp_path):
    seen = []

    def fill(part):
        seen.append(part)
        part.touch()

    for _ in range(2):
        write_whole(tmp_path / "a.parquet", fill)
    assert {p.parent for p in seen} == {tmp_path}
    assert {p.suffix for p in seen} == {".parquet"}
    assert len(set(seen)) == 2


def test_the_longest_name_that_the_system_allows(tmp_path):
    name = "n" * 251 + ".txt"
    assert write_whole(tmp_path / name, "x").read_text() == "x"


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(28, "No space left on device"), WriteError, r"out\.txt' can't be written: No space left"),
        (pa.ArrowInvalid("a column of two types"), WriteError, r"a column of two types.*Remedy"),
        (pa.ArrowNotImplementedError("no such type"), WriteError, "no such type"),
        (pd.errors.ParserError("odd"), WriteError, "odd"),
        (TracksError("wrong tracks"), TracksError, "^wrong tracks$"),
        (KeyError("a fault of the caller"), KeyError, "a fault of the caller"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_failure_leaves_what_was_there(tmp_path, error, raised, message):
    path = tmp_path / "out.txt"
    path.write_text("old")

    def fill(part):
        part.write_text("half")
        raise error

    with pytest.raises(raised, match=message):
        write_whole(path, fill)
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    assert path.read_text() == "old"


def test_places_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in [
        tmp_path / "file" / "out.txt",
        tmp_path / "folder",
        "",
        "/",
        tmp_path / "a\0b",
        tmp_path / ("n" * 300),
    ]:
        with pytest.raises(WriteError, match="can't be written.*Remedy"):
            write_whole(path, "x")
    with pytest.raises(WriteError, match="surrogates not allowed"):
        write_whole(tmp_path / "out.txt", "\ud800")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def _write_often(path: Path, letter: str) -> None:
    for _ in range(60):
        write_whole(path, letter * 200_000)


def test_two_processes_that_write_one_path_never_damage_it(tmp_path):
    path = tmp_path / "shared.txt"
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    writers = [context.Process(target=_write_often, args=(path, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            text = path.read_text()
            seen.add((len(text), len(set(text))))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen <= {(200_000, 1)}
    assert [p.name for p in tmp_path.iterdir()] == ["shared.txt"]


@pytest.mark.parametrize("path", ["", "file/x.csv", "file/deep/x.csv", "folder", "x.txt", "a\0b.csv"])
def test_a_place_that_can_not_be_written_is_known_before_the_work(tmp_path, path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match=r"can't be written|suffix must be"):
        check_place(f"{tmp_path}/{path}" if path else "", (".csv",))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    assert check_place(tmp_path / "new" / "deep" / "x.CSV", (".csv",)).name == "x.CSV"
    assert check_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="is a file, not a folder"):
        check_folder(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_without_rights_is_told_to_root_too(tmp_path, monkeypatch):
    """Root may write everywhere: what the system would say to others is said here."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode & os.W_OK))
    with pytest.raises(WriteError, match="no right"):
        check_place(tmp_path / "x.csv")
    with pytest.raises(WriteError, match="no right"):
        check_folder(tmp_path / "new/deep")


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0,
    reason="needs a user of POSIX other than root, who may write everywhere",
)
def test_a_folder_without_rights(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WriteError, match="no right"):
            check_place(tmp_path / "x.csv")
    finally:
        tmp_path.chmod(0o700)


def save_and_load(path, number, begin):
    """Sixty saves and loads of tracks, each of which must be whole."""
    from vtlab.tracks import Tracks

    begin.wait()
    tracks = Tracks.of(range(200), [number] * 200, [[number, 2, 30, 40]] * 200)
    for _ in range(60):
        tracks.save(path)
        found = Tracks.load(path)
        assert len(found) == 200
        assert set(found.object_id.tolist()) <= {1, 2}
        assert len(set(found.object_id.tolist())) == 1


def test_two_processes_save_and_load_one_path(tmp_path):
    path = tmp_path / "tracks.parquet"
    spawn = multiprocessing.get_context("spawn")
    begin = spawn.Event()
    both = [spawn.Process(target=save_and_load, args=(path, n, begin)) for n in (1, 2)]
    for process in both:
        process.start()
    begin.set()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["tracks.parquet"]


def test_every_writer_goes_through_the_one_helper():
    """Nothing in the package opens a file for writing, renames or saves by a library of its own accord."""
    import ast

    import vtlab

    root = Path(vtlab.__file__).parent
    own = {
        "files/whole.py",
        "files/archive.py",  # a folder, whole or not at all
        "weights/files.py", "weights/transfer.py", "weights/hosts.py",  # downloads go on where they stopped, under a lock
        "trackers/memory.py",  # the kernel's switch, no file
        "engine/claims.py",  # one word under a lock; half of it is nobody's claim
        "testing/seeded/boxes.py", "testing/seeded/masks.py", "testing/seeded/points.py",
        "testing/hosts/vot_kit.py",  # temporary folders
    }  # fmt: skip
    found = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        if place in own:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                call = ast.unparse(node)
                if node.func.attr in ("write_bytes", "write_text") or call.startswith("os.replace("):
                    found.append(f"{place}:{node.lineno} {call[:60]}")
                if (
                    node.func.attr == "open"
                    and '"w' in call.replace("'", '"')
                    and not call.startswith(("part", "av"))
                ):
                    found.append(f"{place}:{node.lineno} {call[:60]}")
    assert not found, found
