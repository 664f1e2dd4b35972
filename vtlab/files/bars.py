"""Progress bars: a line in a terminal, a line of a cell in a notebook, which is gone when the work is done."""

from __future__ import annotations

import io
from typing import Any

from tqdm import tqdm


def bar(**options: Any) -> tqdm[Any]:
    """A bar of tqdm, with tqdm's options. A notebook saved later shows nothing of it: no widget, no last state."""
    return _CellBar(file=io.StringIO(), ncols=90, **options) if in_a_notebook() else tqdm(**options)


class _CellBar(tqdm):  # type: ignore[type-arg]
    """A bar as the text of an output, which is empty in the end."""

    _handle: Any = None

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        from IPython.display import display

        text = {"text/plain": str(self) if msg is None else msg}
        if self._handle is None:
            self._handle = display(text, raw=True, display_id=True)
        else:
            self._handle.update(text, raw=True)

    def close(self) -> None:
        if self.disable:
            return
        self.disable = True
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)


def in_a_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
