"""The web in front of doors: tokens, bounds and errors, once for all. Needs Starlette and uvicorn (extra `serve`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from vtlab.errors import InputError, VtlabError, needs
from vtlab.serve import wire
from vtlab.serve.door import Answer, Call, Door, Handler, Later, Lines
from vtlab.serve.follow import Core
from vtlab.serve.guard import HostError, Rates, as_json, read_body, same_token
from vtlab.serve.jobs import Job, RefusedError

_HEADERS = ("authorization", "x-vtlab-token")
_UPLOADS = 4  # requests with files that are read at once
_FIELD = 4 * 2**20
"""Bytes of a field of a form: prompts, not pictures."""
LOGGER = logging.getLogger("vtlab.serve")


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(24)


def application(doors: Sequence[Door], token: str | None) -> Any:
    """The ASGI application of some doors that share one core.

    A request shows the token as `Authorization: Bearer TOKEN`, as `X-Vtlab-Token: TOKEN`, or, for hosts that send no headers
    of ours, as the beginning of its path: `/t/TOKEN/track`.

    Args:
        doors: Ways in.
        token: What every request but `GET /health` must show; None = nothing.

    Raises:
        MissingDependencyError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as error:
        raise needs("starlette", "serve", "A server") from error

    core = doors[0].core
    desk = _Desk(core, token)
    routes = [Route("/health", desk.health, methods=["GET"])]
    for door in doors:
        for route, handler in door.routes().items():
            method, path = route.split(" ", 1)
            routes.append(
                Route(path, desk.answering(door, handler, route in door.uploads()), methods=[method])
            )

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(core.close)

    refused = {404: _no_route, 405: _no_route}
    return _Entry(Starlette(routes=routes, lifespan=lifespan, exception_handlers=refused), desk)


async def _no_route(request: Any, error: Any) -> Any:
    return _json(
        {"error": f"{request.method} {request.url.path[:200]}: {error.detail}.", "success": False},
        error.status_code,
    )


class _Entry:
    """What every request passes: the rate, the token, and a time in which it must have arrived."""

    def __init__(self, inner: Any, desk: _Desk):
        self._inner, self._desk = inner, desk

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        try:
            scope = self._desk.admitted(scope)
        except RefusedError as refused:
            await _json({"error": str(refused), "success": False}, refused.status)(scope, receive, send)
            return
        await self._inner(scope, receive, send)


