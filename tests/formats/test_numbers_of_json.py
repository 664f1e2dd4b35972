"""Each number of each format of JSON is replaced by what is none: read all the same or refused by name, never an error of
Python's or numpy's."""

from __future__ import annotations

import contextlib
import json
import warnings

import pytest

from vtlab.errors import VtlabError
from vtlab.formats import FORMATS, open_format, write_tracks
from vtlab.testing.formats import example

BAD = (10**400, -(10**400), 2**70, 1.7e308, float("inf"), True, "x", None, [], {}, -1.5)


def leaves(tree, path=()):
    """Paths to the numbers of a tree of JSON, also those in text, the first two of a list."""
    items = (
        tree.items()
        if isinstance(tree, dict)
        else list(enumerate(tree))[:2]
        if isinstance(tree, list)
        else ()
    )
    for key, value in items:
        if (isinstance(value, (int, float)) and not isinstance(value, bool)) or str(value).isdigit():
            yield *path, key
        yield from leaves(value, (*path, key))


def replaced(text: str, path, value) -> str:
    tree = json.loads(text)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return json.dumps(tree)


def read(form, folder, kind):
    if kind == "truth":
        data = open_format(folder, form.name)
        for name in data.names:
            form.read_sequence(data.place(name), images=False)
    for found in form.find_results(folder) if kind == "results" else ():
        form.read_tracks(found.path)


@pytest.mark.parametrize("kind", ["truth", "results"])
@pytest.mark.parametrize("name", sorted(n for n, form in FORMATS.items() if form.ready))
def test_a_number_that_is_none(name, kind, tmp_path):
    form = FORMATS[name]
    write_tracks(
        example(form, kind), tmp_path, form, sequence="a", tracker="mine" if kind == "results" else ""
    )
    tried = set()
    for file in sorted(tmp_path.rglob("*.json")):
        good = file.read_text()
        for path in leaves(json.loads(good)):
            place = tuple(k if isinstance(k, str) else 0 for k in path)
            if place in tried:
                continue
            tried.add(place)
            for value in BAD:
                file.write_text(replaced(good, path, value))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    with contextlib.suppress(VtlabError):
                        read(form, tmp_path, kind)
        file.write_text(good)
