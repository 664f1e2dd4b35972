"""A comparison as files that `vtlab evaluate` scores with the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vtlab.files import write_whole

if TYPE_CHECKING:
    from vtlab.comparison.comparison import Comparison


def save(comparison: Comparison, folder: Path) -> Path:
    """Write the tables, the truth and the tracks of a comparison into a folder; return it."""
    scores = comparison.scores.astype({"object_id": str})
    write_whole(folder / "scores.parquet", scores.to_parquet)
    write_whole(folder / "table.csv", comparison.table.to_csv)
    for r in comparison.runs:
        if r.tracks is not None:
            ending = ".parquet" if r.ok else ".partial.parquet"
            r.tracks.save(folder / r.tracker / f"{r.sequence}{ending}")
    return folder
