"""Single-object box trackers: cost of the networks, and what half precision, channels-last and compiling change.

Two tables. The first counts parameters and floating-point operations of every variant (2 for a multiply-add, as
PyTorch counts matrix products, convolutions and attention), for a step with the templates' part kept and for one
object's templates. The second runs each method with each option on real frames and compares speed and boxes with
the same method's float32: every frame starts from a prescribed box, so that differences do not add up. The
ratio is of CPU time on the CPU, of wall time on a GPU.

The weights of the second table are the seeded ones of the parity fixtures (VTLAB_SHARED), for which the official
code's CPU seconds for a step are stored too; that column was not measured in this run.

    python benchmarks/sot_speed.py [--methods transt,mcitrack-t224] [--options float32,bfloat16] [--no-costs]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import vtlab
from vtlab.geometry import xywh_to_xyxy
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.video import Frame

SHARED = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared"))
FIXTURES = {
    "transt": ("transt_n4", "track_s"),
    "mixformer-cvt": ("mixformer_cvt_online_base", "forward_test_s"),
    "mixformer-vit": ("mixformer_vit_online_base", "forward_test_s"),
    "mcitrack-t224": ("mcitrack_t224", "step_s"),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {"channels_last": False},
    "channels-last": {"channels_last": True},
    "bfloat16": {"channels_last": True, "dtype": "bfloat16"},
    "float16": {"channels_last": True, "dtype": "float16"},
    "compiled": {"channels_last": True, "compile": True},
}
PIXELS = 0.1
"""An option that moves boxes by more is never a default."""


# What the networks cost -------------------------------------------------------------------------------------


def networks() -> dict[str, Callable[[], tuple[Any, Callable[[], Any], Callable[[Any], Any]]]]:
    """Variant to a function that makes (network, its template part, its step) on the current device."""
    from vtlab.nets.mcitrack import CONFIGS, MCITrack
    from vtlab.nets.transt import TransT
    from vtlab.trackers.mixformer import crop_sizes, make_network

    def images(*shape: int) -> Any:
        import torch

        return torch.empty(*shape[:-1], 3, shape[-1], shape[-1])

    def transt(layers: int) -> Any:
        net = TransT(layers)
        return net, lambda: net.template(images(1, 128)), lambda kept: net(kept, images(1, 256))

    def mixformer(backbone: str, size: str, online: bool) -> Any:
        net = make_network(backbone, size, online)
        template, search = crop_sizes(backbone, size)
        return net, lambda: net.memorize(images(1, 2, template)), lambda kept: net(kept, images(1, search))

    def mcitrack(name: str) -> Any:
        import torch

        net, config = MCITrack(CONFIGS[name]), CONFIGS[name]

        def templates() -> Any:
            tokens = net.embed_templates(
                images(config.templates, config.template), torch.empty(config.templates, 4)
            )
            return tokens.flatten(0, 1)[None]

        state = [torch.empty(1, config.search_cells**2, 2 * config.dim, 16)] * 4
        return net, templates, lambda kept: net(images(1, config.search), kept, state)

    mixed = {
        f"mixformer-{b}{'-large' if size == 'large' else ''}{'' if online else '-offline'}": (b, size, online)
        for b in ("cvt", "vit")
        for size in ("base", "large")
        for online in (True, False)
    }
    return {
        "transt": lambda: transt(4),
        "transt-n2": lambda: transt(2),
        **{name: (lambda a=args: mixformer(*a)) for name, args in mixed.items()},
        **{f"mcitrack-{name}": (lambda n=name: mcitrack(n)) for name in CONFIGS},
    }


def cost(make: Callable[[], Any]) -> tuple[float, float, float]:
    """Parameters in millions, GFLOP of a step, GFLOP of the templates; nothing is computed for it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad():
        network, templates, step = make()
        network.eval()
        with FlopCounterMode(display=False) as once:
            kept = templates()
        with FlopCounterMode(display=False) as each:
            step(kept)
    parameters = sum(p.numel() for p in network.parameters())
    return parameters / 1e6, each.get_total_flops() / 1e9, once.get_total_flops() / 1e9


