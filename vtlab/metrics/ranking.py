"""A ranking as plain numbers, so that a table can be printed without pandas, which takes longer to load than most
evaluations take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rank:
    """One tracker's line.

    Attributes:
        value: Its metric.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end.
        letters: Those that share one are not told apart; "" with one cluster or without a value.
        p: Adjusted, against the first; NaN for the first itself.
    """

    value: float
    low: float = nan
    high: float = nan
    letters: str = ""
    p: float = nan


@dataclass(frozen=True)
class Ranking:
    """Trackers by one metric.

    Attributes:
        ranks: Tracker -> its line, best first.
        sequences: Number of sequences.
        clusters: Number of clusters (scenes) that they form.
        level: Of intervals and tests.
    """

    ranks: Mapping[str, Rank]
    sequences: int
    clusters: int
    level: float

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame by tracker: value, low, high, letters, p; the numbers of the clips in its `attrs`."""
        import pandas as pd

        rows = [(name, r.value, r.low, r.high, r.letters, r.p) for name, r in self.ranks.items()]
        table = pd.DataFrame(rows, columns=["tracker", "value", "low", "high", "letters", "p"])
        table.attrs.update(sequences=self.sequences, clusters=self.clusters, level=self.level)
        return table.set_index("tracker")
