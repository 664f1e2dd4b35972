"""Batch experiments: a grid of notebooks, run by papermill, resumed by the hash of each cell's inputs."""

from vtlab.experiments.runner import run_experiment, run_notebook
from vtlab.experiments.spec import Cell, Experiment, load_experiment
from vtlab.experiments.store import Store, leaderboard

__all__ = [
    "Cell",
    "Experiment",
    "Store",
    "leaderboard",
    "load_experiment",
    "run_experiment",
    "run_notebook",
]
