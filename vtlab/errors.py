"""vtlab's own exceptions and warnings.

Every error a caller can cause is a `VtlabError`: its message names the value, the place and the remedy, so
that the command line can print it alone and a notebook shows one readable line at the end of the traceback.
"""

from __future__ import annotations

import difflib
import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar


class VtlabError(Exception):
    """Base class of every error that vtlab raises on purpose."""


class InputError(VtlabError, ValueError):
    """A value given by the caller is wrong: its type, its shape, its range or its content."""


class VideoError(VtlabError):
    """A video can't be opened, holds no frames, or can't be written."""


class PromptError(InputError):
    """A prompt is invalid, or does not fit the video or the tracker it is given to."""


class TracksError(InputError):
    """Tracks are invalid, or a file does not hold tracks."""


class FormatError(InputError):
    """A file does not follow the format it is read as; the message names the file and the line."""


class WriteError(VtlabError):
    """A file can't be written: the disk is full, the folder can't be made or may not be written to."""


class RegistryError(VtlabError, LookupError):
    """A tracker, detector or other part is unknown, registered twice, or badly registered."""


class MissingDependencyError(VtlabError, ImportError):
    """A part needs a package that is not installed; the message names the extra that brings it."""


class WeightsError(VtlabError):
    """A checkpoint is missing, damaged, of another variant, or can't be fetched."""


class AnswerError(InputError):
    """A tracker's answer breaks its contract; the message names the tracker, the frame, the value and the remedy."""


class TrackingError(VtlabError):
    """A tracker failed in the middle of a video.

    Attributes:
        tracks: What was tracked before the failure, as `Tracks`; never lost.
        frame: Index of the frame that was being processed; None after the last one.
    """

    def __init__(self, message: str, *, tracks: Any = None, frame: int | None = None):
        super().__init__(message)
        self.tracks = tracks
        self.frame = frame


class Interrupted(KeyboardInterrupt):
    """Somebody pressed Ctrl-C, or interrupted the notebook's kernel, while a tracker was at work.

    Attributes:
        tracks: What the tracker at work had tracked until then, as `Tracks`.
        comparison: Of `compare`, the `Comparison` of the trackers that had finished; None where none had.
    """

    def __init__(self, message: str, tracks: Any, comparison: Any = None):
        super().__init__(message)
        self.tracks = tracks
        self.comparison = comparison


class ExperimentError(VtlabError):
    """A batch specification is invalid, or a run of the batch failed."""


class VtlabWarning(UserWarning):
    """Something was worked around; the message says what and what it means for the result."""


_MANY = 20
"""Names from which on only those like the one given are listed."""


def near(name: str, known: Iterable[str]) -> str:
    """Return the tail of an error message: 'Did you mean ...?', and what is known (of many names only their number)."""
    names = sorted(known)
    lower = {n.lower(): n for n in names}
    close = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    hint = f"Did you mean {', '.join(repr(n) for n in close)}? " if close else ""
    if not names:
        return "None are known."
    return (
        f"{hint}{len(names)} are known."
        if close and len(names) > _MANY
        else f"{hint}Known: {', '.join(names)}."
    )


def needs(package: str, extra: str, purpose: str) -> MissingDependencyError:
    """Return the error that says which extra brings a missing `package`."""
    return MissingDependencyError(
        f"{purpose} needs the package {package!r}, which is not installed. Remedy: pip install 'vtlab[{extra}]'."
    )


_Called = TypeVar("_Called", bound=Callable[..., Any])


def renamed(**names: str) -> Callable[[_Called], _Called]:
    """Let a function take parameters by their old names too, with a warning: old name -> the name of today.

    Old names go in version 0.3.

    Raises:
        InputError: Both names are given.
    """

    def decorate(function: _Called) -> _Called:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    raise InputError(f"{function.__name__}() takes {new}=; {old}= is its old name: give one.")
                text = f"{function.__name__}({old}=...) is now {new}=...; the old name goes in version 0.3."
                warnings.warn(text, VtlabWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate
