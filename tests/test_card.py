"""Every package that users of vtlab build on is imported and used once through vtlab: its answer and ours are one.

jupyterlab, ipywidgets, torch, sam2, supervision, motmetrics, pandas: `pip install 'vtlab[all]'` brings them.
"""

from __future__ import annotations

import json
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import vtlab
from vtlab.datasets.synthetic import synthetic
from vtlab.geometry import box_iou
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.tracks import Tracks


@pytest.fixture(scope="module")
def scene():
    return synthetic(seed=3, objects=2, points=0, seconds=0.6, size=(160, 96), difficulty="easy")


def test_pandas(scene) -> None:
    import pandas as pd

    table = vtlab.evaluate(scene.truth, scene, "mot")
    assert isinstance(table, pd.DataFrame)
    assert table.query("metric == 'HOTA' and object_id == 'all'")["value"].item() == pytest.approx(1)


def test_motmetrics(scene) -> None:
    mm = pytest.importorskip("motmetrics", reason="motmetrics is not installed: pip install 'vtlab[mot]'")
    from vtlab.metrics import motmetrics_bridge

    shifted = scene.truth.replace(boxes=scene.truth.boxes + 4.0)
    ours = motmetrics_bridge.summary({"a": motmetrics_bridge.accumulator(shifted, scene.truth)})
    theirs = mm.MOTAccumulator(auto_id=False)
    for frame in range(len(scene.video)):
        (gt, boxes), (ids, found) = (
            (t.object_id.tolist(), np.asarray(t.boxes))
            for t in (scene.truth.at(frame).seen(), shifted.at(frame).seen())
        )
        distance = 1 - box_iou(boxes, found) if len(gt) and len(ids) else np.zeros((len(gt), len(ids)))
        theirs.update(gt, ids, np.where(distance > 0.5, np.nan, distance), frameid=frame)
    alone = mm.metrics.create().compute(theirs, mm.metrics.motchallenge_metrics)
    np.testing.assert_allclose(ours.loc["a"].to_numpy(float), alone.iloc[0].to_numpy(float), atol=1e-12)


def test_supervision(scene) -> None:
    """Tracks go to supervision and come back, and its annotators draw traces, labels and zones of them."""
    import supervision as sv

    image, rows = scene.video[0], []
    traces, labels, boxes = sv.TraceAnnotator(), sv.LabelAnnotator(), sv.BoxAnnotator()
    zone = sv.PolygonZone(np.array([[0, 0], [160, 0], [160, 96], [0, 96]]))
    for frame in range(len(scene.video)):
        detections = scene.truth.to_supervision(frame)
        names = [f"{i}" for i in detections.tracker_id]
        drawn = boxes.annotate(scene.video[frame].copy(), detections)
        drawn = labels.annotate(traces.annotate(drawn, detections), detections, labels=names)
        assert (drawn != scene.video[frame]).any()
        assert zone.trigger(detections).sum() <= len(detections)
        rows += [(frame, i, *box) for i, box in zip(detections.tracker_id, detections.xyxy, strict=True)]
    table = np.array(rows)
    back = Tracks.of(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:])
    seen = scene.truth.seen()
    np.testing.assert_allclose(np.sort(back.boxes, axis=0), np.sort(seen.boxes, axis=0), atol=1e-3)
    assert image.shape == (96, 160, 3)


def test_ipywidgets_and_jupyterlab(scene) -> None:
    """A widget of vtlab stands in a layout of ipywidgets, as what JupyterLab renders by its installed extension."""
    widgets = pytest.importorskip(
        "ipywidgets", reason="ipywidgets is not installed: pip install 'vtlab[notebook]'"
    )
    lab = pytest.importorskip(
        "jupyterlab", reason="jupyterlab is not installed: pip install 'vtlab[notebook]'"
    )
    pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")
    inner = vtlab.annotate(scene.video)
    box = widgets.VBox([widgets.HTML("<b>prompts</b>"), inner])
    assert "application/vnd.jupyter.widget-view+json" in box._repr_mimebundle_()
    assert box.children[1] is inner
    extensions = [
        json.loads(Path(f.locate()).read_text())["name"]
        for name in ("jupyterlab-widgets", "anywidget")
        for f in metadata.files(name) or ()
        if f.name == "package.json" and "labextensions" in str(f)
    ]
    assert {"@jupyter-widgets/jupyterlab-manager", "anywidget"} <= set(extensions)
    assert int(lab.__version__.split(".")[0]) >= 4
    box.close_all()


def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    from vtlab.nets.transt import TransT
    from vtlab.weights.device import find_device

    assert find_device("cpu") == torch.device("cpu")
    with torch.device("meta"):
        assert sum(p.numel() for p in TransT().parameters()) > 1e7


def test_sam2(scene, tmp_path) -> None:
    """The package's video predictor and vtlab's tracker give the same masks from one box (seeded weights, float64)."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    pytest.importorskip("sam2", reason="the package sam2 is not installed: pip install 'vtlab[sam2]'")
    from vtlab.testing.seeded import masks as seeded

    name, side, frames = "sam2.1-tiny", 128, 4
    network = seeded.sam2(name, side)
    torch.save({"model": network.state_dict()}, tmp_path / "sam2.1_hiera_tiny.pt")
    folder = tmp_path / "frames"
    folder.mkdir()
    from PIL import Image

    for i in range(frames):
        Image.fromarray(scene.video[i]).save(folder / f"{i:05d}.jpg", quality=95)
    images = [np.array(Image.open(folder / f"{i:05d}.jpg")) for i in range(frames)]
    box = (20.0, 20.0, 80.0, 70.0)
    predictor = seeded.sam2_predictor(name, network)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = predictor.init_state(str(folder))
        predictor.add_new_points_or_box(state, 0, 1, box=np.array(box, np.float32))
        theirs = {t: m[0, 0].numpy() for t, _, m in predictor.propagate_in_video(state)}
    prompts = Prompts([BoxPrompt(tuple(v + 0.5 for v in box))])  # its pixel centres are whole numbers
    options = {"weights": tmp_path / "sam2.1_hiera_tiny.pt", "image_size": side, "device": "cpu"}
    ours = vtlab.track(np.stack(images), prompts, name, progress=False, **options)
    for t in range(frames):
        sure = np.abs(theirs[t]) > 1e-2  # float32: a logit at 0 may fall on either side
        assert sure.mean() > 0.9
        np.testing.assert_array_equal(ours.masks_at(t)[1][sure], (theirs[t] > 0)[sure], err_msg=f"frame {t}")
