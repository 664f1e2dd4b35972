"""What must not come in or go out. No name is resolved and no packet leaves this machine."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vtlab.errors import InputError
from vtlab.serve.guard import (
    HostError,
    Origin,
    Outward,
    Rates,
    as_json,
    fields_of,
    is_public,
    read_body,
    same_token,
)
from vtlab.serve.jobs import RefusedError


@contextlib.contextmanager
def server(answer):
    """A loopback server: `answer(handler)` says what it does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            answer(self)

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made.server_port
    finally:
        made.shutdown()
        made.server_close()
        thread.join(10)


def say(status=200, body=b"{}", **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    "address",
    [
        *(
            "file:///etc/passwd",
            "concat:a|b",
            "ftp://example.org/x",
            "gopher://example.org",
            "pipe:0",
            "data:text/plain,x",
        ),
        *(
            "subfile,,start,0,end,9,,:/etc/passwd",
            "hls+http://example.org/x",
            "crypto:https://example.org",
            "rtsp://e.org",
        ),
        *(
            "https://user:secret@example.org",
            "https://example.org@evil.org",
            "https://",
            "http:///x",
            "https://[::1",
            "",
        ),
        *(
            "https://exa mple.org",
            "https://example.org\n.evil.org",
            "https://example.org\\@evil.org",
            "http://e.org:99999",
        ),
        *(None, 5, ["https://example.org"], "//example.org", "example.org", "https://" + "a" * 5000),
    ],
)
def test_only_addresses_of_servers_are_taken(address):
    def never(*_):
        raise AssertionError("it was resolved")

    with pytest.raises(RefusedError):
        Outward(("https://example.org",), resolver=never).connect(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://example.org",
            "https://example.org:8443",
            "https://sub.example.org",
            "https://example.org.evil.org",
        ),
        *(
            "https://xn--e1awd7f.com",
            "https://EXAMPLE.com",
            "https://127.0.0.1",
            "https://[::1]",
            "https://2130706433",
        ),
    ],
)
def test_hosts_that_are_not_on_the_list_are_refused(address):
    with pytest.raises(RefusedError, match="may not ask") as refused:
        Outward(("https://example.org",)).check(address)
    assert refused.value.status == 403


def test_the_list_knows_one_name_however_it_is_written():
    way = Outward(("https://Example.org/",))
    for address in ("https://example.org", "https://EXAMPLE.ORG:443/a/b?c", "https://example.org./"):
        assert way.check(address) == Origin("https", "example.org", 443)
    with pytest.raises(InputError, match="file"):
        Outward(("file:///x",))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *(
            "::1",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "2002:7f00:1::",
            "::",
        ),
        *("64:ff9b::7f00:1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
    ],
)
def test_names_that_lead_inside_are_refused_before_a_packet_leaves(address, monkeypatch):
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("a packet left"))
    assert not is_public(address)
    for found in ([address], ["93.184.216.34", address]):
        way = Outward(("https://example.org",), resolver=lambda *_, found=found: found)
        with pytest.raises(RefusedError, match="private network"):
            way.connect("https://example.org").ask("GET", "/", headers={"x-api-key": "secret"})


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    asked, gone = [], []

    def resolver(*_):
        asked.append(1)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    def connect(address, *_, **__):
        gone.append(address)
        raise OSError("no network here")

    monkeypatch.setattr("socket.create_connection", connect)
    with pytest.raises(HostError, match="doesn't answer"):
        Outward(("http://example.org",), resolver=resolver).connect("http://example.org").ask("GET", "/")
    assert gone == [("93.184.216.34", 80)]
    assert len(asked) == 1


def loopback(port, **options):
    way = Outward((f"http://127.0.0.1:{port}",), private=True, timeout=5, **options)
    return way.connect(f"http://127.0.0.1:{port}")


