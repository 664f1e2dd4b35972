"""A warm process that executes tasks one after the other, and who watches it: what hangs, eats memory or crashes there
ends as a failed cell, and the next task gets a new process.

Models that a task loaded stay loaded for the next. The process reads tasks from its standard input and answers on what
was its standard output; what a task prints goes to that task's log.
"""

from __future__ import annotations

import faulthandler
import math
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from vtlab.engine.store import Archive
from vtlab.engine.task import BEGINS, LOG, WAITS, Status, Task, execute, failed, warm_up
from vtlab.errors import ExperimentError

_PERIOD = 0.1
"""Seconds between two looks at a task's time and memory."""
_START = 120.0
"""Seconds that a new process may take to import vtlab; they are no part of a task's time."""
_HEAD = struct.Struct("<Q")
_READY = "ready"
"""What a process says when it can take tasks."""


class GuardClosedError(Exception):
    """A guard was closed while it watched a task."""


class Guard:
    """Runs tasks in a process of its own, which is made when it is first needed.

    Args:
        environment: Variables of that process beside this one's, such as CUDA_VISIBLE_DEVICES.
    """

    def __init__(self, environment: Mapping[str, str] | None = None):
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, task: Task, folder: Path, run: str) -> Status:
        """Execute a task; see `execute`. A task that breaks its limits or its process is failed, with the log.

        Raises:
            ExperimentError: The task can't be sent to another process, or none can be started.
            GuardClosedError: It was closed meanwhile, as where a run is stopped: that is no fault of the task.
            WriteError: The store can't be written.
        """
        data = _packed(task)
        archive = Archive(folder, recover=False)
        work = archive.begin(task.key, run)
        self._start()
        try:
            self._send(pickle.dumps((data, str(folder), str(work), run)))
            kind, found, seconds = self._watch(task)
        except BaseException:
            self.close()  # Ctrl-C: what it does is not waited for
            raise
        if kind == "answer":
            return found  # type: ignore[no-any-return]
        if self._process is None:
            raise GuardClosedError(f"{task.name}: who watched it has ended.")
        self.close()
        record = {"kind": kind, "reason": found, "seconds": seconds, "run": run}
        return failed(archive, task, work, record)

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        end_tree(process.pid)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._answers = queue.SimpleQueue()
        paths = os.pathsep.join(p for p in [*sys.path, os.environ.get("PYTHONPATH", "")] if p)
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **self._environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "vtlab.engine.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C comes to who watches, not to the task
        )
        self._process = process
        threading.Thread(target=_listen, args=(process.stdout, self._answers), daemon=True).start()
        try:
            ready = self._answers.get(timeout=_START)
        except queue.Empty:
            ready = None
        if ready != _READY:
            self.close()
            raise ExperimentError(
                f"A process for cells could not be started ({sys.executable} -m vtlab.engine.guard); what it said is above."
            )

    def _send(self, data: bytes) -> None:
        pipe = self._process.stdin if self._process is not None else None
        if pipe is not None:
            with suppress(BrokenPipeError):  # it has died, which `_watch` finds out
                pipe.write(_HEAD.pack(len(data)) + data)
                pipe.flush()

    def _watch(self, task: Task) -> tuple[str, Any, float]:
        """("answer", its status), or what went wrong and why in words; and the seconds that it took.

        While it waits until the machine is its own (or until another needs it no longer), its time stands still.
        """
        began = time.monotonic()
        while True:
            left = _PERIOD if task.limits.seconds is None else began + task.limits.seconds - time.monotonic()
            try:
                answer = self._answers.get(timeout=min(max(left, 0.0), _PERIOD))
            except queue.Empty:
                taken = max(time.monotonic() - began, 0.0)
                broken = self._broken(task, taken)
                if broken is not None:
                    return (*broken, taken)
                continue
            if answer in (WAITS, BEGINS):
                began = time.monotonic() if answer == BEGINS else math.inf
                continue
            taken = max(time.monotonic() - began, 0.0)
            return (
                ("answer", answer, taken) if isinstance(answer, Status) else ("killed", self._death(), taken)
            )

    def _broken(self, task: Task, taken: float) -> tuple[str, str] | None:
        """Which limit a task has broken, and how; None if it keeps them."""
        limits = task.limits
        if limits.seconds is not None and taken >= limits.seconds:
            return "timeout", f"It took longer than {limits.seconds:g} s and was stopped."
        used = self._memory() if limits.memory_mb is not None else 0.0
        if limits.memory_mb is not None and used > limits.memory_mb:
            return "memory", f"It held {used:.0f} MB, more than {limits.memory_mb:g} MB, and was stopped."
        return None

    def _memory(self) -> float:
        """Resident megabytes of the process and of what it started."""
        import psutil

        total = 0
        with suppress(psutil.Error):
            whole = psutil.Process(self._process.pid if self._process else None)
            for one in [whole, *whole.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += one.memory_info().rss
        return total / 2**20

    def _death(self) -> str:
        code = self._process.wait() if self._process is not None else 0
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            why = {
                "SIGSEGV": ": native code crashed",
                "SIGKILL": ": killed, as the system does when memory runs out",
            }
            return f"Its process ended by {name}{why.get(name, '')}."
        return f"Its process ended with exit code {code}."


def _packed(task: Task) -> bytes:
    """A task as bytes; by cloudpickle, where there is one, so that what a notebook defines can be sent, too."""
    try:
        import cloudpickle as pickler
    except ImportError:
        pickler = pickle  # type: ignore[assignment]
    try:
        return bytes(pickler.dumps(task))
    except Exception as error:
        raise ExperimentError(
            f"{task.name}: it can't be sent to another process: {error}. Remedy: put functions and classes into a file, and "
            "give them as file.py:NAME."
        ) from error


def end_tree(process: int) -> None:
    """End a process and all that it started, as kernels of notebooks, which are sessions of their own."""
    import psutil

    with suppress(psutil.Error):
        whole = psutil.Process(process)
        for one in [*whole.children(recursive=True), whole]:
            with suppress(psutil.Error):
                one.kill()


def _listen(pipe: IO[bytes] | None, answers: queue.SimpleQueue[Any]) -> None:
    """Pass on what a process answers, and None when it has ended."""
    try:
        while pipe is not None and (head := pipe.read(_HEAD.size)):
            answers.put(pickle.loads(pipe.read(_HEAD.unpack(head)[0])))  # noqa: S301 (of our own process)
    except (OSError, ValueError, EOFError, struct.error, pickle.UnpicklingError):
        pass
    answers.put(None)


def serve() -> None:
    """What the process does: tasks from standard input, answers to what was standard output."""
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    said = os.dup(2)
    os.dup2(2, 1)  # prints between tasks are no answers
    _die_with_parent()
    faulthandler.enable()

    def answer(value: Any) -> None:
        data = pickle.dumps(value)
        answers.write(_HEAD.pack(len(data)) + data)
        answers.flush()

    warm_up()
    answer(_READY)
    while head := tasks.read(_HEAD.size):
        packed, folder, work, run = pickle.loads(tasks.read(_HEAD.unpack(head)[0]))  # noqa: S301 (of our own parent)
        log = os.open(Path(work) / "files" / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        task = pickle.loads(packed)  # noqa: S301
        status = execute(task, Path(folder), Path(work), run, answer)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(said, 1)
        os.dup2(said, 2)
        answer(status)


def _die_with_parent() -> None:
    """End when the parent does, even within native code that never comes back (Linux; elsewhere at the next task)."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    serve()
