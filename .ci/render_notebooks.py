"""Execute the notebooks on small inputs and keep them as pages for the documentation: `build/notebooks/*.md`.

`--pictures` executes them as they are instead, and keeps the pictures of the cells tagged `picture`, one below the
other, as the picture of the answer that each notebook opens with: `notebooks/images/*.jpg`. Names of notebooks limit
either to these.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import sys
import tempfile
from pathlib import Path

import nbconvert
import nbformat
from PIL import Image

from vtlab.experiments import run_notebook
from vtlab.experiments.notebooks import notebook_parameters

ROOT = Path(__file__).parents[1]
SMALL = {"SECONDS": 1.0, "REAL_FRAMES": 20, "SEEDS": [1]}
WIDTH, MOST_BYTES = 900, 140_000


def execute(notebook: Path, folder: Path, parameters: dict[str, object]) -> nbformat.NotebookNode:
    """Run a notebook with those of the parameters that it has; its results go to a folder."""
    known = notebook_parameters(notebook)
    given = {k: v for k, v in {**parameters, "OUT": str(folder / "out")}.items() if k in known}
    return nbformat.read(run_notebook(notebook, folder / notebook.name, given), as_version=4)


def render(notebook: Path) -> Path:
    """Make the page of a notebook; a failure names the notebook and the cell."""
    target = ROOT / "build" / "notebooks" / f"{notebook.stem}.md"
    pictures = target.parent / f"{notebook.stem}_files"
    with tempfile.TemporaryDirectory() as folder:
        done = execute(notebook, Path(folder), SMALL)
    text, found = nbconvert.MarkdownExporter().from_notebook_node(done, {"output_files_dir": pictures.name})
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    for name, data in found["outputs"].items():
        (target.parent / name).write_bytes(data)
    target.write_text(text, encoding="utf-8")
    return target


def picture(notebook: Path) -> Path | None:
    """Keep the picture of a notebook's answer; None if no cell is tagged."""
    tagged = [
        c for c in nbformat.read(notebook, as_version=4).cells if "picture" in c.metadata.get("tags", ())
    ]
    if not tagged:
        return None
    with tempfile.TemporaryDirectory() as folder:
        done = execute(notebook, Path(folder), {})
    cells = [c for c in done.cells if "picture" in c.metadata.get("tags", ())]
    data = [o.data["image/png"] for c in cells for o in c.outputs if "image/png" in o.get("data", {})]
    images = [Image.open(io.BytesIO(base64.b64decode(d))).convert("RGB") for d in data]
    images = [i.resize((WIDTH, round(i.height * WIDTH / i.width)), Image.Resampling.LANCZOS) for i in images]
    sheet = Image.new("RGB", (WIDTH, sum(i.height for i in images)), "white")
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    target = notebook.parent / "images" / f"{notebook.stem}.jpg"
    target.parent.mkdir(exist_ok=True)
    for quality in range(90, 30, -5):  # the best that is small enough for git
        sheet.save(target, quality=quality, optimize=True)
        if target.stat().st_size <= MOST_BYTES:
            break
    return target


def main() -> None:
    """Render or keep pictures, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", action="store_true", help="keep the pictures of the answers instead")
    parser.add_argument("names", nargs="*", help="names of notebooks, such as 03_masks; all by default")
    arguments = parser.parse_args()
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if not arguments.names or notebook.stem in arguments.names:
            made = (picture if arguments.pictures else render)(notebook)
            sys.stdout.write(f"{made.relative_to(ROOT)}\n" if made else f"{notebook.stem}: no picture\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
