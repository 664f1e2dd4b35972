"""Jobs over plain HTTP, and the web before every door: tokens, bounds, slow and rude clients."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import socket
import threading
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vtlab[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'vtlab[serve]'")

from vtlab.prompts import BoxPrompt, MaskPrompt, Prompts, TextPrompt
from vtlab.serve import wire
from vtlab.serve.door import Call
from vtlab.serve.fetch import open_bytes
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.http import Http
from vtlab.serve.jobs import Limits, RefusedError
from vtlab.serve.web import running
from vtlab.testing.hosts.base import Client, until
from vtlab.testing.hosts.dataloop import FakeDataloop, clip
from vtlab.testing.toys import TOYS, ShiftBox

TOKEN = "of-this-server"
PROMPTS = json.loads(Prompts([BoxPrompt((20, 30, 50, 60))]).to_json())
SMALL = Limits(json_bytes=50_000, body_bytes=2_000_000, body_seconds=3.0, objects=5, frames=100, rate=0)


@pytest.fixture(scope="module")
def video():
    return clip()


@pytest.fixture(scope="module")
def stream():
    with FakeDataloop() as host:
        yield host


@pytest.fixture(scope="module")
def url(stream):
    door = Http(Core(TOYS, SMALL), Outward((stream.address,), private=True))
    with running([door], TOKEN) as address:
        yield address


@pytest.fixture
def client(url):
    return Client(url, TOKEN)


def create(client, content, **job):
    return client.form("/jobs", [("video", content)], job=json.dumps({"prompts": PROMPTS, **job}))


def lines(client, job):
    status, told = client.ask("GET", f"/jobs/{job}/results")
    assert status == 200
    return [json.loads(line) for line in told.splitlines()] if isinstance(told, str) else [told]


def test_a_video_is_tracked_and_its_tracks_downloaded(client, video):
    status, told = create(client, video)
    assert (status, told["state"]) == (201, "waiting") or told["state"] in ("running", "finished")
    *rows, last = lines(client, told["id"])
    assert [row["frame"] for row in rows] == list(range(12))
    assert rows[2]["objects"] == [{"id": 1, "box": [28.0, 30.0, 58.0, 60.0], "score": 1.0, "visible": True}]
    assert last == {"id": told["id"], "state": "finished", "done": 12, "total": 12}
    assert client.ask("GET", f"/jobs/{told['id']}") == (200, last)
    status, text = client.ask("GET", f"/jobs/{told['id']}/download?format=mot17")
    assert status == 200
    assert text.splitlines()[0].startswith("1,1,21,31,30,30,")
    status, told = client.ask("GET", f"/jobs/{last['id']}/download?format=nothing")
    assert status == 400
    assert "nothing" in told["error"]
    assert client.ask("GET", f"/jobs/{last['id']}/download?format=/etc/passwd.py:X")[0] == 400


def test_a_text_is_refused_by_name(client, video):
    prompts = json.loads(Prompts(TextPrompt("dog")).to_json())
    status, told = create(client, video, prompts=prompts)
    assert status == 400
    assert "can't take TextPrompt ('dog')" in told["error"]


def test_an_address_is_fetched_and_masks_come_as_runs(client, stream):
    prompts = json.loads(Prompts([MaskPrompt(polygon=((20, 30), (50, 30), (50, 60)))]).to_json())
    body = {"video": f"{stream.stream}?jwt={stream.token()}", "prompts": prompts, "stop": 3}
    status, told = client.post("/jobs", body)
    assert status == 201
    rows = lines(client, told["id"])
    assert len(rows) == 4
    assert rows[1]["objects"][0]["mask"]["size"] == [120, 160]
    for name in ("davis", "youtube-vis"):
        status, _ = client.ask("GET", f"/jobs/{told['id']}/download?format={name}")
        assert status == 200


def test_results_come_while_it_works_and_a_stop_takes_effect(client, video, url):
    status, told = create(client, video, params={"wait": 0.2})
    assert status == 201
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 20) as link:
        link.sendall(f"GET /t/{TOKEN}/jobs/{told['id']}/results HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = b""
        while b'"frame":1,' not in got:
            got += link.recv(4096)
        assert client.ask("GET", f"/jobs/{told['id']}")[1]["state"] == "running"
        assert client.ask("GET", f"/jobs/{told['id']}/download")[0] == 409
        assert client.post(f"/jobs/{told['id']}/stop")[0] == 200
        while b'"stopped"' not in got:
            got += link.recv(4096)
    assert got.count(b'"frame":') <= 4
    assert client.ask("GET", f"/jobs/{told['id']}/download?format=vtlab")[0] == 200


def test_a_failure_keeps_what_there_was(client, video):
    told = create(client, video, params={"fail_on": 5})[1]
    *rows, last = lines(client, told["id"])
    assert len(rows) == 5
    assert last["state"] == "failed"
    assert "the toy broke" in last["error"]
    text = client.ask("GET", f"/jobs/{told['id']}/download?format=mot17")[1]
    assert len(text.splitlines()) == 5


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ({"tracker": "csrt"}, "none of this server's"),
        ({"tracker": "../../etc/passwd.py:X"}, "none of this server's"),
        ({"params": {"weights": "/etc/passwd"}}, "texts are not taken"),
        ({"params": {"step": "4"}}, "texts are not taken"),
        ({"params": [1]}, "object of JSON"),
        ({"direction": "up"}, "direction"),
        ({"start": -1}, "start"),
        ({"stop": True}, "stop"),
        ({"prompts": {"version": 1, "prompts": "x"}}, "prompts"),
        ({"prompts": None}, "needs at least one prompt"),
        ({"video": "file:///etc/passwd"}, "not taken here"),
        ({"colour": 1}, "not taken here"),
        (
            {
                "prompts": json.loads(
                    Prompts([BoxPrompt((0, 0, 9, 9), object_id=n) for n in range(1, 8)]).to_json()
                )
            },
            "at most 5",
        ),
    ],
)
def test_what_is_wrong_is_refused(client, video, job, why):
    status, told = create(client, video, **job)
    assert status == 400
    assert why in told["error"]


def test_files_that_are_no_video_and_addresses_that_may_not_be_asked(client, video):
    for data in (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0", b""):
        told = create(client, data)[1]
        assert "no file of a video" in lines(client, told["id"])[-1]["error"]
    for address in (
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "concat:a|b",
        5,
    ):
        status, told = client.post("/jobs", {"video": address, "prompts": PROMPTS})
        assert status in (400, 403)
    assert client.form("/jobs", [("video", video), ("video", video)], job="{}")[0] == 400


def test_without_the_token_nobody_comes_in(url):
    for client in (Client(url), Client(url, "wrong"), Client(f"{url}/t/wrong")):
        status, told = client.post("/jobs", {})
        assert status == 401
        assert "Bearer" in told["error"]
        assert client.ask("GET", "/health") == (200, {"status": "ok", "jobs": 0})
    for client in (Client(url, TOKEN), Client(f"{url}/t/{TOKEN}")):
        assert client.post("/jobs", {})[0] == 400
        assert client.ask("GET", "/jobs/nobody")[0] == 404
        assert client.ask("GET", "/nothing")[0] == 404
        assert client.ask("DELETE", "/jobs")[0] == 405
    assert Client(url).ask("POST", "/jobs", {}, X_Vtlab_Token=TOKEN)[0] == 400


def raw(url, data: bytes, pause: float = 0.0) -> bytes:
    """What a server says to bytes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 20) as link:
        link.settimeout(20)
        link.sendall(data)
        time.sleep(pause)
        return link.recv(4096)


