"""Corrector: look at a session's tracks frame by frame, correct them, and track again, in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vtlab.contracts import Segmenter
from vtlab.segmenters import create_segmenter
from vtlab.session import Session
from vtlab.studio.corrector_state import CorrectorState
from vtlab.studio.figures import FigureWidget
from vtlab.tracks import Tracks


class Corrector(FigureWidget):
    """Widget on a session. Solid figures are a person's, dashed ones are predictions; drawing corrects.

    Args:
        session: What is corrected. Call `refresh()` after changing it from another cell.
        segmenter: What turns clicks into masks (see `vtlab.segmenters`); "auto" is SAM 2 where its checkpoint is on
            this machine, else GrabCut; None for no clicks.
        labels: Labels to choose from; others can be typed.
        path: File of the "Save" button; `<name of the video>.session.parquet` in the working folder by default.
    """

    def __init__(
        self,
        session: Session,
        *,
        segmenter: str | Segmenter | None = "auto",
        labels: Sequence[str] = (),
        path: str | Path | None = None,
    ):
        file = Path.cwd() / f"{Path(session.video.name).name or 'video'}.session.parquet"
        state = CorrectorState(
            session,
            segmenter=None if segmenter is None else create_segmenter(segmenter),
            labels=labels,
            path=Path(path).absolute() if path is not None else file,
        )
        super().__init__(state)
        self._corrector = state
        state.changed = self.refresh

    @property
    def session(self) -> Session:
        """The session."""
        return self._corrector.session

    @property
    def tracks(self) -> Tracks:
        """The session's tracks."""
        return self._corrector.tracks

    def wait(self, seconds: float | None = None) -> None:
        """Wait until tracking in the background has ended."""
        self._corrector.wait(seconds)

    def __repr__(self) -> str:
        return f"Corrector({self.session!r})"
