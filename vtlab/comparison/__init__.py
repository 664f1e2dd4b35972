"""Comparison: trackers on videos, one table, the pictures, the report."""

from vtlab.comparison.comparison import Comparison
from vtlab.comparison.fitting import fitting_prompts, prompts_from
from vtlab.comparison.proxies import PROXY_METRICS, Run
from vtlab.comparison.trials import compare

__all__ = ["PROXY_METRICS", "Comparison", "Run", "compare", "fitting_prompts", "prompts_from"]
