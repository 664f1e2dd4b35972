"""How a row is measured: vtlab and its peers by turns, medians, and intervals that know how few the rounds were.

A cost is lower for the better: CPU seconds, microseconds a frame, megabytes. A ratio is the peer's cost over vtlab's of the
same round, so that both met the same machine.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STORED = HERE / "results.json"
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
ROUNDS, FEWEST, SECONDS, LIMIT = 9, 3, 12.0, 120.0
"""Rounds of a row, rounds that are always run, seconds after which no round begins, longest wait for one call of a peer."""

# Where Python may not keep what it compiled, each command that is measured would compile all of it again: nobody's does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

Cost = Callable[[], float]
Beside = Cost | str
"""A peer in this process: its cost, or what is said in place of one, such as "not installed"."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        key: Its name on the command line and in claims.
        what: What is measured.
        unit: Unit of the cost.
        make: Sets up in a folder of its own and returns what runs vtlab once and answers its cost, and what stands beside
            it in this process.
        peers: Name -> "module:function" run in `.venv-bench`, and its arguments, relative to the folder where they are
            files of it.
        scale: The cost of a peer's call times this is in `unit`.
        at_most: Goal of vtlab's cost, if there is one.
        ratio: Goal of the ratio to the first peer, if there is one.
    """

    key: str
    what: str
    unit: str
    make: Callable[[Path], Cost | tuple[Cost, Mapping[str, Beside]]]
    peers: Mapping[str, tuple[str, tuple[str, ...]]] | None = None
    scale: float = 1.0
    at_most: float | None = None
    ratio: float | None = None


class Peers:
    """One process of `.venv-bench` for each peer, kept for the row."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[str]] = {}

    def ask(self, name: str, call: str, args: Sequence[str]) -> dict[str, Any]:
        """What a call costs, or what is missing or wrong."""
        if not PYTHON.exists():
            return {"missing": name}
        process = self._running.get(name)
        if process is None:
            process = self._running[name] = subprocess.Popen(
                [PYTHON, "-m", "benchmarks._peer"],
                cwd=HERE.parent,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"call": call, "args": list(args)}) + "\n")
            process.stdin.flush()
            line = _line(process)
            return dict(json.loads(line))
        except (OSError, ValueError):
            process.kill()
            del self._running[name]
            return {"error": f"no answer within {LIMIT:.0f} s"}

    def close(self) -> None:
        """End the processes."""
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()


def _line(process: subprocess.Popen[str]) -> str:
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], LIMIT)
    return process.stdout.readline() if ready else ""


def measure(row: Row, folder: Path) -> dict[str, Any]:
    """Costs of vtlab and of each peer, round by round; what a peer lacks in words."""
    made = row.make(folder)
    ours, here = made if isinstance(made, tuple) else (made, {})
    beside = {name: cost for name, cost in here.items() if not isinstance(cost, str)}
    costs: dict[str, list[float]] = {"vtlab": [], **{name: [] for name in beside}}
    notes = {name: said for name, said in here.items() if isinstance(said, str)}
    peers, begin = Peers(), time.monotonic()
    ours()
    try:
        for k in range(ROUNDS):
            if k >= FEWEST and time.monotonic() - begin > SECONDS:
                break
            costs["vtlab"].append(ours())
            for name, cost in beside.items():
                costs[name].append(cost())
            for name, (call, args) in (row.peers or {}).items():
                if name in notes:
                    continue
                given = [str(folder / a) if (folder / a).exists() else a for a in args]
                said = peers.ask(name, call, given)
                if "cost" in said:
                    costs.setdefault(name, []).append(said["cost"] * row.scale)
                else:
                    notes[name] = "not installed" if "missing" in said else said["error"]
    finally:
        peers.close()
    return {
        "unit": row.unit,
        "what": row.what,
        "costs": costs,
        "notes": notes,
        "goal": [row.at_most, row.ratio],
    }


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median by order statistics; of fewer than six values their range, which is less sure."""
    ordered, n = sorted(values), len(values)
    k, below = 0, 0.0
    while k < n // 2:
        below += math.comb(n, k) / 2**n
        if 2 * below > 0.05:
            break
        k += 1
    k = max(k, 1)
    return ordered[k - 1], ordered[n - k]


def ratios(found: Mapping[str, Any], peer: str) -> list[float]:
    """The peer's cost over vtlab's, round by round."""
    return [b / a for a, b in zip(found["costs"]["vtlab"], found["costs"].get(peer, []), strict=False)]


def said(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Lines of a row: vtlab's cost, the peer, its cost, the ratio with its interval."""
    mine = found["costs"]["vtlab"]
    cost = f"{number(statistics.median(mine))} {found['unit']}"
    lines = 0
    for name, values in found["costs"].items():
        if name == "vtlab" or not values:
            continue
        each = ratios(found, name)
        low, high = interval(each)
        yield (
            cost,
            name,
            f"{number(statistics.median(values))} {found['unit']}",
            f"{statistics.median(each):.2f} [{low:.2f}, {high:.2f}]",
        )
        lines += 1
    for name, note in found["notes"].items():
        yield cost, name, note, ""
        lines += 1
    if not lines:
        yield cost, *_beside_goal(found)


def _beside_goal(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """A row without peers stands beside its goal."""
    mine, at_most = found["costs"]["vtlab"], found["goal"][0]
    low, high = interval(mine)
    if at_most is None or low <= 0:
        return "", "", f"[{number(low)}, {number(high)}]"
    middle = at_most / statistics.median(mine)
    return (
        "the goal",
        f"{number(at_most)} {found['unit']}",
        f"{middle:.2f} [{at_most / high:.2f}, {at_most / low:.2f}]",
    )


def goal(found: Mapping[str, Any]) -> str:
    """The row's goal and whether it is met, in words."""
    at_most, ratio = found["goal"]
    words = []
    if at_most is not None:
        met = statistics.median(found["costs"]["vtlab"]) <= at_most
        words.append(f"<= {number(at_most)} {found['unit']}: {'met' if met else 'NOT met'}")
    if ratio is not None:
        each = next((ratios(found, n) for n, v in found["costs"].items() if n != "vtlab" and v), [])
        state = "no peer answered" if not each else "met" if statistics.median(each) >= ratio else "NOT met"
        words.append(f">= {ratio:g} x: {state}")
    return "; ".join(words)


def number(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def about() -> dict[str, Any]:
    """Where and when a run is made."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE.parent, capture_output=True, text=True
    ).stdout.strip()
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x), model
        )
    return {
        "machine": f"{model}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit,
        "load": [round(x, 1) for x in os.getloadavg()],
    }


def stored() -> dict[str, Any]:
    """The stored run: {"about": ..., "rows": {key: ...}}; empty without one."""
    return dict(json.loads(STORED.read_text())) if STORED.exists() else {"about": {}, "rows": {}}


def cpu_of(command: Sequence[str], **options: Any) -> float:
    """CPU seconds of a command and its children."""
    before = os.times()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT, **options
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def clocked(run: Callable[[], object], scale: float = 1.0) -> Cost:
    """CPU seconds of a call, all threads, times `scale`."""

    def cost() -> float:
        begin = time.process_time()
        run()
        return (time.process_time() - begin) * scale

    return cost


BARE = [sys.executable, "-c", "pass"]
