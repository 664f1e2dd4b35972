"""Registries: name -> card and class, for trackers, detectors, associators and segmenters.

Built-in parts are found by file name: every module of `vtlab/trackers` (and `detectors`, `association`, `segmenters`)
whose name has no leading underscore is imported when a registry is first asked, which is cheap because heavy packages
are imported inside the classes. Other packages announce modules by the entry points `vtlab.trackers`,
`vtlab.detectors`, `vtlab.associators`, `vtlab.segmenters`; a notebook cell uses `@register`; a file is given as
`path/to/file.py:Class`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from vtlab.contracts import Card, WeightFile
from vtlab.errors import RegistryError, VtlabWarning, near, needs
from vtlab.prompts import Prompt

T = TypeVar("T", bound=type)
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*$")


class Registry:
    """Cards and classes of one kind of part.

    Args:
        kind: What is registered, for messages: "tracker", "detector", "associator" or "segmenter".
        package: Package whose modules hold the built-in parts.
        group: Entry-point group of other packages' parts.
        families: Allowed values of `Card.family`.
        depth: Levels of folders below the package that hold parts; a folder below these is one part in several files.
        wrapper: Name of the part that makes one of a Python function, given as its parameter `function`; "" = none does.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        group: str,
        families: Iterable[str],
        *,
        depth: int = 1,
        wrapper: str = "",
    ):
        self.kind, self.package, self.group = kind, package, group
        self.families = tuple(families)
        self.depth, self.wrapper = depth, wrapper
        self._entries: dict[str, tuple[Card, type]] = {}
        self._aliases: dict[str, tuple[str, str]] = {}
        self._bridges: dict[str, Callable[[str], type]] = {}
        self._scanned = False

    def register(
        self,
        name: str,
        *,
        family: str,
        summary: str = "",
        accepts: Iterable[type[Prompt]] = (),
        emits: Iterable[str] = ("boxes",),
        paper: str = "",
        paper_url: str = "",
        code: str = "",
        licence: str = "",
        weights: Iterable[WeightFile] = (),
        requires: str = "",
        options: Mapping[str, Any] | None = None,
        notice: str = "",
        deterministic: bool = True,
        instead: Iterable[WeightFile] = (),
        optional: Iterable[type[Prompt]] = (),
        follows: bool = True,
    ) -> Callable[[T], T]:
        """Return a class decorator that registers a part under `name`; see `Card` for the arguments.

        One class may be registered under several names with different `options` and `weights`. Registering a name
        again from the same place (a notebook cell run twice) replaces it.

        Raises:
            RegistryError: A badly formed or taken name, an unknown family, or options the class doesn't take.
        """
        if not _NAME.match(name):
            raise RegistryError(
                f"{self.kind} name {name!r}: use lower case letters, digits, '-', '.' and '+'."
            )
        if family not in self.families:
            raise RegistryError(
                f"{self.kind} {name!r}: unknown family {family!r}. Known: {', '.join(self.families)}."
            )

        def decorate(cls: T) -> T:
            card = Card(
                name,
                family,
                summary or (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " "),
                frozenset(accepts),
                frozenset(emits),
                paper,
                paper_url,
                code,
                licence,
                tuple(weights),
                requires,
                dict(options or {}),
                notice,
                deterministic,
                tuple(instead),
                frozenset(optional),
                follows,
            )
            known = self._entries.get(name)
            if known is not None and _home(known[1]) != _home(cls):
                raise RegistryError(
                    f"{self.kind} name {name!r} is taken by {_home(known[1])}. Choose another name for {_home(cls)}."
                )
            self._check_parameters(cls, card.options, name)
            self._entries[name] = (card, cls)
            if "card" not in vars(cls):
                cls.card = card  # type: ignore[attr-defined]
            return cls

        return decorate

    def alias(self, name: str, target: str, notice: str = "") -> None:
        """Let `name` stand for `target`; with a `notice`, using it warns with that text."""
        self._aliases[name] = (target, notice)

    def bridge(self, kind: str, make: Callable[[str], type]) -> None:
        """Let `kind:module.Class` (or `kind:file.py:Class`) stand for the part that `make` makes of a class of others."""
        self._bridges[kind] = make

    def runs_code(self, value: Any) -> str | None:
        """The first text within a value (of a file's record, say) that making a part of would run a file's code, or None."""
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            return next((text for text in map(self.runs_code, value) if text is not None), None)
        if not isinstance(value, str) or ":" not in value:
            return None
        self._scan()  # bridges come with the parts
        return value if ".py:" in value or value.partition(":")[0] in self._bridges else None

    def names(self, family: str | None = None) -> list[str]:
        """Names of all parts (of one family), sorted."""
        return [card.name for card in self.cards(family)]

    def cards(self, family: str | None = None) -> list[Card]:
        """Cards of all parts (of one family), sorted by name."""
        self._scan()
        cards = (card for card, _ in self._entries.values())
        return sorted((c for c in cards if family in (None, c.family)), key=lambda c: c.name)

    @property
    def is_vtlabs(self) -> bool:
        """Whether all parts are vtlab's own: none of another package, of a file or of a notebook."""
        self._scan()
        return all(cls.__module__.startswith(f"{self.package}.") for _, cls in self._entries.values())

    def card(self, spec: Any) -> Card:
        """Card of a name, a `file.py:Class`, a class or an instance."""
        return self._resolve(spec)[0]

    def find(self, spec: Any) -> type:
        """Class behind a name, a `file.py:Class`, a class or an instance."""
        target = self._resolve(spec)[1]
        return target if isinstance(target, type) else type(target)

    def create(self, spec: Any, **params: Any) -> Any:
        """Make a part.

        Args:
            spec: A name, `path/to/file.py:Class`, a registered class, an instance (returned as it is), or a Python
                function where the kind of part can be one.
            params: Constructor parameters; they win over the card's options.

        Raises:
            RegistryError: The name is unknown, the part takes no such parameter, or lacks one that it needs.
            MissingDependencyError: A package of the extra that the card requires is not installed.
        """
        card, target = self._resolve(spec)
        if not isinstance(target, type):
            if params:
                raise RegistryError(
                    f"Parameters {sorted(params)} were given with a ready {self.kind} {card.name!r}. "
                    "Give its name or class instead, or set the parameters when making it."
                )
            return target
        self._check_parameters(target, params, card.name)
        self._check_needed(target, {**card.options, **params}, card.name)
        try:
            made = target(**{**card.options, **params})
        except ModuleNotFoundError as error:
            if not card.requires:
                raise
            raise needs(
                error.name or card.requires, card.requires, f"The {self.kind} {card.name!r}"
            ) from error
        made.card = card
        made.params = {**defaults(target), **card.options, **params}
        return made

    def _resolve(self, spec: Any) -> tuple[Card, Any]:
        if isinstance(spec, str):
            kind, _, target = spec.partition(":")
            if target and "/" not in kind and not kind.endswith(".py"):
                self._scan()
            if target and kind in self._bridges:
                spec = self._bridges[kind](target)
            elif ".py:" in spec:
                spec = load_file(spec, self.kind)
            else:
                return self._named(spec)
        card = getattr(spec, "card", None)
        if isinstance(card, Card):
            return card, spec
        if self.wrapper and callable(spec) and not isinstance(spec, type):
            card, cls = self._named(self.wrapper)
            return replace(card, options={**card.options, "function": spec}), cls
        what = getattr(spec, "__name__", type(spec).__name__)
        if callable(spec) and not isinstance(spec, type):
            raise RegistryError(
                f"{what} is a function, which no {self.kind} is made of. Give it as a detector, a segmenter or an embedder "
                f"(detector={what}, on the command line -P detector=FILE.py:{what}), or write a class (see CONTRIBUTING.md)."
            )
        decorator = "register" if self.kind == "tracker" else f"register_{self.kind}"
        raise RegistryError(
            f"{what} is not a registered {self.kind}. Put @vtlab.{decorator}('a-name', family={self.families[0]!r}) above "
            f"the class (see CONTRIBUTING.md), or give one of: {', '.join(self.names())}."
        )

    def _named(self, name: str) -> tuple[Card, type]:
        if name not in self._entries:
            self._scan()
        if name in self._aliases:
            name, notice = self._aliases[name]
            if notice:
                warnings.warn(notice, VtlabWarning, stacklevel=4)
        if name not in self._entries:
            raise RegistryError(
                f"Unknown {self.kind} {name!r}. {near(name, [*self._entries, *self._aliases])} Remedy: "
                f"'vtlab list {self.kind}s' lists them all."
            )
        return self._entries[name]

    def _check_parameters(self, cls: type, params: Mapping[str, Any], name: str) -> None:
        known = inspect.signature(cls).parameters
        if any(p.kind is p.VAR_KEYWORD for p in known.values()):
            return
        for key in params:
            if key not in known:
                raise RegistryError(f"{self.kind} {name!r} has no parameter {key!r}. {near(key, known)}")

    def _check_needed(self, cls: type, params: Mapping[str, Any], name: str) -> None:
        for parameter in needed(cls):
            if parameter not in params:
                within = (
                    f"; within a tracker -P 'detector_params={{\"{parameter}\": ...}}'"
                    if self.kind == "detector"
                    else ""
                )
                raise RegistryError(
                    f"{self.kind} {name!r} needs the parameter {parameter!r} ('vtlab info {name}' explains it). Remedy: "
                    f"{parameter}=... beside the name, or -P {parameter}=... on the command line{within}."
                )

    def _import_all(self, name: str, depth: int) -> None:
        """Import the modules of a package, and of its folders down to `depth`."""
        package = importlib.import_module(name)
        for info in pkgutil.iter_modules(package.__path__):
            if info.ispkg and depth > 1:
                self._import_all(f"{name}.{info.name}", depth - 1)
            elif not info.name.startswith("_"):
                importlib.import_module(f"{name}.{info.name}")

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        self._import_all(self.package, self.depth)
        for entry in importlib.metadata.entry_points(group=self.group):
            try:
                entry.load()
            except Exception as error:  # another package's fault must not break this one
                warnings.warn(
                    f"{self.kind} plug-in {entry.name!r} ({entry.value}) can't be loaded: {error!r}. It is left out.",
                    VtlabWarning,
                    stacklevel=2,
                )


