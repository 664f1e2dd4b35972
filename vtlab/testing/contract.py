"""A contract as a list of checks: each is asked of a part on its own, by pytest or for a table.

@pytest.mark.parametrize("check", vtlab.testing.TRACKER, ids=str)
def test_my_tracker(check):
    check("my_tracker.py:MyTracker")
"""

from __future__ import annotations

import inspect
import re
import unittest
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, overload

from vtlab.errors import MissingDependencyError, VtlabError, WeightsError
from vtlab.registry import Registry
from vtlab.weights.here import lacking


class NotAsked(unittest.SkipTest):
    """The check does not apply to this part, or can't be asked here; pytest counts the test as skipped."""


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        check: The check's sentence.
        state: "pass", "fail", or "skip" where it does not apply.
        why: What was wrong, or why it was not asked; "" for a pass.
    """

    check: str
    state: Literal["pass", "fail", "skip"]
    why: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that a part must do: `check(spec, **params)` raises AssertionError or the part's own error if it doesn't.

    Attributes:
        name: The sentence.
        ask: Function of the part under test.
        part: Makes the part under test from what a caller names and the parameters.
        around: Makes of it what the check sees, and puts it away afterwards.
    """

    name: str
    ask: Callable[[Any], None]
    part: Callable[..., Any]
    around: Callable[[Any], AbstractContextManager[Any]] = nullcontext

    def __call__(self, spec: Any, **params: Any) -> None:
        """Ask it of a part: a name, `file.py:Class`, or a class, with parameters of its constructor."""
        with self.around(self.part(spec, params)) as part:
            self.ask(part)

    def __str__(self) -> str:
        # Eight words tell checks apart; they are the names of tests.
        return "-".join(re.findall(r"\w+", self.name)[:8])

    def result(self, spec: Any, **params: Any) -> Result:
        """Ask it and catch what comes."""
        try:
            self(spec, **params)
        except NotAsked as reason:
            return Result(self.name, "skip", str(reason))
        except AssertionError as error:
            return Result(self.name, "fail", _shortened(str(error)) or "an assertion failed")
        except Exception as error:  # whatever a stranger's part raises is a finding
            name = "" if isinstance(error, VtlabError) else f"{type(error).__name__}: "
            return Result(self.name, "fail", name + _shortened(str(error)))
        return Result(self.name, "pass")


class Contract(Sequence[Check]):
    """The checks of one kind of part, in order: a sequence, to parametrise a test with.

    Args:
        part: Makes the part under test from what a caller names and a dictionary of parameters.
        around: Makes of it what each check sees, and puts it away afterwards.
        checks: Those that it begins with.
    """

    def __init__(
        self,
        part: Callable[..., Any],
        around: Callable[[Any], AbstractContextManager[Any]] = nullcontext,
        checks: Sequence[Check] = (),
    ):
        self._part, self._around = part, around
        self._checks = list(checks)

    def __len__(self) -> int:
        return len(self._checks)

    @overload
    def __getitem__(self, index: int) -> Check: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Check]: ...
    def __getitem__(self, index: int | slice) -> Check | Sequence[Check]:
        return self._checks[index]

    def on(self, **given: Any) -> Contract:
        """The same checks of parts that are made with something more, such as `DETECTOR.on(video="street.mp4")`."""
        part = partial(self._part, **given)
        return Contract(part, self._around, [replace(check, part=part) for check in self])

    def check(self, function: Callable[[Any], None]) -> Callable[[Any], None]:
        """Add a function as a check; its docstring is the sentence."""
        name = (function.__doc__ or function.__name__).strip().split("\n")[0].rstrip(".")
        self._checks.append(Check(name, function, self._part, self._around))
        return function

    def results(self, spec: Any, **params: Any) -> list[Result]:
        """Ask all checks of a part.

        Args:
            spec: A name, `file.py:Class`, or a class.
            params: Parameters of its constructor.

        Raises:
            RegistryError: There is no such part.
        """
        self._part(spec, params)  # a name that nobody knows is the caller's error, not a failed check
        return [check.result(spec, **params) for check in self]


def make(registry: Registry, spec: Any, params: Mapping[str, Any]) -> Any:
    """Make a part by its registry; NotAsked where its weights, packages or necessary parameters are missing."""
    card, cls = registry.card(spec), registry.find(spec)
    told = not params or "wants" in vars(cls)  # of other parts, a parameter may stand in for a file
    if told and (reason := lacking(card, cls, params)):
        raise NotAsked(reason)
    known = {*card.options, *params}
    for name, parameter in inspect.signature(cls).parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY
        if needed and name not in known:
            raise NotAsked(
                f"needs the parameter {name}: give it with --param {name}=VALUE, in Python {name}=..."
            )
    try:
        return registry.create(spec, **params)
    except (WeightsError, MissingDependencyError) as error:
        raise NotAsked(str(error)) from None


def _shortened(text: str) -> str:
    """The first lines of an error; numpy's go on for a page."""
    return " ".join(" ".join(line.split()) for line in text.strip().splitlines()[:6] if line.strip())
