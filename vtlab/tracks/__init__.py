"""Tracks: the one result type, columnar; what every tracker returns and every metric, plot and format takes."""

from vtlab.tracks.table import (
    SOURCES,
    FrameTracks,
    PointRows,
    Tracks,
    TracksBuilder,
)

__all__ = [
    "SOURCES",
    "FrameTracks",
    "PointRows",
    "Tracks",
    "TracksBuilder",
]
