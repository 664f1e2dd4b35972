"""Metrics of every family, with truth and without: pure functions on arrays, and `evaluate` on `Tracks`.

`evaluate` (a tidy table), `explain` (why two benchmarks differ), `METRICS` (a record of each metric); by module:
`families` (one record each, which tables and reports read), `sot`, `mot`, `vos`, `points`, `vot`, `track_map` (on arrays),
`per_frame` (timelines), `consistency` (without truth), `statistics` (intervals, tests, tie groups), `events` (errors one by
one), `attributes`, `calibration`, `quality`, `motmetrics_bridge`, and `rules` (the rule behind every number).
"""

from vtlab.metrics.evaluation import combine, evaluate, score, table
from vtlab.metrics.explanation import explain
from vtlab.metrics.records import METRICS, Metric

__all__ = ["METRICS", "Metric", "combine", "evaluate", "explain", "score", "table"]
