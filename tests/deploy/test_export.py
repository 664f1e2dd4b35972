"""ONNX export: the files of narrow networks compute what PyTorch computes, for any number of objects."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vtlab[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vtlab[onnx]'")
from torch import nn  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from vtlab.cli.app import app  # noqa: E402
from vtlab.comparison import compare  # noqa: E402
from vtlab.datasets.synthetic import synthetic  # noqa: E402
from vtlab.deploy import export as module  # noqa: E402
from vtlab.deploy.export import export  # noqa: E402
from vtlab.deploy.trial import try_engine  # noqa: E402
from vtlab.errors import (  # noqa: E402
    InputError,
    MissingDependencyError,
    RegistryError,
    VtlabError,
    WeightsError,
)
from vtlab.nets import (  # noqa: E402
    fear,
    mcitrack,
    mixformer,
    mixformer_cvt,
    mixformer_vit,
    nanotrack,
    sutrack,
    transt,
)
from vtlab.nets.layers import CornerHead  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.trackers.boxes import engines  # noqa: E402
from vtlab.trackers.boxes.engines import PARTS  # noqa: E402
from vtlab.trackers.create import create_tracker  # noqa: E402
from vtlab.trackers.loop import track  # noqa: E402

KINDS = (
    "transt",
    "mixformer-cvt",
    "mixformer-cvt-offline",
    "mixformer-vit",
    "mcitrack-t224",
    "sutrack-b224",
    "nanotrack-v2",
    "nanotrack-v3",
    "fear-xs",
)
ROOM = "vtlab.trackers.boxes"
CORNERS = ["x1", "y1", "x2", "y2"]


def network_of(kind):
    """A narrow network with random weights, and the sizes of its crops where they are not fixed."""
    if kind == "transt":
        network = transt.TransT(4, channels=32, heads=2, hidden=32)
        network.backbone[0].body = nn.Conv2d(3, 1024, 8, stride=8)
        return network
    if kind == "mcitrack-t224":
        return mcitrack.MCITrack(mcitrack.MCITrackConfig(dim=64, stem=1, depth=4, search=64, template=32))
    if kind == "sutrack-b224":
        config = mcitrack.MCITrackConfig(dim=64, stem=1, depth=2, search=64, template=32, templates=2)
        return sutrack.SUTrack(config)
    if kind.startswith("nanotrack"):
        return nanotrack.NanoTrack(nanotrack.CONFIGS[int(kind[-1])])
    if kind == "fear-xs":
        return fear.FearXS()
    if "vit" in kind:
        backbone = mixformer_vit.MixVit(mixformer_vit.VitConfig(64, 2, 2, 64, 96))
    else:
        backbone = mixformer_cvt.MixCvt(mixformer_cvt.CvtConfig((16, 32, 64), (1, 2, 1), (1, 1, 1)))
    score = None if "offline" in kind else mixformer.ScorePrediction(64)
    return mixformer.MixFormer(backbone, CornerHead(64, channels=16, frozen=True), score)


def shrink(monkeypatch, kind):
    """Let trackers of a kind be made on a narrow network with the same random weights each time."""

    def load(*_, **__):
        torch.manual_seed(0)
        return network_of(kind)

    monkeypatch.setattr(f"{ROOM}.{kind.partition('-')[0]}.load", load, raising=False)
    monkeypatch.setattr("vtlab.nets.loading.load", load)
    if kind.startswith("mixformer"):
        monkeypatch.setattr(f"{ROOM}.mixformer.crop_sizes", lambda *_: (64, 96))
    for nets, variant in ((mcitrack, "t224"), (sutrack, "b224")):
        if kind == f"{nets.__name__.rpartition('.')[2]}-{variant}":
            monkeypatch.setitem(nets.CONFIGS, variant, network_of(kind).config)


@pytest.fixture(scope="module")
def clip():
    return synthetic(seed=3, objects=2, seconds=0.2, size=(320, 180))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder of a kind's export, made once for all tests; checked where it has no parameters."""
    found = {}

    def of(kind, **params):
        key = kind, *params.items()
        if key not in found:
            with pytest.MonkeyPatch.context() as patch:
                shrink(patch, kind)
                folder = tmp_path_factory.mktemp("exported") / kind
                found[key] = export(kind, folder, check=not params, **params)
        return found[key]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_compute_what_pytorch_computes(exported, kind):
    made = exported(kind)
    assert sorted(p.name for p in made.folder.iterdir()) == ["step.onnx", "template.onnx"]
    told = {}
    for part, file in made.parts.items():
        assert all(shape[0] == "objects" for shape in (*file.inputs.values(), *file.outputs.values()))
        assert part == file.facts["part"]
        told[part] = {k: v for k, v in file.facts.items() if k != "part"}
    assert told["template"] == told["step"]
    assert told["step"]["tracker"] == told["step"]["network"] == kind
    assert {"crop", "images", "window", "box", "limits", "update", "outside"} <= told["step"].keys()
    assert {"template_size", "search_size"} <= told["step"].keys()
    assert max(made.difference.values()) < 1e-3
    if kind == "mixformer-cvt-offline":
        assert list(made.parts["step"].outputs) == ["boxes"]


