"""The file that follows an annotator. Two annotators may follow one file: what one writes, the other takes up."""

from __future__ import annotations

from pathlib import Path

from vtlab.files import kept_beside
from vtlab.prompts import Prompts

Stamp = tuple[int, int, int]


class PromptFile:
    """A file of prompts, and whether somebody else wrote it since.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known = self._stamp()

    def write(self, prompts: Prompts) -> None:
        """Write the prompts, whole or not at all.

        Raises:
            WriteError: The system refuses.
        """
        prompts.save(self.path)
        self._known = self._stamp()

    def changed(self) -> Prompts | None:
        """What somebody else wrote since this one read or wrote last; None if nobody did.

        Raises:
            VtlabError: It can't be read.
        """
        stamp = self._stamp()
        if stamp is None or stamp == self._known:
            return None
        self._known = stamp
        return Prompts.load(self.path)

    def keep(self) -> Path:
        """Rename the file, so that nothing overwrites it; its new path."""
        return kept_beside(self.path)

    def _stamp(self) -> Stamp | None:
        try:
            now = self.path.stat()
        except OSError:
            return None
        return now.st_ino, now.st_mtime_ns, now.st_size
