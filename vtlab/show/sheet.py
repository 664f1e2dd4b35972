"""A matplotlib figure that notebooks show by themselves; imported only when something is drawn."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Sheet(Figure):
    """A figure that is no part of `pyplot`: nothing has to be set up to see it in a notebook, nor to be closed."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
