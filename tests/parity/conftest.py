"""Fixtures of the parity tests: the recipes that rebuild weights and inputs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def parity_module(shared: Path) -> Callable[[str], ModuleType]:
    """Return a function that loads `<shared>/parity/<name>.py` as a module."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, shared / "parity" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
