"""Any tracker, vendor's format or door can be taken out of the package: what is left imports, lists and works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vtlab
from vtlab.serve.doors import DOORS

PACKAGE = Path(vtlab.__file__).parent
NEEDED = {
    "trackers/boxes/ncc.py", "trackers/compose/identity.py",  # by the script below
    "trackers/compose/by_detection.py",  # a shape of the loop, which every associator uses
    "formats/parquet.py",  # vtlab's own
}  # fmt: skip
doors = [where.partition(":")[0].split(".")[-1] for where in DOORS.values()]
PARTS = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in (
        *(
            p
            for p in (PACKAGE / "trackers").glob("*/*")
            if any(
                "@register(" in f.read_text()
                for f in (p.glob("*.py") if p.is_dir() else [p])
                if f.suffix == ".py"
            )
        ),
        *(p for p in (PACKAGE / "formats").glob("*.py") if re.search(r"^FORMATS? = ", p.read_text(), re.M)),
        *(PACKAGE / "serve" / f"{name}.py" for name in ("classes", "cvat", "dataloop", *doors)),
    )
)
LEFT = """
import os, shutil, sys
import anywidget, cv2, numpy as np, pandas, scipy.optimize, starlette.applications, supervision, torch

package, folder, *parts = sys.argv[1:]


def works():
    import importlib, pkgutil
    import vtlab
    from vtlab.formats import FORMATS
    from vtlab.registry import REGISTRIES

    assert vtlab.__file__.startswith(folder), vtlab.__file__
    for module in pkgutil.walk_packages(vtlab.__path__, "vtlab."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert all(len(registry.cards()) for registry in REGISTRIES) and len(FORMATS) > 20
    clip = np.random.default_rng(0).integers(0, 255, (6, 40, 60, 3), np.uint8)
    prompt = vtlab.BoxPrompt((8, 8, 24, 24))
    truth = vtlab.track(clip, prompt, "identity", progress=False)
    result = vtlab.compare(clip, ["ncc", "identity"], prompts=[prompt], truth=truth, progress=False)
    assert set(result.table.index) == {"ncc", "identity"}, result.table


for part in parts:
    here = os.path.join(folder, part.replace("/", "-"))
    copy = os.path.join(here, "vtlab")
    shutil.copytree(package, copy, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__"))
    gone = os.path.join(copy, part)
    (os.unlink if os.path.islink(gone) else shutil.rmtree)(gone)
    if not (child := os.fork()):
        sys.path.insert(0, here)
        try:
            works()
        except BaseException:
            import traceback
            sys.stderr.write(f"without {part}: {traceback.format_exc(limit=-2)}\\n")
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    print(part, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_the_parts_are_found():
    assert len([p for p in PARTS if p.startswith("trackers/")]) > 20
    assert len([p for p in PARTS if p.startswith("formats/")]) > 20
    assert len([p for p in PARTS if p.startswith("serve/")]) >= 5


@pytest.mark.slow
@pytest.mark.timeout(2400)  # some five seconds a part, and there are dozens
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each part is taken out in a process that is forked")
@pytest.mark.parametrize("room", ["trackers", "formats", "serve"])
def test_the_rest_works_without(room, tmp_path):
    """Each in turn, in a process that has imported everybody else's packages already."""
    parts = [p for p in PARTS if p.startswith(room) and p not in NEEDED and not p.endswith("__init__.py")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYTHONDONTWRITEBYTECODE": "1"
    }
    ran = subprocess.run(
        [sys.executable, "-P", "-c", LEFT, str(PACKAGE), str(tmp_path), *parts],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert ran.stdout.splitlines() == [f"{p} 0" for p in parts], ran.stderr[-4000:]
