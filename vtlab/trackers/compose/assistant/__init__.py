"""The labelling assistant: `tracker` decides; what it knows of one object, sees, follows and answers lies beside it."""

from vtlab.trackers.compose.assistant import tracker

__all__ = ["tracker"]