def costs() -> Table:
    """Parameters and operations of every variant."""
    table = Table(
        "variant", "parameters M", "GFLOP a step", "GFLOP templates", "float32 MB", title="Networks"
    )
    for name, make in networks().items():
        parameters, step, templates = cost(make)
        table.add_row(name, f"{parameters:.1f}", f"{step:.1f}", f"{templates:.1f}", f"{4 * parameters:.0f}")
    return table


# What the options change ------------------------------------------------------------------------------------


def load(name: str) -> Any:
    """The module <shared>/parity/<name>.py."""
    spec = importlib.util.spec_from_file_location(name, SHARED / "parity" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def seeded(method: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A checkpoint with the seeded weights of a method's fixture, and the fixture's parameters."""
    import torch

    params = json.loads((SHARED / "parity" / FIXTURES[method][0] / "params.json").read_text())
    with torch.device("meta"):
        state = networks()[method]()[0].state_dict()
    state = load("seeded_weights").fill({k: torch.empty_like(v, device="cpu") for k, v in state.items()})
    for pattern, factor in params["weights"].get("post_scale_tracker", []):
        for name in state:
            if re.search(pattern, name) and state[name].is_floating_point():
                state[name] *= factor
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.pth"
        torch.save({"net": state}, path)
        yield path, params


def run(tracker: Any, frames: list[Frame], boxes: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Boxes (N, 4) of one step from each prescribed box, and the least wall and CPU seconds of a step."""
    found, wall, cpu = [], [], []
    for i, box in enumerate(boxes):
        tracker.init(frames[i], Prompts(BoxPrompt(tuple(box), frame=i)))
        if not i:
            tracker.step(frames[1])  # templates and kernels are ready
            tracker.init(frames[i], Prompts(BoxPrompt(tuple(box), frame=i)))
            tracker.step(frames[1])
        begun, used = time.perf_counter(), time.process_time()
        answer = tracker.step(frames[i + 1])
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
        found.append(answer.boxes[0])
    return np.array(found), min(wall), min(cpu)


def options(methods: list[str], chosen: list[str], device: str) -> Table:
    """Speed and boxes of each method with each option, on one device."""
    import torch

    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    table = Table(
        "method", "option", "ms", "fps", "CPU ms", "of float32", "median px", "max px", f"<= {PIXELS} px",
        "official CPU ms (stored)", title=f"Options, one object ({where})",
    )  # fmt: skip
    images = [
        cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        for path in sorted((SHARED / "parity" / "_frames_bedroom").glob("*.jpg"))
    ]
    frames = [Frame(i, i / 30, image) for i, image in enumerate(images)]
    for method in methods:
        with seeded(method) as (path, params):
            boxes = xywh_to_xyxy(params["tracker"]["forced_states_xywh"])
            official = 1000 * params["cpu"][FIXTURES[method][1]]
            base: tuple[np.ndarray, float, float] | None = None
            for name in dict.fromkeys(["float32", *chosen]):
                tracker = vtlab.create_tracker(method, weights=path, device=device, **OPTIONS[name])
                found, wall, cpu = run(tracker, frames, boxes)
                base = base or (found, wall, cpu)
                apart = np.abs(found - base[0]).max(axis=1)
                share = cpu / base[2] if device == "cpu" else wall / base[1]
                table.add_row(
                    method, name, f"{1000 * wall:.0f}", f"{1 / wall:.1f}", f"{1000 * cpu:.0f}",
                    f"{share:.2f}", f"{np.median(apart):.3f}", f"{apart.max():.3f}",
                    "yes" if apart.max() <= PIXELS else "no", f"{official:.0f}" if device == "cpu" else "",
                )  # fmt: skip
                tracker.close()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(FIXTURES))
    parser.add_argument("--options", default=",".join(OPTIONS))
    parser.add_argument("--no-costs", action="store_true")
    chosen = parser.parse_args()
    import torch

    console = Console(width=140)
    if not chosen.no_costs:
        console.print(costs())
    if not (SHARED / "parity").is_dir():
        console.print(f"No parity fixtures at {SHARED}: set VTLAB_SHARED for the second table.")
        return
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        console.print(options(chosen.methods.split(","), chosen.options.split(","), device))


if __name__ == "__main__":
    main()
