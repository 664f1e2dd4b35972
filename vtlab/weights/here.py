"""What a part needs of this machine and doesn't find, told without making the part."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vtlab.contracts import Card, Part
from vtlab.weights.files import locate

_MODULES = {"onnx": "onnxruntime", "notebook": "anywidget", "mot": "motmetrics", "cluster": "distributed"}
"""Module by which an extra is known to be installed, where it has another name."""


def lacking(card: Card, cls: type = Part, params: Mapping[str, Any] = MappingProxyType({})) -> str:
    """What a part lacks on this machine, "" if nothing; found without making it.

    Args:
        card: Of the part.
        cls: Its class, which knows what files its parameters ask for.
        params: Parameters with which it is to be made.
    """
    if card.requires and importlib.util.find_spec(_MODULES.get(card.requires, card.requires)) is None:
        return f"needs vtlab[{card.requires}]"
    wants = getattr(cls, "wants", Part.wants)  # segmenters may be any class that segments
    missing = [w.name for w in wants(card, params) if locate(w) is None]
    return f"weights {missing[0]} are not here" if missing else ""
