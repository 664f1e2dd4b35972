"""Weights: local folder, cache, download with resume, sha256, errors; against a server of our own."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from vtlab import weights
from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError

DATA = b"\x08\x07" + bytes(range(256)) * 8000
OTHER = DATA[:2] + DATA[:1:-1]
SHA = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `data` with ranges and tags; `breaks` connections are cut after `cut` bytes."""

    data, tag, breaks, cut, ranges, kind = DATA, '"v1"', 0, 700_000, True, "application/octet-stream"
    length, packed, moved, slow = True, "", "", 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.starts: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, data, start = self.server, self.server.data, 0
        if self.path != "/net.onnx":
            self.send_error(404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", server.tag) == server.tag
        if wanted and server.ranges and same:
            start = int(wanted[1])
            if start >= len(data):
                self.send_error(416)
                return
        server.starts.append(start)
        if server.moved:
            self.send_response(302)
            self.send_header("Location", server.moved)
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if server.length:
            self.send_header("Content-Length", str(len(data) - start))
        if server.packed:
            self.send_header("Content-Encoding", server.packed)
        self.send_header("Content-Type", server.kind)
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        if server.breaks > 0:
            server.breaks -= 1
            self.wfile.write(data[start : start + server.cut])
            self.close_connection = True
            return
        for at in range(start, len(data), 500_000):
            self.wfile.write(data[at : at + 500_000])
            time.sleep(server.slow)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VTLAB_WEIGHTS", raising=False)
    monkeypatch.delenv("VTLAB_OFFLINE", raising=False)
    return tmp_path / "cache" / "weights"


def weight(server: Server, sha256: str | None = SHA, path: str = "/net.onnx") -> WeightFile:
    return WeightFile("net.onnx", server.url + path, sha256, len(DATA), "MIT", "https://example.org/net")


def leftovers(cache: Path) -> list[str]:
    """What lies in the cache besides its lock and the records of what was fetched."""
    names = [p.name for p in cache.iterdir()] if cache.is_dir() else []
    return sorted(n for n in names if n != ".lock" and not n.endswith(".record"))


def test_download_once(server: Server, cache: Path) -> None:
    file = weight(server)
    assert weights.locate(file) is None
    assert weights.digest(file) is None
    assert weights.verify(file).state == "missing"
    path = weights.fetch(file, progress=False)
    assert path == cache / "net.onnx" == weights.locate(file) == weights.place(file)
    assert path.read_bytes() == DATA
    assert weights.fetch(file) == path
    assert len(server.starts) == 1
    assert weights.digest(file) == SHA
    assert weights.verify(file).state == "ok"
    assert leftovers(cache) == ["net.onnx"]


@pytest.mark.parametrize("sha256", [SHA, None])
def test_broken_downloads_are_resumed(server: Server, cache: Path, sha256: str | None) -> None:
    server.breaks = 2
    assert weights.fetch(weight(server, sha256), progress=False).read_bytes() == DATA
    assert server.starts == [0, 700_000, 1_400_000]


def test_a_later_call_resumes_too(server: Server, cache: Path) -> None:
    server.breaks, server.cut = 99, 100_000
    with pytest.raises(WeightsError, match=r"connection broke 4 times: 400000 of 2048002 bytes"):
        weights.fetch(weight(server), progress=False)
    assert leftovers(cache) == ["net.onnx.part", "net.onnx.part.etag"]
    server.breaks = 0
    assert weights.fetch(weight(server), progress=False).read_bytes() == DATA
    assert server.starts[-1] == 400_000
    assert leftovers(cache) == ["net.onnx"]


def test_a_part_of_another_version_is_not_continued(server: Server, cache: Path) -> None:
    server.breaks, server.cut = 99, 100_000
    with pytest.raises(WeightsError):
        weights.fetch(weight(server, None), progress=False)
    server.breaks, server.tag, server.data = 0, '"v2"', OTHER
    assert weights.fetch(weight(server, None), progress=False).read_bytes() == OTHER


@pytest.mark.parametrize(("ranges", "tag"), [(False, '"v1"'), (True, "")])
def test_servers_without_ranges_or_tags_start_again(server: Server, ranges: bool, tag: str) -> None:
    server.breaks, server.ranges, server.tag = 1, ranges, tag
    assert weights.fetch(weight(server, None), progress=False).read_bytes() == DATA
    assert server.starts == [0, 0]


def test_a_part_longer_than_the_file(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.onnx.part").write_bytes(DATA + b"more")
    assert weights.fetch(weight(server), progress=False).read_bytes() == DATA


def test_wrong_hash_of_a_download(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match=rf"has sha256 {SHA}, published is {'0' * 64}.*removed\. Remedy"):
        weights.fetch(weight(server, "0" * 64), progress=False)
    assert leftovers(cache) == []


def test_unpublished_hash_is_recorded_and_holds(server: Server, cache: Path) -> None:
    file = weight(server, None)
    path = weights.fetch(file, progress=False)
    assert json.loads((cache / "net.onnx.record").read_text())["sha256"] == SHA
    path.write_bytes(b"something else")
    assert weights.verify(file).state == "wrong"
    with pytest.raises(WeightsError, match=r"not the one expected.*recorded in .*delete"):
        weights.fetch(file)


def test_damaged_cache(server: Server, cache: Path) -> None:
    path = weights.fetch(weight(server), progress=False)
    path.write_bytes(DATA[:-1])
    with pytest.raises(WeightsError, match=r"net\.onnx' is not the one expected: sha256 .*Remedy: delete it"):
        weights.fetch(weight(server))


def test_local_folder_comes_first(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / "mine"
    local.mkdir()
    (local / "net.onnx").write_bytes(DATA)
    monkeypatch.setenv("VTLAB_WEIGHTS", str(local))
    assert weights.fetch(weight(server)) == local / "net.onnx"
    assert server.starts == []
    assert not cache.exists()
    (local / "net.onnx").write_bytes(b"other")
    with pytest.raises(WeightsError, match="not the one expected"):
        weights.fetch(weight(server))
    monkeypatch.setenv("VTLAB_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"VTLAB_WEIGHTS names .*nowhere'.*Remedy"):
        weights.fetch(weight(server))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/net.onnx", "Connection refused"),
        ("https://no-such-host.invalid/net.onnx", "."),
        ("ftp://example.org/net.onnx", "no https address"),
        ("http://example.org/net.onnx", "only https is fetched"),
    ],
)
def test_offline_says_which_file_goes_where(cache: Path, url: str, reason: str) -> None:
    file = WeightFile("net.onnx", url, SHA, 0, "MIT", "https://example.org/net")
    message = rf"'net\.onnx' is not on this machine .*{reason}.*1\. open {url} \(see .*3\. put it at {cache}/net\.onnx"
    with pytest.raises(WeightsError, match=message):
        weights.fetch(file)


def test_forbidden_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTLAB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="VTLAB_OFFLINE forbids it"):
        weights.fetch(weight(server))
    assert server.starts == []


def test_addresses_that_do_not_give_the_file(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match="the server answered 404"):
        weights.fetch(weight(server, path="/other"))
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="a web page, not the file itself"):
        weights.fetch(weight(server))
    server.kind, server.data = "application/octet-stream", DATA * 3
    with pytest.raises(WeightsError, match="sends more than 4096004 bytes"):
        weights.fetch(weight(server), progress=False)


def test_full_disk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(WeightsError, match=r"needs 2048002 bytes, .* has 1 free\. Remedy"):
        weights.fetch(weight(server), progress=False)


def test_cache_that_can_not_be_made(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"can't be written.*set VTLAB_CACHE"):
        weights.fetch(weight(server))


def test_names_are_plain_and_known() -> None:
    for name in ("../net.onnx", "/etc/net", "", ".hidden", "a\\b"):
        with pytest.raises(WeightsError, match="plain file name"):
            weights.fetch(WeightFile(name, "http://127.0.0.1:9/"))
    with pytest.raises(
        WeightsError, match=r"Unknown weights 'FastestDet\.onx'\. Did you mean 'FastestDet\.onnx'"
    ):
        weights.fetch("FastestDet.onx")


def test_two_at_once_download_once(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: weights.fetch(weight(server), progress=False), range(4)))
    assert len(set(paths)) == 1
    assert len(server.starts) == 1


def test_every_declared_file_is_described() -> None:
    listed = weights.list_weights()
    assert {status.file.name for status in listed} == set(weights.known())
    assert {"sam-base.model.safetensors", "sam2.1_hiera_tiny.pt"} <= set(weights.known())  # segmenters' too
    for status in listed:
        assert status.users
        assert len(set(status.users)) == len(status.users)
        assert status.state == "missing"
        assert status.file.url.startswith("https://"), status.file
        assert status.file.licence, status.file
        assert status.file.sha256 is None or re.fullmatch("[0-9a-f]{64}", status.file.sha256)


