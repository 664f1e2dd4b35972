"""The command line: what it prints, what it writes, how it exits."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from vtlab.cli import main
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import Tracks
from vtlab.video import open_video, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_video(folder / "clip.mp4", moving_square(20), 25)
    Prompts(BoxPrompt(square_box(0))).save(folder / "prompts.json")
    return folder


def fresh(*arguments, cwd=None, code=0):
    """What a command prints in a process of its own, as users start it."""
    result = subprocess.run(
        [sys.executable, "-m", "vtlab", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )
    assert result.returncode == code, f"{result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def vtlab(*arguments, cwd=None, code=0):
    """The same within this process, which has imported already what a fresh one takes a second for."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")
        patch.setattr(sys, "argv", ["vtlab", *map(str, arguments)])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        if cwd is not None:
            patch.chdir(cwd)
        with pytest.raises(SystemExit) as left:
            main()
    result = subprocess.CompletedProcess(arguments, left.value.code, out.getvalue(), err.getvalue())
    assert result.returncode == code, f"{result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def test_track_writes_tracks_and_a_video(clip, tmp_path):
    result = fresh(
        "track", clip / "clip.mp4", "-t", "ncc", "-p", clip / "prompts.json", "-o", tmp_path / "t.parquet",
        "--render", tmp_path / "t.mp4", "-P", "search=2", "--json",
    )  # fmt: skip
    facts = json.loads(result.stdout)
    assert facts["frames"] == 20
    tracks = Tracks.load(tmp_path / "t.parquet")
    assert tracks.meta["tracker"]["params"]["search"] == 2
    assert len(open_video(tmp_path / "t.mp4")) == 20


def test_boxes_on_the_command_line_and_csv(clip, tmp_path):
    out = tmp_path / "t.csv"
    vtlab(
        "track",
        clip / "clip.mp4",
        "-t",
        "identity",
        "-b",
        "20,16,44,40",
        "-b",
        "1,1,9,9",
        "-f",
        "5",
        "-o",
        out,
    )
    lines = out.read_text().splitlines()
    assert lines[0].startswith("frame,object_id,label,x1")
    assert len(lines) == 1 + 2 * 15


def test_compare_prints_the_table_and_the_answer(clip, tmp_path):
    result = vtlab(
        "compare", clip / "clip.mp4", "-t", "ncc,identity,nanotrack-v1", "-p", clip / "prompts.json",
        "--report", tmp_path / "r.html", "--save", tmp_path / "out",
    )  # fmt: skip
    said = " ".join(result.stdout.split())
    assert "without truth it can't be decided which of the two trackers is right" in said
    assert "10 labelled frames, spread over the clip" in said
    assert (tmp_path / "r.html").stat().st_size > 10_000
    assert (tmp_path / "out" / "table.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("track", "none.mp4", "-b", "1,1,9,9"), 1, "none.mp4' does not exist"),
        (("track", "{clip}", "-t", "cssrt", "-b", "1,1,9,9"), 1, "Did you mean 'csrt'"),
        (("track", "{clip}", "-b", "1,1,9"), 1, "expected 4 numbers"),
        (("track", "{clip}", "--text", "dog"), 1, "'csrt' can't take TextPrompt: it takes BoxPrompt"),
        (("track", "{clip}", "-b", "1,1,9,9", "-o", "t.txt"), 1, "is the ending of boxes"),
        (("track", "{clip}", "-b", "1,1,9,9", "-P", "x"), 1, "expected NAME=VALUE"),
        (("track",), 2, "Missing argument"),
        (("nonsense",), 2, "No such command"),
        (("info", "nothing-like-it"), 1, "neither a tracker"),
        (("weights", "path", "no-such-weights"), 1, "no-such-weights"),
    ],
)
def test_errors_are_one_message_without_a_traceback(arguments, code, message, clip, tmp_path):
    result = vtlab(*(a.format(clip=clip / "clip.mp4") for a in arguments), cwd=tmp_path, code=code)
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_keeps_the_partial_result(clip, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import vtlab\n"
        "from vtlab.contracts import Observation, SingleObjectTracker\n"
        "@vtlab.register('mine', family='sot', accepts={vtlab.BoxPrompt}, licence='MIT')\n"
        "class Mine(SingleObjectTracker):\n"
        "    def init(self, frame, prompt): pass\n"
        "    def step(self, frame):\n"
        "        if frame.index == 7: raise RuntimeError('no more')\n"
        "        return Observation((1, 1, 5, 5))\n"
    )
    result = fresh("track", clip / "clip.mp4", "-t", "mine.py:Mine", "-b", "1,1,9,9", cwd=tmp_path, code=3)
    assert "'mine' failed on frame 7" in " ".join(result.stderr.split())
    assert Tracks.load(tmp_path / "tracks.parquet").frames.tolist() == list(range(7))


