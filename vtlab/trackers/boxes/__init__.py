"""Trackers of boxes, one file a method; `batch` and `crops` are what their networks share."""
