"""What a door is: routes to functions of a request. It says what requests mean, and knows nothing of the web."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.jobs import Job


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        client: Who asks, for the queue.
        body: Its JSON; None without one.
        fields: Text fields of a form.
        files: Contents of the form's files, in order.
        path: Values of the route's parameters.
        query: Values after the question mark.
    """

    client: str = ""
    body: Any = None
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[bytes] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """An answer that isn't just JSON: bytes of some kind, or another status than 200."""

    body: Any
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Later:
    """An answer that comes when a job has ended."""

    job: Job
    then: Callable[[], Any]

    def result(self, timeout: float | None = None) -> Any:
        """Wait for it, where there is no web server."""
        self.job.wait(timeout)
        return self.then()


@dataclass(frozen=True)
class Lines:
    """An answer of one line of JSON for each result of a job, as they come, and a last one that says how it ended."""

    job: Job
    line: Callable[[Any], Any]
    last: Callable[[Job], Any]


Handler = Callable[[Call], Any]
"""Returns JSON, an `Answer`, a `Later` or `Lines`; raises `RefusedError` for what it doesn't take."""


class Door(ABC):
    """One host's way in.

    Args:
        core: Trackers, jobs and limits.
        way: The only way out.
    """

    name: str = ""

    def __init__(self, core: Core, way: Outward | None = None):
        self.core, self.way = core, way if way is not None else Outward()

    @abstractmethod
    def routes(self) -> Mapping[str, Handler]:
        """'METHOD /path/{parameter}' -> what answers it."""

    def uploads(self) -> frozenset[str]:
        """Routes whose requests are forms with files."""
        return frozenset()

    def refusal(self, message: str) -> Any:
        """The body of an error, in the host's form."""
        return {"error": message, "success": False}
