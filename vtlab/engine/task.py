"""One cell as a task: what is called with what, within which limits; and how it is executed, wherever that is."""

from __future__ import annotations

import errno
import importlib
import inspect
import json
import os
import platform
import random
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vtlab.engine.keys import package_digest
from vtlab.engine.outcome import Outcome, as_outcome
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError, WriteError
from vtlab.files import cache_folder, locked
from vtlab.provenance import hardware, now, versions
from vtlab.registry import load_file

State = Literal["done", "failed", "full"]
_WITHIN = "VTLAB_WITHIN_A_CELL"
WAITS, BEGINS = "waits", "begins"
"""What a task tells of itself before it waits for others to end, and when it begins."""
LOG = "log.txt"
"""What a cell printed, among its files."""


@dataclass(frozen=True)
class Limits:
    """What one cell may take.

    Attributes:
        seconds: Wall time after which it is stopped and counts as failed; None for any.
        memory_mb: Resident megabytes of its process and those it starts, at which it is stopped; None for any.
        gpus: GPUs that it needs, 0 or 1.
        alone: It measures time: nothing else of vtlab's experiments runs on the machine meanwhile.
        cores: Processor cores that it is held to, as their numbers; empty for any.
    """

    seconds: float | None = None
    memory_mb: float | None = None
    gpus: int = 0
    alone: bool = False
    cores: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_mb"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value > 0):
                raise ExperimentError(f"limits: {name} must be above 0, got {value!r}.")
        if self.gpus not in (0, 1):
            raise ExperimentError(f"limits: gpus must be 0 or 1 (one device a worker), got {self.gpus!r}.")


@dataclass(frozen=True)
class Task:
    """One cell to execute.

    Attributes:
        key: Of its result.
        name: What it is, in words.
        target: A function, or its name as `module:function` or `path/to/file.py:function`.
        arguments: What it is called with by name. Beside them it gets, where it has such parameters, `out` (its folder),
            `seed`, and `alone` (whether it measures time).
        record: What its row of provenance says beside what every cell's says.
        limits: What it may take.
        seed: From which the random generators of Python, NumPy, OpenCV and torch start.
    """

    key: str
    name: str
    target: str | Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    seed: int = 0


@dataclass(frozen=True)
class Status:
    """How a task ended.

    Attributes:
        key: Of the cell.
        state: "done", "failed", or "full": its result could not be written, which is no fault of the cell.
        kind: Of a failure: "error", "timeout", "memory", "killed" or "lost".
        reason: In one line.
        seconds: Wall time.
    """

    key: str
    state: State
    kind: str = ""
    reason: str = ""
    seconds: float = 0.0