PLACES = [
    ("track", "{clip}", "-b", "1,1,9,9", "-o", "{file}/x.csv"),
    ("track", "{clip}", "-b", "1,1,9,9", "-o", "{folder}"),
    ("track", "{clip}", "-b", "1,1,9,9", "--render", "{file}/x.mp4"),
    ("track", "{clip}", "-b", "1,1,9,9", "--render", "x.avi"),
    ("compare", "{clip}", "-b", "1,1,9,9", "--side-by-side", "{file}/x.mp4"),
    ("compare", "{clip}", "-b", "1,1,9,9", "--report", "{folder}"),
    ("compare", "{clip}", "-b", "1,1,9,9", "--report", "{file}/r.html"),
    ("compare", "{clip}", "-b", "1,1,9,9", "--save", "{file}"),
    ("evaluate", "--truth", "{clip}", "--tracks", "{clip}", "--out", "x.xls"),
    ("evaluate", "--truth", "{clip}", "--tracks", "{clip}", "--out", "{file}/x.csv"),
]


@pytest.mark.parametrize("arguments", PLACES, ids=lambda a: " ".join((a[0], *a[-2:])))
def test_places_of_output_are_checked_before_the_work(arguments, clip, tmp_path, monkeypatch):
    """Whatever would do work is out of order, so that the error can't come after it."""
    from typer.testing import CliRunner

    from vtlab import benchmark, comparison
    from vtlab.cli import app
    from vtlab.errors import WriteError
    from vtlab.trackers import loop

    def never(*args, **kwargs):
        raise AssertionError("the work began")

    for module, name in ((loop, "track"), (comparison, "compare"), (benchmark, "evaluate_folders")):
        monkeypatch.setattr(module, name, never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    given = {"clip": clip / "clip.mp4", "file": tmp_path / "file", "folder": tmp_path / "folder.csv"}
    result = CliRunner().invoke(app, [a.format(**given) for a in arguments])
    assert isinstance(result.exception, WriteError), repr(result.exception)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_new_folders_are_made_and_the_table_is_printed_first(clip, tmp_path):
    out, one = tmp_path / "new" / "deep", (clip / "clip.mp4", "-t", "identity", "-b", "1,1,9,9")
    vtlab("track", *one, "-o", out / "x.csv", "--render", out / "r" / "x.mp4")
    assert (out / "x.csv").is_file()
    assert (out / "r" / "x.mp4").is_file()
    result = vtlab("compare", *one, "--side-by-side", tmp_path / "a" / "x.mp4", "--save", tmp_path / "b")
    assert "identity" in result.stdout
    assert (tmp_path / "a" / "x.mp4").is_file()
    assert (tmp_path / "b" / "table.csv").is_file()


def test_what_can_not_be_written_takes_nothing_else_with_it(clip, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from vtlab.cli import app
    from vtlab.comparison import Comparison
    from vtlab.errors import WriteError

    def full(self, path):
        raise WriteError("no space left")

    monkeypatch.setattr(Comparison, "save", full)
    arguments = [
        "compare",
        str(clip / "clip.mp4"),
        "-t",
        "identity",
        "-b",
        "1,1,9,9",
        "--save",
        str(tmp_path / "s"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--report", str(tmp_path / "r.html")])
    assert isinstance(result.exception, WriteError)
    assert "identity" in result.stdout
    assert (tmp_path / "r.html").is_file()


def test_ctrl_c_keeps_the_partial_result(clip, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time, vtlab\n"
        "from vtlab.contracts import Observation, SingleObjectTracker\n"
        "@vtlab.register('slow', family='sot', accepts={vtlab.BoxPrompt}, licence='MIT')\n"
        "class Slow(SingleObjectTracker):\n"
        "    def init(self, frame, prompt): open('started', 'w').close()\n"
        "    def step(self, frame):\n"
        "        time.sleep(0.2)\n"
        "        return Observation((1, 1, 5, 5))\n"
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "vtlab",
            "track",
            str(clip / "clip.mp4"),
            "-t",
            "slow.py:Slow",
            "-b",
            "1,1,9,9",
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has SIGINT ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(300):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.1)
    time.sleep(0.7)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "What was tracked is in tracks.parquet" in stderr
    assert 0 < len(Tracks.load(tmp_path / "tracks.parquet").frames) < 20


def test_weights_of_a_part_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("VTLAB_WEIGHTS", str(tmp_path))
    found = json.loads(vtlab("weights", "verify", "sam-base", "sam2.1-tiny", "--json", code=1).stdout)
    assert [f["file"] for f in found] == [
        "sam-base.config.json",
        "sam-base.model.safetensors",
        "sam2.1_hiera_tiny.pt",
    ]
    assert vtlab("weights", "fetch", "kcf").stdout == ""  # it has none
    places = vtlab("weights", "path", "sam-base", "sam2.1-tiny", code=1).stdout.split()
    assert [p.rpartition(os.sep)[2] for p in places] == [f["file"] for f in found]


def test_weights_list_names_a_wrong_file(monkeypatch, tmp_path):
    """By its size, and a small one by its sha256; nothing is fetched."""
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VTLAB_WEIGHTS", str(tmp_path))
    (tmp_path / "FastestDet.onnx").write_bytes(b"another file")
    (tmp_path / "nanotrackv2_head.onnx").write_bytes(b"")
    states = {f["file"]: f["state"] for f in json.loads(vtlab("weights", "list", "--json").stdout)}
    assert {name for name, state in states.items() if state != "missing"} == {
        "FastestDet.onnx",
        "nanotrackv2_head.onnx",
    }
    assert states["FastestDet.onnx"] == states["nanotrackv2_head.onnx"] == "wrong"
    assert "wrong" in vtlab("weights", "list").stdout


def test_lists_and_info(clip):
    names = {c["name"]: c for c in json.loads(vtlab("list", "--json").stdout)}
    assert names["csrt"]["accepts"] == ["box"]
    assert {c["name"] for c in json.loads(vtlab("list", "--family", "sot", "--json").stdout)} < set(names)
    for what, one in (
        ("detectors", "hog"),
        ("associators", "sort"),
        ("segmenters", "grabcut"),
        ("formats", "otb"),
    ):
        assert one in vtlab("list", what).stdout
    assert "Did you mean 'detectors'?" in vtlab("list", "detector", code=1).stderr
    assert "No detectors of the family 'sot'" in vtlab("list", "detectors", "--family", "sot", code=1).stderr
    files = {f["file"]: f for f in json.loads(vtlab("weights", "list", "--json").stdout)}
    assert files["nanotrackv2_head.onnx"]["used by"] == ["nanotrack-v2"]
    assert json.loads(vtlab("info", "ncc", "--json").stdout)["parameters"] == {
        "search": 3.0,
        "visible_above": 0.4,
    }
    assert json.loads(vtlab("info", clip / "clip.mp4", "--json").stdout)["frames"] == 20
    checks = {c["name"]: c["state"] for c in json.loads(vtlab("doctor", "--json").stdout)}
    assert checks["OpenCV"] == "ok"


def strictly(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_info_explains_the_parameters_of_every_part(tmp_path):
    for name in ("bytetrack", "hog-people", "public", "grabcut", "sort", "callable", "noisy-truth"):
        facts = strictly(vtlab("info", name, "--json").stdout)
        described = [text for found in facts.values() if isinstance(found, dict) for text in found.values()]
        assert facts.get("parameters") is not None, name
        assert described, name
    facts = strictly(vtlab("info", "bytetrack", "--json").stdout)
    assert set(facts["parameters"]) <= set(facts["meaning"])
    assert "detector" in facts["meaning"]
    shown = " ".join(vtlab("info", "hog-people").stdout.split())
    assert "Lowest confidence" in shown or "confidence" in shown
    (tmp_path / "mine.py").write_text(
        "import vtlab\n"
        "from vtlab.contracts import Detector\n"
        "@vtlab.register_detector('my-finder', family='detector', summary='Finds.')\n"
        "class Finder(Detector):\n"
        '    """Finds.\n\n    Args:\n        reach: How far, in pixels,\n            at most.\n    """\n'
        "    def __init__(self, *, reach: float = 5.0): pass\n"
        "    def detect(self, frames): return []\n"
    )
    facts = strictly(fresh("info", "mine.py:Finder", "--json", cwd=tmp_path).stdout)
    assert facts["parameters"] == {"reach": 5.0}
    assert facts["meaning"] == {"reach": "How far, in pixels, at most."}
    (tmp_path / "ours.py").write_text(
        'def seen(image):\n    """Boxes of an image."""\n    return [[1, 2, 3, 4, 0.9]]\n'
    )
    facts = strictly(vtlab("info", "ours.py:seen", "--json", cwd=tmp_path).stdout)
    assert facts["is"] == "a function seen(image): Boxes of an image."
    assert "-P detector=ours.py:seen" in facts["goes as"]


def test_help_has_examples():
    text = vtlab("track", "--help").stdout
    assert "vtlab track street.mp4" in text
    assert "--direction" in text
    assert "vtlab info TRACKER" in text


STATE = """
import json, logging, os, signal, sys, warnings
def state():
    mpl = sys.modules.get("matplotlib")
    return [dict(os.environ), list(map(str, warnings.filters)), warnings.showwarning.__module__, str(sys.flags),
            mpl and mpl.get_backend(), logging.root.level, list(map(str, logging.root.handlers)), os.getcwd(),
            sys.excepthook.__module__, [str(signal.getsignal(s)) for s in sorted(signal.valid_signals())]]
import matplotlib
before = state()
import vtlab.cli
for old, new in zip(before, state(), strict=True):
    assert old == new, (old, new)
sys.argv = ["vtlab", "--help"]
try:
    vtlab.cli.main()
finally:
    slow = {"rich", "pandas", "scipy", "cv2", "vtlab.tracks", "vtlab.files"} & set(sys.modules)
    assert not slow, slow
"""


def test_importing_the_command_line_changes_nothing_in_the_process_and_help_takes_no_time():
    done = subprocess.run(
        [sys.executable, "-c", STATE], check=True, timeout=60, capture_output=True, text=True
    )
    listed = " ".join(done.stdout.split())
    assert "evaluate Measure results against ground truth." in listed
    assert "export" in listed


def test_a_command_imports_no_other_and_help_builds_none():
    code = (
        "import sys; sys.argv = ['vtlab', *{words}]\n"
        "import vtlab.cli\n"
        "try: vtlab.cli.main()\n"
        "except SystemExit: pass\n"
        "print('\\n', *sorted(m for m in sys.modules if m.startswith(('vtlab.cli.', 'vtlab.trackers.'))), file=sys.stderr)"
    )

    def imported(*words: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", code.format(words=list(words))],
            check=True,
            timeout=120,
            capture_output=True,
            text=True,
        )
        return set(done.stderr.splitlines()[-1].split())

    assert imported("list", "formats").isdisjoint(
        {"vtlab.cli.tracking", "vtlab.cli.lab", "vtlab.cli.decision"}
    )
    assert "vtlab.cli.tracking" in (names := imported("--help"))
    assert not any(name.startswith("vtlab.trackers.") for name in names)


def test_check_prints_a_table_and_fails_where_the_part_does(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import vtlab\n"
        "from vtlab.contracts import Observation, SingleObjectTracker\n"
        "@vtlab.register('wanders', family='sot', summary='Wanders.', accepts={vtlab.BoxPrompt})\n"
        "class Mine(SingleObjectTracker):\n"
        "    def init(self, frame, prompt): self.x = 1\n"
        "    def step(self, frame):\n"
        "        self.x += 4\n"
        "        return Observation((self.x, 1, self.x + 9, 5))\n"
    )
    result = fresh("check", "tracker", "mine.py:Mine", cwd=tmp_path, code=1)
    table = " ".join(result.stdout.split())
    assert "stays where it is on a scene that does not move" in table
    assert "the box moved by" in table
    found = json.loads(vtlab("check", "associator", "sort", "--json").stdout)
    assert {r["state"] for r in found} == {"pass"}
    assert "no contract of a 'tracer'" in vtlab("check", "tracer", "x", code=1).stderr


def test_the_old_word_of_rule_works_with_a_warning(tmp_path):
    tracks = Tracks.of(range(20), 1, [square_box(i) for i in range(20)], size=(96, 128)).save(
        tmp_path / "t.parquet"
    )
    both = ("evaluate", "--truth", tracks, "--tracks", tracks, "--json")
    old = vtlab(*both, "--protocol", "got10k")
    assert "VtlabWarning: --protocol is now --rule" in " ".join(old.stderr.split())
    new = vtlab(*both, "--rule", "got10k")
    assert new.stderr == ""
    assert new.stdout == old.stdout


def test_profile_prints_bounds_and_misses(clip):
    where = ("profile", clip / "clip.mp4", "-t", "ncc", "-p", clip / "prompts.json", "--budget", "500")
    facts = json.loads(vtlab(*where, "--objects", "1,2", "--json").stdout)
    assert (facts["tracker"], facts["of"], facts["missed"]) == ("ncc", 19, 0)
    assert 0.1 < facts["missed_share_at_most"] < 0.2
    assert set(facts["ms_by_objects"]) == {"1", "2"}
    printed = vtlab(*where).stdout
    assert "0 of 19 frames took longer than 500 ms, with 95 % confidence at most" in printed
    assert "--objects 'many'" in vtlab(*where, "--objects", "many", code=1).stderr


def test_commands_at_their_old_places_work_with_a_warning(tmp_path):
    """`align` lies in `data` now, `demo` and `reproduce` in `lab`; `run` is the short form of `lab run`, and stays."""
    video = write_video(tmp_path / "a.mp4", moving_square(12), fps=10)
    new, old = (vtlab(*where, video, video, "--json") for where in (("data", "align"), ("align",)))
    assert "'align' is deprecated" in old.stderr
    assert new.stderr == ""
    assert json.loads(new.stdout) == json.loads(old.stdout)
    overview = vtlab("--help").stdout
    assert "\n  lab " in overview
    assert not any(f"\n  {name} " in overview for name in ("align", "demo", "reproduce", "run"))
    assert "--jobs" in vtlab("run", "--help").stdout


def test_texts_are_counted_on_after_boxes():
    from vtlab.cli.options import prompts_of
    from vtlab.prompts import BoxPrompt, TextPrompt

    found = prompts_of(None, ["1,1,9,9"], None, 3, ["yellow taxi", "dog"])
    assert list(found) == [
        BoxPrompt((1, 1, 9, 9), frame=3),
        TextPrompt("yellow taxi", object_id=2, frame=3),
        TextPrompt("dog", object_id=3, frame=3),
    ]
