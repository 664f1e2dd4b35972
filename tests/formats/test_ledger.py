"""Between all formats, `read(write(x))` differs from x exactly by what the ledger says."""

from __future__ import annotations

import pytest

from tests.between import NAMES, parts, there_and_back, wrong
from vtlab.errors import TracksError
from vtlab.testing.ledger import random_tracks

SEEDS = (0, 1, 2)
REFUSED = {(form, seed) for form in ("mots", "mots-png") for seed in (0, 1)}
"""Random tracks whose masks overlap, which these formats can't hold."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("source", NAMES)
def test_every_pair_loses_exactly_what_the_ledger_says(source, seed, tmp_path):
    """Random tracks go into the one format, and what it holds of them into each other one."""
    if (source, seed) in REFUSED:
        with pytest.raises(TracksError, match="overlap"):
            there_and_back(random_tracks(seed), source, tmp_path / source)
        return
    begun = there_and_back(random_tracks(seed), source, tmp_path / source)
    for target in NAMES:
        for number, given in enumerate(p for made in begun for p in parts(made, target)):
            told = wrong(given, target, tmp_path / f"{target}-{number}")
            assert not told, f"{source} -> {target}: {told}"
