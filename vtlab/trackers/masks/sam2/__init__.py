"""SAM 2, through its own package (`tracker`, `inference`) or through transformers (`on_transformers`)."""

from vtlab.trackers.masks.sam2 import on_transformers, tracker

__all__ = ["on_transformers", "tracker"]
