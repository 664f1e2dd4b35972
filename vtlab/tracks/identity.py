"""Whether labels may be used on a video: the one rule of identity, which prompts, tracks and sessions ask.

1. One content (digest): the same video.
2. Another file, and the frames of both are known (see `vtlab.video.Marks`): they are compared one by one. A copy with the
   same frames (re-encoded, remuxed) is taken, and it is said so; else the first frame that differs is named, and by how
   much the numbers are shifted.
3. Another file of whose frames nothing is known: taken with a warning if it has as many frames of the same size.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, VideoError, VtlabWarning
from vtlab.video import Manifest, Marks, StreamVideo, Video, first_difference

if TYPE_CHECKING:
    from vtlab.tracks.record import Source

REMEDY = "Remedy: carry them over with 'vtlab data align', or open the video that they were made on."


@dataclass(frozen=True)
class _Other:
    """What labels are to be used on: its content, and how to learn what its frames look like."""

    video: Any
    digest: str

    def marks(self) -> Marks | None:
        """What its frames look like; a video is read for it once."""
        if isinstance(self.video, Video):
            return Marks.of_manifest(Manifest.of(self.video))
        return None if self.video.marks is None else Marks.of(self.video.marks)


def check_identity(source: Source, video: Video | Source, what: str) -> None:
    """Raise `InputError` where labels were made on another video than the one that they are to be used on.

    Args:
        source: The clip that they were made on; without a digest nothing is known and nothing is asked.
        video: The clip that they are to be used on.
        what: Beginning of the message ("Tracks").

    Raises:
        InputError: The frames differ; the message names the first that does, and the shift.

    Warns:
        VtlabWarning: It is another file, with the same frames; or whether they are the same can't be told.
    """
    if source.digest is None:
        return
    digest = _digest(video)
    if digest is None or _content(digest) == _content(source.digest):
        return
    other = _Other(video, digest)
    made = f"{what} of {source.told}"
    size = (video.width, video.height)
    if None not in (source.width, source.height, *size) and (source.width, source.height) != size:
        raise InputError(
            f"{made} ({source.width} x {source.height} px) can't be used on {video.name} ({size[0]} x {size[1]} px): it is "
            f"another file, and of another size. {REMEDY}"
        )
    mine = None if source.marks is None else Marks.of(source.marks)
    theirs = other.marks() if mine is not None and len(mine) else None
    if mine is None or theirs is None or not len(theirs):
        _unknown(source, video, made)
        return
    _compare(mine, theirs, (source, video), made)


def _digest(video: Video | Source) -> str | None:
    """Of the content; None where nobody can tell."""
    if not isinstance(video, Video):
        return video.digest
    if isinstance(video, StreamVideo):
        return None
    try:
        return video.digest()
    except VideoError:  # only its truth was read: there are no images to compare
        return None


def _content(digest: str) -> str:
    """Of the whole video, without the cut."""
    return digest.partition("[")[0]


def _source(video: Video | Source) -> Source:
    """The clip, without reading it."""
    from vtlab.tracks.record import Source

    return Source.of_clip(video, digest=False)


def _unknown(source: Source, video: Video | Source, made: str) -> None:
    """Say that nothing is known of the frames; refuse where even their number or the cut is another."""
    clip = _source(video)
    if source.span == clip.span and source.length in (None, clip.length):
        warnings.warn(
            f"{made} are used on {video.name}, another file: whether its frames are the same can't be told, for the "
            "labels don't say what theirs look like. Look whether they fit, or compare both files with 'vtlab data align'; "
            "labels without a source are used without a word.",
            VtlabWarning,
            stacklevel=4,
        )
        return
    raise InputError(
        f"{made} can't be used on {clip.told}: that is another video, and nothing is known of what its frames look like. "
        f"{REMEDY}"
    )


def _compare(mine: Marks, theirs: Marks, clips: tuple[Source, Video | Source], made: str) -> None:
    source, video = clips
    known, others = _numbered(mine, source.span), _numbered(theirs, video.span)
    difference = first_difference(known, others, whole=isinstance(video, Video) and "[" not in video.digest())
    if difference is None:
        warnings.warn(
            f"{made} are used on {video.name}, another file: the {len(mine)} frames that are known look the same in both, "
            "so the numbers hold.",
            VtlabWarning,
            stacklevel=4,
        )
        return
    raise InputError(
        f"{made} can't be used on {video.name}: their frames differ. The first that does is frame {difference.frame}; "
        f"{difference.told}. {REMEDY}"
    )


def _numbered(marks: Marks, span: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Numbers in the whole video of the frames of a clip, ascending, and their hashes."""
    numbers = span[0] + span[1] * marks.frames
    order = np.argsort(numbers, kind="stable")
    return numbers[order], marks.hashes[order]
