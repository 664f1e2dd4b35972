"""CoTracker3: windows and refinement (`core`) and the trackers."""

from vtlab.trackers.points.cotracker import tracker

__all__ = ["tracker"]