class _Desk:
    """Reads requests within bounds, has them answered in a thread, and sends what comes back."""

    def __init__(self, core: Core, token: str | None):
        self._core, self._token = core, token
        self._rates = Rates(core.limits.rate)
        self._uploading = asyncio.Semaphore(_UPLOADS)

    def admitted(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The request without the token in its path; raises `RefusedError` for whoever shows none, or asks too much."""
        self._rates.check(_client(scope))
        names = [name for name, _ in scope["headers"]]
        if {b"content-length", b"transfer-encoding"} <= set(names) or names.count(b"transfer-encoding") > 1:
            raise RefusedError(
                "The request says in two ways how long it is."
            )  # a proxy may have read the other one
        path: str = scope["path"]
        shown = None
        if path.startswith("/t/"):
            shown, _, path = path[3:].partition("/")
            path = f"/{path}"
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        for name in _HEADERS:
            shown = shown or headers.get(name, "").removeprefix("Bearer ") or None
        open_to_all = path == "/health" and scope["method"] == "GET"
        if self._token is not None and not open_to_all and not same_token(shown, self._token):
            raise RefusedError(
                "The token is missing or wrong. Remedy: send 'Authorization: Bearer TOKEN'.", 401
            )
        return {**scope, "path": path, "raw_path": path.encode("latin-1", "replace")}

    async def health(self, _: Any) -> Any:
        """That it lives, and how many jobs wait or work."""
        return _json({"status": "ok", "jobs": self._core.jobs.count})

    def answering(self, door: Door, handler: Handler, upload: bool) -> Callable[[Any], Awaitable[Any]]:
        """The endpoint of a handler."""

        async def endpoint(request: Any) -> Any:
            try:
                async with asyncio.timeout(self._core.limits.body_seconds):
                    call = await (self._form(request) if upload else self._plain(request))
                found = await asyncio.to_thread(handler, call)
                if isinstance(found, Later):
                    await _ended(found.job)
                    found = await asyncio.to_thread(found.then)
                return self._sent(found)
            except Exception as error:
                return self._failed(door, request, error)

        return endpoint

    def _failed(self, door: Door, request: Any, error: Exception) -> Any:
        if isinstance(error, RefusedError):
            return _json(door.refusal(str(error)), error.status)
        if isinstance(error, TimeoutError):
            return _json(door.refusal("The request took too long to arrive."), 408)
        if isinstance(error, HostError):
            return _json(door.refusal(str(error)), 502)
        if isinstance(error, VtlabError):
            return _json(door.refusal(str(error)), 400)
        if type(error).__name__ == "ClientDisconnect":
            return _json(door.refusal("The client went away."), 400)
        LOGGER.error("%s failed", request.url.path, exc_info=error)
        return _json(door.refusal(f"The server failed: {type(error).__name__}."), 500)

    async def _plain(self, request: Any) -> Call:
        most, data = self._core.limits.json_bytes, bytearray()
        self._announced(request, most)
        async for part in request.stream():
            data += part
            if len(data) > most:
                raise RefusedError(f"The request has more than {most} bytes.", 413)
        body = await asyncio.to_thread(read_body, bytes(data), most) if data else None
        return self._call(request, body=body)

    async def _form(self, request: Any) -> Call:
        """A form with files, or JSON."""
        from starlette.datastructures import UploadFile
        from starlette.exceptions import HTTPException
        from starlette.requests import Request

        limits = self._core.limits
        if "multipart/form-data" not in request.headers.get("content-type", ""):
            return await self._plain(request)
        self._announced(request, limits.body_bytes)
        counted = Request(request.scope, _counting(request.receive, limits.body_bytes))
        try:
            # Starlette's own bounds, 1,000 files and 1 MiB a field, are below what a request may bring.
            form = await counted.form(max_files=limits.files, max_fields=100, max_part_size=_FIELD)
        except HTTPException as error:
            raise RefusedError(f"The form can't be read: {error.detail}") from None
        try:
            async with self._uploading:  # until here files are on the disk
                files = [
                    await value.read() for _, value in form.multi_items() if isinstance(value, UploadFile)
                ]
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            return self._call(request, files=files, fields=fields)
        finally:
            await form.close()

    @staticmethod
    def _announced(request: Any, most: int) -> None:
        said = request.headers.get("content-length", "0")
        if said.isdigit() and int(said) > most:
            raise RefusedError(f"The request has {said[:20]} bytes, at most {most} are read.", 413)

    @staticmethod
    def _call(request: Any, **more: Any) -> Call:
        path, query = dict(request.path_params), dict(request.query_params)
        return Call(client=_client(request.scope), path=path, query=query, **more)

    @staticmethod
    def _sent(found: Any) -> Any:
        from starlette.responses import Response, StreamingResponse

        if isinstance(found, Lines):
            return StreamingResponse(_lines(found), media_type="application/x-ndjson")
        if isinstance(found, Answer):
            body = found.body if isinstance(found.body, bytes) else as_json(found.body)
            return Response(body, found.status, dict(found.headers), found.kind)
        return _json(found)


def _json(value: Any, status: int = 200) -> Any:
    from starlette.responses import Response

    return Response(as_json(value), status, media_type="application/json")


def _client(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "local"


def _counting(receive: Any, most: int) -> Any:
    """The same, until more bytes came than are read."""
    seen = 0

    async def counted() -> Any:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise RefusedError(f"The request has more than {most} bytes.", 413)
        return message

    return counted


@contextlib.contextmanager
def _watched(job: Job) -> Iterator[asyncio.Event]:
    """An event that is set at each change of a job."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def told() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(changed.set)

    job.watch(told)
    try:
        yield changed
    finally:
        job.unwatch(told)


async def _ended(job: Job) -> None:
    """Wait for the end of a job; whoever stops waiting stops the job."""
    with _watched(job) as changed:
        try:
            while not job.ended:
                await changed.wait()
                changed.clear()
        finally:
            if not job.ended:
                job.stop()


async def _lines(lines: Lines) -> AsyncIterator[bytes]:
    sent = 0
    with _watched(lines.job) as changed:
        while True:
            ended = lines.job.ended
            rows = lines.job.rows(sent)
            for row in rows:
                yield as_json(lines.line(row)) + b"\n"
            sent += len(rows)
            if ended and not rows:
                break
            if not rows:
                await changed.wait()
                changed.clear()
    yield as_json(lines.last(lines.job)) + b"\n"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    return host in ("127.0.0.1", "::1", "localhost")


def _config(app: Any, **options: Any) -> Any:
    """uvicorn's, with bounds."""
    try:
        import uvicorn
    except ImportError as error:
        raise needs("uvicorn", "serve", "A server") from error

    plain = {
        "log_level": "warning",
        "access_log": False,
        "ws": "none",
        "server_header": False,
        "lifespan": "on",
    }
    limits = {
        "http": wire.protocol(),
        "limit_concurrency": wire.CONNECTIONS,
        "timeout_keep_alive": 30,
        "backlog": 256,
        "h11_max_incomplete_event_size": 65536,
    }
    return uvicorn.Config(app, **{**plain, **limits, "timeout_graceful_shutdown": 10, **options})


def run(app: Any, host: str, port: int, ready: Callable[[int], None], **tls: Any) -> None:
    """Serve until Ctrl-C or SIGTERM; jobs are stopped within one frame, answers on their way are sent.

    Args:
        app: From `application`.
        host: Address to listen on.
        port: Port; 0 = a free one.
        ready: Told the port as soon as it listens.
        tls: `ssl_certfile` and `ssl_keyfile`, for https.
    """
    import uvicorn

    with _listening(host, port) as listener:
        ready(listener.getsockname()[1])
        uvicorn.Server(_config(app, **tls)).run(sockets=[listener])


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise InputError(
                f"Can't listen on {host}:{port}: {error.strerror}. Remedy: another --port."
            ) from error
        listener.listen(256)
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def running(doors: Sequence[Door], token: str | None = None, host: str = "127.0.0.1") -> Iterator[str]:
    """A server in a thread of this process; yields its address. At the end its jobs are stopped.

    Args:
        doors: Ways in that share one core.
        token: What requests must show.
        host: Address to listen on.
    """
    with _listening(host, 0) as listener:
        config = _config(application(doors, token))
        import uvicorn

        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.run, args=([listener],), name="vtlab-serve", daemon=True)
        thread.start()
        try:
            ends = time.monotonic() + 20
            while not server.started:
                if not thread.is_alive() or time.monotonic() > ends:
                    raise InputError("The server did not start.")
                time.sleep(0.005)
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
