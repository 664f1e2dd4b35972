"""Batch experiments: a grid of notebooks, run by papermill, resumed by the hash of each cell's inputs."""

from vtlab.lab.profiling import Profile, profile
from vtlab.lab.runner import run_experiment, run_notebook
from vtlab.lab.spec import Cell, Experiment, load_experiment
from vtlab.lab.store import Store, leaderboard

__all__ = [
    "Cell",
    "Experiment",
    "Profile",
    "Store",
    "leaderboard",
    "load_experiment",
    "profile",
    "run_experiment",
    "run_notebook",
]
