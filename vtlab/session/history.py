"""The states that a session went through: one step for one action, undo and redo restore the exact state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from vtlab.session.state import State

UNDO_STEPS = 200
"""States share what did not change, so that many cost little."""

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound="History")


def alone(method: Callable[Concatenate[H, P], R]) -> Callable[Concatenate[H, P], R]:
    """A method during which no other thread changes the state: tracking in the background and a person do both."""

    @wraps(method)
    def locked(self: H, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.changing:
            return method(self, *args, **kwargs)

    return locked


class History:
    """A present state, those before it, and those that were taken back.

    Attributes:
        changing: Held by who makes a new state of the present one, so that no other thread's is lost.
    """

    def __init__(self, state: State):
        self.changing = threading.RLock()
        self._state = state
        self._undo: list[State] = []
        self._redo: list[State] = []

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def can_undo(self) -> bool:
        """True if there is a step to go back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """True if there is an undo to take back."""
        return bool(self._redo)

    @alone
    def undo(self) -> bool:
        """Go back one step; False if there is none."""
        if not self._undo:
            return False
        self._redo.append(self._state)
        self._state = self._undo.pop()
        return True

    @alone
    def redo(self) -> bool:
        """Take back one undo; False if there is none."""
        if not self._redo:
            return False
        self._undo.append(self._state)
        self._state = self._redo.pop()
        return True

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """What is done within it is one step, which one undo takes back."""
        with self.changing:
            before, steps = self._state, self._undo
            try:
                yield
            finally:
                if self._state is not before:
                    self._undo = [*steps[-UNDO_STEPS + 1 :], before]

    def _commit(self, **changes: Any) -> None:
        self._set(self._state.changed(**changes))

    def _set(self, state: State, *, joined: bool = False) -> None:
        """Take up a state as a new step, or `joined` to the present one."""
        if not joined:
            self._undo = [*self._undo[-UNDO_STEPS + 1 :], self._state]
        self._redo = []
        self._state = state
