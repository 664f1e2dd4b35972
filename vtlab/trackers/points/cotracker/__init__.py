"""CoTracker3: windows and refinement (`inference`) and the trackers."""

from vtlab.trackers.points.cotracker import tracker

__all__ = ["tracker"]
