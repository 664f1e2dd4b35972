"""Trackers: one file (or folder) a method, found by itself. To add one, read `vtlab/contracts` and nothing else.

- `boxes/`, `masks/`, `points/`: the methods, by what they answer. Beside them lies what a family shares: `boxes/batch.py`
  (many objects in one batch) and `boxes/crops.py`, `masks/base.py` and `masks/long_term.py`, `points/windows.py`.
- `compose/`: trackers made of other parts: one instance for each object, a detector with an associator, the labelling
  assistant, the choice of a tracker by a prompt, interpolation.
- `create.py` makes a tracker from its name, `loop.py` runs it over a video, `measure.py` says what it costs.

A method's name (`vtlab list` lists them) stands above its class: `grep -rn '"mixformer-vit"' vtlab/trackers`.
"""
