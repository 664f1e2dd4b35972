"""Trackers of masks, one file (or folder) a method; `base` and `long_term` are what they share."""
