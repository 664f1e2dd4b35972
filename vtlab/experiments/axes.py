"""What varies in an experiment: clips, trackers with their parameters, detectors, perturbations; each told by its content.

A list of values is a grid: `{csrt: {padding: [2, 3]}}` are two trackers. A list that is one value stands in another one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vtlab.datasets import open_dataset
from vtlab.datasets.catalog import CATALOG
from vtlab.datasets.corruptions import CORRUPTIONS, corrupt
from vtlab.datasets.samples import sample
from vtlab.datasets.synthetic import synthetic
from vtlab.engine.keys import by_content, digest_of, named_path, part_facts, plain, source_of, tracks_digest
from vtlab.engine.task import Reference, load_target
from vtlab.errors import ExperimentError, near
from vtlab.prompts import Prompts
from vtlab.registry import DETECTORS, TRACKERS
from vtlab.sequence import Sequence
from vtlab.trackers.pool import Pool
from vtlab.tracks import Tracks
from vtlab.video import open_video

_CLIP = ("clip", "prompts", "truth", "start", "stop", "step", "name")


@dataclass(frozen=True)
class Clip(Reference):
    """A sequence by where it comes from; `open` reads it where a cell needs it.

    Attributes:
        name: What results call it.
        kind: "clip" (a video, with files of prompts and truth), "dataset", "synthetic" or "sample".
        options: What it is opened with, paths whole.
        worse: (perturbation, its options, seed) that it is opened with; None for none.
    """

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    worse: tuple[str, tuple[tuple[str, Any], ...], int] | None = None

    def open(self) -> Sequence:
        """Return the sequence; one that was opened before in this process is the same object."""
        found = _opened(self.kind, _frozen(self.options), self.name)
        return found if self.worse is None else _worse(found, *self.worse)

    @property
    def video(self) -> str:
        """Path of its video, a file or a folder of images, as far as it lies on a disk."""
        if self.kind == "clip":
            return str(dict(self.options)["clip"])
        return str(_opened(self.kind, _frozen(self.options), self.name).video.source)

    def facts(self) -> Any:
        """What its content is."""
        worse = None
        if self.worse is not None:
            name, options, seed = self.worse
            worse = [name, source_of(load_target(name)) if ":" in name else "", dict(options), seed]
        return [_content(self.kind, _frozen(self.options), self.name), worse]


@dataclass(frozen=True)
class Method(Reference):
    """A tracker by its name and parameters.

    Attributes:
        name: As `vtlab.create_tracker` takes it.
        parameters: Of its constructor.
        label: What results call it.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def open(self) -> Method:
        """Itself: a trial chooses how to run it."""
        return self

    def __iter__(self) -> Iterator[Any]:
        """(name, parameters), as `compare` takes them."""
        return iter((self.name, dict(self.parameters)))

    def on(self, clip: Clip) -> Method:
        """The method on a clip: "{video}" in its parameters is the path of the clip's video."""
        made = _beside(self.parameters, clip)
        return self if made == self.parameters else replace(self, parameters=made)

    def lent(self) -> AbstractContextManager[Any]:
        """The tracker for `track`, while a `with` block runs; its weights stay loaded in this process."""
        return _POOL.lend(self.name, self.parameters)

    def facts(self) -> Any:
        """What its answers depend on."""
        return part_facts(TRACKERS, self.name, self.parameters)


_POOL = Pool()


def _beside(value: Any, clip: Clip) -> Any:
    """A parameter, in which "{video}" is the path of a clip's video."""
    if isinstance(value, Mapping):
        return {k: _beside(v, clip) for k, v in value.items()}
    if isinstance(value, str) and "{video}" in value:
        return os.path.normpath(value.replace("{video}", clip.video))
    return value


@lru_cache(maxsize=4)
def _opened(kind: str, options: Any, name: str) -> Sequence:
    given = _thawed(options)
    if kind == "synthetic":
        size = {"size": tuple(given["size"])} if "size" in given else {}
        return replace(synthetic(**{**given, **size, "name": name}), name=name)
    if kind == "sample":
        return sample(given["name"], progress=False)
    if kind == "dataset":
        return replace(_dataset(kind, options)[given["only"]], name=name)
    video = open_video(given["clip"])
    if any(k in given for k in ("start", "stop", "step")):
        video = video[given.get("start") : given.get("stop") : given.get("step")]
    prompts = Prompts.load(given["prompts"]) if given.get("prompts") else Prompts()
    truth = Tracks.load(given["truth"]) if given.get("truth") else None
    return Sequence(name, video, truth=truth, prompts=prompts)


@lru_cache(maxsize=8)
def _dataset(kind: str, options: Any) -> Any:
    given = {k: v for k, v in _thawed(options).items() if k not in ("only", "limit")}
    return open_dataset(given.pop("dataset"), given.pop("layout", None), **given)


