"""What a forked process may use of what its parent opened: nothing that has threads, no lock that may be held.

A decoder's threads do not live on in the child. Using such a decoder there hangs, and so does freeing it, since that
waits for the threads to end. So the child keeps it for ever, untouched, and opens the file anew. The same holds for
what the parent no longer reaches but has not yet collected: decoders in the trace of an error, sessions of ONNX Runtime.
"""

from __future__ import annotations

import ctypes
import gc
import os
import weakref
from abc import ABC, abstractmethod
from typing import Any

_ALIVE: weakref.WeakSet[Forked] = weakref.WeakSet()


class Forked(ABC):
    """Base of what must be mended in a forked child; call `watch_forks` once made."""

    def watch_forks(self) -> None:
        """Have `after_fork` called in each child that is forked from now on."""
        _ALIVE.add(self)

    @abstractmethod
    def after_fork(self) -> None:
        """Mend this object; called in the child before anything else runs there."""


def keep_for_ever(*things: Any) -> None:
    """Never free these objects."""
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _mend() -> None:
    gc.freeze()  # the child's collector must not free the parent's garbage
    for thing in list(_ALIVE):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mend)
