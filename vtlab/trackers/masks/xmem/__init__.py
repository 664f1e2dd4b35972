"""XMem: its memory (`inference`) and the tracker."""

from vtlab.trackers.masks.xmem import tracker

__all__ = ["tracker"]