def test_large_bodies_are_refused_before_they_are_read(url):
    head = f"POST /t/{TOKEN}/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert b" 413 " in raw(url, f"{head}Content-Length: 1000000000\r\n\r\n".encode())
    form = head.replace("application/json", "multipart/form-data; boundary=B")
    assert b" 413 " in raw(url, f"{form}Content-Length: 1000000000\r\n\r\n".encode())


def test_endless_bodies_take_bounded_memory(url):
    """Chunks without an announced length, until the server has enough."""
    parts = urlsplit(url)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    tracemalloc.start()
    try:
        with socket.create_connection((parts.hostname, parts.port), 20) as link:
            link.settimeout(20)
            link.sendall(
                f"POST /t/{TOKEN}/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            )
            sent = 0
            try:
                while sent < 2000:
                    link.sendall(chunk)
                    sent += 1
                told = link.recv(4096)
            except (BrokenPipeError, ConnectionResetError):
                told = b" 413 "
        assert b" 413 " in told
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_slow_clients_are_given_up_and_the_rest_is_served(url, client):
    head = f"POST /t/{TOKEN}/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    answers: list[bytes] = []
    slow = [
        threading.Thread(target=lambda: answers.append(raw(url, head.encode() + b"{"))) for _ in range(30)
    ]
    for thread in slow:
        thread.start()
    begin = time.monotonic()
    assert client.ask("GET", "/health")[0] == 200
    assert time.monotonic() - begin < 5
    for thread in slow:
        thread.join(30)
    assert len(answers) == 30
    assert all(b" 408 " in answer for answer in answers)


def closed(link, seconds: float = 20.0) -> bool:
    """Whether the server gives up a connection."""
    link.settimeout(seconds)
    try:
        while link.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_connections_that_ask_nothing_are_given_up(monkeypatch):
    """Silent ones, a head that drips, and one that goes on to send what was refused: each is closed in time."""
    monkeypatch.setattr(wire, "HEAD_SECONDS", 1.0)
    with contextlib.ExitStack() as held:
        parts = urlsplit(held.enter_context(running([Http(Core(TOYS, SMALL))], TOKEN)))
        silent, slow, rude = (
            held.enter_context(socket.create_connection((parts.hostname, parts.port), 20)) for _ in range(3)
        )
        kind = held.enter_context(contextlib.closing(HTTPConnection(parts.hostname, parts.port, timeout=20)))
        slow.sendall(b"POST /jobs HTTP/1.1\r\nX-Slow: ")
        rude.sendall(b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{")
        for _ in range(3):
            kind.request("GET", "/health")
            assert json.loads(kind.getresponse().read())["status"] == "ok"
        for _ in range(4):
            time.sleep(0.3)
            with contextlib.suppress(OSError):
                slow.sendall(b"x")
                rude.sendall(b" " * 100)
        for link in (silent, slow, rude):
            assert closed(link)


def test_one_client_holds_some_connections_alone(monkeypatch):
    monkeypatch.setattr(wire, "EACH", 5)
    with contextlib.ExitStack() as held:
        parts = urlsplit(held.enter_context(running([Http(Core(TOYS, SMALL))])))
        links = [
            held.enter_context(socket.create_connection((parts.hostname, parts.port), 20)) for _ in range(8)
        ]
        until(lambda: sum(closed(link, 0.05) for link in links) == 3, "the others to be closed")
        links[0].close()
        until(lambda: _lives(parts), "a place")


def _lives(parts) -> bool:
    try:
        return Client(parts.geturl()).ask("GET", "/health")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    "head",
    [
        *("Content-Length: 2\r\nTransfer-Encoding: chunked", "Content-Length: 2\r\nContent-Length: 3"),
        *("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: xchunked"),
        *("Content-Length: -2", "Content-Length: +2", "Content-Length : 2", "Content-Length: 0x2"),
    ],
)
def test_a_request_says_its_length_once(url, head):
    """A proxy before the server may have read the other length, and let a second request pass within the first."""
    told = raw(
        url, f"POST /t/{TOKEN}/jobs HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode()
    )
    assert told.split(b" ")[1] in (b"400", b"501")
    assert told.count(b"HTTP/1.1 ") == 1


def test_a_playlist_in_a_box_is_no_video():
    """FFmpeg takes a text with an MPD in it for a playlist of other files, though it begins like a box of an MP4 file."""
    mpd = b'<MPD profiles="urn:mpeg:dash:profile:isoff-live:2011"><BaseURL>file:///etc/passwd</BaseURL></MPD>'
    for begin in (b"<!--free-->", b"\n<?afree?>", b"    skip"):
        with pytest.raises(RefusedError, match="no file of a video"), open_bytes(begin + mpd, "It"):
            pass
    assert len(clip()) > 100
    with open_bytes(clip(), "It") as found:
        assert len(found) == 12


def test_tokens_stay_out_of_logs_and_answers(url, caplog):
    """Neither the log nor an answer shows a token: not that of the path, nor one in the address of a video."""
    secret = "eyJhbGciOiJIUzI1NiJ9"
    with caplog.at_level(logging.DEBUG):
        for path in ("/jobs", "/nothing", "/jobs/x/download?format=%00"):
            told = Client(f"{url}/t/{TOKEN}").ask("GET", path)
            assert TOKEN not in str(told)
        address = f"http://127.0.0.1:1/video.mp4?jwt={secret}"
        assert secret not in str(Client(url, TOKEN).post("/jobs", {"video": address, "prompts": PROMPTS}))
        Client(f"{url}/t/wrong-{secret}").post("/jobs", {})
    assert TOKEN not in caplog.text
    assert secret not in caplog.text


def test_a_hundred_clients_at_once(client, video):
    bodies = [b"{", b"[" * 5000, b'{"video": 1}', json.dumps({"video": "x" * 60_000}).encode(), b"\xff"] * 20
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda body: client.ask("POST", "/jobs", body)[0], bodies))
    assert set(found) <= {400, 408, 413}  # 408: under load a body may arrive late
    told = create(client, video)[1]
    assert lines(client, told["id"])[-1]["state"] == "finished"


