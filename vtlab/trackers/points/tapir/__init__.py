"""TAPIR and BootsTAPIR: windows and refinement (`inference`) and the trackers."""

from vtlab.trackers.points.tapir import tracker

__all__ = ["tracker"]
