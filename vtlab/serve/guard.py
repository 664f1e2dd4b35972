"""What must not come in or go out: tokens, hosts that may be asked, bounds on what is read.

A request names addresses: of the host that wants its results, of a video. A server that fetches whatever is named can be
made to ask machines inside its network, or to hand a token to a stranger. So an address is asked only if its origin is on
a list that whoever started the server gave, its name is resolved once, every address behind it is public (unless private
ones were allowed), the connection goes to that very address, and a redirect is an error.
"""

from __future__ import annotations

import hmac
import http.client
import io
import ipaddress
import json
import math
import re
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from vtlab.errors import InputError, VtlabError
from vtlab.files import parse_json
from vtlab.serve.jobs import RefusedError

Resolve = Callable[[str, int], list[str]]
"""Addresses (as text) of a name and a port."""
_PORTS = {"http": 80, "https": 443}
MOST_ANSWER = 256 * 2**20
"""Bytes of an answer that are read."""


class HostError(VtlabError):
    """The host didn't answer, or not what was asked for."""


def same_token(given: str | None, wanted: str) -> bool:
    """Whether a token is the right one, in a time that says nothing about how much of it is."""
    return hmac.compare_digest((given or "").encode(), wanted.encode())


def resolve(name: str, port: int) -> list[str]:
    """Addresses of a name, as the system knows them."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address belongs to no private, local or reserved network, also where it stands in another one."""
    # Behind % stands the zone of a link-local address.
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        # NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.ip_address(int(found) & 0xFFFFFFFF)))
    # ipaddress calls multicast global.
    return found.is_global and not found.is_multicast and not found.is_reserved


@dataclass(frozen=True)
class Origin:
    """Where an address points: scheme, name and port."""

    scheme: str
    name: str
    port: int

    @classmethod
    def of(cls, address: Any) -> Origin:
        """The origin of an address.

        Raises:
            RefusedError: It is none of http or https, or names a user or nothing.
        """
        text = address if isinstance(address, str) else ""
        if len(text) > 4096 or re.search(r"[\x00-\x20\x7f\\]", text):
            raise RefusedError(f"{text[:80]!r} is no address of a server.")
        try:
            parts = urlsplit(text)
            # A name that ends in a dot is the same host's.
            name, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise RefusedError(f"{text[:80]!r} is no address of a server.") from None
        if parts.scheme not in _PORTS or not name or "@" in parts.netloc or not port:
            raise RefusedError(
                f"{text[:80]!r}: only http:// and https:// addresses of a server are taken, without a user."
            )
        return cls(parts.scheme, name.lower(), port)

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{self.scheme}://{name}:{self.port}"


@dataclass
class Outward:
    """The only way out: to hosts that were allowed.

    Attributes:
        hosts: Their addresses, such as "https://app.supervisely.com".
        private: Whether they may lie in private networks (or on this machine).
        timeout: Seconds for each answer's next part.
        whole: Seconds for a whole answer.
        resolver: Turns names into addresses.
    """

    hosts: tuple[str, ...] = ()
    private: bool = False
    timeout: float = 30.0
    whole: float = 600.0
    resolver: Resolve = resolve
    _allowed: frozenset[Origin] = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._allowed = frozenset(Origin.of(host) for host in self.hosts)
        except RefusedError as error:
            raise InputError(f"An allowed host: {error}") from None

    def check(self, address: Any) -> Origin:
        """The origin of an address, if it may be asked.

        Raises:
            RefusedError: It may not.
        """
        origin = Origin.of(address)
        if origin not in self._allowed:
            known = ", ".join(sorted(map(str, self._allowed))) or "none"
            raise RefusedError(
                f"This server may not ask {origin}. Allowed: {known}. Remedy: start it with --allow-host {origin}.",
                403,
            )
        return origin

    def connect(self, address: Any) -> Connection:
        """A connection to the origin of an address; nothing is sent yet."""
        return Connection(self.check(address), self)

    def place(self, origin: Origin) -> str:
        """The network address of an origin.

        Raises:
            RefusedError: One of its addresses is private and none may be.
            HostError: It has none.
        """
        try:
            found = self.resolver(origin.name, origin.port)
        except (OSError, UnicodeError) as error:
            raise HostError(f"{origin} can't be found: {error}.") from error
        if not found:
            raise HostError(f"{origin} has no address.")
        inside = [address for address in found if not is_public(address)]
        if inside and not self.private:
            raise RefusedError(
                f"{origin} leads to {inside[0]}, inside a private network. Remedy: --allow-private, if it should.",
                403,
            )
        return found[0]


