"""Every reader of files from outside, with good files for it to be damaged: the only table of the fuzzing.

Formats come from the registry, so a new one is fuzzed without a word here.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import manifests

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: What the table calls it.
        make: Writes good files into a folder.
        read: Reads the files of the folder; `path` is the one that was damaged.
        needs: Packages without which it isn't asked.
        whole: Whether it reads all files of the folder, whichever was damaged.
    """

    name: str
    make: Callable[[Path], Any]
    read: Callable[[Path, Path], Any]
    needs: tuple[str, ...] = ()
    whole: bool = False

    def there(self) -> bool:
        return all(importlib.util.find_spec(n) is not None for n in self.needs)


def frames(n: int = 6) -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return np.stack([np.stack([x * 3 + i, y * 4, x * y + 9 * i], -1) % 256 for i in range(n)]).astype(
        np.uint8
    )


def make_videos(folder: Path) -> None:
    import av

    kinds = {"a.mp4": "libx264", "b.mkv": "libx264", "c.avi": "mpeg4"}
    kinds |= {"d.webm": "libvpx", "e.mov": "mjpeg", "f.ts": "mpeg2video"}
    for name, codec in kinds.items():
        with av.open(str(folder / name), "w") as out:
            stream = out.add_stream(codec, rate=25)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for image in frames():
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(stream.encode())


