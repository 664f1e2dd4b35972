"""The project's own files agree with each other and name nothing of any one machine."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import vtlab
from tests.blocked import imported
from vtlab.registry import TRACKERS

ROOT = Path(__file__).parents[1]


CARD = ("jupyterlab", "ipywidgets", "torch", "rf-sam-2", "supervision", "motmetrics", "pandas")
"""What the user fixed; rf-sam-2 is the module `sam2` as a wheel."""


def test_conda_users_get_every_package_of_the_card():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["-c constraints.txt", "-e .[all,test]"]
    extras = project["optional-dependencies"]
    inner = re.fullmatch(r"vtlab\[(.*)\]", extras["all"][0])[1].split(",")
    named = [*project["dependencies"], *(line for extra in inner for line in extras[extra])]
    assert set(CARD) <= {re.match(r"[\w.-]+", line)[0] for line in named}
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert set(CARD) <= pinned


def test_extras_and_version_are_consistent():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == vtlab.__version__
    makefile = (ROOT / "Makefile").read_text()
    for extras in re.findall(r"_EXTRAS\s*:=\s*(\S+)", makefile):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    used = {card.requires for card in TRACKERS.cards()} - {""}
    assert used <= set(project["optional-dependencies"])


def test_the_documentation_can_run_every_notebook():
    """The server alone is neither in the notebooks' extra nor needed elsewhere."""
    docs = re.search(r"^DOCS_EXTRAS\s*:=\s*(\S+)", (ROOT / "Makefile").read_text(), re.M)[1].split(",")
    serving = [p for p in (ROOT / "notebooks").glob("*.ipynb") if "vtlab.serve.web" in p.read_text("utf-8")]
    assert serving
    assert {"notebook", "serve", "docs"} <= set(docs)
    assert all("vtlab[serve]" in p.read_text("utf-8") for p in serving)


def test_constraints_pin_and_name_no_host():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all("==" in line and "://" not in line for line in lines)


def test_the_tables_of_trackers_and_detectors_are_up_to_date():
    subprocess.run([sys.executable, ROOT / ".ci" / "trackers_page.py", "--check"], check=True, cwd=ROOT)


def test_make_help_lists_every_command():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("demo", "test", "test-all", "lab", "lint", "docs", "bench"):
        assert f"make {command:8} " in text


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("demo", "-m vtlab lab demo"),
        ("lab", "/jupyter lab "),
        ("bench", "-m benchmarks"),
        ("test", "-m pytest "),
    ],
)
@pytest.mark.parametrize("uv", ["0", "1"])
def test_make_sets_up_what_a_command_needs_before_it_runs_it(command, says, uv, tmp_path):
    """Dry, as on a fresh clone: no environment is there."""
    make = ["make", "-n", command, f"UV={uv}", f"V={tmp_path / 'none'}"]
    lines = subprocess.run(
        make, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    extras = dict(re.findall(r"^(\w+)_EXTRAS\s*:=\s*(\S+)", (ROOT / "Makefile").read_text(), re.M))
    wanted = extras[{"lab": "DEMO"}.get(command, command.upper())]
    install = next(i for i, line in enumerate(lines) if line.endswith(f'-c constraints.txt -e ".[{wanted}]"'))
    assert ("uv pip install" in lines[install]) == (uv == "1")
    run = next(i for i, line in enumerate(lines) if says in line)
    assert install < run
    if command == "lab":
        assert ("--allow-root" in lines[run]) == (hasattr(os, "getuid") and os.getuid() == 0)


def test_the_folder_above_a_clone_hides_nothing(tmp_path):
    """There the clone itself, a folder without `__init__.py`, has the package's name."""
    (tmp_path / "vtlab").symlink_to(ROOT, target_is_directory=True)
    package_dir = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    assert package_dir == {"": "."}  # so that an editable install is a path, as here, and no finder
    (tmp_path / "site").mkdir()
    (tmp_path / "site/vtlab.pth").write_text(f"{ROOT}\n")
    code = "import site, sys; site.addsitedir(sys.argv[1]); import vtlab; print(vtlab.__version__, vtlab.__file__)"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    bare = [sys.executable, "-S", "-c", code, str(tmp_path / "site")]  # nothing else that is installed
    found = subprocess.run(bare, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    where = ROOT / "vtlab" / "__init__.py"
    assert found.stdout.strip() == f"{vtlab.__version__} {where}", found.stderr


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py") if p.stem != "__init__")
)
def test_benchmarks_can_be_imported(name):
    module = imported(f"benchmarks.{name}")
    assert name.startswith("_") or callable(module.main)


def test_every_claim_links_to_a_test_that_is_there():
    """docs/proof.md names tests as path::name."""
    claims = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "proof.md").read_text())
    assert len(claims) > 20
    for path, name in claims:
        text = (ROOT / path).read_text()
        assert not name or re.search(rf"^def {name}\(", text, re.M), f"{path}::{name}"


def test_a_release_says_one_version_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == vtlab.__version__
    assert cited["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        fields = yaml.safe_load(form.read_text())["body"]
        assert any(
            f.get("id") == "doctor" and "vtlab doctor --json" in f["attributes"]["label"] for f in fields
        ), form


def test_what_a_wheel_is_tried_with_is_in_the_readme():
    """The release runs the README's dozen lines and its commands that need nothing of the reader's own."""
    found = runpy.run_path(str(ROOT / ".ci" / "release.py"), run_name="release")
    example, lines = found["readme"]()
    assert 10 <= len([line for line in example.splitlines() if line.strip()]) <= 15
    assert {line.split()[1] for line in lines} == {"track", "profile", "list", "doctor"}
    assert not any("nanotrack" in text or "my_" in text for text in (example, *lines))
    here = f"3.{sys.version_info.minor}"
    told = f"{sys.executable!r}: {found['interpreter'](here)!r}"
    assert subprocess.run([found["interpreter"](here), "-c", ""], check=False, timeout=60).returncode == 0, (
        told
    )
    assert found["interpreter"]("3.99") is None
    assert found["interpreter"](sys.executable) == sys.executable


def test_the_quick_start_installs_itself_elsewhere():
    """One cell, by the package's name, with an extra that there is; no path of any machine, no work where vtlab is."""
    quick = json.loads((ROOT / "notebooks" / "00_quickstart.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in quick["cells"] if c["cell_type"] == "code"]
    (found,) = re.findall(r'"install", "-q", "vtlab\[(\w+)\]"', cells[0])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert found in extras
    assert not any(re.search(r"install", cell) for cell in cells[1:])
    assert not any(re.search(r"[\"'](/|~|[A-Z]:\\)", cell) for cell in cells)
    alone = "import subprocess\nsubprocess.run = None\n" + cells[0].replace("import subprocess\n", "")
    subprocess.run([sys.executable, "-c", alone], check=True, cwd=ROOT, timeout=60)
