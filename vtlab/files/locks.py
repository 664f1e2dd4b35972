"""Locks between processes, which the system lets go when their holder ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def locked(path: str | os.PathLike[str], *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a file while the body runs; the file and its folder are made.

    Args:
        path: The lock's file.
        shared: Several may hold it at once, as long as nobody holds it alone.
        wait: Wait for who holds it; else the body runs at once.

    Yields:
        Whether it is held: False where another holds it and `wait` is off, or where the system has no such locks.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield hold(handle, shared=shared, wait=wait)
    finally:
        os.close(handle)  # which lets it go


def hold(handle: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Take the lock of an open file until it is closed; whether that succeeded (see `locked`)."""
    try:
        import fcntl
    except ImportError:
        return False
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
    except OSError:  # held by another, or a file system without locks
        return False
    return True