def read_video(folder: Path, path: Path) -> None:
    import vtlab

    with vtlab.open_video(path) as video:
        count = sum(1 for image, _ in zip(video, range(20), strict=False) if image.shape[2] == 3)
        video[len(video) // 2], video[count - 1], video.fps, video.digest()


def make_images(folder: Path) -> None:
    from PIL import Image

    for name in ("a.png", "b.jpg", "c.webp", "d.bmp", "e.tif", "f.ppm"):
        Image.fromarray(frames(1)[0]).save(folder / name)
    Image.fromarray(frames(1)[0, ..., 0]).convert("P").save(folder / "g.png")
    Image.fromarray(frames(1)[0].astype(np.uint16)[..., 0] * 200).save(folder / "h.tif")


def read_image(folder: Path, path: Path) -> None:
    import vtlab

    for image in vtlab.open_video(path):
        assert image.dtype == np.uint8
    vtlab.open_video(folder)


def make_prompts(folder: Path) -> None:
    from vtlab import masks
    from vtlab import prompts as p

    mask = np.hypot(*np.mgrid[-20:20, -20:20]) < 9
    given = [
        p.BoxPrompt((2, 3, 20, 30), object_id=1, label="car", angle=0.5),
        p.PointPrompt(((5, 6), (7, 8)), object_id=2, frame=1, shape="polyline"),
        p.MaskPrompt(counts=masks.encode(mask), size=mask.shape, object_id=3),
        p.MaskPrompt(polygon=((1, 1), (20, 2), (5, 30)), size=mask.shape, object_id=4),
        p.ClickPrompt(((5, 6), (9, 9)), (True, False), object_id=5),
        p.SkeletonPrompt(((5, 6), (9, 9)), ("head", "tail"), ((0, 1),), object_id=6),
    ]
    for prompt in given:
        p.Prompts([prompt]).save(folder / f"{prompt.object_id}.json")
    p.Prompts(given).save(folder / "all.json")


def read_prompts(folder: Path, path: Path) -> None:
    import vtlab
    from vtlab.prompts import Prompts

    found = Prompts.load(path)
    found.to_json()
    assert found.edges is not None
    found.check(vtlab.open_video(np.zeros((5, 40, 40, 3), np.uint8)))
    for prompt in found:
        prompt.box(40, 40)


def tracks() -> Any:
    from vtlab import masks
    from vtlab.tracks import PointRows, Tracks

    frame, owner = np.tile(np.arange(5), 2), np.repeat([1, 2], 5)
    corner = np.stack([4 + owner * 12 + frame, 5 + owner * 8 + frame], axis=1).astype(float)
    return Tracks.of(
        frame,
        owner,
        np.concatenate([corner, corner + 9], axis=1),
        masks=[masks.from_box((x, y, x + 8, y + 6), 48, 64) for x, y in corner],
        points=PointRows.of(frame, owner, np.zeros_like(frame), corner),
        label="car",
        attributes=[{"colour": "red"}] * 10,
        polygons=[[[5, 5], [20, 5], [5, 20]]] * 10,
        angle=np.ones(10),
        size=(48, 64),
        meta={"frames": 5},
    )


def read_tracks(folder: Path, path: Path) -> None:
    from vtlab.tracks import Tracks

    use(Tracks.load(path))


def use(found: Any) -> None:
    """What every road does with tracks that were read."""
    found.to_frame(), found.seen(), found.object_ids, repr(found)
    for frame in found.frame[:3].tolist():
        found.at(frame).masks_at(frame)


def make_recorded(folder: Path) -> None:
    import supervision as sv

    import vtlab
    from vtlab.contracts import Detector
    from vtlab.detectors.recorded import record
    from vtlab.registry import register_detector

    @register_detector("fuzz-fixed", family="detector", summary="Says the same of every frame.")
    class Found(Detector):
        names = ("car",)

        def detect(self, frames: Any) -> list[Any]:
            mask = np.zeros((2, 48, 64), bool)
            mask[:, 5:15, 5:20] = True
            boxes = np.array([[5, 5, 20, 15], [5, 5, 20, 15.0]])
            kinds = {"class_id": np.zeros(2, int), "data": {"class_name": np.array(["car", "car"])}}
            return [sv.Detections(boxes, mask, np.array([0.9, 0.5]), **kinds) for _ in frames]

    record(vtlab.open_video(frames()), Found(), folder)


def read_recorded(folder: Path, path: Path) -> None:
    from vtlab.detectors.recorded import RecordedDetector

    found = RecordedDetector(path=path)
    for index in range(4):
        found.at(index)


def make_public(folder: Path) -> None:
    lines = [f"{f},-1,{3.5 * f},7,12,20,{0.5 + f / 50},-1,-1,-1" for f in range(1, 25)]
    (folder / "det.txt").write_text("\n".join(lines) + "\n")


def read_public(folder: Path, path: Path) -> None:
    from vtlab.detectors.public import PublicDetections

    found = PublicDetections(path=path)
    for index in range(3):
        found.at(index)


def format_reader(form: Any) -> Reader:
    """Truth and a result in one format, as its own writer lays them down."""
    from vtlab import formats

    def make(folder: Path) -> None:
        from vtlab.testing.formats import example

        formats.write_tracks(example(form), folder, form.name, sequence="a")
        formats.write_tracks(example(form, "results"), folder, form.name, sequence="a", tracker="mine")

    def read(folder: Path, path: Path) -> None:
        data = formats.open_format(folder, form.name)
        sequence = None
        for name in data.names:
            sequence = form.read_sequence(data.place(name), images=False)
            if sequence.truth is not None:
                use(sequence.truth)
        for found in form.find_results(folder):
            use(form.read_tracks(found.path, sequence))
            use(form.read_tracks(found.path))

    return Reader(form.name, make, read, (form.package,) if form.package else (), whole=True)


def make_tapvid_video(folder: Path) -> None:
    import cv2

    images = [cv2.imencode(".jpg", image)[1].tobytes() for image in frames()]
    points = {"points": np.full((2, 6, 2), 0.5), "occluded": np.zeros((2, 6), bool)}
    (folder / "a.pkl").write_bytes(pickle.dumps({"x": {"video": frames(), **points}}))
    (folder / "b.pkl").write_bytes(pickle.dumps([{"video": images, **points}]))


def read_tapvid_video(folder: Path, path: Path) -> None:
    from vtlab import formats

    data = formats.open_format(path, "tapvid")
    for name in data.names:
        sequence = data.load(name)
        for _, image in zip(range(3), sequence.video, strict=False):
            assert image.shape[2] == 3
        use(sequence.truth)


def make_session(folder: Path) -> None:
    import vtlab
    from vtlab.prompts import BoxPrompt
    from vtlab.session import Session

    session = Session(vtlab.open_video(frames()), "ncc")
    for number, frame in ((1, 0), (1, 4), (2, 1)):
        session.add(BoxPrompt((5 + 9 * number, 5, 20 + 9 * number, 25), object_id=number, frame=frame))
    session.mark_absent(2, 3)
    session.retrack()
    session.save(folder / "a.parquet")


def read_session(folder: Path, path: Path) -> None:
    import vtlab
    from vtlab.session import Session

    session = Session.load(path, vtlab.open_video(frames()))
    use(session.tracks)
    repr(session.prompts)


def read_corrector(folder: Path, path: Path) -> None:
    import vtlab

    made = vtlab.Corrector(vtlab.open_video(frames()), tracker="ncc", segmenter=None, path=path)
    use(made.tracks)
    len(made.doubts)


def two_answers() -> dict[str, Any]:
    from vtlab.tracks import Tracks

    boxes = np.array([[5 + i, 5, 25 + i, 25] for i in range(30)], float)
    return {name: Tracks.of(np.arange(30), 1, boxes + shift) for name, shift in (("a", 0), ("b", 7))}


def make_verdict(folder: Path) -> None:
    from vtlab.decision import verdict

    for guarantee in (False, True):
        made = verdict(two_answers(), guarantee=guarantee, metric="iou", file=folder / f"{guarantee}.json")
        asked = sorted(frame for _, frame in made.next())
        made.add(two_answers()["a"].take(np.isin(np.arange(30), asked[:3])), absent=asked[3:5])


def read_verdict(folder: Path, path: Path) -> None:
    from vtlab.decision import verdict

    made = verdict(two_answers(), guarantee=path.stem == "True", metric="iou", file=path)
    assert made.state, made.sentence
    made.next(), len(made.table)


def make_pairs(folder: Path) -> None:
    from vtlab.decision import identity_pairs

    asked = identity_pairs(two_answers(), file=folder / "a.json")
    for pair in asked.next()[:4]:
        asked.add(pair.key, "yes")


def read_pairs(folder: Path, path: Path) -> None:
    from vtlab.decision import identity_pairs

    asked = identity_pairs(two_answers(), file=path)
    assert asked.sentence
    asked.next(), len(asked.table)


def read_labels(folder: Path, path: Path) -> None:
    from vtlab.decision import sheet

    use(sheet.read(path))


def make_labels(folder: Path) -> None:
    from vtlab.prompts import BoxPrompt, Prompts

    Prompts([BoxPrompt((1, 2, 20, 30), object_id=1, frame=f) for f in range(4)]).save(folder / "labels.json")
    tracks().save(folder / "labels.parquet")


def read_autosave(folder: Path, path: Path) -> None:
    import vtlab

    vtlab.annotate(np.zeros((5, 40, 40, 3), np.uint8), segmenter=None, autosave=path)


def make_store(folder: Path) -> None:
    from vtlab.engine.outcome import Outcome
    from vtlab.engine.store import Archive

    archive = Archive(folder)
    about = {"axes": '{"SEED": 1, "NAMES": ["a"]}', "cell": "SEED=1", "created": "", "seconds": 1.0}
    found = Outcome({"ao": 0.5, "family": "sot"}, two_answers()["a"].between(0, 6), {"quality": [1]})
    archive.finish("c01", archive.begin("c01", "run"), found, about)
    archive.fail("c02", archive.begin("c02", "run"), {**about, "kind": "error", "reason": "ValueError: no"})


def read_store(folder: Path, path: Path) -> None:
    from vtlab.experiments import Store, leaderboard

    store = Store(folder)
    assert store.failed() is not (store.archive.tracks("c01"), leaderboard(store.results()))


def make_comparison(folder: Path) -> None:
    import vtlab
    from vtlab.prompts import BoxPrompt, Prompts
    from vtlab.sequence import Sequence

    truth = two_answers()["a"].between(0, 6)
    asked = Prompts([BoxPrompt((5, 5, 25, 25))])
    sequence = Sequence("walk", vtlab.open_video(frames(), name="walk"), truth, asked, benchmark="otb")
    vtlab.compare([sequence], ["ncc", "identity"], progress=False).save(folder)


def read_comparison(folder: Path, path: Path) -> None:
    from vtlab.benchmark import evaluate_folders
    from vtlab.files import read_csv

    read_csv(folder / "table.csv")
    len(evaluate_folders(folder, folder).table)


def make_archive(folder: Path) -> None:
    import zipfile

    from vtlab import formats
    from vtlab.testing.formats import example

    form = formats.find_format("otb")
    for tracker in ("", "mine"):
        formats.write_tracks(example(form), folder / "in", form, sequence="walk", tracker=tracker)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted((folder / "in").rglob("*.txt")):
            out.write(file, file.relative_to(folder / "in"))


def read_archive(folder: Path, path: Path) -> None:
    from vtlab.benchmark import evaluate_folders

    len(evaluate_folders(folder / "in/truth", folder / "a.zip", "otb").table)


def make_experiment(folder: Path) -> None:
    spec = "notebook: note.ipynb\nfixed: {SECONDS: 2, NAME: a}\ngrid:\n  TRACKERS: [[csrt], [kcf, mil]]\n  SEED: [0, 1]\n"
    (folder / "batch.yaml").write_text(spec + "  LABEL: &names [a, b]\n  OTHER: *names\n")
    values = "SECONDS = 1\nNAME = 'b'\nTRACKERS = ['csrt']\nSEED = 0\nLABEL: str = 'x'\nOTHER = 1  # a note"
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "text"]},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": values.splitlines(True)},
        {"cell_type": "code", "metadata": {}, "source": ["print(SECONDS)"]},
    ]
    for cell in cells[1:]:
        cell |= {"execution_count": None, "outputs": []}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    note = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}
    (folder / "note.ipynb").write_text(json.dumps(note, indent=1))