def forget() -> None:
    """Forget what was opened: its files may have changed since."""
    for kept in (_opened, _dataset, _worse):
        kept.cache_clear()


def _content(kind: str, options: Any, name: str) -> Any:
    """What a clip holds, as a digest; its videos are not decoded."""
    given = _thawed(options)
    if kind == "synthetic":
        return ["synthetic", given]
    if kind == "clip":
        return ["clip", by_content({k: v for k, v in given.items() if k != "name"}, Path())]
    found = _opened(kind, options, name)
    rest = [tracks_digest(found.truth), found.prompts.to_json(), tracks_digest(found.ignore), found.benchmark]
    return [kind, found.video.digest(), digest_of(rest)]


@lru_cache(maxsize=4)
def _worse(sequence: Sequence, name: str, options: Any, seed: int) -> Sequence:
    given = _thawed(options)
    if ":" in name:
        return load_target(name)(sequence, seed=seed, **given)  # type: ignore[no-any-return]
    return replace(corrupt(sequence, name, given.get("severity", 3), seed=seed), name=sequence.name)


def clips(entries: Any, folder: Path, where: str) -> list[Clip]:
    """The clips of a specification's `data`.

    Args:
        entries: Each a path of a video, or a mapping with one of clip, dataset, synthetic and sample.
        folder: From which paths go.
        where: The specification, for messages.
    """
    found: list[Clip] = []
    for entry in _listed(entries, f"{where}: data"):
        found += _clips(entry, folder, where)
    names = [c.name for c in found]
    twice = next((n for n in names if names.count(n) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ExperimentError(f"{where}: data has {twice!r} twice. Remedy: give one of them another name.")
    return found


def _clips(entry: Any, folder: Path, where: str) -> list[Clip]:
    if isinstance(entry, str):
        entry = {"clip": entry}
    kinds = ("clip", "dataset", "synthetic", "sample")
    kind = next((k for k in kinds if isinstance(entry, Mapping) and k in entry), None)
    if kind is None:
        raise ExperimentError(
            f"{where}: data: expected a path, or a mapping with one of {', '.join(kinds)}; got {str(entry)[:100]!r}."
        )
    if kind == "synthetic":
        return _synthetic(
            dict(entry["synthetic"] or {}), str(entry.get("name") or "synthetic"), f"{where}: data"
        )
    if kind == "sample":
        names = entry["sample"] if isinstance(entry["sample"], list) else [entry["sample"]]
        return [Clip(str(n), "sample", (("name", str(n)),)) for n in names]
    if kind == "dataset":
        return _sequences(dict(entry), folder, where)
    return [_clip(dict(entry), folder, where)]


def _synthetic(options: dict[str, Any], name: str, where: str) -> list[Clip]:
    varied = [k for k, v in options.items() if isinstance(v, list) and len(v) > 1 and k != "seed"]
    found = []
    for one in grid(options, where):
        told = ", ".join(f"{k}={one[k]}" for k in varied)
        found.append(Clip(f"{name}-{one.get('seed', 0)} {told}".strip(), "synthetic", tuple(one.items())))
    return found


def _sequences(entry: dict[str, Any], folder: Path, where: str) -> list[Clip]:
    only, limit = entry.pop("only", None), entry.pop("limit", None)
    entry["dataset"] = str(_benchmark(entry["dataset"], folder, where))
    known = _dataset("dataset", _frozen(tuple(entry.items()))).names
    chosen = list(known) if only is None else only if isinstance(only, list) else [only]
    for name in chosen:
        if name not in known:
            raise ExperimentError(
                f"{where}: {entry['dataset']} has no sequence {name!r}. {near(str(name), known)}"
            )
    return [Clip(n, "dataset", (*entry.items(), ("only", n))) for n in chosen[:limit]]


def _benchmark(text: Any, folder: Path, where: str) -> Path:
    """The folder of a data set; where there is none, the message says how a benchmark of that name is got."""
    known = CATALOG.get(Path(str(text)).name)
    try:
        return _path(text, folder, where)
    except ExperimentError as error:
        if known is None:
            raise
        got = (
            f"`vtlab data fetch {known.name}`"
            if known.files
            else f"get it from {known.page} ({known.access})"
        )
        raise ExperimentError(f"{error} Remedy: {got}, or write in `dataset` where your copy lies.") from None


def _clip(entry: dict[str, Any], folder: Path, where: str) -> Clip:
    unknown = sorted(set(entry) - set(_CLIP))
    if unknown:
        raise ExperimentError(f"{where}: data: a clip has no {unknown[0]!r}. {near(unknown[0], _CLIP)}")
    for name in ("clip", "prompts", "truth"):
        if entry.get(name) and "://" not in str(entry[name]):
            entry[name] = str(_path(entry[name], folder, where))
    name = str(entry.get("name") or Path(str(entry["clip"])).stem)
    return Clip(name, "clip", tuple(entry.items()))


def _path(text: Any, folder: Path, where: str) -> Path:
    found = named_path(f"./{text}" if not Path(str(text)).is_absolute() else str(text), folder)
    if found is None:
        raise ExperimentError(f"{where}: there is no {str(text)!r} (looked for from {folder} on).")
    return found.resolve()


def methods(entries: Any, folder: Path, where: str) -> list[Method]:
    """The trackers of a specification: names, {name: parameters}, or {tracker: name, label: ..., parameters: ...}."""
    found: list[Method] = []
    for entry in _listed(entries, f"{where}: trackers"):
        label = ""
        if isinstance(entry, Mapping) and "tracker" in entry:
            label, entry = (
                str(entry.get("label") or ""),
                {str(entry["tracker"]): entry.get("parameters") or {}},
            )
        for name, parameters in _named(entry, f"{where}: trackers"):
            for one in grid(parameters, f"{where}: {name}"):
                varied = ", ".join(f"{k}={v}" for k, v in one.items())
                several = label and any(isinstance(v, list) for v in parameters.values())
                told = f"{label} {varied}" if several else label or f"{name} {varied}".strip()
                found.append(Method(located(name, folder), one, told))
    labels = [m.label for m in found]
    for m in found:
        TRACKERS.card(m.name)  # before anything runs
        if labels.count(m.label) > 1:
            raise ExperimentError(
                f"{where}: the tracker {m.label!r} is given twice. Remedy: give it a label."
            )
    return found


def located(name: str, folder: Path) -> str:
    """A name as it is, `file.py:NAME` with the whole path of a file that goes from `folder` on."""
    file, colon, what = name.rpartition(":")
    return f"{(folder / file).resolve()}:{what}" if colon and file.endswith(".py") else name


def detectors(entries: Any, folder: Path, where: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(label, name, parameters) of the detectors of a specification: names, or {name: parameters}."""
    found = [
        (" ".join([name, ", ".join(f"{k}={v}" for k, v in one.items())]).strip(), located(name, folder), one)
        for entry in _listed(entries, f"{where}: detectors")
        for name, parameters in _named(entry, f"{where}: detectors")
        for one in grid(parameters, f"{where}: {name}")
    ]
    for _, name, _ in found:
        if name != "auto":
            DETECTORS.card(name)
    return found


def perturbations(entries: Any, folder: Path, where: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(label, name, options) of a specification's perturbations: "none", the name of a corruption, {name: severities},
    or {file.py:function: parameters}."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for entry in _listed(entries, f"{where}: perturbations"):
        if entry in (None, "none"):
            found.append(("none", "none", {}))
            continue
        if isinstance(entry, Mapping):
            entry = {k: v if isinstance(v, Mapping) else {"severity": v} for k, v in entry.items()}
        for name, options in _named(entry, f"{where}: perturbations"):
            if ":" in name:
                load_target(located(name, folder))
            elif name not in CORRUPTIONS:
                raise ExperimentError(f"{where}: unknown perturbation {name!r}. {near(name, CORRUPTIONS)}")
            for one in grid(options, f"{where}: {name}"):
                told = "-".join(str(v) for v in one.values())
                short = name.rpartition(":")[2]
                found.append((f"{short}-{told}" if told else short, located(name, folder), one))
    return found


def _named(entry: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(entry, str):
        yield entry, {}
    elif isinstance(entry, Mapping) and all(isinstance(v, Mapping) or v is None for v in entry.values()):
        yield from ((str(k), dict(v or {})) for k, v in entry.items())
    else:
        raise ExperimentError(
            f"{where}: expected a name, or a mapping of a name to its parameters; got {entry!r}."
        )


def grid(values: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Every combination of values, of which a list holds several."""
    for name, value in values.items():
        if isinstance(value, list) and not value:
            raise ExperimentError(f"{where}: {name} is an empty list.")
    choices = [v if isinstance(v, list) else [v] for v in values.values()]
    combined = (dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*choices))
    return [{k: list(v) if isinstance(v, tuple) else v for k, v in one.items()} for one in combined]


def _listed(entries: Any, where: str) -> list[Any]:
    if isinstance(entries, list) and entries:
        return entries
    raise ExperimentError(f"{where} must be a non-empty list, got {str(entries)[:100]!r}.")


def _frozen(value: Any) -> Any:
    """A value that can be a key of a cache."""
    if isinstance(value, Mapping):
        return ("mapping", tuple((k, _frozen(v)) for k, v in value.items()))
    if isinstance(value, list):
        return ("list", tuple(_frozen(v) for v in value))
    if isinstance(value, tuple):
        return ("mapping", tuple((k, _frozen(v)) for k, v in value))
    plain(value)
    return value


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple):
        kind, inner = value
        return [_thawed(v) for v in inner] if kind == "list" else {k: _thawed(v) for k, v in inner}
    return value
