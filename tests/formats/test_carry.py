"""Labels carried from one copy of a video to another, and what that loses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.video.clips import encode_images, scene
from vtlab import masks
from vtlab.errors import InputError, VtlabWarning
from vtlab.formats import carry
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.tracks import PointRows, Record, Source, Tracks
from vtlab.video import Manifest, align, open_video

N = 60
MAPS = {
    "trimmed": np.arange(9, N),
    "24 to 30": np.arange(N * 5 // 4) * 4 // 5,
    "30 to 24": np.arange(N * 4 // 5) * 5 // 4,
    "cut": np.r_[5:25, 40:N],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    folder, images = tmp_path_factory.mktemp("clips"), scene("pan", N)
    files = {"a": encode_images(folder / "a.mp4", images, crf="18")}
    files |= {n: encode_images(folder / f"{n}.mp4", images[m]) for n, m in MAPS.items()}
    files["small"] = encode_images(folder / "small.mp4", images[9:, ::2, ::2])
    files["narrow"] = encode_images(folder / "narrow.mp4", images[:, :, ::2])
    return files


def rows(video=None, frames=range(N), **record) -> Tracks:
    """Two objects on all frames, with every kind of column; object 2 says its frame by its box."""
    frame, owner = np.tile(np.array(frames), 2), np.repeat([1, 2], len(frames))
    corner = np.stack([frame, 10 * owner], axis=1).astype(float)
    source = None if video is None else Source.of_video(video)
    return Tracks.of(
        frame,
        owner,
        np.concatenate([corner, corner + 20], axis=1),
        masks=[masks.from_box((x, y, x + 12, y + 8), 96, 128) for x, y in corner],
        points=PointRows.of(frame, owner, np.zeros_like(frame), corner),
        polygons=[[[[x, y], [x + 9, y], [x, y + 9]]] for x, y in corner],
        velocity=np.ones((len(frame), 2)),
        time=frame / 25,
        key=frame % 7 == 0,
        size=(96, 128),
        record=Record(
            source=source, frames=N, events=[{"frame": 20, "object_id": 1, "event": "lost"}], **record
        ),
    )


@pytest.mark.parametrize("how", MAPS)
def test_tracks_lie_on_the_frames_that_show_theirs(made, how):
    truth = MAPS[how]
    video = open_video(made["a"])
    found = align(video, made[how], progress=False)
    done = carry(rows(video), found)
    assert isinstance(done.labels, Tracks)
    got = done.labels.of_object(2)
    assert got.frame.tolist() == list(range(len(truth)))
    assert np.array_equal(got.boxes[:, 0], found.frames)
    assert (got.boxes[:, 0] == truth).mean() >= 0.98
    assert np.array_equal(got.points.xy[:, 0], found.frames)
    assert np.allclose(got.time, found.b.times)
    assert got.mask(0).any()
    lost = [row for row in done.losses if row.kind == "off_grid"]
    assert sum(row.count for row in lost) == 2 * len(found.missing)
    assert done.repeated == 2 * len(found.repeated)
    record = done.labels.record
    assert record.frames == len(truth)
    assert record.source.digest == open_video(made[how]).digest()
    assert done.labels.on(open_video(made[how])) is done.labels
    events = [e["frame"] for e in record.events or ()]
    assert events == np.flatnonzero(found.frames == 20).tolist()


def test_frames_that_somebody_looked_at_stay_so(made):
    video = open_video(made["a"])
    found = align(video, made["trimmed"], progress=False)
    done = carry(rows(video, annotated=(3, 9, 30)), found)
    assert done.labels.record.annotated == (0, 21)
    shorter = rows(open_video(made["trimmed"]), range(N - 9), dense=True)
    dense = carry(shorter, align(made["trimmed"], video, progress=False))
    assert dense.labels.record.annotated == tuple(range(9, N))


def test_labels_of_a_cut_have_the_numbers_of_its_video(made):
    video = open_video(made["a"])
    found = align(video, made["trimmed"], progress=False)
    done = carry(rows(video[10:50:2], range(20)), found)
    assert done.labels.of_object(1).frame.tolist() == list(range(1, 41, 2))
    assert done.labels.of_object(1).boxes[:, 0].tolist() == list(range(20))


def test_another_size_scales_every_figure(made):
    video = open_video(made["a"])
    found = align(video, made["small"], progress=False)
    done = carry(rows(video), found)
    row = done.labels.at(1).of_object(2)
    assert row.boxes[0].tolist() == [5, 10, 15, 20]
    assert row.points.xy[0].tolist() == [5, 10]
    assert row.polygons[0][0].tolist() == [[5, 10], [9.5, 10], [5, 14.5]]
    assert row.velocity[0].tolist() == [0.5, 0.5]
    assert done.labels.size == (48, 64)
    assert masks.to_box(row.mask(0)).tolist() == [5, 10, 11, 14]
    assert {r.kind for r in done.losses} == {"off_grid", "masks"}
    turned = rows(video).replace(angle=np.ones(2 * N))
    with pytest.raises(InputError, match="other proportions"):
        carry(turned, align(video, made["narrow"], progress=False))


def test_prompts_are_carried_and_scaled(made):
    video = open_video(made["a"])
    Manifest.of(video, progress=False)
    mask = masks.from_box((20, 20, 40, 30), 96, 128)
    given = Prompts(
        [
            BoxPrompt((10, 20, 30, 40), object_id=1, frame=9, label="it"),
            PointPrompt(((10, 20),), object_id=2, frame=10),
            ClickPrompt(((10, 20),), (True,), (8, 8, 30, 30), object_id=3, frame=11),
            MaskPrompt.of(mask, object_id=4, frame=12),
            MaskPrompt(polygon=((10, 10), (30, 10), (10, 40)), object_id=5, frame=13),
            SkeletonPrompt(((10, 20), (20, 20)), edges=((0, 1),), object_id=6, frame=14),
            BoxPrompt((10, 20, 30, 40), object_id=7, frame=2),
        ],
        source=Source.of_video(video),
    )
    done = carry(given, align(video, made["small"], progress=False))
    box, point, click, drawn, polygon, skeleton = done.labels
    assert (box.frame, box.xyxy, box.label) == (0, (5, 10, 15, 20), "it")
    assert (point.points, click.points, click.xyxy) == (((5, 10),), ((5, 10),), (4, 4, 15, 15))
    assert drawn.box(48, 64).tolist() == [10, 10, 20, 15]
    assert polygon.polygon == ((5, 5), (15, 5), (5, 20))
    assert (skeleton.points, skeleton.frame) == (((5, 10), (10, 10)), 5)
    assert [(r.kind, r.count, r.example) for r in done.losses] == [("off_grid", 1, "frames 2")]
    done.labels.check(open_video(made["small"]))


def test_what_is_not_certain_is_said_and_what_is_no_copy_is_refused(made, tmp_path):
    still = np.concatenate([scene("still", 40), scene("pan", 40)])
    a = open_video(encode_images(tmp_path / "a.mp4", still, crf="18"))
    b = encode_images(tmp_path / "b.mp4", still[5:], crf="30")
    found = align(a, b, progress=False)
    assert found.found
    with pytest.warns(VtlabWarning, match=r"labelled frames of b .* have no certain place in a"):
        carry(Prompts([BoxPrompt((5, 5, 20, 20), frame=15)], source=Source.of_video(a)), found)
    with pytest.raises(InputError, match="don't show the same"):
        carry(rows(), align(a, scene("crowd", 40), progress=False))
    with pytest.raises(InputError, match="another video"):
        carry(rows(open_video(made["a"])), found)


def run(*arguments: object, code: int = 0) -> str:
    from vtlab.cli import app

    result = CliRunner().invoke(app, ["data", "align", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_the_command_prints_the_map_and_carries_files(made, tmp_path):
    video = open_video(made["a"])
    file, out = rows(video).save(tmp_path / "t.parquet"), tmp_path / "out.parquet"
    table, plot = tmp_path / "map.csv", tmp_path / "map.png"
    told = run(made["a"], made["trimmed"], "--tracks", file, "-o", out, "--map", table, "--plot", plot)
    assert "+9 frames throughout" in told
    assert Tracks.load(out).of_object(2).boxes[0, 0] == 9
    ledger = json.loads((tmp_path / "out.losses.json").read_text())["losses"]
    assert [(row["kind"], row["count"]) for row in ledger] == [("off_grid", 18)]
    assert table.read_text().splitlines()[1].startswith("0,0.0,9,0.36,False,")
    assert plot.read_bytes()[:4] == b"\x89PNG"
    prompts = Prompts([BoxPrompt((5, 5, 20, 20), frame=12)]).save(tmp_path / "p.json")
    run(made["a"], made["trimmed"], "--tracks", prompts, "--out", tmp_path / "q.json")
    assert Prompts.load(tmp_path / "q.json").frames == (3,)
    facts = json.loads(run(made["a"], made["trimmed"], "--json"))
    assert facts["found"]
    assert facts["frames"] == list(range(9, N))


def test_the_command_says_what_is_wrong(made, tmp_path):
    other = encode_images(tmp_path / "other.mp4", scene("crowd", 40))
    assert "no: b shows something else" in run(made["a"], other, code=1)
    assert run(made["a"], other, "--tracks", "t.parquet", code=1) == ""
    run(made["a"], other, "--tracks", "t.json", "--out", tmp_path / "t.parquet", code=1)


def test_truth_of_any_format_is_carried(made, tmp_path):
    text = "".join(f"{f + 1},1,{f},10,20,20,1,1,1\n" for f in range(N))
    (tmp_path / "gt.txt").write_text(text)
    run(made["a"], made["trimmed"], "--tracks", tmp_path / "gt.txt", "--out", tmp_path / "gt.parquet")
    found = Tracks.load(tmp_path / "gt.parquet")
    assert found.frame.tolist() == list(range(N - 9))
    assert found.boxes[:, 0].tolist() == list(range(8, N - 1))  # that text's pixels count from 1
