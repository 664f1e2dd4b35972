"""Identity: says that nothing moves. The baseline that every tracker must beat, and the smallest example.

After `IdentityTracker` of the GOT-10k toolkit (Huang et al., 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt
from vtlab.registry import register
from vtlab.trackers.compose.per_object import echo

if TYPE_CHECKING:
    from vtlab.video import Frame


@register(
    "identity",
    family="sot",
    summary="Repeats the prompt on every frame; the baseline.",
    accepts={BoxPrompt, MaskPrompt},
    emits={"boxes", "masks"},
    licence="Apache-2.0",
    follows=False,
)
class Identity(SingleObjectTracker):
    """Repeats the prompt's box (and mask) on every frame. Its score is always 1."""

    def init(self, frame: Frame, prompt: Prompt) -> Observation:
        """Remember the prompt."""
        self._seen = echo(prompt, *frame.image.shape[:2])
        return self._seen

    def step(self, frame: Frame) -> Observation:
        """Answer with the prompt."""
        return self._seen
