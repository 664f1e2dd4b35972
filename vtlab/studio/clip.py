"""A person's own clip in a notebook: with its prompts, or with the annotator open and one sentence on what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtlab.errors import PromptError
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence
from vtlab.studio.annotator import annotate
from vtlab.studio.work import work_file
from vtlab.video import open_video

SUFFIX = ".prompts.json"


class PromptsMissing(PromptError):
    """A notebook can't go on before somebody drew prompts. A notebook shows its sentence, not where it was raised."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def own_clip(video: Any, prompts: str | Path = "", **options: Any) -> Sequence:
    """Open a clip of one's own for a notebook, with the prompts that trackers start from.

    Args:
        video: Anything `open_video` takes: a file, a folder of images, an address.
        prompts: Prompt file; "" for what was drawn in the annotator here before, which keeps it by itself.
        options: Of `vtlab.annotate`, which is opened where there are no prompts.

    Returns:
        The clip without truth, as a sequence.

    Raises:
        PromptsMissing: There are none yet: the annotator stands above, and the message names the file that is missing.
        FormatError: The prompt file isn't there or can't be read.
        PromptError: The prompts don't fit the video.
    """
    footage = open_video(video)
    if prompts:
        return Sequence(footage.name, footage, prompts=Prompts.load(prompts).on(footage).check(footage))
    made = annotate(footage, **options)
    if made.prompts:
        return Sequence(footage.name, footage, prompts=made.prompts)
    from IPython.display import display

    display(made)  # type: ignore[no-untyped-call]
    raise PromptsMissing(
        f"{footage.name} has no prompts: draw them in the annotator above and run this cell again, or give a prompt file "
        f"as PROMPTS (there is no {work_file(footage, SUFFIX).name} here)."
    )
