"""A fresh process in which packages are missing."""

from __future__ import annotations

from collections.abc import Iterable


def without(packages: Iterable[str]) -> str:
    """The first lines of a script in which these packages can't be imported."""
    return f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {tuple(packages)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

sys.meta_path.insert(0, Blocked())
"""
