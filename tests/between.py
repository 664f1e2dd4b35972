"""What tracks lose between formats, and whether the ledger says it."""

from __future__ import annotations

import pickle
from hashlib import sha256

from vtlab import formats
from vtlab.errors import TracksError
from vtlab.formats import FORMATS
from vtlab.testing.ledger import check_ledger
from vtlab.tracks import Tracks

NAMES = sorted(name for name, form in FORMATS.items() if form.ready)
"""Formats that can be asked."""


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


def content(given: Tracks) -> bytes:
    """What tracks say: all but the file that they were read from, and of which format it was."""
    record = given.record.replace(file=None, format=None, rule=None).to_dict()
    p = given.points
    said = [given.columns(), p.frame, p.object_id, p.point_id, p.xy, p.visible, p.score, given.size, record]
    return sha256(pickle.dumps([*said, given.step_seconds])).digest()


def way(name: str) -> str:
    """How a format writes and reads: what kin that differ by names only have in common."""
    form = FORMATS[name]
    named = ("name", "summary", "rule", "rules")
    return repr((type(form), sorted((k, str(v)) for k, v in vars(form).items() if k not in named)))


ASKED: dict[tuple[bytes, str], str] = {}
"""What is wrong with tracks of this content written in this way: kin by name give the same tracks, which are asked once."""


def wrong(given: Tracks, target: str, root) -> str:
    """What `target` loses of these tracks and doesn't say, or says and doesn't lose; "" for nothing."""
    asked = content(given), way(target)
    if asked not in ASKED:
        ASKED[asked] = ""
        losses = FORMATS[target].losses(given)
        try:
            (back,) = there_and_back(given, target, root)
            check_ledger(given, back, losses)
        except TracksError:
            pass  # it can't hold them at all, and says so
        except AssertionError as error:
            ASKED[asked] = str(error)
    return ASKED[asked]
