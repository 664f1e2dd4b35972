"""Tracks: the one result type, columnar; what every tracker returns and every metric, plot and format takes."""

from vtlab.tracks.builder import TracksBuilder
from vtlab.tracks.frame import FrameTracks
from vtlab.tracks.identity import check_identity
from vtlab.tracks.ids import IdMap
from vtlab.tracks.order import SOURCES
from vtlab.tracks.points import PointRows
from vtlab.tracks.record import Maker, Record, Source
from vtlab.tracks.table import Tracks

__all__ = [
    "SOURCES",
    "FrameTracks",
    "IdMap",
    "Maker",
    "PointRows",
    "Record",
    "Source",
    "Tracks",
    "TracksBuilder",
    "check_identity",
]
