"""Trackers, one file a method, found by file name (see `vtlab.registry`)."""
