"""Frames on which the trackers differ most, as a table with pictures."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd

from vtlab.decision.answer import Verdict
from vtlab.decision.section import contact
from vtlab.metrics.records import Metric
from vtlab.show import draw
from vtlab.show.board import Board
from vtlab.video import Image

COLUMNS = ["clip", "frame", "disagreement"]


class Doubts(pd.DataFrame):
    """Frames on which the trackers differ most; a notebook shows them with a contact sheet. Made by `doubtful`."""

    _metadata: ClassVar[list[str]] = ["_asked"]
    _asked: Verdict

    @classmethod
    def of(cls, asked: Verdict, count: int) -> Doubts:
        """The first `count` frames by disagreement, 0 to 1; ties in the order of the video."""
        places, amount = asked.disagreement()
        order = np.argsort(-amount, kind="stable")[:count]
        made = cls([(*places[i], float(amount[i])) for i in order], columns=COLUMNS)
        made._asked = asked
        return made

    @property
    def picture(self) -> Image | None:
        """The contact sheet: the most doubtful places in the order of the video, every tracker in a colour of its own
        (RGB, uint8, (H, W, 3)). None where the footage isn't known or the trackers never differ."""
        shown = [image for _, image in contact(self._asked).pictures if not isinstance(image, str)]
        if not shown:
            return None
        height, width = (max(image.shape[axis] for image in shown) for axis in (0, 1))
        panels = [np.pad(i, ((0, height - i.shape[0]), (0, width - i.shape[1]), (0, 0))) for i in shown]
        return draw.side_by_side(panels, columns=min(4, len(panels)))

    def _repr_html_(self) -> str:
        table = pd.DataFrame(self).set_index("clip")
        names = {
            "frame": Metric("frame", "", "", "count", higher_is_better=None),
            "disagreement": Metric("disagreement", "", "", higher_is_better=None),
        }
        return Board(table, "Doubtful frames", "", known=names).to_html() + contact(self._asked).to_html()
