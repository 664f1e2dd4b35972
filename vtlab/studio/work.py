"""Where work on a video lies: files named by the video's name and its content, so that two videos never share one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vtlab.video import Video


def work_file(video: Video, suffix: str) -> Path:
    """File in the working folder for work on a video: `<its name>-<hash of its content>` and a suffix.

    The content is what counts: the same video in another folder has the same file, another video (or another cut of
    it) of that name has not. The first call reads the video's file once.
    """
    content = hashlib.sha256(video.digest().encode()).hexdigest()[:10]
    return Path.cwd() / f"{_name(video)}-{content}{suffix}"


def older_work_file(video: Video, suffix: str) -> Path:
    """File that earlier versions wrote, named by the video's name alone: it may be of another video of that name."""
    return Path.cwd() / f"{_name(video)}{suffix}"


def _name(video: Video) -> str:
    return Path(video.name).name[:80] or "video"
