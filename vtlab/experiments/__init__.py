"""Experiments: a specification of what varies, cells with keys by content, run on the engine, resumed, read as one table."""

from vtlab.experiments.apply import Applied, apply_pipeline, load_pipeline
from vtlab.experiments.board import leaderboard
from vtlab.experiments.notebooks import run_notebook
from vtlab.experiments.runner import run_experiment
from vtlab.experiments.spec import Cell, Experiment, load_experiment
from vtlab.experiments.store import Store

__all__ = [
    "Applied",
    "Cell",
    "Experiment",
    "Store",
    "apply_pipeline",
    "leaderboard",
    "load_experiment",
    "load_pipeline",
    "run_experiment",
    "run_notebook",
]
