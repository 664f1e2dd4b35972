"""Metrics of every family, with truth and without: pure functions on arrays, and `evaluate` on `Tracks`."""
