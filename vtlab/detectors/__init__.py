"""Detectors: one file a method, found by file name."""