def load_target(target: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function of a name; raises `ExperimentError` where there is none."""
    if not isinstance(target, str):
        return target
    if ".py:" in target:
        return _called(load_file(target, "trial"), target)
    module, _, name = target.partition(":")
    try:
        return _called(getattr(importlib.import_module(module), name), target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ExperimentError(
            f"{target!r} names no function: {error}. Remedy: path/to/file.py:function, or module:function."
        ) from None


def _called(found: Any, target: str) -> Callable[..., Any]:
    if not callable(found):
        raise ExperimentError(f"{target!r} is a {type(found).__name__}, not a function.")
    return found  # type: ignore[no-any-return]


def execute(
    task: Task, folder: Path, work: Path, run: str, tell: Callable[[str], None] = lambda word: None
) -> Status:
    """Run a task and keep its result in the store, or why it failed.

    Args:
        task: What to run.
        folder: Of the store.
        work: The cell's own folder, as `Archive.begin` made it.
        run: Name of the run.
        tell: Called with `WAITS` before it waits until the machine is its own, and with `BEGINS` when it begins.
    """
    archive = _archive(folder)
    started, cpu = time.perf_counter(), time.process_time()
    record = {
        **task.record,
        "cell": task.name,
        "name": task.name,
        "run": run,
        "created": now(),
        "machine": platform.node(),
    }
    outcome, problem = Outcome(), ""
    try:
        tell(WAITS)
        with _conditions(task) as alone:
            record["alone"] = alone
            started, cpu = time.perf_counter(), time.process_time()  # waiting is no part of its time
            tell(BEGINS)
            outcome = as_outcome(_call(task, work / "files"))
        problem = outcome.problem
    except Exception as error:
        if _is_full(error):
            return Status(task.key, "full", reason=str(error))
        traceback.print_exc()
        problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    seconds = time.perf_counter() - started
    _end_log(work / "files" / LOG)
    record |= {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "note": outcome.note}
    record |= {"vtlab": package_digest(), "versions": _json(versions()), "hardware": _json(hardware())}
    try:
        if problem:
            return failed(archive, task, work, {**record, "kind": "error", "reason": problem}, outcome)
        archive.finish(task.key, work, outcome, record)
    except WriteError as error:
        return Status(task.key, "full", reason=str(error), seconds=seconds)
    except ExperimentError as error:  # rows that are none
        record |= {"kind": "error", "reason": str(error)}
        return failed(archive, task, archive.begin(task.key, run), record)
    return Status(task.key, "done", seconds=seconds)


def failed(
    archive: Archive, task: Task, work: Path, record: Mapping[str, Any], outcome: Outcome | None = None
) -> Status:
    """Keep why a task failed (its record's `kind` and `reason`), with what it had until then."""
    told = {"cell": task.name, "created": now(), "seconds": 0.0, **task.record, **record}
    reason = str(told["reason"]).replace(
        str(work), str(archive.folder / "failed" / task.key)
    )  # where it is from now on
    told["reason"] = " ".join(reason.split())[:2000]
    archive.fail(task.key, work, told, outcome)
    return Status(task.key, "failed", told["kind"], told["reason"], float(told["seconds"]))


def _call(task: Task, out: Path) -> Any:
    function = load_target(task.target)
    known = inspect.signature(function).parameters
    every = any(p.kind is p.VAR_KEYWORD for p in known.values())
    offered = {"out": out, "seed": task.seed, "alone": task.limits.alone}
    more = {k: v for k, v in offered.items() if k in known or (every and k in task.arguments)}
    arguments = {k: v.open() if isinstance(v, Reference) else v for k, v in task.arguments.items()}
    return function(**{**more, **arguments})


class Reference(ABC):
    """What an argument is made of where the task runs, such as a clip by its name; its key is its content's."""

    @abstractmethod
    def open(self) -> Any:
        """Return the argument."""


@contextmanager
def _conditions(task: Task) -> Iterator[str]:
    """Random generators begun anew, cores held to, and nothing beside a task that measures time; says which cores."""
    start_random(task.seed)
    if _WITHIN in os.environ:  # a cell that compares: who waited for itself would wait for ever
        yield ""
        return
    before = _held_to(task.limits.cores)
    try:
        with ExitStack() as held:
            # Who waits to be alone keeps the gate, so that those who may share don't come in one after the other before it.
            with locked(cache_folder("locks") / "gate.lock"):
                lock = cache_folder("locks") / "machine.lock"
                held.enter_context(locked(lock, shared=not task.limits.alone))
            os.environ[_WITHIN] = "1"
            yield f"alone on cores {', '.join(map(str, sorted(_held_to(()))))}" if task.limits.alone else ""
    finally:
        os.environ.pop(_WITHIN, None)
        if task.limits.cores and before:
            _held_to(tuple(before))


def _held_to(cores: tuple[int, ...]) -> set[int]:
    """Hold this process to some cores, where the system can; returns those it was held to before."""
    if not hasattr(os, "sched_setaffinity"):
        return set()
    before = os.sched_getaffinity(0)
    if cores:
        try:
            os.sched_setaffinity(0, cores)
        except OSError:
            raise ExperimentError(
                f"limits: cores {list(cores)}: this machine gives only {sorted(before)}. Remedy: name some of them."
            ) from None
    return before


def warm_up() -> None:
    """Load and look up what every task needs, so that the first one's time is its own."""
    import cv2  # noqa: F401
    import pandas as pd  # noqa: F401 (pyarrow loads it as it makes its first table)
    import pyarrow.parquet  # noqa: F401

    package_digest()
    versions()
    hardware()


def _end_log(log: Path) -> None:
    """Write out what was printed; where nothing was, there is no log."""
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        if log.stat().st_size == 0:
            log.unlink()


def start_random(seed: int) -> None:
    """Start the random generators of Python, NumPy, OpenCV and, where it is loaded, torch from a number."""
    import cv2

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (a trial may use the old generator)
    cv2.setRNGSeed(seed % 2**31)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


@lru_cache(maxsize=8)
def _archive(folder: Path) -> Archive:
    return Archive(folder, recover=False)


def _is_full(error: BaseException) -> bool:
    """Whether an error comes of a disk that is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
