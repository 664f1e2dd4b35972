"""Runs readers on damaged files in a process of their own, with its resident memory and its time watched.

A limit on address space would break torch and pyarrow, so the parent looks at what is resident. The parent knows
nothing of vtlab: what kills the worker doesn't kill the count.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).parents[2]
WORKER = ["-m", "tests.fuzz.worker"]
FIRST, HANG, GROWTH = 120.0, 20.0, 1536 * 2**20
"""Seconds until a worker has begun and that one input may take; bytes that a reader may add to what was taken before."""
SLICE, SLICE_SECONDS = 250, 30.0
"""Inputs that one reader has before another has its turn, and the longest that this takes."""


@dataclass
class Row:
    """What one reader did.

    Attributes:
        name: The reader's.
        inputs: Damaged files that it was given.
        read: How many of them it read all the same.
        foreign: Errors that aren't vtlab's own: kind and place -> numbers of the inputs.
        crashes, hangs, greedy: Numbers of the inputs that ended the process, its time, its memory.
        memory: Most bytes that were added to what the process took before.
    """

    name: str
    inputs: int = 0
    read: int = 0
    foreign: dict[str, list[int]] = field(default_factory=lambda: collections.defaultdict(list))
    crashes: list[int] = field(default_factory=list)
    hangs: list[int] = field(default_factory=list)
    greedy: list[int] = field(default_factory=list)
    memory: int = 0

    @property
    def good(self) -> bool:
        return not (self.foreign or self.crashes or self.hangs or self.greedy)

    def take(self, answer: dict[str, Any]) -> None:
        """Count an input that the worker got over."""
        self.inputs, self.memory = answer["input"] + 1, max(self.memory, answer["grown"])
        self.read += answer["error"] == ""
        if answer["error"] not in ("", "own"):
            self.foreign[answer["error"]].append(answer["input"])

    def end(self, how: str, memory: int) -> None:
        """Count an input that the worker did not get over."""
        {"crash": self.crashes, "hang": self.hangs, "greedy": self.greedy}[how].append(self.inputs)
        self.inputs, self.memory = self.inputs + 1, max(self.memory, memory)

    def cells(self) -> list[str]:
        counts = (self.inputs, self.read, len(self.crashes), len(self.hangs), len(self.greedy))
        return [
            self.name,
            *map(str, counts),
            str(sum(map(len, self.foreign.values()))),
            f"{self.memory >> 20}",
        ]


HEADINGS = ["reader", "inputs", "read", "crashes", "hangs", "too much memory", "foreign errors", "peak MiB"]


def table(rows: Iterable[Row]) -> str:
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def resident(pid: int) -> int:
    """Bytes in memory of a process; 0 where the system doesn't tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


class Worker:
    """A process that reads damaged files and says after each how it went."""

    def __init__(self) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONFAULTHANDLER": "1"}
        self._process = subprocess.Popen(
            [sys.executable, *WORKER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, cwd=PROJECT, env=env,
        )  # fmt: skip
        os.set_blocking(self._process.stdout.fileno(), False)  # type: ignore[union-attr]
        self._left = b""
        self._base: int | None = None
        self.peak = 0

    def ask(self, **order: Any) -> None:
        self._base = None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def answers(self, first: float = FIRST, patience: float = HANG) -> Iterator[dict[str, Any]]:
        """Answers as they come; the last has `end`: "done", "crash", "hang" or "greedy"."""
        assert self._process.stdout is not None
        due = time.monotonic() + first
        while True:
            data = self._process.stdout.read()
            if data:
                due = time.monotonic() + patience
                *lines, self._left = (self._left + data).split(b"\n")
                for line in map(json.loads, lines):
                    yield line
                    if "end" in line:
                        return
            elif data == b"":
                yield {"end": "crash", "code": self._process.wait()}
                return
            elif time.monotonic() > due:
                yield {"end": "hang"}
                return
            else:
                if self._grown() > GROWTH:
                    yield {"end": "greedy"}
                    return
                time.sleep(0.004)

    def _grown(self) -> int:
        now = resident(self._process.pid)
        self._base = now if self._base is None else self._base
        self.peak = max(self.peak, now - self._base)
        return now - self._base

    def said(self) -> str:
        """The end of what it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()[-3000:].decode(errors="replace")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            pipe.close()  # type: ignore[union-attr]


class Campaign:
    """Readers asked one after another, by one worker that is replaced when it ends.

    Args:
        seed: Of all damage: input i of a reader is the same file ever after.
        patience: Seconds until a worker has begun, and for one input.
    """

    def __init__(self, seed: int = 0, patience: tuple[float, float] = (FIRST, HANG)):
        self.seed, self.patience, self.rows = seed, patience, dict[str, Row]()
        self._worker: Worker | None = None

    def names(self) -> list[str]:
        """Every reader that can be asked here."""
        self._worker = self._worker or Worker()
        self._worker.ask(list=True)
        return next(a["names"] for a in list(self._worker.answers(*self.patience)) if "names" in a)

    def run(self, name: str, count: int, *, seconds: float = float("inf"), keep: Path | None = None) -> Row:
        """Give a reader its next `count` inputs, or those that go into `seconds`; `keep`: a folder for bad ones."""
        row = self.rows.setdefault(name, Row(name))
        stop, left = row.inputs + count, seconds
        while row.inputs < stop and left > 0:
            self._worker = self._worker or Worker()
            order = {"seed": self.seed, "start": row.inputs, "stop": stop, "seconds": left}
            self._worker.ask(reader=name, keep=str(keep) if keep else None, **order)
            left -= self._listen(row)
        return row

    def even(self, names: list[str], count: int, seconds: float, keep: Path | None = None) -> Iterator[Row]:
        """Go on until each reader had `count` inputs or the time is up, always with the one that had fewest."""
        end = time.monotonic() + seconds
        for name in names:
            self.rows.setdefault(name, Row(name))
        while (left := end - time.monotonic()) > 0:
            row = min((self.rows[name] for name in names), key=lambda r: r.inputs)
            if row.inputs >= count:
                return
            slices = min(SLICE, count - row.inputs)
            yield self.run(row.name, slices, seconds=min(left, SLICE_SECONDS), keep=keep)

    def _listen(self, row: Row) -> float:
        """Take down what a worker says of a reader; return the seconds that it read for."""
        assert self._worker is not None
        begun = time.monotonic()
        for answer in self._worker.answers(*self.patience):
            if "begun" in answer:
                begun = time.monotonic()
            elif "input" in answer:
                row.take(answer)
            elif answer["end"] != "done":
                row.end(answer["end"], self._worker.peak)
                self.close()
        return time.monotonic() - begun

    def close(self) -> None:
        if self._worker is not None:
            self._worker.stop()
        self._worker = None
