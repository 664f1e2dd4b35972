"""What every fake host is: a server on a free port of this machine, with its traffic."""

from __future__ import annotations

import io
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from vtlab.testing.contract import Contract, NotAsked

# Generous: a loaded machine is slow, and only a broken host waits as long.
MOST_WAIT = 30.0
"""Seconds for which a test waits at most."""
TOPICS = (
    *("forward", "backward", "ends", "unknown", "geometry", "empty", "lost", "stop"),
    *("error", "ids", "many", "restart", "isolation", "determinism", "eof", "limits"),
)
"""What every kit asks: its checks begin with one of these words; one that a host's contract can't have says why.

ends: both ends of the video are clipped; unknown: an object that isn't there; geometry: one that is none, or that nothing
follows; empty: frames on which there is nothing; lost: an object that leaves; stop: how soon a stop takes effect; error: its
form; ids: they stay; many: objects at once; restart: after an end, a stop or an error; isolation: two jobs at once; eof: the
end of the file."""


def _blocks(low: int, high: int, height: int, width: int) -> NDArray[np.uint8]:
    """Grey blocks of 5 px, always the same, of levels from `low` to below `high`: (height, width, 1)."""
    # Blocks, not noise of single pixels: they outlive a video's compression.
    coarse = np.random.default_rng(7).integers(low, high, (-(-height // 5), -(-width // 5), 1), np.uint8)
    return np.kron(coarse, np.ones((5, 5, 1), np.uint8))[:height, :width]


def square(n: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """Frame `n` of a clip: a square of 30 px at (20 + 4 n, 30), brighter in red than all else, RGB (height, width, 3)."""
    # Both have texture: where a figure is drawn beside the square, a tracker that says lost of what is flat would
    # otherwise be right to answer with nothing.
    image = np.repeat(_blocks(20, 80, height, width), 3, axis=2)
    # 4 px a frame: fast enough to see who follows, slow enough for every tracker.
    left = 20 + 4 * n
    here = image[30:60, left : left + 30]
    here[:] = (_blocks(0, 60, 30, 30) + np.array([180, 100, 20], np.uint8))[: here.shape[0], : here.shape[1]]
    return image


def png(image: NDArray[np.uint8]) -> bytes:
    """An image as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def until(holds: Callable[[], Any], what: str, seconds: float = MOST_WAIT) -> Any:
    """Wait until something holds, and return it; AssertionError after `seconds`."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, f"waited {seconds:g} s for {what}"
        # Short against a step of any tracker, so that waiting costs no time.
        time.sleep(0.005)
    return found


def equal(found: Any, wanted: Any) -> None:
    """AssertionError, with both shortened, unless they are equal."""
    assert found == wanted, f"expected {wanted!r:.120}, got {found!r:.200}"


def refused(call: Callable[[], Any], what: str) -> None:
    """AssertionError unless a call raises an error, whichever it is."""
    try:
        call()
    except Exception:
        return
    raise AssertionError(f"{what} was taken")


def absent(contract: Contract, **why: str) -> None:
    """Add a check for each topic that a host's contract can't have; it says why."""
    for topic, reason in why.items():

        def ask(_: Any, reason: str = reason) -> None:
            raise NotAsked(reason)

        ask.__doc__ = f"{topic}: not in this host's contract"
        contract.check(ask)


class Reply:
    """An answer of a fake host: JSON, or bytes of some kind."""

    def __init__(self, body: Any, status: int = 200, kind: str = "application/json"):
        self.data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.kind = status, kind


class FakeHost(ABC):
    """A server on a loopback port; subclasses answer.

    Args:
        port: 0 = a free one.

    Attributes:
        traffic: What it was asked, in order: (method, path, JSON of the body or None, headers).
    """

    def __init__(self, port: int = 0) -> None:
        self.traffic: list[tuple[str, str, Any, dict[str, str]]] = []
        self.lock = threading.Lock()
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def handle_any(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    body = json.loads(data) if data else None
                except ValueError:
                    body = {"bytes": len(data)}
                headers = {k.lower(): v for k, v in self.headers.items()}
                with host.lock:
                    host.traffic.append((self.command, self.path, body, headers))
                reply = host.answer(self.command, self.path, body)
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(reply.data)))
                self.end_headers()
                self.wfile.write(reply.data)

            do_GET = do_POST = do_PATCH = do_HEAD = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @abstractmethod
    def answer(self, method: str, path: str, body: Any) -> Reply:
        """What it says to a request."""

    def asked(self, path: str) -> list[Any]:
        """Bodies of the requests whose path ends with `path`."""
        with self.lock:
            return [body for _, where, body, _ in self.traffic if where.partition("?")[0].endswith(path)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(MOST_WAIT)


class Client:
    """Asks a server that drives trackers; one request a connection, so that any number of threads may.

    Args:
        address: Of the server, with a path that goes before all others.
        token: Sent as `Authorization: Bearer`.

    Attributes:
        address: As it was given.
    """

    def __init__(self, address: str, token: str | None = None):
        self.address = address
        parts = urlsplit(address)
        self._name, self._port, self._before = parts.hostname or "", parts.port or 80, parts.path.rstrip("/")
        self._secure = parts.scheme == "https"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer."""
        from http.client import HTTPSConnection

        kind = HTTPSConnection if self._secure else HTTPConnection
        link = kind(self._name, self._port, timeout=MOST_WAIT)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            sent = {
                **self._headers,
                "Content-Type": "application/json",
                **{k.replace("_", "-"): v for k, v in headers.items()},
            }
            link.request(method, self._before + path, data, sent)
            answer = link.getresponse()
            told = answer.read()
            try:
                return answer.status, json.loads(told)
            except ValueError:
                return answer.status, told.decode(errors="replace")
        finally:
            link.close()

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Send JSON."""
        return self.ask("POST", path, body if body is not None else {})

    def announce(self, path: str, size: int) -> tuple[int, Any]:
        """Say that `size` bytes of JSON will come, send one, and take what is answered."""
        return self.ask("POST", path, b"{", Content_Length=str(size))

    def refuses_hostile(self, path: str, name: str) -> None:
        """Assert that what is no JSON, JSON nested 100,000 deep, of another kind, or with NaN as `name` is refused."""
        nan = f'{{"{name}": NaN}}'.encode()
        # Deeper than a recursive parser's stack.
        for data in (b"[" * 100_000, b"{", b"\xff", nan, b"[]", b"null"):
            status, _ = self.ask("POST", path, data)
            assert 400 <= status < 500, f"{data[:20]!r} is answered with {status}"

    def form(self, path: str, files: list[tuple[str, bytes]], **fields: str) -> tuple[int, Any]:
        """Send a form: files as (field, content), and text fields."""
        edge = "vtlab-form-edge"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        for n, (name, data) in enumerate(files):
            head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{n}"\r\n'
            parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
        data = b"".join(parts) + f"--{edge}--\r\n".encode()
        return self.ask("POST", path, data, Content_Type=f"multipart/form-data; boundary={edge}")
