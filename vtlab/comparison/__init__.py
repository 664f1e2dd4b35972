"""Comparison: trackers on videos, one table, the pictures, the report."""

from vtlab.comparison.comparison import (
    FAMILIES,
    FAMILY_TITLES,
    MAIN_METRIC,
    PROXY_METRICS,
    SPEED_COLUMNS,
    TABLE_METRICS,
    Comparison,
    Run,
    compare,
    fitting_prompts,
    prompts_from,
)

__all__ = [
    "FAMILIES",
    "FAMILY_TITLES",
    "MAIN_METRIC",
    "PROXY_METRICS",
    "SPEED_COLUMNS",
    "TABLE_METRICS",
    "Comparison",
    "Run",
    "compare",
    "fitting_prompts",
    "prompts_from",
]
