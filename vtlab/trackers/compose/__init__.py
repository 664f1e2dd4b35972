"""Compositions: trackers made of other parts, one file each."""