def read_experiment(folder: Path, path: Path) -> None:
    from vtlab.experiments import load_experiment

    found = load_experiment(folder / "batch.yaml")
    assert all(len(cell.key) == 21 and str(cell) for cell in found.cells[:5])


def make_checkpoints(folder: Path) -> None:
    import torch

    state = {
        "net": {"a.weight": torch.ones(3, 4), "a.bias": torch.zeros(3).half()},
        "epoch": 3,
        "args": Fixed(),
    }
    torch.save(state, folder / "new.pt")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(state["net"], folder / "plain.pt")
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"a": "b"}}
    )
    (folder / "c.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(24))


def read_checkpoint(folder: Path, path: Path) -> None:
    from vtlab.weights.checkpoints import load_tensors

    for tensor in load_tensors(path).values():
        tensor.float().sum().item()


def make_onnx(folder: Path) -> None:
    """Exports that answer the same boxes whatever they are given, in two layouts."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rows = np.zeros((50, 8), np.float32)
    rows[:2] = [[20, 30, 10, 12, 1, 0, 0.9, 0], [45, 40, 8, 8, 1, 0, 0, 0.8]]
    for name, answer in {"v5": rows, "v8": np.concatenate([rows[:, :4], rows[:, 5:]], axis=1).T}.items():
        value = numpy_helper.from_array(answer[None])
        shapes = {"images": [1, 3, 64, 64], "output": list(answer[None].shape)}
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()]
        graph = helper.make_graph(
            [helper.make_node("Constant", [], ["output"], value=value)], "g", ends[:1], ends[1:]
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 9
        helper.set_model_props(model, {"names": "{0: 'a', 1: 'b', 2: 'c'}"})
        onnx.save(model, str(folder / f"{name}.onnx"))


def read_onnx(folder: Path, path: Path) -> None:
    from vtlab.detectors.yolo import YoloOnnx

    YoloOnnx(path=path, threads=1, size=64).detect([frames(1)[0]])


def readers() -> Iterator[Reader]:
    from vtlab.formats import FORMATS

    yield Reader("video", make_videos, read_video, ("av",))
    yield Reader("images", make_images, read_image)
    yield Reader("manifest", lambda folder: manifests.make(folder, frames()), manifests.read)
    yield Reader("prompts", make_prompts, read_prompts)
    yield Reader("tracks", lambda folder: tracks().save(folder / "a.parquet"), read_tracks)
    yield Reader("recorded detections", make_recorded, read_recorded)
    yield Reader("public detections", make_public, read_public)
    yield from (format_reader(form) for form in FORMATS.values())
    yield Reader("tapvid video", make_tapvid_video, read_tapvid_video)
    yield Reader("session", make_session, read_session)
    yield Reader("verdict", make_verdict, read_verdict)
    yield Reader("identity pairs", make_pairs, read_pairs)
    yield Reader("labels", make_labels, read_labels)
    yield Reader("annotator", make_prompts, read_autosave, ("anywidget",))
    yield Reader("corrector", make_session, read_corrector, ("anywidget",))
    yield Reader("experiment store", make_store, read_store)
    yield Reader("comparison", make_comparison, read_comparison)
    yield Reader("zip of results", make_archive, read_archive)
    yield Reader("experiment", make_experiment, read_experiment, ("papermill",))
    yield Reader("checkpoint", make_checkpoints, read_checkpoint, ("torch",))
    yield Reader("onnx detector", make_onnx, read_onnx, ("onnx", "onnxruntime"))


class Fixed:
    """A foreign object within a checkpoint."""
