"""Build vtlab, check what was built, install the wheel into clean environments, and run the README's lines there.

    python .ci/release.py [--wheels] [--all] [3.11 3.12 ... or paths of interpreters]

`--wheels` does the cheap part: the wheel, and the README's dozen lines with the core alone. `--all` also installs the extra
`all` for the first interpreter and runs tests/test_card.py on it (several GB). A version that isn't on this machine is
left out, and that is printed.

The README's example needs a video of its own: moving noise is put under its name. Trackers whose weights are not on
this machine are left out of it, and that is printed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
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
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"TQDM_DISABLE": "1"}
    subprocess.run([str(c) for c in command], cwd=cwd, env=clean, check=True, timeout=1800)


def interpreter(wanted: str) -> str | None:
    """The path of a Python by its version, such as 3.12; None where this machine has none that starts."""
    if not re.fullmatch(r"3\.\d+", wanted):
        return wanted
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{wanted}"), *sorted(kept.glob(f"{wanted}.*/bin/python"), reverse=True)]
    told = f"import sys; sys.exit('{wanted}' != '%d.%d' % sys.version_info[:2])"
    for place in filter(None, places):
        found = subprocess.run([place, "-c", told], capture_output=True, timeout=60, check=False)
        if found.returncode == 0:
            return str(place)
    return None


def build(*, sdist: bool) -> Path:
    """Make the wheel (and the sdist, and let twine look at both)."""
    shutil.rmtree(WORK / "dist", ignore_errors=True)
    if not sdist:
        wheel = ["-m", "pip", "wheel", "-q", "--no-deps", "-w", WORK / "dist", "."]
        run([sys.executable, *wheel])
    else:
        run([sys.executable, "-m", "build", "-o", WORK / "dist", "."])
        run([sys.executable, "-m", "twine", "check", "--strict", *sorted((WORK / "dist").iterdir())])
    return next((WORK / "dist").glob("*.whl"))


def readme() -> tuple[str, list[str]]:
    """The README's first example, and its commands on a video that need nothing else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    lines = re.findall(r"^    (vtlab (?:track|profile|list|doctor).*)$", text, re.MULTILINE)
    own = [line for line in lines if "my_module" not in line]  # what only its reader has
    return without_weights(example), [without_weights(line) for line in own]


def without_weights(text: str) -> str:
    """The same with trackers that need no weights."""
    return text.replace(', "nanotrack-v2"]', "]").replace("nanotrack-v2", "csrt")


def clean(python: str, name: str, *what: str | Path) -> Path:
    """A new environment with these packages: its folder of programs."""
    where, uv = WORK / name, Path(sys.executable).with_name("uv")
    shutil.rmtree(where, ignore_errors=True)
    started = time.perf_counter()
    run([python, "-m", "venv", where])
    bin_ = where / ("Scripts" if os.name == "nt" else "bin")
    pins = ["-q", "-c", ROOT / "constraints.txt"]
    if uv.is_file():
        run([uv, "pip", "install", "-p", bin_ / "python", *pins, *what])
    else:
        run([bin_ / "python", "-m", "pip", "install", *pins, *what])
    run([bin_ / "python", "-m", "pip", "check"])
    size = sum(f.stat().st_size for f in where.rglob("*") if f.is_file()) / 1e6
    print(f"{name}: {size:,.0f} MB, installed in {time.perf_counter() - started:.0f} s", flush=True)
    return bin_


def try_wheel(bin_: Path, *, commands: bool) -> None:
    """Run the README's example, and its commands, from a folder elsewhere."""
    example, lines = readme()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        told = "import sys, vtlab; print(sys.version.split()[0], vtlab.__version__, vtlab.__file__)"
        run([bin_ / "python", "-c", told], here)
        run([bin_ / "python", "-c", VIDEO], here)
        (here / "example.py").write_text(example, encoding="utf-8")
        run([bin_ / "python", "example.py"], here)
        for line in lines if commands else ():
            run([bin_ / "vtlab", *shlex.split(line)[1:]], here)
        print("left:", sorted(p.name for p in here.iterdir()), flush=True)


def try_card(bin_: Path) -> None:
    """Every package that the extra `all` brings is used once, from the wheel: the tests lie away from the source."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "tests", Path(folder, "tests"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        run([bin_ / "python", "-m", "pytest", "tests/test_card.py", "-v"], Path(folder))


def main(arguments: list[str]) -> None:
    """Build once, try it with every Python named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", action="store_true", help="only the wheel and the README's dozen lines")
    parser.add_argument("--all", action="store_true", help="the extra all, with the first interpreter")
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    told = parser.parse_args(arguments)
    wheel = build(sdist=not told.wheels)
    found = {name: interpreter(name) for name in told.pythons}
    for name, python in found.items():
        if python is None:
            print(f"Left out: there is no Python {name} on this machine.", flush=True)
            continue
        bin_ = clean(python, Path(name).name, wheel)
        try_wheel(bin_, commands=not told.wheels)
    first = next(filter(None, found.values()), None)
    if first is None:
        sys.exit(f"None of {', '.join(found)} is on this machine: nothing was tried.")
    if told.all:
        tests = ["pytest", "pytest-timeout", "hypothesis"]
        bin_ = clean(first, "all", f"{wheel}[all]", *tests)
        try_wheel(bin_, commands=True)
        try_card(bin_)
    print("Ready:", wheel.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
