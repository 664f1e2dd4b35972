"""One pipeline over many videos, on the engine of experiments: labels are written as each video ends, and a run that was
stopped goes on where it was.

tracker: assistant                       # or a name, {name: parameters}, file.py:Class
detector: fastestdet                     # where the tracker takes one
prompts: prompts/{name}.json             # a file for each video, by its name; left out where none are needed
format: cvat                             # any that vtlab writes; by default vtlab's own

docs/experiments.md says it all.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.comparison.trial import Trial
from vtlab.engine.keys import digest_of, key_of, package_digest
from vtlab.engine.loop import Progress, Retry, run_tasks
from vtlab.engine.outcome import Outcome
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError, InputError, VtlabError, near
from vtlab.experiments import axes
from vtlab.experiments.axes import Clip, Method
from vtlab.experiments.runner import executor
from vtlab.experiments.spec import Cell, Experiment, limits_of
from vtlab.experiments.store import Store
from vtlab.files import (
    check_folder,
    damage_as,
    file_digest,
    read_csv,
    read_json,
    read_text,
    read_yaml,
    write_whole,
)
from vtlab.files.sheets import csv_text
from vtlab.formats.base import Format
from vtlab.formats.registry import find_format, write_tracks
from vtlab.metrics.doubts import doubts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.show.board import Board
from vtlab.video import image_files
from vtlab.video.names import VIDEO_SUFFIXES, is_leftover

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("name", "tracker", "detector", "prompts", "format", "direction", "limits")
"""What a pipeline may say."""
WAYS = ("forward", "backward", "both")
DOUBTS, SUMMARY, WRITTEN = "doubts.csv", "summary.csv", "written.json"
"""Doubtful places of a video, and of all; a row for each video; which file holds what was written."""


@dataclass(frozen=True)
class Pipeline:
    """What is done with each video.

    Attributes:
        name: Of the pipeline; its labels go to a folder of that name.
        method: The tracker, with its detector among its parameters.
        form: In which labels are written.
        prompts: Path of a video's prompt file with `{name}` for the video's name; "" for none.
        direction: As `vtlab.track` takes it.
        limits: What a video may take, as of a specification.
    """

    name: str
    method: Method
    form: Format
    prompts: str = ""
    direction: str = "forward"
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Applied:
    """What a pipeline made of videos.

    Attributes:
        folder: With `labels/`, `summary.csv` and `doubts.csv`.
        summary: A row for each video: video, state ("done", "failed", "to do"), objects, frames, doubtful (places), seconds,
            labels (the file or files), note (what its format can't hold, or what the tracker said), reason (of a failure).
        doubts: Doubtful places of all videos, the most doubtful first, as `vtlab.doubts` has them.
    """

    folder: Path
    summary: pd.DataFrame
    doubts: pd.DataFrame

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of videos that failed."""
        return self.summary[self.summary["state"] == "failed"]

    @property
    def board(self) -> Board:
        """The summary as a table to show: what has most doubtful places first, what failed last."""
        rows = self.summary.drop(columns="reason").set_index("video")
        for name in ("objects", "frames", "doubtful", "seconds"):
            rows[name] = rows[name].astype(float)
        failed = rows["state"] == "failed"
        order = rows.assign(failed=failed).sort_values(
            ["failed", "doubtful"], ascending=[True, False], kind="stable"
        )
        told = f"{int((rows['state'] == 'done').sum())} of {len(rows)} videos labelled, {int(failed.sum())} failed."
        return Board(order.drop(columns="failed").dropna(axis=1, how="all"), "Labels", told)


def label(sequence: Sequence, tracker: Method, *, direction: str, out: Path) -> Outcome:
    """The trial of a pipeline: label one video.

    Args:
        sequence: The video and its prompts.
        tracker: By name and parameters.
        direction: As `vtlab.track` takes it.
        out: Where the doubtful places go.
    """
    card = TRACKERS.card(tracker.name)
    with tracker.lent() as made:
        run = Trial(tracker.label, card, made, {}, sequence, sequence.video, direction).run()  # type: ignore[arg-type]
    if run.tracks is None:
        return Outcome(note=run.note, problem=run.note)
    found = doubts({sequence.name: run.tracks}, video=sequence.video)
    write_whole(out / DOUBTS, csv_text(found))
    metrics = {
        "objects": len(run.tracks.object_ids),
        "frames": len(sequence.video),
        "doubtful": len(found),
    }
    return Outcome(
        metrics, {(tracker.label, sequence.name): run.tracks}, {}, run.note, "" if run.ok else run.note
    )


def load_pipeline(spec: str | Path | Mapping[str, Any], folder: str | Path | None = None) -> Pipeline:
    """Read and check a pipeline.

    Args:
        spec: A YAML file, or the mapping that one holds.
        folder: From which paths of a mapping go; the working folder by default.

    Raises:
        ExperimentError: The file is missing, or a key is unknown or wrong.
        RegistryError: The tracker or detector is unknown.
        InputError: The format is unknown.
    """
    if isinstance(spec, Mapping):
        return _pipeline("the pipeline", dict(spec), Path(folder or ".").resolve(), "pipeline")
    file, what = Path(spec), "a pipeline in YAML"
    if not file.is_file():
        raise ExperimentError(f"{file}: there is no such pipeline.")
    with damage_as(ExperimentError, file, what):
        data = read_yaml(read_text(file, what, ExperimentError), file, ExperimentError)
        return _pipeline(str(file), data, file.parent.resolve(), file.stem)


def _pipeline(where: str, data: Any, folder: Path, name: str) -> Pipeline:
    if not isinstance(data, dict) or "tracker" not in data:
        raise ExperimentError(f"{where}: expected the keys {', '.join(KEYS)}, of which tracker is needed.")
    unknown = next((str(k) for k in data if k not in KEYS), None)
    if unknown is not None:
        raise ExperimentError(f"{where}: a pipeline has no {unknown[:80]!r}. {near(unknown, KEYS)}")
    way = str(data.get("direction", "forward"))
    if way not in WAYS:
        raise ExperimentError(f"{where}: direction must be one of {', '.join(WAYS)}, got {way!r}.")
    prompts = str(data.get("prompts") or "")
    if prompts:
        prompts = str(folder / (prompts if "{name}" in prompts else f"{prompts}/{{name}}.json"))
    method = _with_detector(
        _only(axes.methods([data["tracker"]], folder, where), where, "tracker"), data, folder, where
    )
    limits = dict(data.get("limits") or {})
    limits_of(limits, where)
    return Pipeline(
        str(data.get("name") or name),
        method,
        find_format(data.get("format") or "vtlab"),
        prompts,
        way,
        limits,
    )


def _only(found: list[Any], where: str, what: str) -> Any:
    if len(found) != 1:
        raise ExperimentError(
            f"{where}: a pipeline has one {what}, got {len(found)}; a list of values is a grid. Remedy: vtlab lab run "
            "compares several."
        )
    return found[0]


def _with_detector(method: Method, data: Mapping[str, Any], folder: Path, where: str) -> Method:
    if "detector" not in data:
        return method
    if "detector" not in inspect.signature(TRACKERS.find(method.name)).parameters:
        raise ExperimentError(f"{where}: the tracker {method.name!r} takes no detector.")
    _, name, params = _only(axes.detectors([data["detector"]], folder, where), where, "detector")
    more = {"detector": name} | ({"detector_params": params} if params else {})
    return replace(method, parameters={**method.parameters, **more})


def videos_of(places: Iterable[str | Path]) -> dict[str, Path]:
    """Name -> path of the videos that paths name.

    Args:
        places: Files of videos, folders of images, and folders that hold such; names are those of the files without ending,
            with that of their folder before it where two would be one.

    Raises:
        InputError: A path is missing, holds no video, or two videos can't be told apart by name.
    """
    found = list(dict.fromkeys(video for place in places for video in _videos(place)))
    if not found:
        raise InputError(
            "There are no videos to label. Remedy: give files of videos, or folders that hold them."
        )
    count = Counter(_name(path) for path in found)
    named = {
        path: _name(path) if count[_name(path)] == 1 else f"{path.parent.name}-{_name(path)}"
        for path in found
    }
    twice = next((name for name, n in Counter(named.values()).items() if n > 1), None)
    if twice is not None:
        same = [str(p) for p, name in named.items() if name == twice]
        raise InputError(
            f"Two videos would be called {twice!r}: {same[0]} and {same[1]}. Remedy: rename one of them."
        )
    return {name: path for path, name in named.items()}


def _name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _videos(given: str | Path) -> list[Path]:
    if "://" in str(given):
        raise InputError(
            f"{given}: an address is no file. Remedy: record it first, for a result is kept by its content."
        )
    place = Path(given).resolve()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(f"{place}: there is no such video or folder.")
    if image_files(place):
        return [place]
    within = sorted(p for p in place.iterdir() if not is_leftover(p.name))
    found = [p for p in within if p.suffix.lower() in VIDEO_SUFFIXES or (p.is_dir() and image_files(p))]
    if not found:
        raise InputError(
            f"{place}: it holds no videos ({', '.join(VIDEO_SUFFIXES)}) and no folders of images. Remedy: give the folder "
            "that holds the videos themselves."
        )
    return found


def apply_pipeline(
    pipeline: str | Path | Mapping[str, Any] | Pipeline,
    videos: Iterable[str | Path],
    out: str | Path,
    *,
    jobs: int = 1,
    cluster: Any = None,
    retry: Retry = "",
    progress: Callable[[Progress], None] | None = None,
) -> Applied:
    """Label videos by one pipeline; those that have a result are not labelled again.

    Labels are written as each video ends, to `<out>/labels/<pipeline>/`. A file of labels that somebody has changed since is
    never written again: its row says so.

    Args:
        pipeline: Its file, the mapping that a file holds, or what `load_pipeline` returned.
        videos: Files of videos, folders of images, and folders that hold such.
        out: Folder of labels, results and summary.
        jobs: Videos at once on this machine.
        cluster: As in `run_experiment`.
        retry: "failed" tries failed videos again, "all" labels every video anew.
        progress: Called with a `Progress` whenever a video begins or ends.

    Raises:
        ExperimentError: The pipeline is wrong.
        InputError: A video is missing.
        WriteError: Something can't be written, as on a full disk; what has finished is kept.
    """
    plan = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline)
    folder = check_folder(out)
    work = _Work(plan, folder, videos_of(videos))
    run_tasks(
        work.experiment.tasks(),
        work.store.archive,
        executor(jobs, cluster),
        retry=retry,
        report=work.watch(progress),
    )
    work.store.note()
    return work.applied()


