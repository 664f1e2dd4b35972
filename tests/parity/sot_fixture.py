"""The official outputs of a box tracker with seeded weights, and how to rebuild what led to them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vtlab.geometry import xywh_to_xyxy, xyxy_to_xywh
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.video import Frame

ACTIVATION, BOX, PIXELS = 1e-4, 2e-5, 0.02  # the NOTES.md of the fixtures
FPS = 30


@cache
def _frame(folder: Path, n: int) -> Frame:
    # Kept by its place, not by the fixture, which would live, with all its weights, as long as the process.
    return Frame(n, n / FPS, cv2.cvtColor(cv2.imread(str(folder / f"{n:05d}.jpg")), cv2.COLOR_BGR2RGB))


class SotFixture:
    """One folder of `<shared>/parity`."""

    def __init__(self, shared: Path, name: str, seeded_weights: ModuleType):
        folder = shared / "parity" / name
        self.stored = dict(np.load(folder / "fixture.npz"))
        self.params = json.loads((folder / "params.json").read_text())
        self._seeded = seeded_weights
        self._state: dict[str, Tensor] | None = None
        self._frames = shared / "parity" / "_frames_bedroom"

    def network(self, make: Callable[[], nn.Module], *, tracker: bool) -> Any:
        """Make a network and fill it."""
        with torch.device("meta"):
            net = make()
        net.to_empty(device="cpu")
        self.fill(net, tracker=tracker)
        return net

    def fill(self, net: nn.Module, *, tracker: bool) -> None:
        """Give `net` the seeded weights, with the factors of the tracker's runs if asked for."""
        if self._state is None:
            self._state = self._seeded.fill(net.state_dict())
        state = dict(self._state)  # not a copy of each: the largest has 200 million parameters
        factors = self.params["weights"]["post_scale_tracker" if tracker else "post_scale"]
        for pattern, factor in factors:
            for name, value in state.items():
                if re.search(pattern, name) and value.is_floating_point():
                    state[name] = value * factor
        net.load_state_dict(state, strict=True)
        net.eval()

    def input(self, name: str) -> Tensor:
        """A seeded network input."""
        recipe = self.params["inputs"][name]
        rng = np.random.Generator(np.random.PCG64(recipe["seed"]))
        return torch.from_numpy(rng.standard_normal(recipe["shape"]).astype(np.float32))

    def frame(self, n: int) -> Frame:
        """Frame n of the clip."""
        return _frame(self._frames, n)

    @property
    def box(self) -> np.ndarray:
        """The box (xyxy) on frame 0."""
        return xywh_to_xyxy(self.params["tracker"]["init_box_xywh"])

    @property
    def forced(self) -> np.ndarray:
        """The box (xyxy) that is prescribed before each of the frames 1 to 7."""
        return xywh_to_xyxy(self.params["tracker"]["forced_states_xywh"])

    def assert_names_and_shapes(self, net: nn.Module) -> None:
        """The state dict is the official one."""
        own = {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in net.state_dict().items()}
        assert own == {name: [shape, dtype] for name, shape, dtype in self.params["params"]}
        count = sum(p.numel() for p in net.parameters())
        extra = sum(b.numel() for b in net.buffers() if b.is_floating_point())
        counts = self.params["counts"]
        assert count + extra == counts["parameters"] + counts["buffers_float"]

    def assert_summary(self, name: str, value: Any, atol: float = ACTIVATION) -> None:
        """`value` has the stored shape, statistics and samples."""
        array = np.asarray(value, dtype=np.float32)
        assert array.shape == tuple(self.stored[f"{name}__shape"]), name
        flat, expected = array.reshape(-1), self.stored[f"{name}__sample"]
        got = flat[np.linspace(0, flat.size - 1, len(expected)).astype(np.int64)]
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=name)
        stats = [flat.mean(dtype=np.float64), flat.std(dtype=np.float64), flat.min(), flat.max()]
        np.testing.assert_allclose(stats, self.stored[f"{name}__stats"], rtol=1e-5, atol=atol, err_msg=name)

    def assert_close(self, name: str, value: Any, atol: float) -> None:
        """`value` is the stored array."""
        expected = self.stored[name]
        np.testing.assert_allclose(
            np.asarray(value).reshape(expected.shape), expected, rtol=0, atol=atol, err_msg=name
        )

    def run(
        self, tracker: Any, *, forced: bool, after: Callable[[], object] = lambda: None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (8, 4) as left, top, width, height and scores (8,) of object 1 on all frames.

        `after` is called behind each frame.
        """
        answers = [tracker.init(self.frame(0), Prompts(BoxPrompt(tuple(self.box))))]
        after()
        for n in range(1, 8):
            if forced:
                tracker._targets[1].box = self.forced[n - 1]
            answers.append(tracker.step(self.frame(n)))
            after()
        return (
            xyxy_to_xywh(np.concatenate([a.boxes for a in answers])),
            np.concatenate([a.scores for a in answers]),
        )

    def assert_many_equal_lone_ones(self, tracker: Any) -> None:
        """Two objects followed together, one of them from frame 1 on, are where each is when followed alone."""
        boxes = {1: self.box, 2: self.forced[4]}

        def prompts(object_id: int, at: int) -> Prompts:
            return Prompts(BoxPrompt(tuple(boxes[object_id]), object_id=object_id, frame=at))

        tracker.init(self.frame(0), prompts(1, at=0))
        tracker.step(self.frame(1), prompts(2, at=1))
        together = [tracker.step(self.frame(n)).boxes for n in (2, 3)]
        for row, object_id in enumerate(boxes):
            tracker.init(self.frame(row), prompts(object_id, at=row))
            alone = [tracker.step(self.frame(n)).boxes[0] for n in range(row + 1, 4)][-2:]
            for a, b in zip(together, alone, strict=True):
                np.testing.assert_allclose(a[row], b, rtol=0, atol=1e-3)


def outputs_of(net: nn.Module, names: list[str]) -> dict[str, Tensor]:
    """A dict that the outputs of the named submodules will be put in when `net` runs."""
    found: dict[str, Tensor] = {}
    for name in names:
        net.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: found.__setitem__(name, output)
        )
    return found
