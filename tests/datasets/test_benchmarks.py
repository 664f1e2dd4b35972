"""Benchmarks: the catalog, fetching and unpacking them, and what is wrong with a folder of one."""

from __future__ import annotations

import functools
import io
import json
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vtlab.cli import app
from vtlab.datasets import open_dataset
from vtlab.datasets.catalog import CATALOG
from vtlab.datasets.fetching import data_folder, fetch
from vtlab.datasets.health import check_folder
from vtlab.errors import FormatError, InputError
from vtlab.files import archive as archives
from vtlab.files import unpack
from vtlab.formats import words


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served by this machine, and its address."""
    monkeypatch.setenv("VTLAB_OFFLINE", "0")
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join(5)


def serve(server, monkeypatch, name, content):
    """Let the benchmark `name` be published as a file of this content."""
    folder, address = server
    file = CATALOG[name].files[0]
    (folder / file.name).write_bytes(content)
    changed = replace(CATALOG[name], files=(replace(file, url=f"{address}/{file.name}"),))
    monkeypatch.setitem(CATALOG, name, changed)


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_every_entry_says_how_to_get_it():
    for entry in CATALOG.values():
        assert entry.layout in words(), entry.name
        assert bool(entry.files) != bool(entry.access), entry.name
        assert entry.page.startswith("http")
        assert all(f.url.startswith("https://") and f.sha256 is None for f in entry.files), entry.name


def test_a_benchmark_is_fetched_once_and_unpacked(server, monkeypatch, tmp_path):
    text = "".join(f"{f},1,{f},6,20,30,1,1,1\n" for f in range(1, 4))
    info = "[Sequence]\nname=S\nimDir=img1\nframeRate=30\nseqLength=3\nimWidth=64\nimHeight=48\nimExt=.jpg\n"
    files = {"MOT15/train/S/gt/gt.txt": text, "MOT15/train/S/seqinfo.ini": info}
    serve(server, monkeypatch, "mot15", zipped(files))
    folder = fetch("mot15", progress=False)
    assert folder == data_folder() / "mot15" == tmp_path / "cache/data/mot15"
    assert len(open_dataset(folder).truth("S")) == 3
    (server[0] / "MOT15.zip").unlink()
    assert fetch("mot15", progress=False) == folder
    told = CliRunner().invoke(app, ["data", "info", "mot15", "--json"])
    assert json.loads(told.stdout)["here"] == str(folder)


def test_a_damaged_download_doesnt_stand_in_the_way_of_a_good_one(server, monkeypatch, tmp_path):
    """Its digest was recorded, so that every later download was refused, and nothing told what to do."""
    good = zipped({"a.txt": "abc" * 9})
    serve(server, monkeypatch, "mot15", good.replace(b"abcabc", b"abcxyz", 1))
    with pytest.raises(FormatError, match=r"Bad CRC-32 .* Remedy: delete .*MOT15\.zip, and fetch it again"):
        fetch("mot15", progress=False)
    (tmp_path / "cache/data/downloads/MOT15.zip").unlink()
    serve(server, monkeypatch, "mot15", good)
    assert (fetch("mot15", progress=False) / "a.txt").read_text() == "abc" * 9


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil", "a/../../evil.txt", "C:\\evil.txt"])
def test_nothing_is_unpacked_outside(name, server, monkeypatch, tmp_path):
    serve(server, monkeypatch, "mot15", zipped({"good.txt": "x", name: "evil"}))
    with pytest.raises(FormatError, match="leads out of the folder"):
        fetch("mot15", progress=False)
    kept = {p.name for p in (tmp_path / "cache/data").iterdir()}
    assert kept <= {"downloads"}
    assert not list(tmp_path.rglob("evil*"))


def test_bombs_links_and_broken_archives(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LEAST_BOUND", 2**20)
    bomb = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w", force_zip64=True) as out,
    ):
        for _ in range(8):
            out.write(bytes(2**20))
    with pytest.raises(FormatError, match="unpacks to more than 1048576 bytes"):
        unpack(bomb, tmp_path / "bomb")
    tar = tmp_path / "links.tar.gz"
    with tarfile.open(tar, "w:gz") as archive:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(entry)
    with pytest.raises(FormatError, match="'link' is a link or no file"):
        unpack(tar, tmp_path / "links")
    with tarfile.open(tar, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../out"))
    with pytest.raises(FormatError, match="leads out"):
        unpack(tar, tmp_path / "links")
    good = tmp_path / "good.tar"
    with tarfile.open(good, "w") as archive:
        entry = tarfile.TarInfo("a/b.txt")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"hi"))
    assert (unpack(good, tmp_path / "good") / "a/b.txt").read_text() == "hi"
    (tmp_path / "cut.zip").write_bytes(zipped({"a": "b" * 999})[:300])
    with pytest.raises(FormatError, match="cut.zip: not a readable archive"):
        unpack(tmp_path / "cut.zip", tmp_path / "cut")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["good"]


def test_what_cannot_be_fetched_says_how_to_get_it():
    with pytest.raises(InputError, match=r"it takes a form .* Remedy: get it from http://got-10k"):
        fetch("got10k")
    with pytest.raises(InputError, match="Did you mean 'mot17'"):
        fetch("mot71")


def mot(root, numbers=(1, 2, 3), size=(64, 48)):
    folder = root / "S"
    (folder / "gt").mkdir(parents=True)
    (folder / "img1").mkdir()
    for n in numbers:
        Image.new("RGB", size).save(folder / f"img1/{n:06d}.jpg")
    (folder / "gt/gt.txt").write_text("1,1,5,6,20,30,1,1,1\n2,1,6,6,20,30,1,1,1\n")
    info = "[Sequence]\nname=S\nimDir=img1\nframeRate=30\nseqLength=3\nimWidth=64\nimHeight=48\nimExt=.jpg\n"
    (folder / "seqinfo.ini").write_text(info)
    return folder


def told(root):
    found = check_folder(root)
    return found, [(f.level, f.what) for f in found.findings]


def test_a_good_folder_has_no_findings(tmp_path):
    mot(tmp_path)
    found, findings = told(tmp_path)
    assert (found.layout, found.sequences, findings, found.good) == ("motchallenge", ("S",), [], True)


def test_leftovers_are_notes(tmp_path):
    folder = mot(tmp_path)
    (folder / "img1/._000001.jpg").write_bytes(b"mac")
    (folder / ".DS_Store").write_bytes(b"mac")
    (folder / "gt/.ipynb_checkpoints").mkdir()
    (folder / "Thumbs.db").write_bytes(b"win")
    found, findings = told(tmp_path)
    assert found.good
    assert {level for level, _ in findings} == {"note"}
    assert {what.partition(",")[0] for _, what in findings} == {
        "1 leftovers of Jupyter",
        "1 leftovers of Windows",
        "2 leftovers of macOS",
    }


def test_gaps_sizes_numbers_and_empty_files_are_errors(tmp_path):
    mot(tmp_path / "gap", (1, 3))
    assert "first that is missing is 000002" in str(told(tmp_path / "gap")[1])
    folder = mot(tmp_path / "size")
    Image.new("RGB", (32, 48)).save(folder / "img1/000002.jpg")
    assert any(level == "error" and "size" in what for level, what in told(tmp_path / "size")[1])
    folder = mot(tmp_path / "number")
    (folder / "gt/gt.txt").write_text("1,1,5,6,20,30,1,1,1\n9,1,6,6,20,30,1,1,1\n")
    assert any("line 2: the sequence has 3 frames" in what for _, what in told(tmp_path / "number")[1])
    folder = mot(tmp_path / "empty")
    (folder / "img1/000003.jpg").write_bytes(b"")
    assert any(what.startswith("an empty file") for _, what in told(tmp_path / "empty")[1])
    found, findings = told(mot(tmp_path / "none", ()))
    assert not found.good
    assert any("Its truth can be read" in what for _, what in findings)


def test_the_command_prints_findings_and_fails_on_errors(tmp_path):
    folder = mot(tmp_path / "gap", (1, 3))
    done = CliRunner().invoke(app, ["data", "check", str(folder), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["level"] == "error"
    good = CliRunner().invoke(app, ["data", "check", str(mot(tmp_path / "good"))])
    assert (good.exit_code, "nothing is wrong" in good.stdout) == (0, True)
    listed = CliRunner().invoke(app, ["data", "list", "--json"])
    assert {e["name"] for e in json.loads(listed.stdout)} == set(CATALOG)
    assert "vtlab data fetch mot17" in CliRunner().invoke(app, ["data", "list"]).stdout


def test_a_layout_that_is_plain_need_not_be_named(tmp_path):
    mot(tmp_path)
    assert open_dataset(tmp_path).format.name == "motchallenge"
    np.testing.assert_array_equal(open_dataset(tmp_path)["S"].truth.boxes[0], [4, 5, 24, 35])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"of which format is it.* Name it \(layout=..., .*--as"):
        open_dataset(tmp_path / "empty")