class _Work:
    """A pipeline and the videos that it is applied to."""

    def __init__(self, plan: Pipeline, folder: Path, videos: Mapping[str, Path]):
        self._plan, self._folder = plan, folder
        self._lacking: dict[str, str] = {}
        axes.forget()
        base = digest_of({"code": "apply", "vtlab": package_digest(), "method": plan.method.facts()})
        self._cells = {name: cell for name, path in videos.items() if (cell := self._cell(name, path, base))}
        self._names = list(videos)
        self.experiment = Experiment(
            plan.name,
            f"{__name__}:label",
            tuple(self._cells.values()),
            limits_of(plan.limits, plan.name),
            {},
            folder,
        )
        self.store = Store.of(self.experiment, folder / "cells")
        self._written = self._read_written()

    def _cell(self, name: str, path: Path, base: str) -> Cell | None:
        options: list[tuple[str, Any]] = [("clip", str(path))]
        if self._plan.prompts:
            prompts = Path(self._plan.prompts.replace("{name}", name))
            if not prompts.is_file():
                self._lacking[name] = f"It has no prompts: there is no {prompts}."
                return None
            options.append(("prompts", str(prompts)))
        clip = Clip(name, "clip", tuple(options))
        told = {"sequence": clip, "tracker": self._plan.method, "direction": self._plan.direction}
        key = key_of({"base": base, "direction": self._plan.direction, "clip": clip.facts()})
        return Cell({"data": name, "tracker": self._plan.method.label}, told, key)

    def watch(self, progress: Callable[[Progress], None] | None) -> Callable[[Progress], None]:
        """What a run reports to: labels of videos that have ended are written."""
        self._write()  # a run that was stopped may have ended some

        def report(told: Progress) -> None:
            self._write()
            if progress is not None:
                progress(told)

        return report

    def _write(self) -> None:
        """Write labels of videos that are done, where they are not written yet."""
        done = self.store.keys()
        before = json.dumps(self._written)
        for name, cell in self._cells.items():
            known = self._written.get(name, {})
            fresh = known.get("key") == cell.key and known.get("format") == self._plan.form.name
            if cell.key in done and not (
                fresh and all((self._folder / f).exists() for f in known.get("files", {}))
            ):
                self._written[name] = self._labels(name, cell, known)
        if json.dumps(self._written) != before:
            write_whole(self._folder / WRITTEN, json.dumps(self._written, indent=1) + "\n")

    def _labels(self, name: str, cell: Cell, known: Mapping[str, Any]) -> dict[str, Any]:
        """Write the labels of a video; what is known of them from now on."""
        told: dict[str, Any] = {
            "key": cell.key,
            "format": self._plan.form.name,
            "files": {},
            "note": "",
            "reason": "",
        }
        changed = [
            f
            for f, digest in known.get("files", {}).items()
            if _digest(self._folder / f) not in (None, digest)
        ]
        if changed:
            note = f"{changed[0]} was changed since and is left as it is. Remedy: move it, and run again."
            return {**known, "note": note}
        (tracks,) = self.store.tracks(cell).values()
        try:
            files = write_tracks(
                tracks, self._folder / "labels", self._plan.form, sequence=name, tracker=self._plan.name
            )
        except VtlabError as error:
            return {**told, "reason": f"Its labels can't be written: {error}"}
        lost = "; ".join(loss.told for loss in self._plan.form.losses(tracks, "results").values())
        told["note"] = f"{self._plan.form.name} can't hold: {lost}" if lost else ""
        told["files"] = {f.relative_to(self._folder).as_posix(): _digest(f) for f in files}
        return told

    def _read_written(self) -> dict[str, dict[str, Any]]:
        file = self._folder / WRITTEN
        if not file.is_file():
            return {}
        found = read_json(file, "what vtlab apply has written", ExperimentError)
        if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
            raise ExperimentError(f"{file}: expected what vtlab apply has written. Remedy: remove it.")
        return found

    def applied(self) -> Applied:
        """The summary, which is written, too."""
        import pandas as pd

        failures = {f.key: f for f in self.store.failures()}
        archive, done = self.store.archive, self.store.keys()
        records = {row["cell"]: row for row in archive.table("provenance", done).to_pylist()}
        numbers: dict[str, dict[str, float]] = {}
        for row in archive.table("metrics", done).to_pylist():
            numbers.setdefault(row["cell"], {})[row["metric"]] = row["value"]
        rows = [self._row(name, failures, records, numbers) for name in self._names]
        found = [self._doubts(name, archive) for name, cell in self._cells.items() if cell.key in done]
        places = pd.concat(found, ignore_index=True) if found else doubts({})
        by = ["severity", "sequence", "object_id", "first"]
        places = places.sort_values(by, ascending=[False, True, True, True], ignore_index=True)
        summary = pd.DataFrame(rows).astype(dict.fromkeys(("objects", "frames", "doubtful"), "Int64"))
        write_whole(self._folder / DOUBTS, csv_text(places))
        write_whole(self._folder / SUMMARY, csv_text(summary))
        return Applied(self._folder, summary, places)

    def _doubts(self, name: str, archive: Archive) -> pd.DataFrame:
        found = read_csv(archive.files(self._cells[name].key) / DOUBTS, ["sequence", "kind", "reason"])
        return found.assign(sequence=name)  # of two videos that are the same, one was looked at

    def _row(
        self, name: str, failures: Mapping[str, Any], records: Mapping[str, Any], numbers: Mapping[str, Any]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "video": name,
            "state": "to do",
            "objects": None,
            "frames": None,
            "doubtful": None,
        }
        row |= {"seconds": None, "labels": "", "note": "", "reason": ""}
        if name in self._lacking:
            return {**row, "state": "failed", "reason": self._lacking[name]}
        key = self._cells[name].key
        if key in records:
            told = self._written.get(name, {})
            note = " ".join(filter(None, [records[key]["note"], told.get("note", "")]))
            row |= {"state": "failed" if told.get("reason") else "done", "seconds": records[key]["seconds"]}
            row |= {k: int(numbers[key][k]) for k in ("objects", "frames", "doubtful")}
            row |= {
                "labels": ", ".join(told.get("files", {})),
                "note": note,
                "reason": told.get("reason", ""),
            }
        elif key in failures:
            row |= {"state": "failed", "seconds": failures[key].seconds, "reason": failures[key].reason}
        return row


def _digest(file: Path) -> str | None:
    """What a file holds; None where there is none (a folder of images counts by its being there)."""
    return file_digest(file) if file.is_file() else None