def defaults(cls: type) -> dict[str, Any]:
    """Default values of the parameters of a constructor."""
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def needed(function: Callable[..., Any]) -> list[str]:
    """Parameters of a constructor or function that have no default."""
    parameters = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind in kinds]


def _home(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def load_file(spec: str, kind: str) -> Any:
    """What `path/to/file.py:NAME` stands for; a file is loaded once. `kind` is what it should be, for messages.

    Raises:
        RegistryError: There is no such file or name, or loading it failed.
    """
    file, _, attribute = spec.rpartition(":")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise RegistryError(f"{spec!r}: there is no file {file!r}. Give {kind}s as path/to/file.py:NAME.")
    name = f"vtlab_file_{path.stem}_{hashlib.sha1(str(path).encode(), usedforsecurity=False).hexdigest()[:8]}"
    module = sys.modules.get(name)
    if module is None:
        module_spec = importlib.util.spec_from_file_location(name, path)
        if module_spec is None or module_spec.loader is None:
            raise RegistryError(f"{spec!r}: {file!r} can't be loaded as Python code.")
        module = importlib.util.module_from_spec(module_spec)
        sys.modules[name] = module
        try:
            _find_neighbours(path)
            module_spec.loader.exec_module(module)
        except RegistryError:
            del sys.modules[name]
            raise
        except Exception as error:
            del sys.modules[name]
            raise RegistryError(f"{spec!r}: loading {file!r} failed with {error!r}.") from error
    if not hasattr(module, attribute):
        names = [n for n in vars(module) if not n.startswith("_")]
        raise RegistryError(f"{spec!r}: no {attribute!r} in {file!r}. {near(attribute, names)}")
    return getattr(module, attribute)


def _find_neighbours(path: Path) -> None:
    """Let a file import what lies beside it, as a script may; but last, so that no installed package is replaced.

    Raises:
        RegistryError: Python finds another module under the name of a neighbour that the file imports.
    """
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
        importlib.invalidate_caches()
    for node in ast.walk(ast.parse(path.read_bytes())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for top in {n.partition(".")[0] for n in names}:
            beside = [
                p for p in (path.parent / f"{top}.py", path.parent / top / "__init__.py") if p.is_file()
            ]
            found = importlib.util.find_spec(top) if beside else None
            if found is not None and found.origin and Path(found.origin).resolve() not in beside:
                raise RegistryError(
                    f"{str(path)!r} imports {top!r}, which lies beside it, but under that name Python finds "
                    f"{found.origin!r}. Remedy: rename one of them."
                )


TRACKERS = Registry(
    "tracker", "vtlab.trackers", "vtlab.trackers", ("sot", "mot", "vos", "points", "multi"), depth=2
)
DETECTORS = Registry("detector", "vtlab.detectors", "vtlab.detectors", ("detector",), wrapper="callable")
ASSOCIATORS = Registry("associator", "vtlab.association", "vtlab.associators", ("associator",))
SEGMENTERS = Registry("segmenter", "vtlab.segmenters", "vtlab.segmenters", ("segmenter",), wrapper="callable")
REGISTRIES = (TRACKERS, DETECTORS, ASSOCIATORS, SEGMENTERS)

register = TRACKERS.register
register_detector = DETECTORS.register
register_associator = ASSOCIATORS.register
register_segmenter = SEGMENTERS.register


def list_trackers(family: str | None = None) -> list[str]:
    """Names of all trackers (of one family: "sot", "mot", "vos", "points", "multi"), sorted."""
    return TRACKERS.names(family)


def tracker_card(spec: Any) -> Card:
    """What vtlab knows of a tracker: family, prompts taken, outputs, paper, licence, weights."""
    return TRACKERS.card(spec)
