"""Who works on what: runs of one grid share its cells, on one machine or on several that share a folder.

A run holds the lock of a file of its own for as long as it lives; the system lets go of it however the run ends. Where
another machine asks, which may not see the lock, the run is alive as long as it touches its file.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from vtlab.errors import ExperimentError, WriteError
from vtlab.files import locked
from vtlab.files.locks import hold
from vtlab.provenance import now

TOUCHED, GIVEN_UP = 10.0, 120.0
"""Seconds between two touches of a run's file; seconds without one after which another machine takes it for dead."""


@dataclass(frozen=True)
class Claim:
    """Which run works on a cell.

    Attributes:
        key: Of the cell.
        run: Name of the run.
        machine: Where it runs.
        process: Its number there.
        since: UTC.
    """

    key: str
    run: str
    machine: str
    process: int
    since: str


class Claims:
    """The claims of one run; a context manager, at whose end they are given up.

    Args:
        folder: Of the store.
    """

    def __init__(self, folder: Path):
        self.folder = folder / "claims"
        self.run = uuid.uuid4().hex[:12]
        self._machine = platform.node()
        self._handle = -1
        self._over = threading.Event()
        self._mine: set[str] = set()

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._file(self.run), os.O_RDWR | os.O_CREAT, 0o666)
            hold(self._handle, wait=False)
            told = {"machine": self._machine, "process": os.getpid(), "since": now()}
            os.write(self._handle, json.dumps(told).encode())
        except OSError as error:
            raise WriteError(
                f"{str(self.folder)!r} can't be written: {error.strerror or error}. Remedy: free space or mend the rights."
            ) from error
        threading.Thread(target=self._touch, daemon=True, name="vtlab-claims").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for key in list(self._mine):
            self.give_up(key)
        with suppress(OSError):
            os.unlink(self._file(self.run))
        os.close(self._handle)

    def take(self, key: str) -> bool:
        """Claim a cell; False where a run that is alive has it.

        Raises:
            WriteError: The claim can't be written.
        """
        try:
            with locked(self.folder / ".lock"):
                owner = self._owner(key)
                if owner is not None and owner != self.run and self.alive(owner):
                    return False
                (self.folder / key).write_text(self.run, encoding="ascii")
        except OSError as error:
            with suppress(OSError):  # an empty claim, where the disk is full, is nobody's
                (self.folder / key).unlink(missing_ok=True)
            raise WriteError(
                f"{str(self.folder / key)!r} can't be written: {error.strerror or error}. Remedy: free space."
            ) from error
        self._mine.add(key)
        return True

    def give_up(self, key: str) -> None:
        """Let others have a cell, as when it is done."""
        self._mine.discard(key)
        with suppress(OSError):
            (self.folder / key).unlink(missing_ok=True)

    def alive(self, run: str) -> bool:
        """Whether a run still works."""
        file = self._file(run)
        try:
            handle = os.open(file, os.O_RDWR)
        except OSError:
            return False
        try:
            known = json.loads(os.read(handle, 4096) or b"{}")
            if known.get("machine", self._machine) == self._machine and _has_locks():
                return not hold(handle, wait=False)
            return time.time() - os.fstat(handle).st_mtime < GIVEN_UP
        except ValueError:
            return False
        finally:
            os.close(handle)

    def held(self) -> list[Claim]:
        """What runs that are alive work on."""
        found = []
        for place in self._places():
            owner = self._owner(place.name)
            if owner and self.alive(owner):
                with suppress(OSError, ValueError, KeyError):
                    told = json.loads(self._file(owner).read_bytes())
                    since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(place.stat().st_mtime))
                    found.append(Claim(place.name, owner, str(told["machine"]), int(told["process"]), since))
        return found

    def sweep(self) -> None:
        """Remove the files of runs that have ended, and claims of theirs."""
        with locked(self.folder / ".lock"):
            for place in list(self.folder.glob("*.run")):
                if place.stem != self.run and not self.alive(place.stem):
                    place.unlink(missing_ok=True)
            for place in self._places():
                if not self.alive(self._owner(place.name) or "none"):
                    place.unlink(missing_ok=True)

    def _places(self) -> list[Path]:
        """The files of claims, each named after its cell."""
        found = self.folder.glob("*")
        return sorted(p for p in found if not p.name.startswith(".") and p.suffix != ".run")

    def _file(self, run: str) -> Path:
        return self.folder / f"{run}.run"

    def _owner(self, key: str) -> str | None:
        try:
            text = (self.folder / key).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        if "/" in text or "\\" in text:
            raise ExperimentError(f"{self.folder / key}: not the claim of a run: {text[:40]!r}.")
        return text or None

    def _touch(self) -> None:
        while not self._over.wait(TOUCHED):
            with suppress(OSError):
                os.utime(self._file(self.run))


def _has_locks() -> bool:
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True
