"""Benchmark sequences: videos with ground truth and prompts. One file a layout, and a generator of exact truth."""

from __future__ import annotations

from vtlab.datasets.base import Dataset, Sequence, first_prompts

__all__ = ["Dataset", "Sequence", "first_prompts"]
