"""Annotator: make prompts on a video's frames, by hand and with a segmenter, in a notebook.

Without a front end (papermill, CI) the same cell gives the prompts that were saved, so one notebook is interactive
and batch.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from vtlab.contracts import Segmenter
from vtlab.errors import InputError, PromptError, VtlabError, VtlabWarning
from vtlab.files import kept_beside
from vtlab.prompts import Prompts
from vtlab.prompts.fit import as_prompts
from vtlab.segmenters import create_segmenter
from vtlab.studio.annotator_state import AnnotatorState, Skeleton
from vtlab.studio.work import older_work_file, work_file
from vtlab.tracks import Source
from vtlab.video import StreamVideo, Video, open_video

__all__ = ["PromptAnnotator", "Skeleton", "annotate"]

JPEG_QUALITY = 92


class FigureWidget(anywidget.AnyWidget):
    """Shows the frame and the figures of a state, and hands it the edits that a person makes.

    Args:
        state: What is shown: it has `video`, `frame`, `view()`, `overlay()` and `act(edit)`.
    """

    _esm = Path(__file__).with_name("annotator.js")
    _css = Path(__file__).with_name("annotator.css")
    image = traitlets.Bytes(b"").tag(sync=True)
    mask = traitlets.Bytes(b"").tag(sync=True)
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, state: AnnotatorState):
        self._state = state
        self._shown = -1
        self._lock = threading.Lock()  # work in the background refreshes too
        super().__init__()
        self.on_msg(lambda _, edit, __: self.act(edit))
        self.refresh()

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit, as the browser sends it: {"do": "box", "xyxy": [1, 2, 30, 40]}."""
        try:
            self._state.act(edit)
        except Exception as error:  # of a segmenter, say: seen by the person, and in the kernel's log
            self._state.message = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.refresh()

    def refresh(self) -> None:
        """Send what changed to the browser."""
        state = self._state
        overlay = state.overlay()
        with self._lock, self.hold_sync():
            if state.frame != self._shown:
                self.image = _encode(".jpg", state.video[state.frame])
                self._shown = state.frame
            self.mask = b"" if overlay is None else _encode(".png", overlay)
            self.view = state.view()


class PromptAnnotator(FigureWidget):
    """Widget for making prompts; `annotate` makes one."""

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


def annotate(
    video: Any,
    prompts: Any = None,
    *,
    segmenter: str | Segmenter | None = "auto",
    skeleton: Skeleton | None = None,
    labels: Sequence[str] = (),
    autosave: bool | str | Path = True,
) -> PromptAnnotator:
    """Open a video's frames for making prompts: boxes, masks, points, skeletons.

    Args:
        video: Anything `open_video` takes.
        prompts: Prompts to begin with, or their file (made if it doesn't exist), which then follows every edit.
        segmenter: What turns clicks into masks (see `vtlab.segmenters`); "auto" is SAM 2 where its checkpoint is on
            this machine, else GrabCut; None for no clicks.
        skeleton: Template for skeletons.
        labels: Labels to choose from; others can be typed.
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
        if saved.source is not None:
            saved.source.check(Source.of_video(video), "Prompts", whole=False)
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


def _encode(suffix: str, image: NDArray[np.uint8]) -> bytes:
    """RGB or RGBA image -> bytes of a JPEG or PNG file."""
    import cv2

    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_PNG_COMPRESSION, 1]
    ok, data = cv2.imencode(
        suffix, cv2.cvtColor(image, code), options[:2] if suffix == ".jpg" else options[2:]
    )
    if not ok:
        raise InputError(f"A frame of {image.shape[1]} x {image.shape[0]} px can't be encoded as {suffix}.")
    return data.tobytes()
