"""ONNX export: the files of narrow networks compute what PyTorch computes, for any number of objects."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vtlab[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vtlab[onnx]'")
from torch import nn  # noqa: E402

from vtlab.datasets.synthetic import synthetic  # noqa: E402
from vtlab.deploy import export as module  # noqa: E402
from vtlab.deploy.export import export  # noqa: E402
from vtlab.errors import InputError, RegistryError, VtlabError  # noqa: E402
from vtlab.nets import mcitrack, mixformer, mixformer_cvt, mixformer_vit, sutrack, transt  # noqa: E402
from vtlab.nets.layers import CornerHead, fold_batch_norms  # noqa: E402
from vtlab.prompts import BoxPrompt  # noqa: E402
from vtlab.trackers.boxes.mcitrack import MCITrack  # noqa: E402
from vtlab.trackers.boxes.mixformer import MixFormer  # noqa: E402
from vtlab.trackers.boxes.sutrack import SUTrack  # noqa: E402
from vtlab.trackers.boxes.transt import TransT  # noqa: E402
from vtlab.trackers.loop import track  # noqa: E402


def narrow(kind):
    """A tracker of a kind, with all that the export reads, on a narrow network."""
    torch.manual_seed(0)
    if kind == "transt":
        network = transt.TransT(2, channels=32, heads=2, hidden=32)
        network.backbone[0].body = nn.Conv2d(3, 1024, 8, stride=8)
        return made(TransT, network)
    if kind == "mcitrack-t224":
        config = mcitrack.MCITrackConfig(dim=64, stem=1, depth=4, search=64, template=32)
        return made(MCITrack, mcitrack.MCITrack(config))
    if kind == "sutrack-b224":
        config = mcitrack.MCITrackConfig(dim=64, stem=1, depth=2, search=64, template=32)
        return made(SUTrack, sutrack.SUTrack(config), templates=2)
    if "vit" in kind:
        backbone = mixformer_vit.MixVit(mixformer_vit.VitConfig(64, 2, 2, 64, 96))
    else:
        backbone = mixformer_cvt.MixCvt(mixformer_cvt.CvtConfig((16, 32, 64), (1, 2, 1), (1, 1, 1)))
    score = None if "offline" in kind else mixformer.ScorePrediction(64)
    network = mixformer.MixFormer(backbone, CornerHead(64, channels=16, frozen=True), score)
    return made(MixFormer, network, _template_size=64, _search_size=96, search_factor=4.5)


def made(cls, network, **others):
    """An instance without its constructor, which would load weights."""
    tracker = cls.__new__(cls)
    vars(tracker).update(_network=fold_batch_norms(network), **others)
    return tracker


@pytest.mark.parametrize(
    "kind",
    ["transt", "mixformer-cvt", "mixformer-cvt-offline", "mixformer-vit", "mcitrack-t224", "sutrack-b224"],
)
def test_the_file_computes_what_pytorch_computes(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module.TRACKERS, "create", lambda *_, **__: narrow(kind))
    made = export(kind, tmp_path / "out.onnx")
    assert made.path == tmp_path / "out.onnx"
    assert list(tmp_path.iterdir()) == [made.path]
    assert all(shape[0] == "objects" for shape in (*made.inputs.values(), *made.outputs.values()))
    assert all(isinstance(n, int) for shape in made.outputs.values() for n in shape[1:])
    assert max(made.difference.values()) < 1e-4
    properties = {p.key: p.value for p in onnx.load(made.path).metadata_props}
    assert properties["tracker"] == kind
    assert properties["images"].startswith("RGB / 255")
    if kind == "mixformer-cvt-offline":
        assert list(made.outputs) == ["boxes"]


def test_the_example_of_the_docs_follows_as_the_tracker_does(tmp_path, monkeypatch):
    """docs/tasks/deploy.md: the file, numpy, OpenCV and ONNX Runtime alone give the boxes of `vtlab.track`."""
    tracker = narrow("transt")
    monkeypatch.setattr("vtlab.trackers.boxes.transt.load", lambda *_, **__: tracker._network)
    clip = synthetic(seed=3, objects=1, seconds=0.4, size=(320, 180))
    box = next(p.xyxy for p in clip.prompts if isinstance(p, BoxPrompt))
    mine = track(clip.video, BoxPrompt(box), TransT(fusion_layers=2, device="cpu"), progress=False)
    file = export("transt", tmp_path / "transt.onnx", check=False).path
    page = (Path(__file__).parents[2] / "docs/tasks/deploy.md").read_text(encoding="utf-8")
    code = next(c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "def follow" in c)
    assert "vtlab" not in code
    names: dict[str, object] = {}
    exec(code, names)
    found = np.array(list(names["follow"](str(file), (f.image for f in clip.video.frames()), box)))
    corners = mine.to_frame()[["x1", "y1", "x2", "y2"]].to_numpy()[1:]
    assert len(found) == len(clip.video) - 1
    np.testing.assert_allclose(found, corners, atol=1e-2)


def test_a_file_that_computes_something_else_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(module.TRACKERS, "create", lambda *_, **__: narrow("transt"))
    monkeypatch.setattr(module, "_difference", lambda *_: np.inf)
    with pytest.raises(VtlabError, match="differs from PyTorch"):
        export("transt", tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())
    assert export("transt", tmp_path / "out.onnx", check=False).difference == {}
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def test_what_can_not_be_exported_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(InputError, match=r"'ncc' can't be exported.*mcitrack-t224"):
        export("ncc", tmp_path / "out.onnx")
    with pytest.raises(InputError, match=r"ONNX files already: nanotrackv2_backbone\.onnx"):
        export("nanotrack-v2", tmp_path / "out.onnx")
    with pytest.raises(RegistryError, match="Unknown tracker"):
        export("transd", tmp_path / "out.onnx")
    with pytest.raises(InputError, match="leave out dtype"):
        export("transt", tmp_path / "out.onnx", dtype="float16")
    with pytest.raises(InputError, match="folder that exists"):
        export("transt", tmp_path / "absent" / "out.onnx")
    with pytest.raises(InputError, match="opset"):
        export("transt", tmp_path / "out.onnx", opset=11)


def test_a_tracker_in_a_file_of_its_own_offers_its_graph(tmp_path, monkeypatch):
    """All that an exportable tracker needs is in its file."""
    monkeypatch.setattr(module.TRACKERS, "_entries", dict(module.TRACKERS._entries))
    (tmp_path / "toy.py").write_text(
        """
import torch
import vtlab
from vtlab.contracts import Exportable, ExportGraph, SingleObjectTracker

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
            torch.nn.Linear(4, 2), lambda network, x: (network(x) * self.factor,),
            lambda n: {"features": torch.ones(n, 4)}, ("scores",),
            {"features": {0: "objects"}, "scores": {0: "objects"}}, {"kind": "toy"},
        )
"""
    )
    made = export(f"{tmp_path / 'toy.py'}:Toy", tmp_path / "toy.onnx", factor=3.0)
    assert made.inputs == {"features": ("objects", 4)}
    assert made.outputs == {"scores": ("objects", 2)}
    assert {p.key: p.value for p in onnx.load(made.path).metadata_props}["kind"] == "toy"
    with pytest.raises(InputError, match="leave out device"):
        export(f"{tmp_path / 'toy.py'}:Toy", tmp_path / "toy.onnx", device="cuda")