@pytest.mark.parametrize("kind", KINDS)
def test_exported_files_follow_as_the_network_does(exported, monkeypatch, clip, kind):
    """Two objects, templates that change: boxes within 0.01 px of PyTorch's, and a record that says who ran."""
    shrink(monkeypatch, kind)
    settings = {}
    if kind not in ("transt", "fear-xs") and not kind.startswith("nanotrack"):
        settings["update_every"] = 0.05
    prompts = Prompts(p for p in clip.prompts if isinstance(p, BoxPrompt))
    native, deployed = (
        track(clip.video, prompts, kind, progress=False, **settings, **how)
        for how in (
            {"engine": "torch", "device": "cpu"},
            {"engine": "onnxruntime", "weights": str(exported(kind, **settings).folder)},
        )
    )
    mine, theirs = native.to_frame(), deployed.to_frame()
    np.testing.assert_allclose(theirs[CORNERS], mine[CORNERS], atol=1e-2)
    np.testing.assert_allclose(theirs["score"], mine["score"], atol=1e-4)
    maker = deployed.record.tracker
    assert maker.params["engine"] == "onnxruntime"
    digests = {
        f: sha256((exported(kind, **settings).folder / f).read_bytes()).hexdigest() for f in PARTS.values()
    }
    assert maker.weights == digests


def test_engines_stand_side_by_side_in_a_comparison(exported, monkeypatch, clip):
    shrink(monkeypatch, "nanotrack-v2")
    both = {
        "native": ("nanotrack-v2", {"engine": "torch"}),
        "deployed": (
            "nanotrack-v2",
            {"engine": "onnxruntime", "weights": str(exported("nanotrack-v2").folder)},
        ),
    }
    found = compare(clip, both, progress=False)
    assert {r.tracker for r in found.runs} == {"native", "deployed"}
    assert all(r.ok for r in found.runs)


PAGE = (Path(__file__).parents[2] / "docs/tasks/deploy.md").read_text(encoding="utf-8")
SHOWN = ("transt", "mixformer-cvt", "mcitrack-t224", "sutrack-b224", "nanotrack-v3", "fear-xs")


def test_the_table_of_the_docs_says_what_the_files_say(exported):
    """The table is this text: put it there after a change."""
    apart = {"format", "part", "pair", "tracker", "network", "licence", "template_size", "search_size"}
    lines = ["| tracker | what | |", "| --- | --- | --- |"]
    for kind in SHOWN:
        facts = exported(kind).parts["step"].facts
        for i, (key, value) in enumerate((k, v) for k, v in facts.items() if k not in apart):
            lines.append(f"| {'' if i else f'`{kind}`'} | `{key}` | {value} |")
    assert "\n".join(lines) in PAGE, "\n".join(lines)


def test_the_example_of_the_docs_follows_as_the_tracker_does(exported, monkeypatch, clip):
    """docs/tasks/deploy.md: the files, numpy, OpenCV and ONNX Runtime alone give the boxes of `vtlab.track`."""
    shrink(monkeypatch, "transt")
    box = next(p.xyxy for p in clip.prompts if isinstance(p, BoxPrompt))
    mine = track(clip.video, BoxPrompt(box), "transt", device="cpu", progress=False)
    code = next(c for c in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "def follow" in c)
    assert "vtlab" not in code
    assert len(code.splitlines()) <= 30
    names: dict[str, object] = {}
    exec(code, names)
    frames = (f.image for f in clip.video.frames())
    found = np.array(list(names["follow"](str(exported("transt").folder), frames, box)))
    assert len(found) == len(clip.video) - 1
    np.testing.assert_allclose(found, mine.to_frame()[CORNERS].to_numpy()[1:], atol=1e-2)


