"""Trackers: one file a method, found by file name. Start with `vtlab/contracts.py`."""
