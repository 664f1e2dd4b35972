"""Metrics of every family, with truth and without: pure functions on arrays, and `evaluate` on `Tracks`."""

from vtlab.metrics.evaluation import combine, evaluate, score, table
from vtlab.metrics.records import METRICS, Metric

__all__ = ["METRICS", "Metric", "combine", "evaluate", "score", "table"]
