"""Comparison: trackers on videos, one table, the pictures, the report."""

from vtlab.comparison.comparison import Comparison
from vtlab.comparison.fiftyone import to_fiftyone
from vtlab.comparison.proxies import PROXY_METRICS, Run
from vtlab.comparison.trials import compare, specs_of
from vtlab.prompts.fit import fitting_prompts, prompts_from

__all__ = [
    "PROXY_METRICS",
    "Comparison",
    "Run",
    "compare",
    "fitting_prompts",
    "prompts_from",
    "specs_of",
    "to_fiftyone",
]
