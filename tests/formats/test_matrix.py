"""What each format keeps, as docs/formats.md tells it: by the ledger of tracks with every feature."""

from __future__ import annotations

import os
from pathlib import Path

from vtlab.formats import FEATURES, FORMATS
from vtlab.testing.ledger import random_tracks
from vtlab.tracks.columns import EXTRAS

DOCS = Path(__file__).parents[2] / "docs/formats.md"
COLUMNS = {
    "boxes": "boxes", "turned": "angle", "masks": "masks", "outlines": "polygons", "points": "points",
    "skeletons": "skeletons", "hidden": "hidden", "occluded": "occluded", "outside": "outside", "key figures": "key",
    "scores": "scores", "labels": "labels", "attributes": "attributes", "times": "time", "host's ids": "host_ids",
}  # fmt: skip
COLUMNS |= {name: name for name in EXTRAS if name not in COLUMNS.values()}
HEAD = """# Formats

What each format keeps of truth, by the ledger of a conversion of tracks that have everything: `yes` all of it, `part` some
(the ledger says which rows and why), nothing where it keeps none. `vtlab convert IN OUT --to NAME` prints the ledger of your
own tracks and writes it beside the output; `--strict` refuses any loss. This table is written by
`VTLAB_GOLDEN=1 pytest tests/formats/test_matrix.py`. Velocities count as lost where a tracker or you said them; those that
every run fills in, the way since the frame before by its time, can be computed again and are no loss.

`Tracks.save` and `Tracks.load` go by the ending of a file's name: .parquet and .json hold everything, .csv is for
spreadsheets, .xml is CVAT's, and so on; `tracks.save("walk.txt", "motchallenge")` names the format where several have
an ending. Labels of an annotation tool are held against the video beside them (number of frames, size, rate, times):
labels of other frames are an error that names the first and the shift. `sleap` needs the extra `poses`.

"""
TAIL = """
## How large a file may be

XML and text are read and written line by line, DeepLabCut's CSV row by row, Parquet by its columns. JSON has no lines
and is parsed whole, within a bound that is checked before: 512 MiB of an annotation tool, 1 GiB of a benchmark's file
of many videos (YouTube-VIS, TAO, BURST, BDD100K, PoseTrack), 256 MiB of `Tracks.save`'s own; a larger file is refused.
What was read of it is given up as it is read, and Dataloop's and Label Studio's files are written annotation by
annotation. `python -m benchmarks formats` measures a million boxes; peaks beyond the process' start, writing and
reading together, in MiB: {peaks}.

## What was checked, and against what

`make judges` asks datumaro (CVAT), dtlpy (Dataloop), label-studio-sdk, supervisely, got10k, vot-toolkit, TrackEval and
sleap-io (SLEAP, labels of DeepLabCut). PoseTrack follows the documentation and evaluation code of PoseTrack21, of which
there is no package to ask. OVIS follows the loaders that read it as YouTube-VIS; no file of it was tried. Results of
DeepLabCut, and which pixel's corner its coordinates mean, follow sleap-io. PoseTrack 2017's older files, and
DeepLabCut's HDF5, are not read.
"""
PEAKS = "Label Studio 674, TAO 1229, Dataloop 1332, Supervisely 1829"


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
    text = HEAD + "\n".join(lines) + "\n" + TAIL.format(peaks=PEAKS)
    if os.environ.get("VTLAB_GOLDEN") == "1":
        DOCS.write_text(text, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == text, (
        f"write {DOCS.name} again: VTLAB_GOLDEN=1 pytest {Path(__file__).name}"
    )
