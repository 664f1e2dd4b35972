"""TAPIR and BootsTAPIR: windows and refinement (`core`) and the trackers."""

from vtlab.trackers.points.tapir import tracker

__all__ = ["tracker"]
