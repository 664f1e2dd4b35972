"""Lists are kept as they were read, and read anew as soon as they could be others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import vtlab
from vtlab.cli.shelf import facts_of


class Fake:
    """A registry of two cards that counts how often it is read."""

    kind, is_vtlabs = "tracker", True

    def __init__(self):
        self.read = 0

    def cards(self):
        self.read += 1
        return ["a", "b"]


@pytest.fixture
def registry(monkeypatch, tmp_path):
    fake = Fake()
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr("vtlab.registry.REGISTRIES", (fake,))
    return fake


def told(card):
    return {"name": card, "options": {"sides": (1, 2)}}


def test_a_list_is_read_once(registry):
    first = facts_of("trackers", told)
    assert first == [{"name": n, "options": {"sides": [1, 2]}} for n in "ab"]
    assert facts_of("trackers", told) == first
    assert registry.read == 1


@pytest.mark.parametrize("change", ["version", "folder of packages", "damaged", "another's part", "no right"])
def test_it_is_read_anew_where_it_could_be_another(registry, change, monkeypatch, tmp_path):
    registry.is_vtlabs = change != "another's part"
    if change == "no right":
        monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "file"))
        (tmp_path / "file").touch()
    found = facts_of("trackers", told)
    if change == "version":
        monkeypatch.setattr(vtlab, "__version__", "9")
    elif change == "folder of packages":
        monkeypatch.syspath_prepend(tmp_path)
    elif change == "damaged":
        (tmp_path / "lists" / "cards.json").write_text('{"key": 3}')
    assert facts_of("trackers", told) == found
    assert registry.read == 2


def test_a_kept_list_is_told_without_numpy(tmp_path):
    """Nobody waits for what a list doesn't need: neither parts nor arrays are imported to print it."""
    code = (
        "import sys; from vtlab.cli.shelf import facts_of; from vtlab.cli.parts import card_facts\n"
        "print(len(facts_of('trackers', card_facts)), 'numpy' in sys.modules)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "VTLAB_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.split()
        for _ in range(2)
    ]
    assert said[0][0] == said[1][0]
    assert said[1][1] == "False"
