"""Experiment specifications: `experiments/<name>.yaml`, or the same mapping in Python -> cells with keys by content.

data: [{synthetic: {seed: [0, 1], seconds: 2}}, street.mp4]      # clips; paths go from the file on
trackers: [csrt, {nanotrack-v2: {window: [0.3, 0.4]}}]           # a list of values is a grid
seeds: [0, 1]
trial: trials.py:my_trial                                        # or notebook: ../notebooks/01_compare.ipynb

Every combination is one cell. docs/experiments.md says it all.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vtlab.engine.keys import (
    by_content,
    code_digest,
    digest_of,
    imported_beside,
    key_of,
    package_digest,
    source_of,
)
from vtlab.engine.task import Limits, Task, load_target
from vtlab.errors import ExperimentError, near
from vtlab.experiments import axes
from vtlab.experiments.axes import Clip, Method
from vtlab.experiments.notebooks import code_of, notebook_parameters, source_hash
from vtlab.files import damage_as, read_text, read_yaml
from vtlab.registry import TRACKERS, needed

MOST_CELLS = 100_000
TRIAL = "vtlab.experiments.trials:track_and_score"
"""What a cell does where a specification names neither a trial nor a notebook."""
KEYS = (
    "name", "notebook", "trial", "data", "trackers", "detectors", "perturbations", "seeds", "grid", "fixed", "limits",
    "report",
)  # fmt: skip
"""What a specification may say."""


@dataclass(frozen=True)
class Cell:
    """One execution of a trial or a notebook.

    Attributes:
        axes: What it is of: the clip, tracker, detector, perturbation and seed by name, and the values of the grid.
        parameters: What the trial or notebook is called with.
        key: By the content of all that its result depends on; names its result in the store.
        seed: From which random generators start.
        settings: Parameters of its tracker.
    """

    axes: dict[str, Any]
    parameters: dict[str, Any]
    key: str
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.axes.items()) or "no parameters"


@dataclass(frozen=True)
class Experiment:
    """A trial or a notebook, and the cells in which it is executed.

    Attributes:
        name: Of the specification: its `name`, or that of its file.
        target: The trial as `file.py:function` or `module:function`, or the notebook's path.
        cells: In the order of the specification.
        limits: What each cell may take.
        facts: What every result depends on beside its cell's parameters: the code, and vtlab.
        folder: From which its paths go.
        report: What only the report asks for, such as a quality to keep: results don't depend on it.
    """

    name: str
    target: str | Path
    cells: tuple[Cell, ...]
    limits: Limits = field(default_factory=Limits)
    facts: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def notebook(self) -> Path | None:
        """The notebook that its cells execute; None for a trial."""
        return self.target if isinstance(self.target, Path) else None

    @property
    def varied(self) -> list[str]:
        """Axes that have more than one value."""
        values: dict[str, set[str]] = {}
        for cell in self.cells:
            for name, value in cell.axes.items():
                values.setdefault(name, set()).add(str(value))
        return [name for name, found in values.items() if len(found) > 1]

    def tasks(self) -> list[Task]:
        """The cells as the engine executes them."""
        return [self._task(cell) for cell in self.cells]

    def _task(self, cell: Cell) -> Task:
        record = {
            "experiment": self.name,
            "axes": text(cell.axes),
            "parameters": text(_told(cell.parameters)),
        }
        record |= {"facts": text(self.facts), "tracker": cell.axes.get("tracker", "")}
        record["sequence"] = cell.axes.get("data", "")
        target: str | Callable[..., Any] = str(self.target)
        arguments: Mapping[str, Any] = cell.parameters
        if self.notebook is not None:
            target = "vtlab.experiments.notebooks:executed"
            arguments = {"notebook": str(self.notebook), "parameters": cell.parameters}
        return Task(cell.key, str(cell), target, arguments, record, self.limits, cell.seed)


def text(value: Any) -> str:
    """A value as JSON, for provenance."""
    import json

    return json.dumps(value, sort_keys=True, default=str)


def _told(parameters: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, Clip):
            told[name] = {"name": value.name, value.kind: dict(value.options), "worse": value.worse}
        else:
            told[name] = [value.name, dict(value.parameters)] if isinstance(value, Method) else value
    return told


def load_experiment(spec: str | Path | Mapping[str, Any], folder: str | Path | None = None) -> Experiment:
    """Read and check a specification.

    Args:
        spec: A file, or the mapping that one holds.
        folder: From which paths of a mapping go; the working folder by default.

    Raises:
        ExperimentError: The file, the trial or the notebook is missing, a key is unknown, or a parameter is none of the
            trial's or the notebook's; the message names the file and the key.
        RegistryError: A tracker or detector is unknown.
    """
    if isinstance(spec, Mapping):
        return _experiment("the specification", dict(spec), Path(folder or ".").resolve(), "experiment")
    file = Path(spec)
    if not file.is_file():
        raise ExperimentError(f"{file}: there is no such experiment.")
    what = "an experiment in YAML"
    with damage_as(ExperimentError, file, what):
        data = read_yaml(read_text(file, what, ExperimentError), file, ExperimentError)
        return _experiment(str(file), data, file.parent.resolve(), file.stem)


def _experiment(where: str, data: Any, folder: Path, name: str) -> Experiment:
    if not isinstance(data, dict) or set(data) - set(KEYS):
        unknown = [str(k) for k in data if k not in KEYS] if isinstance(data, dict) else []
        found = (
            f"unknown: {unknown[0][:80]!r}. {near(unknown[0], KEYS)}"
            if unknown
            else f"found {type(data).__name__}."
        )
        raise ExperimentError(f"{where}: expected the keys {', '.join(KEYS)}; {found}")
    if "trial" in data and "notebook" in data:
        raise ExperimentError(f"{where}: expected a trial or a notebook, not both.")
    if not set(data) & {"notebook", "trial", "trackers"}:
        raise ExperimentError(f"{where}: expected a notebook, a trial, or trackers to run; found none.")
    for part in ("fixed", "grid", "report"):
        _check_mapping(data.get(part), part, where)
    for key, values in (data.get("grid") or {}).items():
        if not isinstance(values, list) or not values:
            raise ExperimentError(f"{where}: grid.{key} must be a non-empty list, got {values!r}.")
    limits = limits_of(data.get("limits") or {}, where)
    axes.forget()  # what was read before may have changed since
    plan = _Plan(where, data, folder)
    target, facts = plan.notebook() if "notebook" in data else plan.trial()
    report = dict(data.get("report") or {})
    return Experiment(
        str(data.get("name") or name), target, tuple(plan.cells(facts)), limits, facts, folder, report
    )


def _check_mapping(part: Any, name: str, where: str) -> None:
    if not isinstance(part or {}, Mapping):
        raise ExperimentError(f"{where}: {name} must map parameter names to values, got {part!r}.")
    for parameter in part or {}:
        if not isinstance(parameter, str):
            raise ExperimentError(
                f"{where}: {name} has {parameter!r} where the name of a parameter should be."
            )


def limits_of(given: Any, where: str) -> Limits:
    """The limits of a specification; raises `ExperimentError` for what is none, naming `where`."""
    known = ("seconds", "memory_mb", "gpus", "alone", "cores")
    if not isinstance(given, Mapping) or set(given) - set(known):
        raise ExperimentError(f"{where}: limits: expected {', '.join(known)}; got {given!r}.")
    try:
        return Limits(**{**given, **({"cores": tuple(given["cores"])} if "cores" in given else {})})
    except (ExperimentError, TypeError) as error:
        raise ExperimentError(f"{where}: {error}") from None


@dataclass
class _Plan:
    """How the parts of a specification become cells."""

    where: str
    data: dict[str, Any]
    folder: Path
    known: Mapping[str, Any] | None = None
    digests: dict[str, str] = field(default_factory=dict)

    def notebook(self) -> tuple[Path, dict[str, Any]]:
        """The notebook, and what its results depend on."""
        notebook = (self.folder / str(self.data["notebook"])).resolve()
        self.known = dict.fromkeys(notebook_parameters(notebook))
        self._check_names(
            f"{notebook.name} has no parameter", [*self._values("fixed"), *self._values("grid")]
        )
        code = "\n".join(code_of(notebook))
        beside = imported_beside(code, notebook.parent)
        return notebook, {"code": source_hash(notebook), "beside": beside, "vtlab": package_digest()}

    def trial(self) -> tuple[str, dict[str, Any]]:
        """The trial's name, and what its results depend on."""
        target = str(self.data.get("trial") or TRIAL)
        target = axes.located(target, self.folder)
        function = load_target(target)
        found = inspect.signature(function).parameters
        self.known = None if any(p.kind is p.VAR_KEYWORD for p in found.values()) else found
        named = [*self._values("fixed"), *self._values("grid")]
        named += [n for key, n in (("data", "sequence"), ("trackers", "tracker")) if key in self.data]
        self._check_names(f"the trial {function.__name__} has no parameter", named)
        offered = {*named, "out", "seed", "alone"}
        for name in needed(function):
            if name not in offered:
                remedy = {"sequence": "data: [...]", "tracker": "trackers: [...]"}.get(
                    name, f"fixed: {{{name}: ...}}"
                )
                raise ExperimentError(
                    f"{self.where}: the trial {function.__name__} needs {name!r}. Remedy: {remedy}."
                )
        code = code_digest(target.rpartition(":")[0]) if ".py:" in target else source_of(function)
        return target, {"code": [function.__name__, code], "vtlab": package_digest()}

    def _check_names(self, what: str, names: list[str]) -> None:
        unknown = sorted(set(names) - set(self.known)) if self.known is not None else []
        if unknown:
            has = ", ".join(sorted(self.known or ()))
            raise ExperimentError(f"{self.where}: {what} {unknown[0]!r}; it has {has}.")

    def _values(self, part: str) -> dict[str, Any]:
        return dict(self.data.get(part) or {})

    def cells(self, facts: Mapping[str, Any]) -> Iterator[Cell]:
        """Every combination, as a cell with its key."""
        base = digest_of(facts)
        for number, parts in enumerate(itertools.product(*self._axes())):
            if number >= MOST_CELLS:
                raise ExperimentError(f"{self.where}: the grid has more than {MOST_CELLS} cells. Split it.")
            told: dict[str, Any] = {}
            for one in parts:
                told |= one
            yield self._cell(told, base)

    def _axes(self) -> list[list[dict[str, Any]]]:
        found: list[list[dict[str, Any]]] = []
        if "data" in self.data:
            found.append([{"data": c} for c in axes.clips(self.data["data"], self.folder, self.where)])
        if "trackers" in self.data:
            found.append(list(self._methods()))
        if "perturbations" in self.data:
            told = axes.perturbations(self.data["perturbations"], self.folder, self.where)
            found.append([{"perturbation": one} for one in told])
        if "seeds" in self.data:
            seeds = self.data["seeds"]
            if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
                raise ExperimentError(
                    f"{self.where}: seeds must be a non-empty list of whole numbers, got {seeds!r}."
                )
            found.append([{"seed": s} for s in seeds])
        found += [[{name: v} for v in values] for name, values in self._values("grid").items()]
        return found

    def _methods(self) -> Iterator[dict[str, Any]]:
        """Trackers, each with every detector that it takes."""
        chosen = axes.methods(self.data["trackers"], self.folder, self.where)
        named = self.data.get("detectors")
        given = axes.detectors(named, self.folder, self.where) if named is not None else []
        for method in chosen:
            takes = "detector" in inspect.signature(TRACKERS.find(method.name)).parameters
            if not given or not takes:
                yield {"tracker": method} | ({"detector": "none"} if given else {})
            for told, name, params in given if takes else []:
                parameters = {**method.parameters, "detector": name}
                parameters |= {"detector_params": params} if params else {}
                yield {"tracker": replace(method, parameters=parameters), "detector": told}

    def _cell(self, told: dict[str, Any], base: str) -> Cell:
        seed = told.get("seed", 0)
        shown, arguments = dict(told), {**self._values("fixed"), **{k: told[k] for k in self._values("grid")}}
        if "tracker" in told:
            shown["tracker"] = told["tracker"].label
            arguments["tracker"] = told["tracker"].on(told["data"]) if "data" in told else told["tracker"]
        if "perturbation" in told:
            label, name, options = told["perturbation"]
            shown["perturbation"] = label
            if name != "none" and "data" in told:
                told["data"] = replace(told["data"], worse=(name, tuple(options.items()), seed))
        if "data" in told:
            shown["data"] = told["data"].name
            arguments["sequence"] = told["data"]
        if "notebook" in self.data:
            arguments = self._of_notebook(arguments, told)
        key = key_of({"base": base, "seed": seed, "arguments": self._facts(arguments)})
        settings = told["tracker"].parameters if "tracker" in told else {}
        return Cell(shown, arguments, key, seed, settings)

    def _facts(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._digest(value) if isinstance(value, Clip | Method) else by_content(value, self.folder)
            for name, value in arguments.items()
        }

    def _digest(self, value: Clip | Method) -> str:
        """What a clip or tracker holds, worked out once for each."""
        known = repr(value)
        if known not in self.digests:
            self.digests[known] = digest_of(value.facts())
        return self.digests[known]

    def _of_notebook(self, arguments: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments as parameters of the notebook, by their names there."""
        found = {k: v for k, v in arguments.items() if k not in ("tracker", "sequence")}
        if "tracker" in told:
            method: Method = told["tracker"]
            one = [method.name, dict(method.parameters)] if method.parameters else method.name
            found |= {"TRACKERS": [one]} if "TRACKERS" in (self.known or ()) else {"TRACKER": one}
        if "seed" in told:
            found["SEED"] = told["seed"]
        if "data" in told:
            found |= self._clip_of_notebook(told["data"])
        self._check_names(f"{Path(str(self.data['notebook'])).name} has no parameter", list(found))
        return found

    def _clip_of_notebook(self, clip: Clip) -> dict[str, Any]:
        """A video as VIDEO and PROMPTS; a synthetic one as what the notebook makes it of (SECONDS, SEED, ...)."""
        options = dict(clip.options)
        if clip.kind == "synthetic" and clip.worse is None:
            return {k.upper(): v for k, v in options.items()}
        if (
            clip.kind == "clip"
            and clip.worse is None
            and not set(options) & {"truth", "start", "stop", "step"}
        ):
            return {k: options[o] for k, o in (("VIDEO", "clip"), ("PROMPTS", "prompts")) if options.get(o)}
        raise ExperimentError(
            f"{self.where}: a notebook takes videos (with a file of prompts) and synthetic clips as they are, not "
            f"{clip.name!r}. Remedy: a trial, which gets any sequence."
        )
