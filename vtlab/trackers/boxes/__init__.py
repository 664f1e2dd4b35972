"""Trackers of boxes, one file a method; `batch` and `crops` are what the networks among them share."""
