"""Three sequences of VOT with what a tracker said in its supervised, multi-start and unsupervised experiments, as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIZE = (96, 128)
LENGTHS = {"disk": 180, "card": 240, "leaf": 130}
ANCHORS = {"disk": {0: 1, 90: 1, 150: -1}, "card": {0: 1, 200: -1}, "leaf": {0: 1, 60: 1, 129: -1}}
FAILURES = {"disk": ((), (40, 120)), "card": ((30,), (230,)), "leaf": ((), ())}
"""Frames on which the repetitions of the supervised experiment fail."""


def _text(numbers: np.ndarray) -> str:
    return ",".join(f"{n:g}" for n in numbers)


def region(kind: str, x: float, y: float, wide: float, high: float, turn: float = 0.0) -> str:
    """A region with its middle at (x, y)."""
    if kind == "box":
        return _text(np.round([x - wide / 2, y - high / 2, wide, high], 2))
    corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]]) / 2
    if kind == "polygon":
        turned = corners @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        return _text(np.round(turned + np.array([x, y]), 2).ravel())
    left, top = (int(np.clip(c, 0, s - 40)) for c, s in ((x - wide / 2, SIZE[1]), (y - high / 2, SIZE[0])))
    mask = np.ones((int(high), int(wide)), bool)
    mask[0, : int(wide) // 2] = False
    flat = np.concatenate([[False], mask.ravel()]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    return f"m{left},{top},{int(wide)},{int(high)}," + _text(np.diff([0, *edges, mask.size]))


KINDS = {"disk": "box", "card": "polygon", "leaf": "mask"}


def _path(name: str, frame: int) -> tuple[float, float]:
    return 60 + 50 * np.sin(frame / (17 + len(name))), 45 + 0.15 * frame


def truth_of(name: str) -> list[str]:
    """The truth; of `disk` some frames say nothing, and one has a box without area."""
    lines = [region(KINDS[name], *_path(name, f), 24, 20, f / 30) for f in range(LENGTHS[name])]
    if name == "disk":
        lines[60:75] = ["0"] * 15
        lines[80] = "40,40,0,0"
    return lines


def answers_of(name: str, seed: int) -> list[str]:
    """What a tracker says on every frame: of several kinds, lost for a while, now and then nothing."""
    rng, out = np.random.default_rng(seed), []
    for frame in range(LENGTHS[name]):
        x, y = _path(name, frame) + rng.normal(0, 3, 2)
        lost = 100 <= frame < 100 + 5 * seed
        kind = "box" if frame % 3 else KINDS[name]
        out.append(region(kind, x + 70 * lost, y, 24, 20 + frame % 5, frame / 28))
    out[20], out[33] = "0", "30,30,0,0"
    if name == "disk":
        out[62:70] = ["0"] * 8
    return out


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write(root: Path) -> None:
    """Write `truth` and the folders `supervised`, `multistart` and `unsupervised` of the tracker "mine" below `root`."""
    _write(root / "truth/list.txt", list(LENGTHS))
    for name, length in LENGTHS.items():
        info = [
            f"width={SIZE[1]}",
            f"height={SIZE[0]}",
            f"length={length}",
            "fps=30",
            "channels.color=color/%08d.jpg",
        ]
        _write(root / f"truth/{name}/sequence", info)
        _write(root / f"truth/{name}/groundtruth.txt", truth_of(name))
        _write(root / f"truth/{name}/anchor.value", [str(ANCHORS[name].get(f, 0)) for f in range(length)])
        for n, failures in enumerate(FAILURES[name], start=1):
            lines, begin = answers_of(name, n), 0
            for failure in (*failures, None):
                lines[begin] = "1"
                if failure is not None:
                    begin = min(failure + 5, length - 1)
                    lines[failure:begin] = ["2"] + ["0"] * (begin - failure - 1)
            _write(root / f"mine/supervised/{name}/{name}_{n:03d}.txt", lines)
        for n, (anchor, sign) in enumerate(ANCHORS[name].items(), start=1):
            lines = answers_of(name, n)
            run = lines[anchor:] if sign > 0 else lines[anchor::-1]
            _write(root / f"mine/multistart/{name}/{name}_{anchor:08d}.txt", ["1", *run[1:]])
        _write(root / f"mine/unsupervised/{name}/{name}_001.txt", ["1", *answers_of(name, 3)[1:]])
