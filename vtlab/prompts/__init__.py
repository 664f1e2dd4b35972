"""Prompts: what a person gave on one frame for one object, and figures made of points (`shapes`)."""

from vtlab.prompts.kinds import (
    KINDS,
    BoxPrompt,
    ClickPrompt,
    MaskPrompt,
    PointPrompt,
    Points,
    Prompt,
    SkeletonPrompt,
    TextPrompt,
    edges_of,
)
from vtlab.prompts.sets import Prompts

__all__ = [
    "KINDS",
    "BoxPrompt",
    "ClickPrompt",
    "MaskPrompt",
    "PointPrompt",
    "Points",
    "Prompt",
    "Prompts",
    "SkeletonPrompt",
    "TextPrompt",
    "edges_of",
]
