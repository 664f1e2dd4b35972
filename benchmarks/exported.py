"""What a step of an exported tracker costs: the step file alone, both files on each frame, and PyTorch.

One file of the whole network, as exports were before, computes on each frame what both files compute. Weights are
random where the official checkpoint is not at hand, which costs the same; ONNX Runtime and PyTorch take as many threads.

    python -m benchmarks exported [--methods nanotrack-v3,transt] [--engine openvino]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks._measure import Cost, clocked
from vtlab.deploy.export import export
from vtlab.errors import WeightsError
from vtlab.registry import TRACKERS
from vtlab.testing.seeded.boxes import networks, save_random
from vtlab.trackers.boxes.engines import PARTS, Pair
from vtlab.weights import locate

METHODS = ("nanotrack-v3", "transt")
STEPS = 5


def weights_of(method: str, folder: Path) -> dict[str, str]:
    """Parameters that give a tracker the official weights, or random ones."""
    if all(locate(w) for w in TRACKERS.find(method).wants(TRACKERS.card(method), {})):
        return {}
    if method not in networks():
        raise WeightsError(f"The official weights of {method} are not on this machine.")
    save_random(method, folder / "random.pth")
    return {"weights": str(folder / "random.pth")}


def costs(method: str, folder: Path, engine: str = "onnxruntime") -> tuple[Cost, Mapping[str, Cost]]:
    """CPU milliseconds of the step file for one object, and those of both files and of PyTorch."""
    import torch

    given = weights_of(method, folder)
    files = folder / "exported"
    export(method, files, check=False, **given)
    cls = TRACKERS.find(method)
    graph = TRACKERS.create(method, **cls.export_params, **given).export_graph()
    pair = Pair(files, engine, network=graph.metadata["network"], around=graph.metadata)
    with torch.inference_mode():
        template = tuple(graph.template.inputs(1).values())
        step = tuple(graph.step.inputs(1).values())

    def alone() -> None:
        for _ in range(STEPS):
            pair.step(*step)

    def both() -> None:
        for _ in range(STEPS):
            pair.template(*template)
            pair.step(*step)

    def native() -> None:
        with torch.inference_mode():
            for _ in range(STEPS):
                graph.step.call(graph.network, *step)

    scale = 1e3 / STEPS
    return clocked(alone, scale), {
        "both files": clocked(both, scale),
        "PyTorch": clocked(native, scale),
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--engine", default="onnxruntime")
    options = parser.parse_args(words)
    for method in options.methods.split(","):
        with tempfile.TemporaryDirectory() as folder:
            ours, peers = costs(method, Path(folder), options.engine)
            sides = {f"step.onnx by {options.engine}": ours, **peers}
            found: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(7):  # one after the other, so that all meet the same machine
                for name, cost in sides.items():
                    found[name].append(cost())
            size = sum((Path(folder) / "exported" / f).stat().st_size for f in PARTS.values()) / 1e6
            told = ", ".join(f"{name} {np.median(v):.2f}" for name, v in found.items())
            print(f"{method}: CPU ms a frame: {told}; {size:.1f} MB")


if __name__ == "__main__":
    main()
