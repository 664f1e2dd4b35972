"""Annotator: make prompts on a video's frames, by hand and with a segmenter, in a notebook.

Without a front end (papermill, CI) the same cell gives the prompts that were saved, so one notebook is interactive
and batch.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, overload

from vtlab.contracts import Segmenter
from vtlab.decision import IdentityPairs, Verdict
from vtlab.errors import InputError, PromptError, VtlabError, VtlabWarning
from vtlab.files import kept_beside
from vtlab.prompts import Prompts
from vtlab.prompts.fit import as_prompts
from vtlab.prompts.skeletons import Skeleton
from vtlab.segmenters import create_segmenter
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.studio.figures import FigureWidget
from vtlab.studio.label_state import LabelState
from vtlab.studio.pairs_state import PairState
from vtlab.studio.queue import Queue
from vtlab.studio.scripts import script, styles
from vtlab.studio.work import older_work_file, work_file
from vtlab.video import StreamVideo, Video, open_video

__all__ = ["PromptAnnotator", "annotate"]


class PromptAnnotator(FigureWidget):
    """Widget for making prompts; `annotate` makes one."""

    _esm, _css = script("work.js"), styles("annotator.css", "notice.css", "work.css")

    @property
    def prompts(self) -> Prompts:
        """What has been made so far."""
        return self._state.prompts

    @property
    def video(self) -> Video:
        """What is annotated."""
        return self._state.video

    def save(self, path: str | Path) -> Path:
        """Write the prompts to a file and return its path."""
        return self.prompts.save(path)

    def __repr__(self) -> str:
        n = len(self.prompts)
        return f"PromptAnnotator({self.video.name!r}, {n} prompts of {len(self.prompts.object_ids)} objects)"


@overload
def annotate(video: Verdict | IdentityPairs, *, segmenter: str | Segmenter | None = "auto") -> Queue: ...
@overload
def annotate(
    video: Any,
    prompts: Any = None,
    *,
    segmenter: str | Segmenter | None = "auto",
    skeleton: Skeleton | str | None = None,
    labels: Any = (),
    autosave: bool | str | Path = True,
) -> PromptAnnotator: ...
def annotate(
    video: Any,
    prompts: Any = None,
    *,
    segmenter: str | Segmenter | None = "auto",
    skeleton: Skeleton | str | None = None,
    labels: Any = (),
    autosave: bool | str | Path = True,
) -> PromptAnnotator | Queue:
    """Open a video's frames for making prompts: boxes, masks, points, skeletons.

    Args:
        video: Anything `open_video` takes. Or a verdict (`vtlab.verdict`), or questions about identities
            (`vtlab.decision.identity_pairs`): then a queue opens that asks for one frame after the other, blind, and
            hands every answer back at once. It takes a `segmenter` besides, nothing else.
        prompts: Prompts to begin with, or their file (made if it doesn't exist), which then follows every edit.
        segmenter: What turns clicks into masks (see `vtlab.segmenters`); "auto" is SAM 2 where its checkpoint is on
            this machine, else GrabCut; None for no clicks.
        skeleton: Template for skeletons (`vtlab.Skeleton`), or the name of one: "person", "hand", "animal".
        labels: Labels to choose from, others can be typed: a list, label -> colour, or a file (a label a line, or JSON or
            YAML as CVAT has them).
        autosave: File that follows every edit, and from which a later call goes on; True for
            `<name>-<hash of the content>.prompts.json` in the working folder, where the notebook lies: two videos of
            one name never share it. False for none.

    Returns:
        A widget; its `prompts` are always what the screen shows.

    Raises:
        VideoError: The video can't be opened.
        InputError: The video is a stream.
        PromptError: The prompts don't fit the video, or their file is of another one.

    Warns:
        VtlabWarning: Saved work was restored instead of the prompts given; or the autosaved file can't be read, and was
            kept under another name.
    """
    if isinstance(video, Verdict | IdentityPairs):
        if prompts is not None or skeleton is not None or labels or autosave is not True:
            raise InputError(
                "A queue keeps its answers by itself: it takes no prompts, skeleton, labels or autosave."
            )
        return _queue(video, segmenter)
    footage = open_video(video)
    if isinstance(footage, StreamVideo):
        raise InputError(f"{footage.name!r} is a stream: it has no frames to go back to. Record it first.")
    file = _autosave_file(footage, prompts, autosave)
    given = Prompts() if isinstance(prompts, (str, Path)) else as_prompts(prompts)
    own = autosave is True and not isinstance(prompts, (str, Path))
    start, word = _restore(footage, given, file, own)
    state = AnnotatorState(
        footage,
        start,
        segmenter=None if segmenter is None else create_segmenter(segmenter),
        skeleton=skeleton,
        labels=labels,
        autosave=file,
    )
    state.message = word
    return PromptAnnotator(state)


def _autosave_file(video: Video, prompts: Any, autosave: bool | str | Path) -> Path | None:
    if isinstance(autosave, (str, Path)):
        return Path(autosave).absolute()
    if isinstance(prompts, (str, Path)):
        return Path(prompts).absolute()
    return work_file(video, ".prompts.json") if autosave else None


def _queue(asks: Verdict | IdentityPairs, segmenter: str | Segmenter | None) -> Queue:
    if isinstance(asks, IdentityPairs):
        return Queue(PairState(asks))
    clicks = asks.measure.family in ("sot", "vos") and segmenter is not None
    return Queue(LabelState(asks, segmenter=create_segmenter(segmenter) if clicks and segmenter else None))


def _restore(video: Video, given: Prompts, file: Path | None, own: bool) -> tuple[Prompts, str]:
    """The prompts to begin with, and a word about where they come from; `own`: the file is not the caller's choice."""
    if file is None:
        return given, ""
    word = ""
    if file.is_file():
        try:
            saved = _read(video, file)
        except VtlabError as error:
            if not own:
                raise
            kept = kept_beside(file)
            word = f"{error} It was kept as {kept.name}, nothing was restored."
            warnings.warn(word, VtlabWarning, stacklevel=3)
            return given, word
    elif own and (found := _older(video)) is not None:
        file, saved = found
        word = "" if saved.source and saved.source.digest else " It does not say of which video it is: look."
    else:
        return given, ""
    word = f"Restored {len(saved)} prompts of {len(saved.object_ids)} objects from {file.name}.{word}"
    if given and given != saved:
        warnings.warn(
            f"{word} The prompts given were not used; to begin with them, delete {file} or give autosave=False.",
            VtlabWarning,
            stacklevel=3,
        )
    return saved, word


def _read(video: Video, file: Path) -> Prompts:
    """The prompts of a file on the frames of a video; `PromptError` where they are of another one."""
    saved = Prompts.load(file)
    try:
        return saved.on(video).check(video)
    except InputError as error:
        raise PromptError(
            f"{file} holds prompts of another video: {error} Move the file, or give autosave=another file."
        ) from None


def _older(video: Video) -> tuple[Path, Prompts] | None:
    """What an earlier version saved under the video's name alone, where it fits; the file is left as it is."""
    file = older_work_file(video, ".prompts.json")
    try:
        return (file, _read(video, file)) if file.is_file() else None
    except VtlabError:
        return None
