"""What each format keeps, as docs/formats.md tells it: by the ledger of tracks with every feature."""

from __future__ import annotations

import os
from pathlib import Path

from vtlab.formats import FEATURES, FORMATS
from vtlab.testing.ledger import random_tracks

DOCS = Path(__file__).parents[2] / "docs/formats.md"
COLUMNS = {
    "boxes": "boxes", "turned": "angle", "masks": "masks", "outlines": "polygons", "points": "points",
    "skeletons": "skeletons", "hidden": "hidden", "occluded": "occluded", "outside": "outside", "key figures": "key",
    "scores": "scores", "labels": "labels", "attributes": "attributes", "times": "time", "host's ids": "host_ids",
}  # fmt: skip
HEAD = """# Formats

What each format keeps of truth, by the ledger of a conversion of tracks that have everything: `yes` all of it, `part` some
(the ledger says which rows and why), nothing where it keeps none. `vtlab convert IN OUT --to NAME` prints the ledger of your
own tracks and writes it beside the output; `--strict` refuses any loss. This table is written by
`VTLAB_GOLDEN=1 pytest tests/formats/test_matrix.py`.

"""


def kept(name: str) -> list[str]:
    """The row of a format."""
    given = random_tracks(2)
    losses = FORMATS[name].losses(given)
    row = []
    for key in COLUMNS.values():
        share = losses[key].count / max(FEATURES[key].count(given), 1) if key in losses else 0
        some = key in FORMATS[name].holds or (share < 1 and key != "skeletons")
        row.append("yes" if share == 0 else "part" if some else "")
    return row


def test_the_table_of_the_documentation_is_true():
    lines = [f"| format | {' | '.join(COLUMNS)} |", "| --- |" + " --- |" * len(COLUMNS)]
    lines += [f"| {name} | {' | '.join(kept(name))} |" for name in FORMATS]
    text = HEAD + "\n".join(lines) + "\n"
    if os.environ.get("VTLAB_GOLDEN") == "1":
        DOCS.write_text(text, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == text
