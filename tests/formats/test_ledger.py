"""Between all formats, `read(write(x))` differs from x exactly by what the ledger says."""

from __future__ import annotations

import pytest

from vtlab import formats
from vtlab.errors import TracksError
from vtlab.formats import FORMATS
from vtlab.testing.ledger import check_ledger, random_tracks
from vtlab.tracks import Tracks

SEEDS = (0, 1, 2)


def there_and_back(given: Tracks, name: str, root) -> list[Tracks]:
    """What a format gives back of tracks: one file of all objects, or one of each."""
    form = FORMATS[name]
    formats.write_tracks(given, root, name, sequence="walk")
    return [form.read_sequence(place, images=False).truth for place in form.find(root).values()]


def parts(given: Tracks, name: str) -> list[Tracks]:
    """What is written as one file."""
    if "objects" in FORMATS[name].holds or len(given.object_ids) < 2:
        return [given]
    return [given.of_object(i) for i in given.object_ids.tolist()]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("source", sorted(FORMATS))
def test_every_pair_loses_exactly_what_the_ledger_says(source, seed, tmp_path):
    """Random tracks go into the one format, and what it holds of them into each other one."""
    try:
        begun = there_and_back(random_tracks(seed), source, tmp_path / source)
    except TracksError as refused:
        pytest.skip(str(refused))
    for target in sorted(FORMATS):
        for number, given in enumerate(p for made in begun for p in parts(made, target)):
            root = tmp_path / f"{target}-{number}"
            losses = FORMATS[target].losses(given)
            try:
                (back,) = there_and_back(given, target, root)
            except TracksError:
                continue
            try:
                check_ledger(given, back, losses)
            except AssertionError as wrong:
                raise AssertionError(f"{source} -> {target}: {wrong}") from None
