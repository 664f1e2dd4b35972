"""Packages that are missing: a fresh process without them, and a test that can't ask what needs one."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[1]


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


def missing(error: ModuleNotFoundError) -> str:
    """The package of an extra that an import lacks; raises the error again for any other, which is a fault."""
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    optional = {re.match(r"[\w-]+", need)[0].replace("-", "_") for needs in extras.values() for need in needs}
    package = (error.name or "").partition(".")[0]
    if package in optional:
        return package
    raise error


def imported(name: str) -> ModuleType:
    """The module of this name; skips the test where it needs a package of an extra that isn't installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        return pytest.skip(f"{name} needs {missing(error)}, which isn't installed")