class Connection:
    """Requests to one origin, over one connection that is opened anew after a pause. For one thread at a time.

    Args:
        origin: Where to.
        way: What is allowed.
    """

    IDLE = 2.0  # seconds after which the other side may have closed it

    def __init__(self, origin: Origin, way: Outward):
        self.origin, self._way = origin, way
        self._open: _Pinned | None = None
        self._used = 0.0
        self._lock = threading.Lock()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = MOST_ANSWER,
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers (lower case) and body of an answer.

        Raises:
            RefusedError: The origin leads inside a private network.
            HostError: No answer, an answer of another status than 200 to 299, a redirect, or more than `most` bytes.
        """
        with self._lock:
            try:
                link = self._link()
                link.begin(self._way.whole)
                link.request(method, path, body, dict(headers or {}))
                answer = link.getresponse()
                if 300 <= answer.status < 400:
                    raise HostError(
                        f"{self.origin} answers {path.partition('?')[0]} with a redirect, which is not followed."
                    )
                data = self._read(answer, most)
                if answer.status >= 300:
                    told = data[:300].decode(errors="replace")
                    raise HostError(
                        f"{self.origin} answers {path.partition('?')[0]} with {answer.status}: {told}"
                    )
                self._used = time.monotonic()
                return {k.lower(): v for k, v in answer.getheaders()}, data
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise HostError(
                    f"{self.origin} doesn't answer {path.partition('?')[0]}: {error!r}."
                ) from error
            except VtlabError:
                self.close()
                raise

    @staticmethod
    def _read(answer: http.client.HTTPResponse, most: int) -> bytes:
        data = answer.read(most + 1)
        if len(data) > most:
            raise HostError(f"An answer has more than {most} bytes.")
        return data

    def _link(self) -> _Pinned:
        if self._open is not None and time.monotonic() - self._used > self.IDLE:
            self.close()
        if self._open is None:
            self._open = _Pinned(self.origin, self._way.place(self.origin), self._way.timeout)
            self._used = time.monotonic()
        return self._open

    def close(self) -> None:
        """Close it; the next request opens it anew."""
        if self._open is not None:
            self._open.close()
        self._open = None


class _Pinned(http.client.HTTPConnection):
    """A connection to the address that was checked, whatever the name leads to later."""

    def __init__(self, origin: Origin, address: str, timeout: float):
        super().__init__(origin.name, origin.port, timeout=timeout)
        self._address = address
        self._safe = ssl.create_default_context() if origin.scheme == "https" else None
        self._whole = _Whole()

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        # As http.client's own `connect` does.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._safe is not None:
            # The certificate must be the name's, though the connection goes to an address.
            self.sock = self._safe.wrap_socket(self.sock, server_hostname=self.host)
        self.sock = _Timed(self.sock, self._whole)

    def begin(self, seconds: float) -> None:
        """Count a request's time from now on."""
        self._whole.seconds, self._whole.ends = seconds, time.monotonic() + seconds


@dataclass
class _Whole:
    """How long an answer may take, and when that is over."""

    seconds: float = 0.0
    ends: float = math.inf


class _Timed:
    """What http.client uses of a socket, with a bound on the whole answer: one that drips, or says 100 for ever, ends."""

    def __init__(self, sock: socket.socket, whole: _Whole):
        self._sock, self._whole, self._timeout = sock, whole, sock.gettimeout()
        self.sendall, self.close = sock.sendall, sock.close

    def makefile(self, mode: str) -> Any:
        return io.BufferedReader(_Reader(self._sock.makefile("rb", buffering=0), self.wait))

    def wait(self) -> None:
        """Set how long the next part may take."""
        left = self._whole.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {self._whole.seconds:g} s")
        self._sock.settimeout(left if self._timeout is None else min(left, self._timeout))


class _Reader(io.RawIOBase):
    """A socket's answer; before each part it is said how long that may take."""

    def __init__(self, raw: io.RawIOBase, wait: Callable[[], None]):
        self._raw, self._wait = raw, wait

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._wait()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Rates:
    """Requests a second of each client: a bucket that fills at `rate` and holds four seconds of it.

    Args:
        rate: Requests a second; 0 = none are refused.
        most: Clients that are remembered.
    """

    def __init__(self, rate: float, most: int = 10_000):
        self._rate, self._most = rate, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, client: str) -> None:
        """Count a request; raises `RefusedError` where a client asks too much."""
        if not self._rate:
            return
        now, full = time.monotonic(), 4 * self._rate
        with self._lock:
            left, since = self._left.pop(client, (full, now))
            left = min(full, left + (now - since) * self._rate)
            self._left[client] = (max(left - 1, 0.0), now)
            while len(self._left) > self._most:
                self._left.popitem(last=False)
        if left < 1:
            raise RefusedError(f"More than {self._rate:g} requests a second. Remedy: ask more slowly.", 429)


def read_body(data: bytes, most: int, where: str = "The request") -> Any:
    """JSON of a request or an answer, within bounds.

    Raises:
        RefusedError: It is larger, deeper or fuller than the bounds, or is no JSON.
    """
    if len(data) > most:
        raise RefusedError(f"{where} has {len(data)} bytes, at most {most} are read.", 413)
    try:
        return parse_json(data, where, RefusedError)
    except RecursionError:
        raise RefusedError(f"{where} has too many lists within each other.") from None


def as_json(value: Any) -> bytes:
    """JSON as it is sent: NaN and infinity, which JSON doesn't know, are an error."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def fields_of(value: Any, where: str, needed: Iterable[str] = ()) -> Mapping[str, Any]:
    """An object of JSON with the fields that are needed; raises `RefusedError` otherwise."""
    if not isinstance(value, Mapping):
        raise RefusedError(f"{where} should be an object of JSON, got {str(value)[:40]!r}.")
    missing = [name for name in needed if value.get(name) is None]
    if missing:
        raise RefusedError(f"{where} lacks {missing[0]!r}.")
    return value
