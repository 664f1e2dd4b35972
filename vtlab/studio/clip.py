"""A person's own clip in a notebook: with what the notebook needs of it, or one sentence on what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vtlab.errors import InputError, PromptError
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.session.opened import as_tracks
from vtlab.studio.annotator import annotate
from vtlab.studio.work import work_file
from vtlab.tracks import Tracks
from vtlab.video import StreamVideo, Video, open_video, write_video

SUFFIX = ".prompts.json"
RECORDED = 300
"""Frames that are recorded of an address, unless more are asked for."""


class _Sentence:
    """A notebook shows the sentence of the error, not where it was raised."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class PromptsMissing(_Sentence, PromptError):
    """A notebook can't go on before somebody drew prompts."""


class TruthMissing(_Sentence, InputError):
    """A notebook can't go on without labels of the clip."""


def own_clip(
    video: Any,
    prompts: str | Path | None = "",
    *,
    frames: int | None = None,
    kinds: Collection[str] = (),
    truth: str | Path | None = None,
    **options: Any,
) -> Sequence:
    """Open a clip of one's own for a notebook, with the prompts that trackers start from.

    Args:
        video: Anything `open_video` takes: a file, a folder of images, an address. What an address sends is recorded
            first, to a file in the working folder, which the next call takes.
        prompts: Prompt file, or a folder that holds it under the annotator's name for it (`work_file`); "" for what was
            drawn in the annotator here before, which keeps it by itself, or where there is truth for the truth's; None
            where none are needed.
        frames: How many frames at most, from the first one; all by default, of an address `RECORDED`.
        kinds: Kinds of prompt that count (`Prompt.kind`), others are left out; all by default.
        truth: Labels, in a file of any format that vtlab reads; "" where the notebook needs some and has none.
        options: Of `vtlab.annotate`, which is opened where there are no prompts.

    Returns:
        The clip as a sequence.

    Raises:
        PromptsMissing: There are none yet: the annotator stands above, and the message names the file that is missing.
        TruthMissing: There are no labels; the message says how to make some.
        FormatError: The file of prompts or labels isn't there or can't be read.
        PromptError: The prompts don't fit the video.
    """
    footage = _footage(video, frames)
    if truth == "":
        raise TruthMissing(
            f"{footage.name} has no labels, which this notebook measures against: give their file as TRUTH, in any format "
            "that vtlab reads, or ask notebook 11, which needs ten to twenty labelled frames."
        )
    labels = None if truth is None else as_tracks(truth).on(footage)
    if labels is not None and prompts == "":
        labels = from_one(labels)  # its objects are the prompts'
    found = _prompts(footage, prompts, labels, kinds, options)
    stop = len(footage) if frames is None else min(frames, len(footage))
    if stop == len(footage):
        return Sequence(footage.name, footage, labels, found)
    kept = Prompts((p for p in found if p.frame < stop), source=found.source)
    return Sequence(footage.name, footage[:stop], None if labels is None else labels.between(0, stop), kept)


def _footage(video: Any, frames: int | None) -> Video:
    """The video; an address as the file that it is recorded to, since trackers go over it more than once."""
    if not (isinstance(video, str) and "://" in video and not Path(video).exists()):
        return open_video(video)
    name = Path(urlsplit(video).path).stem or "stream"
    file = Path.cwd() / f"{name[:80]}-{hashlib.sha256(video.encode()).hexdigest()[:10]}.mp4"
    if not file.is_file():
        stream = open_video(video)
        assert isinstance(stream, StreamVideo)
        try:
            images = (frame.image for frame in islice(stream.frames(), frames or RECORDED))
            write_video(file, images, stream.fps)
        finally:
            stream.close()
    return open_video(file)


def _prompts(
    video: Video,
    prompts: str | Path | None,
    truth: Tracks | None,
    kinds: Collection[str],
    options: dict[str, Any],
) -> Prompts:
    """The prompts of a clip, where the notebook needs any."""
    what = f"{' or '.join(kinds)} as prompt" if kinds else "prompts"
    if prompts is None:
        return Prompts()
    if prompts:
        given = Path(prompts)
        given = given / work_file(video, SUFFIX).name if given.is_dir() else given
        if not (found := _counting(Prompts.load(given).on(video).check(video), kinds)):
            raise PromptsMissing(f"{given} has no {what} on {video.name}.")
        return found
    if truth is not None:
        return _counting(first_prompts(truth), kinds)
    made = annotate(video, **options)
    if found := _counting(made.prompts, kinds):
        return found
    from IPython.display import display

    display(made)  # type: ignore[no-untyped-call]
    file = work_file(video, SUFFIX)
    lacks = f"{file.name} holds other kinds" if made.prompts else f"there is no {file}"
    raise PromptsMissing(
        f"{video.name} has no {what}: draw in the annotator above and run this cell again, or give a prompt file as PROMPTS "
        f"({lacks})."
    )


def _counting(prompts: Prompts, kinds: Collection[str]) -> Prompts:
    return Prompts((p for p in prompts if not kinds or p.kind in kinds), source=prompts.source)