def test_answers_are_read_and_the_connection_is_kept():
    clients = []

    def answer(handler):
        clients.append(handler.client_address[1])
        say(200, b'{"a": 1}')(handler)

    with server(answer) as port:
        link = loopback(port)
        for _ in range(3):
            headers, body = link.ask("GET", "/x")
        link.close()
    assert body == b'{"a": 1}'
    assert headers["content-length"] == "8"
    assert len(set(clients)) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_errors_and_nothing_is_sent_on(status):
    hits = []

    def trap(handler):
        hits.append(handler.headers)
        say()(handler)

    with (
        server(trap) as inside,
        server(say(status, b"", Location=f"http://127.0.0.1:{inside}/")) as port,
        pytest.raises(HostError, match="redirect"),
    ):
        loopback(port).ask("GET", "/", headers={"x-api-key": "secret"})
    assert not hits


def test_endless_and_large_answers_are_bounded():
    with server(say(200, b"x" * 5000)) as port, pytest.raises(HostError, match="more than 1000 bytes"):
        loopback(port).ask("GET", "/", most=1000)
    with server(say(500, b"broken")) as port, pytest.raises(HostError, match="500: broken"):
        loopback(port).ask("GET", "/")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"nul", b"\xff\xfe", b"NaN", b"[Infinity]", b"[1e999]", b"9" * 5000, b'{"a":1,"a":2}'),
        *(b"[" * 100_000, b'{"a":' * 5000, b"[" + b"1," * 600_000 + b"1]"),
    ],
    ids=lambda data: str(len(data)),
)
def test_hostile_json_is_refused(data):
    with pytest.raises(RefusedError) as refused:
        read_body(data, 2**22)
    assert refused.value.status == 400
    assert len(str(refused.value)) < 400


def dripping(before: bytes, part: bytes):
    """An answer that never ends, a bit every 50 ms."""

    def answer(handler):
        handler.wfile.write(before)
        with contextlib.suppress(OSError):
            for _ in range(400):
                handler.wfile.write(part)
                handler.wfile.flush()
                time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    ("before", "part"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"[:1]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["continue", "headers", "body", "chunks"],
)
def test_answers_that_drip_end(before, part):
    """Each part comes in time, the whole never does."""
    with server(dripping(before, part)) as port:
        begin = time.monotonic()
        with pytest.raises(HostError, match="TimeoutError"):
            loopback(port, whole=0.5).ask("GET", "/")
        assert time.monotonic() - begin < 10


def test_a_connection_is_used_again_and_closed_answers_are_read():
    with server(say(200, b"one")) as port:
        link = loopback(port)
        assert [link.ask("GET", "/")[1] for _ in range(3)] == [b"one"] * 3
    with server(say(200, b"two", Connection="close")) as port:
        link = loopback(port)
        assert [link.ask("GET", "/")[1] for _ in range(2)] == [b"two"] * 2


def test_json_of_any_other_kind_is_read():
    assert read_body(b'{"a": ["[[[", 1.5, {"b": null}]}', 100) == {"a": ["[[[", 1.5, {"b": None}]}
    with pytest.raises(RefusedError, match="at most 10") as refused:
        read_body(b"[1, 2, 3, 4, 5]", 10)
    assert refused.value.status == 413
    with pytest.raises(ValueError):
        as_json(float("nan"))
    with pytest.raises(RefusedError, match="lacks 'b'"):
        fields_of({"a": 1, "b": None}, "context", ("a", "b"))
    with pytest.raises(RefusedError, match="object of JSON"):
        fields_of([1], "context")


def test_tokens_and_rates():
    assert same_token("tökén", "tökén")
    assert not any(same_token(given, "token") for given in ("", None, "token ", "Token"))
    rates = Rates(1.0)
    for _ in range(4):
        rates.check("a")
    with pytest.raises(RefusedError, match="requests a second") as refused:
        rates.check("a")
    assert refused.value.status == 429
    rates.check("b")
    Rates(0).check("a")
