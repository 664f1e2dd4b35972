"""The labelling assistant: `tracker` decides; what it knows of one object, sees, follows and answers lies beside it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from vtlab.errors import InputError
from vtlab.trackers.compose.assistant import tracker

_MOST = 4
"""Detectors: 15 combinations; more would ask for more labels than they save."""


def combinations(detectors: Sequence[Any], **params: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """The assistant with each combination of detectors, as `compare` takes trackers: which of them pay on a clip?

    Args:
        detectors: Names or instances, at most four.
        params: Further parameters of the assistant, the same for all.

    Returns:
        Names joined by "+" -> ("assistant", its parameters), the single detectors first.

    Raises:
        InputError: None, more than four, or one of them twice.
    """
    names = [d if isinstance(d, str) else d.card.name for d in detectors]
    if not 0 < len(names) <= _MOST or len(set(names)) < len(names):
        raise InputError(f"combinations: 1 to {_MOST} detectors of different names, got {names}.")
    chosen = [c for n in range(1, len(names) + 1) for c in itertools.combinations(range(len(names)), n)]
    return {
        "+".join(names[i] for i in c): ("assistant", {**params, "detector": [detectors[i] for i in c]})
        for c in chosen
    }


__all__ = ["combinations", "tracker"]