@pytest.mark.shared
def test_small_real_weights_are_the_published_ones(
    shared_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTLAB_WEIGHTS", str(shared_weights))
    here = [s for s in weights.list_weights() if s.path is not None]
    assert {s.file.name for s in here} >= {
        "FastestDet.onnx",
        "nanotrackv2_head.onnx",
        "nanotrackv3_head.onnx",
    }
    for status in here:
        assert weights.verify(status.file.name).state == "ok"
        assert status.file.size in (0, status.path.stat().st_size)


def test_importing_reaches_no_network() -> None:
    code = "import socket; socket.socket.connect = None; import vtlab.weights, sys; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize(
    "change", ["cut", "empty", "packed", "silent gzip", "page", "kind", "no length, cut"]
)
def test_what_is_not_the_file_is_never_pinned(server: Server, cache: Path, change: str) -> None:
    file = weight(server, None)
    if "cut" in change:
        server.data = DATA[:-5]
    server.data = {"empty": b"", "silent gzip": gzip.compress(DATA), "kind": bytes(len(DATA))}.get(
        change, server.data
    )
    server.data = b"<html>" + bytes(len(DATA) - 6) if change == "page" else server.data
    server.packed = "gzip" if change == "packed" else ""
    server.length = "no length" not in change
    with pytest.raises(WeightsError, match="can't be downloaded"):
        weights.fetch(file, progress=False)
    assert "net.onnx" not in leftovers(cache)
    assert not (cache / "net.onnx.record").exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pt", b"no checkpoint"),
        ("a.pth", b"PK\x03\x04 an archive without its end"),
        ("a.safetensors", (30).to_bytes(8, "little") + b'{"w":{"data_offsets":[0,24]}} ' + bytes(20)),
        ("a.h5", b"\x80nothing"),
        ("a.json", b'{"cut": '),
        ("a.anything", b"\x1f\x8bpacked"),
    ],
)
def test_files_are_opened_before_they_are_pinned(server: Server, cache: Path, name: str, data: bytes) -> None:
    server.data = data
    with pytest.raises(WeightsError, match=r"what came was removed"):
        weights.fetch(WeightFile(name, f"{server.url}/net.onnx", None, 0, "MIT", ""), progress=False)
    assert leftovers(cache) == []


def test_redirects_are_shown_and_go_to_https_only(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.moved = "http://example.org/net.onnx"
    with pytest.raises(WeightsError, match=r"'http://example.org/net.onnx' is http.* only https is fetched"):
        weights.fetch(weight(server), progress=False)
    server.moved = "https://no-such-host.invalid/net.onnx"
    with pytest.raises(WeightsError, match="can't be downloaded"):
        weights.fetch(weight(server), progress=False)
    assert "net.onnx: 127.0.0.1 sends to no-such-host.invalid" in capsys.readouterr().err


def test_a_download_has_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights.transfer, "_LONGEST", 0.3)
    server.slow = 0.2
    with pytest.raises(WeightsError, match=r"bytes came in .* hours; call again to go on"):
        weights.fetch(weight(server), progress=False)
    monkeypatch.setattr(weights.transfer, "_LONGEST", 60.0)
    server.slow = 0.0
    assert weights.fetch(weight(server), progress=False).read_bytes() == DATA
    assert server.starts[-1] > 0


def test_who_waits_says_for_whom(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.slow = 0.2
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: weights.fetch(weight(server), progress=False), range(2)))
    assert "Waiting for process " in capsys.readouterr().err
