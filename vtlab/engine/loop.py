"""The loop over the cells of a run: what is done is skipped, what another run works on is waited for, the rest executed."""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np

from vtlab.engine.claims import Claims
from vtlab.engine.guard import Guard
from vtlab.engine.store import RECORD, Archive
from vtlab.engine.task import Status, Task, execute
from vtlab.errors import WriteError

_POLL = 0.2
"""Seconds between two looks at cells that another run works on."""
Retry = Literal["", "failed", "all"]


class Executor(Protocol):
    """Where tasks are executed. A context manager."""

    @property
    def slots(self) -> int:
        """Tasks that it takes at once, asked for again before each."""
        ...

    def __enter__(self) -> Self:
        """Make it ready."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, with what it works on."""
        ...

    def submit(self, task: Task, folder: Path, run: str) -> None:
        """Begin a task; called with at most `slots` of them unfinished."""
        ...

    def next(self) -> Status:
        """Wait until a task has ended."""
        ...


class OneByOne:
    """Tasks one after the other, in a process beside this one, or within it.

    Args:
        inside: In this process: then a task may hold what can't be sent to another, and has no limits.
    """

    slots = 1

    def __init__(self, *, inside: bool = False):
        self._guard = None if inside else Guard()
        self._waiting: deque[tuple[Task, Path, str]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._guard is not None:
            self._guard.close()

    def submit(self, task: Task, folder: Path, run: str) -> None:
        """See `Executor`."""
        self._waiting.append((task, folder, run))

    def next(self) -> Status:
        """See `Executor`."""
        task, folder, run = self._waiting.popleft()
        if self._guard is not None:
            return self._guard.run(task, folder, run)
        before = random.getstate(), np.random.get_state()  # noqa: NPY002 (the caller's generators are not ours to move)
        try:
            return execute(task, folder, Archive(folder, recover=False).begin(task.key, run), run)
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        total: Cells in all.
        found: Done when it began.
        done: Executed by this run, or meanwhile by another.
        failed: What failed in this run.
        kept: Failed before, and not tried again.
        running: Names of the cells that are executed now -> when they began (`time.monotonic`).
        left: Not begun, by a limit on their number.
        seconds: Wall time of what this run executed, for its cells.
    """

    total: int = 0
    found: int = 0
    done: int = 0
    failed: list[Status] = field(default_factory=list)
    kept: int = 0
    running: dict[str, float] = field(default_factory=dict)
    left: int = 0
    seconds: float = 0.0

    @property
    def ended(self) -> int:
        """Cells of which nothing more is to come."""
        return self.found + self.done + len(self.failed) + self.kept


Report = Callable[[Progress], None]


def run_tasks(
    tasks: Sequence[Task],
    archive: Archive,
    executor: Executor,
    *,
    retry: Retry = "",
    limit: int | None = None,
    report: Report | None = None,
) -> Progress:
    """Execute what has no result yet; every result is kept as it ends.

    Args:
        tasks: The cells; two of one key are one.
        archive: Where results are kept.
        executor: Where tasks are executed.
        retry: "failed" tries again what failed before, "all" executes everything anew.
        limit: Cells to execute at most.
        report: Called whenever a cell begins or ends.

    Raises:
        WriteError: A result can't be kept, as on a full disk: all stops, and goes on from here the next time.
    """
    return _Loop(list({t.key: t for t in tasks}.values()), archive, executor, report).run(retry, limit)


class _Loop:
    def __init__(self, tasks: list[Task], archive: Archive, executor: Executor, report: Report | None):
        self._archive, self._executor = archive, executor
        self._report = report or (lambda progress: None)
        self._tasks = {task.key: task for task in tasks}
        self._progress = Progress(total=len(tasks))
        self._running: dict[str, Task] = {}
        self._elsewhere: deque[Task] = deque()
        self._again: set[str] = set()
        self._began = time.time()

    def run(self, retry: Retry, limit: int | None) -> Progress:
        ahead = self._ahead(retry)
        if limit is not None:
            self._progress.left = max(len(ahead) - limit, 0)
            ahead = ahead[:limit]
        self._report(self._progress)
        if not ahead:
            return self._progress
        quiet = deque(t for t in ahead if t.limits.alone)
        crowd = deque(t for t in ahead if not t.limits.alone)
        with Claims(self._archive.folder) as claims:
            claims.sweep()
            self._archive.recover(lambda name: not claims.alive(name))
            self._again = {t.key for t in ahead} if retry == "all" else set()
            with self._executor:
                self._work(crowd, claims)
                self._work(quiet, claims, most=1)
        return self._progress

    def _ahead(self, retry: Retry) -> list[Task]:
        """What is to be executed; counts the rest."""
        progress = self._progress
        if retry == "all":
            return list(self._tasks.values())
        done = self._archive.done()
        failures = {} if retry == "failed" else self._archive.failures()
        progress.found = sum(key in done for key in self._tasks)
        ahead = [task for key, task in self._tasks.items() if key not in done and key not in failures]
        progress.kept = progress.total - progress.found - len(ahead)
        return ahead

    def _work(self, ahead: deque[Task], claims: Claims, most: int = sys.maxsize) -> None:
        while ahead or self._running or self._elsewhere:
            slots = min(self._executor.slots, most)
            while ahead and len(self._running) < slots:
                self._begin(ahead.popleft(), claims)
            if self._running:
                self._end(self._executor.next(), claims)
            elif self._elsewhere:
                time.sleep(_POLL)
            if not ahead and len(self._running) < slots:
                for _ in range(len(self._elsewhere)):
                    task = self._elsewhere.popleft()
                    if not self._failed_elsewhere(task):
                        self._begin(task, claims)
                    if len(self._running) >= slots:
                        break

    def _failed_elsewhere(self, task: Task) -> bool:
        """Whether another run has tried a task meanwhile in vain; then it is counted."""
        record = self._archive.folder / "failed" / task.key / RECORD
        with suppress(OSError):
            if record.stat().st_mtime >= self._began:
                known = self._archive.failures().get(task.key)
                if known is not None:
                    self._progress.failed.append(Status(task.key, "failed", known.kind, known.reason))
                    self._report(self._progress)
                    return True
        return False

    def _begin(self, task: Task, claims: Claims) -> None:
        """Execute a task, unless another run has done it or works on it."""
        if self._settled(task):
            return
        if not claims.take(task.key):
            self._elsewhere.append(task)
            return
        if self._settled(task):  # between the look and the claim
            claims.give_up(task.key)
            return
        if task.key in self._again:
            self._archive.drop([task.key])
        self._running[task.key] = task
        self._progress.running[task.name] = time.monotonic()
        self._executor.submit(task, self._archive.folder, claims.run)
        self._report(self._progress)

    def _settled(self, task: Task) -> bool:
        """Whether another run has done a task meanwhile; then it is counted."""
        if task.key in self._again or not self._archive.has(task.key):
            return False
        self._progress.done += 1
        self._report(self._progress)
        return True

    def _end(self, status: Status, claims: Claims) -> None:
        task = self._running.pop(status.key)
        claims.give_up(status.key)
        self._progress.running.pop(task.name, None)
        self._progress.seconds += status.seconds
        if status.state == "full":
            raise WriteError(f"{task.name}: {status.reason}")
        if status.state == "failed":
            self._progress.failed.append(status)
        else:
            self._progress.done += 1
        self._report(self._progress)