def test_files_that_compute_something_else_are_removed(tmp_path, monkeypatch):
    shrink(monkeypatch, "nanotrack-v2")
    monkeypatch.setattr(module, "_difference", lambda *_: np.inf)
    with pytest.raises(VtlabError, match="differs from PyTorch"):
        export("nanotrack-v2", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    assert export("nanotrack-v2", tmp_path / "out", check=False).difference == {}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["step.onnx", "template.onnx"]


def test_what_can_not_be_exported_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(InputError, match=r"'ncc' can't be exported.*mcitrack-t224"):
        export("ncc", tmp_path / "out")
    with pytest.raises(InputError, match="v1 has ONNX files only"):
        export("nanotrack-v1", tmp_path / "out")
    with pytest.raises(RegistryError, match="Unknown tracker"):
        export("transd", tmp_path / "out")
    with pytest.raises(InputError, match="leave out dtype"):
        export("transt", tmp_path / "out", dtype="float16")
    with pytest.raises(InputError, match="two files.*folder"):
        export("transt", tmp_path / "out.onnx")
    with pytest.raises(InputError, match="give a folder"):
        export("transt", tmp_path / "absent" / "out")
    with pytest.raises(InputError, match="opset"):
        export("transt", tmp_path / "out", opset=11)


def run_by(folder, tracker="nanotrack-v2", **how):
    return create_tracker(tracker, **{"engine": "onnxruntime", "weights": str(folder), **how})


def test_files_that_are_no_export_of_this_tracker_are_refused(exported, tmp_path):
    """Each says what is wrong with it, before anything of it runs."""
    good = exported("nanotrack-v2").folder

    def folder(name, **parts):
        made = tmp_path / name
        made.mkdir()
        for part, file in PARTS.items():
            content = parts.get(part, (good / file).read_bytes())
            if content is not None:
                (made / file).write_bytes(content)
        return made

    def changed(part, **facts):
        model = onnx.load(good / PARTS[part])
        told = {p.key: p.value for p in model.metadata_props} | facts
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, {k: v for k, v in told.items() if v is not None})
        return model.SerializeToString()

    outside = onnx.load(good / "step.onnx")
    outside.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    step = (good / "step.onnx").read_bytes()
    bad = {
        "no file .*step.onnx": {"step": None},
        "not an ONNX file": {"step": b"\x89PNG not a network"},
        "metadata without pair": {"step": changed("step", pair=None)},
        "of format 'vtlab export 9'": {"step": changed("step", format="vtlab export 9")},
        "is the step file of 'nanotrack-v2'": {"template": step},
        "not of one export": {"template": changed("template", pair="0" * 16)},
        "tensors in other files": {"step": outside.SerializeToString()},
        "can't load": {"step": changed("step")[:0] + _broken(good / "step.onnx")},
    }
    for i, (message, parts) in enumerate(bad.items()):
        with pytest.raises(WeightsError, match=message):
            run_by(folder(str(i), **parts))
    with pytest.raises(WeightsError, match="'nanotrack-v2'.*wanted is the template file of 'transt'"):
        run_by(good, "transt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_made_for_other_constants_is_refused(exported, kind, monkeypatch):
    """Nothing that the tracker does around its network differs in silence from what the metadata says."""
    folder, read = exported(kind).folder, engines.read_signature
    shrink(monkeypatch, kind)
    told = read(folder / "step.onnx").facts
    around = told.keys() - {"format", "part", "pair", "tracker", "network", "licence"}
    assert around >= {
        "crop",
        "template_size",
        "search_size",
        "outside",
        "images",
        "window",
        "box",
        "limits",
        "update",
    }
    for name in around:

        def changed(path, name=name):
            found = read(path)
            return replace(found, facts={**found.facts, name: "something else"})

        monkeypatch.setattr(engines, "read_signature", changed)
        said = f"{name} is 'something else' there, {told[name]!r} here"
        with pytest.raises(WeightsError, match=re.escape(said)) as caught:
            run_by(folder, kind)
        assert f"Remedy: run the files by {kind!r}" in str(caught.value)


def test_variants_of_one_network_do_not_run_each_others_files(exported, monkeypatch):
    """They have the same tensors; what differs are the search region and the updates."""
    shrink(monkeypatch, "mixformer-cvt")
    folder = exported("mixformer-cvt").folder
    with pytest.raises(
        WeightsError, match="search_factor is '4.55' there, '4.5' here; update is 'up to 2 .*'up to 3"
    ):
        run_by(folder, "mixformer-cvt-1k")
    with pytest.raises(
        WeightsError, match="exported by 'mixformer-cvt'.* of 6.67 s, .* of 1 s, its score times 0.98"
    ):
        run_by(folder, "mixformer-cvt-got")
    with pytest.raises(WeightsError, match="search_factor is '4.55' there, '4.0' here"):
        run_by(folder, "mixformer-cvt", search_factor=4)
    run_by(folder, "mixformer-cvt-1k", search_factor=4.55, online_size=2).close()


def _broken(path):
    """A network that says all that it should and whose graph makes no sense."""
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    return model.SerializeToString()


def test_engines_and_options_that_do_not_go_together_are_refused(exported):
    good = exported("nanotrack-v2").folder
    for how, message in (
        ({"engine": "onnxrutnime"}, "onnxruntime"),
        ({"engine": "onnxruntime", "weights": str(good), "device": "cuda"}, "device"),
        ({"engine": "onnxruntime", "weights": str(good), "dtype": "bfloat16"}, "computes in float32"),
        ({"engine": "openvino", "weights": None}, "openvino"),
    ):
        with pytest.raises((InputError, MissingDependencyError), match=message):
            create_tracker("nanotrack-v2", **how)
    with pytest.raises(InputError, match="runs exported files.*vtlab export"):
        create_tracker("fear-xs", engine="onnxruntime")
    with pytest.raises(InputError, match="Did you mean 'tensorrt'"):
        create_tracker("transt", engine="tensort", weights=str(good))
    with pytest.raises(InputError, match="device"):
        create_tracker("transt", engine="onnxruntime", weights=str(good), device="cuda")


@pytest.mark.parametrize("engine", ["openvino", "tensorrt"])
def test_an_engine_that_is_not_installed_says_how_to_get_it(tmp_path, monkeypatch, engine):
    """Before anything is exported."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = CliRunner().invoke(app, ["export", "nanotrack-v2", str(tmp_path / "out"), "--engine", engine])
    assert isinstance(result.exception, MissingDependencyError)
    assert "Remedy: pip install" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_export_prints_speed_and_boxes_side_by_side(tmp_path, monkeypatch, clip):
    shrink(monkeypatch, "nanotrack-v2")
    monkeypatch.setattr("vtlab.datasets.synthetic.synthetic", lambda **_: clip)
    words = ["export", "nanotrack-v2", str(tmp_path / "out"), "--no-check", "--engine", "onnxruntime"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "120"}, catch_exceptions=False)
    rows = [re.findall(r"[\w.-]+", line) for line in result.stdout.splitlines() if "float32" in line]
    assert [r[0] for r in rows] == ["torch", "onnxruntime"]
    for row in rows:
        latency, ratio, iou, least, success = map(float, row[2:])
        assert latency > 0
        assert ratio > 0
        assert iou > 0.999
        assert least > 0.99
        assert 0 <= success <= 1
    assert rows[0][-1] == rows[1][-1]


def test_openvino_gives_the_boxes_of_pytorch(exported, monkeypatch, clip):
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'vtlab[openvino]'")
    shrink(monkeypatch, "transt")
    rows = try_engine("transt", exported("transt").folder, "openvino", clip)
    assert [r.engine for r in rows][:2] == ["torch", "openvino"]
    assert rows[1].least_iou > 0.999


def test_a_tracker_in_a_file_of_its_own_offers_its_graph(tmp_path, monkeypatch):
    """All that an exportable tracker needs is in its file."""
    monkeypatch.setattr(module.TRACKERS, "_entries", dict(module.TRACKERS._entries))
    (tmp_path / "toy.py").write_text(
        """
import torch
import vtlab
from vtlab.contracts import Exportable, ExportGraph, ExportPart, SingleObjectTracker

@vtlab.register("toy-network", family="sot", accepts=[vtlab.BoxPrompt])
class Toy(SingleObjectTracker, Exportable):
    export_params = {"device": "cpu"}

    def __init__(self, *, device="auto", factor=2.0):
        self.factor = factor

    def init(self, frame, prompt): ...
    def step(self, frame): ...

    def export_graph(self):
        torch.manual_seed(0)
        return ExportGraph(
            torch.nn.Linear(4, 2), self.part("crop", "features"), self.part("features", "scores"), {"kind": "toy"}
        )

    def part(self, name, out):
        return ExportPart(
            lambda network, x: (network(x) * self.factor,), lambda n: {name: torch.ones(n, 4)}, (out,),
            {name: {0: "objects"}, out: {0: "objects"}},
        )
"""
    )
    made = export(f"{tmp_path / 'toy.py'}:Toy", tmp_path / "toy", factor=3.0)
    assert made.parts["template"].inputs == {"crop": ("objects", 4)}
    assert made.parts["step"].outputs == {"scores": ("objects", 2)}
    assert made.parts["step"].facts["kind"] == "toy"
    with pytest.raises(InputError, match="leave out device"):
        export(f"{tmp_path / 'toy.py'}:Toy", tmp_path / "toy", device="cuda")
