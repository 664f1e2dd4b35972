"""ONNX export: the files of narrow networks compute what PyTorch computes, for any number of objects."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vtlab[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vtlab[onnx]'")
from torch import nn  # noqa: E402

from vtlab.deploy import export as module  # noqa: E402
from vtlab.deploy.export import export  # noqa: E402
from vtlab.errors import InputError, RegistryError, VtlabError  # noqa: E402
from vtlab.nets import mcitrack, mixformer_cvt, mixformer_vit  # noqa: E402
from vtlab.nets.layers import CornerHead, fold_batch_norms  # noqa: E402
from vtlab.nets.mixformer import MixFormer, ScorePrediction  # noqa: E402
from vtlab.nets.transt import TransT  # noqa: E402


def narrow(kind):
    """A tracker of a kind, with all that the export reads, on a narrow network."""
    torch.manual_seed(0)
    if kind == "transt":
        network = TransT(2, channels=32, heads=2, hidden=32)
        network.backbone[0].body = nn.Conv2d(3, 1024, 8, stride=8)
        return SimpleNamespace(_network=fold_batch_norms(network))
    if kind == "mcitrack-t224":
        config = mcitrack.MCITrackConfig(dim=64, stem=1, depth=4, search=64, template=32)
        return SimpleNamespace(_network=fold_batch_norms(mcitrack.MCITrack(config)))
    if "vit" in kind:
        backbone = mixformer_vit.MixVit(mixformer_vit.VitConfig(64, 2, 2, 64, 96))
    else:
        backbone = mixformer_cvt.MixCvt(mixformer_cvt.CvtConfig((16, 32, 64), (1, 2, 1), (1, 1, 1)))
    score = None if "offline" in kind else ScorePrediction(64)
    network = MixFormer(backbone, CornerHead(64, channels=16, frozen=True), score)
    made = {"_template_size": 64, "_search_size": 96, "search_factor": 4.5}
    return SimpleNamespace(_network=fold_batch_norms(network), **made)


@pytest.mark.parametrize(
    "kind", ["transt", "mixformer-cvt", "mixformer-cvt-offline", "mixformer-vit", "mcitrack-t224"]
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