def test_clients_who_ask_too_much_are_refused():
    with running([Http(Core((ShiftBox,), Limits(rate=5)))]) as url:
        found = [Client(url).ask("GET", "/health")[0] for _ in range(40)]
    assert found[0] == 200
    assert found[-1] == 429


def test_stopping_the_server_stops_its_jobs(video):
    core = Core((ShiftBox,))
    with running([Http(core)]) as url:
        told = create(Client(url), video, params={"wait": 0.3})[1]
        until(lambda: core.jobs.get(told["id"]).state == "running", "the job")
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert core.jobs.get(told["id"]).state == "stopped"


def test_several_files_come_as_a_zip(video):
    core = Core((ShiftBox,))
    door = Http(core)
    try:
        made = door.create(Call(client="a", files=(video,), fields={"job": json.dumps({"prompts": PROMPTS})}))
        job = core.jobs.get(made.body["id"])
        assert job.wait(20)
        answer = door.download(Call(path={"job": job.id}, query={"format": "got10k"}))
        assert len(zipfile.ZipFile(io.BytesIO(answer.body)).namelist()) > 1
        assert answer.headers["Content-Disposition"].endswith('"got10k.zip"')
    finally:
        core.close()


def test_results_that_wait_are_bounded(video):
    core = Core((ShiftBox,), Limits(answers=24))
    door = Http(core)

    def run(objects: int) -> Any:
        given = Prompts([BoxPrompt((20, 30, 50, 60), object_id=n + 1) for n in range(objects)])
        job = json.dumps({"prompts": json.loads(given.to_json())})
        made = door.create(Call(client="a", files=(video,), fields={"job": job}))
        found = core.jobs.get(made.body["id"])
        assert found.wait(20)
        return found

    try:
        assert "36 answers" in run(3).error
        first, second = run(1), run(1)
        assert core.jobs.get(first.id).state == second.state == "finished"
        third = run(2)
        with pytest.raises(RefusedError, match="no job"):
            core.jobs.get(first.id)
        assert core.jobs.get(third.id) is third
    finally:
        core.close()


def test_what_waits_with_jobs_is_bounded(video):
    core = Core((ShiftBox,), Limits(held_bytes=len(video) + 10))
    door, gate = Http(core), threading.Event()
    ask = Call(client="a", files=(video,), fields={"job": json.dumps({"prompts": PROMPTS})})
    try:
        core.jobs.submit("a", lambda _: gate.wait(20), 1)
        job = core.jobs.get(door.create(ask).body["id"])
        with pytest.raises(RefusedError, match="ask again later"):
            door.create(ask)
        gate.set()
        assert job.wait(20)
        door.create(ask)
    finally:
        gate.set()
        core.close()
