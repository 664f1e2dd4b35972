"""Experiments: a specification of what varies, cells with keys by content, run on the engine, resumed, read as one table."""

from vtlab.experiments.board import leaderboard
from vtlab.experiments.notebooks import run_notebook
from vtlab.experiments.runner import run_experiment
from vtlab.experiments.spec import Cell, Experiment, load_experiment
from vtlab.experiments.store import Store

__all__ = [
    "Cell",
    "Experiment",
    "Store",
    "leaderboard",
    "load_experiment",
    "run_experiment",
    "run_notebook",
]
