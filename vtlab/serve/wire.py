"""Connections that ask nothing: a request's head must arrive in time, and one client holds some connections at most.

uvicorn bounds neither: whoever opens connections and stays silent, or sends a byte now and then, holds them all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

HEAD_SECONDS = 20.0
"""Time in which the head of a request must have arrived, and in which the rest of one that was refused is thrown away."""
CONNECTIONS, EACH = 400, 200
"""Connections of all clients, and of one, that are open at once."""


def protocol() -> Callable[..., Any]:
    """What makes uvicorn's protocol of a connection, with bounds: connections beyond them are closed unanswered."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        counted = ""
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.counted = str(self.client[0]) if self.client else "local"
            if held.enter(self.counted) > EACH:
                transport.abort()
            self.watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.watch()

        def connection_lost(self, exc: Exception | None) -> None:
            held.leave(self.counted)
            if self.timer is not None:
                self.timer.cancel()
            super().connection_lost(exc)

        def watch(self) -> None:
            """Give up, in time, a connection on which no request is at work."""
            at_work = self.cycle is not None and not self.cycle.response_complete
            if at_work and self.timer is not None:
                self.timer.cancel()
                self.timer = None
            elif not at_work and self.timer is None:
                self.timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    held = _Held()
    return Bounded


class _Held:
    """How many connections each client holds."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()

    def enter(self, client: str) -> int:
        self._count[client] += 1
        return self._count[client]

    def leave(self, client: str) -> None:
        self._count[client] -= 1
        if not self._count[client]:
            del self._count[client]
