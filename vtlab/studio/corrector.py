"""Corrector: look at a session's tracks frame by frame, correct them, and track again, in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from vtlab.contracts import Segmenter
from vtlab.errors import FormatError, VtlabWarning
from vtlab.segmenters import create_segmenter
from vtlab.session import Session
from vtlab.studio.corrector_state import CorrectorState
from vtlab.studio.figures import FigureWidget
from vtlab.studio.work import work_file
from vtlab.tracks import Tracks


class Corrector(FigureWidget):
    """Widget on a session. Solid figures are a person's, dashed ones are predictions; drawing corrects.

    Args:
        session: What is corrected. Call `refresh()` after changing it from another cell.
        segmenter: What turns clicks into masks (see `vtlab.segmenters`); "auto" is SAM 2 where its checkpoint is on
            this machine, else GrabCut; None for no clicks.
        labels: Labels to choose from; others can be typed.
        path: File that follows every change, and from which a later call goes on; by default
            `<name>-<hash of the content>.session.parquet` in the working folder, where the notebook lies. Other work in
            it is kept beside it as `older-1-...`.
        autosave: False: written by the "Save" button only, nothing is restored.

    Warns:
        VtlabWarning: Saved work was restored in place of the session's (undo takes it back), or can't be: it is damaged,
            or of another video.
    """

    def __init__(
        self,
        session: Session,
        *,
        segmenter: str | Segmenter | None = "auto",
        labels: Sequence[str] = (),
        path: str | Path | None = None,
        autosave: bool = True,
    ):
        file = work_file(session.video, ".session.parquet") if path is None else Path(path).absolute()
        word = _restore(session, file) if autosave else ""
        state = CorrectorState(
            session,
            segmenter=None if segmenter is None else create_segmenter(segmenter),
            labels=labels,
            path=file,
            autosave=autosave,
        )
        state.message = word
        self._corrector = state
        super().__init__(state)
        state.changed = self.refresh

    @property
    def session(self) -> Session:
        """The session."""
        return self._corrector.session

    @property
    def tracks(self) -> Tracks:
        """The session's tracks."""
        return self._corrector.tracks

    def refresh(self) -> None:
        """Send what changed to the browser, and save it."""
        self._corrector.keep()
        super().refresh()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until tracking in the background has ended."""
        self._corrector.wait(seconds)

    def __repr__(self) -> str:
        return f"Corrector({self.session!r})"


def _restore(session: Session, file: Path) -> str:
    """Take up the work of a file, where it is of this video; a word about it."""
    if not file.is_file():
        return ""
    given = session.state
    try:
        if not session.restore(file):
            return ""
    except FormatError as error:
        word = f"{error} Nothing was restored from it; it is kept beside when this work is saved."
        warnings.warn(word, VtlabWarning, stacklevel=3)
        return word
    now = session.state
    word = (
        f"Restored {len(now.keys)} figures of {len(now.object_ids)} objects and {len(now.predicted)} rows from "
        f"{file.name}. Undo goes back to what was given."
    )
    if any(now.keys.get(k) != p for k, p in given.keys.items()) or (len(given.predicted) and not given.keys):
        warnings.warn(word, VtlabWarning, stacklevel=3)
    return word
