"""Execute the notebooks on small inputs and render them as pages of the documentation: `site/notebooks/*.html`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbconvert
import nbformat

from vtlab.lab import run_notebook
from vtlab.lab.spec import notebook_parameters

ROOT = Path(__file__).parents[1]
SMALL = {"SECONDS": 1.0, "REAL_FRAMES": 20}


def main() -> None:
    """Render every notebook; a failure names the notebook and the cell."""
    target = ROOT / "site" / "notebooks"
    target.mkdir(parents=True, exist_ok=True)
    exporter = nbconvert.HTMLExporter(template_name="lab")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            known = notebook_parameters(notebook)
            parameters = {k: v for k, v in SMALL.items() if k in known}
            if "OUT" in known:
                parameters["OUT"] = folder
            done = run_notebook(notebook, Path(folder) / notebook.name, parameters)
            page, _ = exporter.from_notebook_node(nbformat.read(done, as_version=4))
        (target / f"{notebook.stem}.html").write_text(page, encoding="utf-8")
        sys.stdout.write(f"site/notebooks/{notebook.stem}.html\n")


if __name__ == "__main__":
    main()
