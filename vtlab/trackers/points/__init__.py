"""Trackers of points, one file (or folder) a method; `windows` is what they share."""
