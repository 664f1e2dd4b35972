"""Corrector: look at a session's tracks frame by frame, correct them, and track again, in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.contracts import Segmenter
from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.prompts.skeletons import Skeleton
from vtlab.segmenters import create_segmenter
from vtlab.session import Session
from vtlab.studio.corrector_state import CorrectorState
from vtlab.studio.figures import FigureWidget
from vtlab.studio.scripts import script, styles
from vtlab.studio.work import work_file
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd


class Corrector(FigureWidget):
    """Widget on a session. Solid figures are a person's, dashed ones are predictions; drawing corrects.

    Args:
        session: What is corrected. Call `refresh()` after changing it from another cell. Or a video (anything
            `open_video` takes), with the tracks to correct.
        tracks: Tracks made elsewhere, or their file in any format, see `Session.of`; with a video only.
        tracker: Tracks from corrections on; with a video only.
        segmenter: What turns clicks into masks (see `vtlab.segmenters`); "auto" is SAM 2 where its checkpoint is on
            this machine, else GrabCut; None for no clicks.
        labels: Labels to choose from, others can be typed: a list, label -> colour, or a file (a label a line, or JSON or
            YAML as CVAT has them).
        skeleton: Template for skeletons (`vtlab.Skeleton`) or the name of one; by default that of the session's.
        others: Tracker's name -> its tracks of the same objects (by id): where they disagree is doubtful.
        path: File that follows every change, and from which a later call goes on; by default
            `<name>-<hash of the content>.session.parquet` in the working folder, where the notebook lies. Other work in
            it is kept beside it as `older-1-...`.
        autosave: False: written by the "Save" button only, nothing is restored.

    Warns:
        VtlabWarning: Saved work was restored in place of the session's (undo takes it back), or can't be: it is damaged,
            or of another video.
    """

    _esm, _css = script("work.js"), styles("annotator.css", "notice.css", "work.css")

    def __init__(
        self,
        session: Any,
        tracks: Any = None,
        *,
        tracker: Any = "nanotrack-v2",
        segmenter: str | Segmenter | None = "auto",
        labels: Any = (),
        skeleton: Skeleton | str | None = None,
        others: Mapping[str, Tracks] | None = None,
        path: str | Path | None = None,
        autosave: bool = True,
    ):
        session = _opened(session, tracks, tracker)
        file = work_file(session.video, ".session.parquet") if path is None else Path(path).absolute()
        word = _restore(session, file) if autosave else ""
        state = CorrectorState(
            session,
            segmenter=None if segmenter is None else create_segmenter(segmenter),
            labels=labels,
            skeleton=skeleton,
            others=others,
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

    @property
    def doubts(self) -> pd.DataFrame:
        """Doubtful places that nobody looked at yet, the most doubtful first."""
        import pandas as pd

        columns = ["object_id", "frame", "first", "end", "severity", "reason"]
        rows = [asdict(d) for d in self._corrector.doubts]
        return pd.DataFrame(rows, columns=columns).sort_values("severity", ascending=False, ignore_index=True)

    def to_first_doubt(self) -> None:
        """Show the first doubtful place, if there is any."""
        word = self._corrector.message
        self._corrector.frame, self._corrector.selected = -1, 0
        self._corrector.doubt(1)
        if self._corrector.frame < 0:
            self._corrector.go(0)
            self._corrector.selected = min([*self.session.object_ids, 1])
        self._corrector.message = f"{word} {self._corrector.message}".strip()
        self.refresh()

    def refresh(self) -> None:
        """Send what changed to the browser, and save it."""
        self._corrector.keep()
        super().refresh()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until tracking in the background has ended."""
        self._corrector.wait(seconds)

    def __repr__(self) -> str:
        return f"Corrector({self.session!r})"


def review(video: Any, tracks: Any = None, *, tracker: Any = "nanotrack-v2", **options: Any) -> Corrector:
    """Look through tracks made by anyone, from one doubtful place to the next, and repair them.

    The keys w and q go to the next and the previous doubtful place, y says that it looks right; drawing corrects.

    Args:
        video: Anything `open_video` takes, or a `Session`.
        tracks: Tracks of it, or their file in any format that vtlab reads.
        tracker: Tracks from corrections on.
        options: Those of `Corrector`.

    Returns:
        A corrector on the first doubtful place; its `doubts` lists all of them, `session.tracks` is the repaired work.

    Raises:
        InputError: The tracks can't be of this video.
        FormatError: Their file is missing, damaged, or of no known format.
    """
    made = Corrector(video, tracks, tracker=tracker, **options)
    made.to_first_doubt()
    return made


def _opened(session: Any, tracks: Any, tracker: Any) -> Session:
    """The session that a corrector is on."""
    if not isinstance(session, Session):
        return Session(session, tracker) if tracks is None else Session.of(session, tracks, tracker)
    if tracks is not None:
        raise InputError("Tracks are given with a video, not with a session: use Session.of(video, tracks).")
    return session


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
