"""A comparison on the engine: each run is kept as it ends and found again, several run at once, times stay honest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab.comparison.cells import outcome_of
from vtlab.comparison.proxies import Run
from vtlab.comparison.trial import Trial, family_of
from vtlab.engine.keys import key_of, package_digest, part_facts, tracks_digest
from vtlab.engine.loop import Executor, OneByOne, Progress, run_tasks
from vtlab.engine.outcome import Outcome
from vtlab.engine.store import Archive
from vtlab.engine.task import Limits, Task
from vtlab.errors import InputError, Interrupted
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.trackers.loop import Direction

BACKWARD = " backward"


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        sequences: On which.
        specs: Label -> (tracker, parameters).
        direction: As in `track`.
        both_ways: Also back again.
        out: Folder of the runs; None for one that is removed at the end.
        jobs: Runs at once.
    """

    sequences: tuple[Sequence, ...]
    specs: Mapping[str, tuple[Any, dict[str, Any]]]
    direction: Direction
    both_ways: bool
    out: str | Path | None
    jobs: int

    def run(self, progress: bool | Callable[[str], None], joined: Callable[[list[Run]], Any]) -> Any:
        """Run what has no result yet, and join all that has one."""
        if not isinstance(self.jobs, int) or self.jobs < 1:
            raise InputError(f"jobs must be at least 1, got {self.jobs!r}.")
        with ExitStack() as stack:
            folder = self.out or stack.enter_context(tempfile.TemporaryDirectory(prefix="vtlab-"))
            archive = Archive(folder)
            tasks = {(s.name, label): self._task(s, label) for s in self.sequences for label in self.specs}
            try:
                report = stack.enter_context(_Shown(progress, len(tasks)))
                run_tasks(list(tasks.values()), archive, self._executor(), retry="failed", report=report)
            except KeyboardInterrupt as error:
                found = self._found(archive, tasks)
                text = f"compare was interrupted; {len(found)} of {len(tasks)} runs had finished"
                kept = joined(found) if found else None
                raise Interrupted(
                    text + (f"; they are kept in {folder}" if self.out else ""), None, kept
                ) from error
            return joined(self._found(archive, tasks))

    def _executor(self) -> Executor:
        if self.jobs == 1:
            return OneByOne(inside=True)
        from vtlab.engine.cluster import on_cluster

        return on_cluster(self.jobs, None)

    def _task(self, sequence: Sequence, label: str) -> Task:
        spec, params = self.specs[label]
        alone = self.jobs == 1 or sequence is self.sequences[0]
        facts = {
            "tracker": part_facts(TRACKERS, spec, params),
            "video": sequence.video.digest(),
            "prompts": sequence.prompts.to_json(),
            "truth": [tracks_digest(sequence.truth), tracks_digest(sequence.ignore), sequence.benchmark],
            "how": [self.direction, self.both_ways, alone],
            "vtlab": package_digest(),
        }
        cores = tuple(sorted(os.sched_getaffinity(0))) if alone and hasattr(os, "sched_getaffinity") else ()
        arguments = {"sequence": sequence, "label": label, "spec": spec, "params": params}
        arguments |= {"direction": self.direction, "both_ways": self.both_ways}
        record = {"tracker": label, "sequence": sequence.name}
        limits = Limits(alone=alone, cores=cores)
        return Task(key_of(facts), f"{label} on {sequence.name}", run_cell, arguments, record, limits)

    def _found(self, archive: Archive, tasks: Mapping[tuple[str, str], Task]) -> list[Run]:
        """The runs that have ended, well or not, in the order of the plan."""
        failures = archive.failures()
        keys = {task.key for task in tasks.values()}
        told = {row["cell"]: row for row in archive.table("provenance", keys).to_pylist()}
        runs = []
        for sequence in self.sequences:
            for label, (spec, _) in self.specs.items():
                task = tasks[sequence.name, label]
                if task.key not in told and task.key not in failures:
                    continue
                row = told.get(task.key)
                note = (row["note"] or "") if row else failures[task.key].reason
                tracks = list(archive.tracks(task.key).items())
                ahead = next((t for (_, name), t in tracks if not name.endswith(BACKWARD)), None)
                back = next((t for (_, name), t in tracks if name.endswith(BACKWARD)), None)
                if ahead is not None and not task.limits.alone:
                    ahead = ahead.replace(step_seconds=())  # others ran beside it: its times are not its own
                if row and self.jobs > 1 and row["alone"]:
                    note = f"{note} Timed on {sequence.name}, {row['alone']}.".strip()
                family = family_of(TRACKERS.card(spec), sequence)
                runs.append(Run(label, sequence.name, family, ahead, note, row is not None, back))
        return runs


def run_cell(
    sequence: Sequence, label: str, spec: Any, params: dict[str, Any], *, direction: Direction, both_ways: bool,
    alone: bool = True,
) -> Outcome:  # fmt: skip
    """One tracker on one sequence, as a cell of the engine."""
    trial = Trial(label, TRACKERS.card(spec), spec, params, sequence, sequence.video, direction, both_ways)
    return outcome_of(trial.run(), sequence, None, timed=alone)


class _Shown:
    """Says which runs are at work: by a bar, by a function that gets a line for each run, or not at all."""

    def __init__(self, how: bool | Callable[[str], None], total: int):
        self._how, self._total, self._told = how, total, set[str]()
        self._bar: Any = None

    def __enter__(self) -> Callable[[Progress], None]:
        if self._how is True:
            from vtlab.files.bars import bar

            self._bar = bar(total=self._total, unit="run")
        return self.show

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._bar is not None:
            self._bar.update(progress.ended - self._bar.n)
            self._bar.set_postfix_str("; ".join(progress.running))
        elif callable(self._how):
            for name in progress.running.keys() - self._told:
                self._told.add(name)
                self._how(name)
