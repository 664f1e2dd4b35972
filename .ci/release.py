"""Build vtlab, check what was built, install the wheel into clean environments, and run the README's lines there.

    python .ci/release.py [python3.11 python3.12 ...]

The README's example needs a video of its own: moving noise is put under its name. Trackers whose weights are not on
this machine are left out of it, and that is printed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "release"
VIDEO = """
import numpy as np
from vtlab.video import write_video
coarse = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
wide = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
write_video("street.mp4", [wide[i : i + 300, i : i + 480] for i in range(50)], 25)
"""


def run(command: list[str | Path], cwd: Path = ROOT) -> None:
    """Run a command and show it; stop at the first that fails."""
    print("$", shlex.join(map(str, command)), flush=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run([str(c) for c in command], cwd=cwd, env=clean, check=True, timeout=1800)


def build() -> Path:
    """Make sdist and wheel, and let twine look at them."""
    shutil.rmtree(WORK / "dist", ignore_errors=True)
    run([sys.executable, "-m", "build", "-o", WORK / "dist", "."])
    made = sorted((WORK / "dist").iterdir())
    run([sys.executable, "-m", "twine", "check", "--strict", *made])
    return next(file for file in made if file.suffix == ".whl")


def readme() -> tuple[str, list[str]]:
    """The README's first example, and its commands on a video that need nothing else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    lines = re.findall(r"^    (vtlab (?:track|profile|list|doctor).*)$", text, re.MULTILINE)
    return without_weights(example), [without_weights(line) for line in lines]


def without_weights(text: str) -> str:
    """The same with trackers that need no weights."""
    return text.replace(', "nanotrack-v2"]', "]").replace("nanotrack-v2", "csrt")


def try_wheel(wheel: Path, python: str) -> None:
    """Install the wheel into a clean environment and run the README's lines from a folder elsewhere."""
    where = WORK / Path(python).name
    shutil.rmtree(where, ignore_errors=True)
    run([python, "-m", "venv", where])
    bin_ = where / ("Scripts" if os.name == "nt" else "bin")
    run([bin_ / "python", "-m", "pip", "install", "-qq", "-c", ROOT / "constraints.txt", wheel])
    run([bin_ / "python", "-m", "pip", "check"])
    example, lines = readme()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        run(
            [
                bin_ / "python",
                "-c",
                "import sys, vtlab; print(sys.version.split()[0], vtlab.__version__, vtlab.__file__)",
            ],
            here,
        )
        run([bin_ / "python", "-c", VIDEO], here)
        (here / "example.py").write_text(example, encoding="utf-8")
        run([bin_ / "python", "example.py"], here)
        for line in lines:
            run([bin_ / "vtlab", *shlex.split(line)[1:]], here)
        print("left:", sorted(p.name for p in here.iterdir()))


def main(pythons: list[str]) -> None:
    """Build once, try it with every Python named."""
    wheel = build()
    for python in pythons or [sys.executable]:
        try_wheel(wheel, python)
    print("Ready:", wheel.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
