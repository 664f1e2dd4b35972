"""A label that lies beside the picture is no label: refused on every road, naming object, frame, size and a way out."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import vtlab
from vtlab.cli import app
from vtlab.decision import identity_pairs
from vtlab.errors import InputError, VtlabWarning
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.tracks import PointRows, Record, Source, Tracks
from vtlab.video import Marks, open_video, write_video

N = 40
HOME = np.array([20.0, 10.0, 44.0, 34.0])
SOURCE = Source(name="street", width=64, height=48, frames=N, fps=25.0)
BESIDE = {
    "right": (64, 10, 90, 40),
    "left": (-30, 10, 0, 40),
    "above": (20, -9, 44, 0),
    "below": (20, 48, 44, 60),
}


def answers(source: Source | None = SOURCE) -> dict[str, Tracks]:
    way = np.arange(N)[:, None] * 0.3
    made = {
        "good": Tracks.of(np.arange(N), 1, np.tile(HOME, (N, 1))),
        "bad": Tracks.of(np.arange(N), 1, HOME + way),
    }
    return {name: t.replace(record=Record(source=source)) for name, t in made.items()}


@pytest.mark.parametrize("side", BESIDE)
def test_a_box_beside_the_picture_is_refused(side):
    v = vtlab.verdict(answers())
    frame = v.next()[0][1]
    label = Tracks.of([frame], 1, [BESIDE[side]])
    with pytest.raises(
        InputError, match=rf"object 1 on frame {frame} of 'street' lies beside .* 64 x 48 px.*absent"
    ):
        v.add(label)
    with pytest.raises(InputError, match="beside"):
        vtlab.verdict(answers(), labels=label)
    assert v.labelled == 0


def test_what_is_partly_there_absent_or_of_unknown_size_is_taken():
    v = vtlab.verdict(answers())
    a, b, c = (f for _, f in v.next()[:3])
    v.add(Tracks.of([a], 1, [(-30, -30, 1, 1)]))
    v.add(Tracks.of([b], 1, [(70, 10, 90, 40)], visible=False))
    v.add(absent=[c])
    assert v.labelled == 3
    unknown = vtlab.verdict(answers(source=None))
    unknown.add(Tracks.of([a], 1, [(64, 10, 90, 40)]))
    assert unknown.labelled == 1


def test_the_footage_tells_the_size_where_the_answers_do_not():
    v = vtlab.verdict(answers(source=None))
    queue = v.annotator(open_video(np.zeros((N, 48, 64, 3), np.uint8)), segmenter=None)
    queue.act({"do": "box", "xyxy": [64, 10, 90, 40]})
    assert not queue.view["figures"]
    with pytest.raises(InputError, match="64 x 48 px"):
        v.add(Tracks.of([v.next()[0][1]], 1, [(64, 10, 90, 40)]))


def test_points_are_refused_where_none_is_in_the_picture():
    def dots(frames, xy):
        rows = PointRows.of(np.repeat(frames, 2), 1, np.tile([0, 1], len(frames)), np.array(xy, float))
        return Tracks.of(frames, 1, points=rows).replace(record=Record(source=SOURCE))

    v = vtlab.verdict(
        {name: dots(range(N), [(20 + k, 20), (30, 20)] * N) for name, k in (("a", 0), ("b", 3))}
    )
    frame = v.next()[0][1]
    v.add(dots([frame], [(20, 20), (99, 20)]))
    with pytest.raises(InputError, match=rf"object 1 on frame {frame} .* x 70 to 99, y 20 to 21"):
        v.add(dots([frame], [(70, 20), (99, 21)]))


def test_the_command_refuses_a_prompts_file_of_another_scale(tmp_path):
    for name, tracks in answers(source=None).items():
        tracks.save(tmp_path / name / "street.parquet")
    write_video(tmp_path / "street.mp4", np.full((N, 48, 64, 3), 40, np.uint8), 25)
    Prompts([BoxPrompt((200, 100, 440, 340), frame=9)]).save(tmp_path / "labels.json")
    given = [f"{tmp_path / name / 'street.parquet'}" for name in ("good", "bad")]
    options = ["--video", f"{tmp_path / 'street.mp4'}", "--labels", f"{tmp_path / 'labels.json'}"]
    done = CliRunner().invoke(app, ["verdict", *given, "--file", f"{tmp_path / 'v.json'}", *options])
    assert done.exit_code != 0
    with pytest.raises(InputError, match=r"object 1 on frame 9 .* 64 x 48 px.*--absent"):
        raise done.exception


def test_a_truth_that_knows_where_an_object_went_is_no_label():
    boxes = np.tile(HOME, (N, 1))
    boxes[-5:] += 100
    truth = Tracks.of(np.arange(N), 1, boxes)
    video = np.random.default_rng(0).integers(0, 255, (N, 48, 64, 3), dtype=np.uint8)
    found = vtlab.compare(video, ["ncc", "identity"], prompts=BoxPrompt(HOME), truth=truth, progress=False)
    assert vtlab.verdict(found).state == "exact"


def test_an_object_that_is_looked_for_is_in_the_picture():
    v = identity_pairs(answers(), metric="AssRe")
    pair = next(p for p in v.next() if p.kind == "find")
    with pytest.raises(InputError, match=rf"on frame {pair.second.frame} .* 64 x 48 px.*isn't to be seen"):
        v.add(pair.key, (64, 10, 90, 40))
    with pytest.raises(InputError, match="x1 < x2"):
        v.add(pair.key, (44, 10, 20, 40))
    v.add(pair.key, (50, 10, 90, 40))
    assert pair.key in v.said


def of_file(digest: str, looks: int | None, frames: int = N) -> Source:
    marks = None
    if looks is not None:
        marks = Marks.of_hashes(
            {f: np.random.default_rng(looks + f).bytes(32) for f in range(frames)}
        ).to_dict()
    return SOURCE.replace(digest=digest, marks=marks, frames=frames)


def of_files(first: Source, second: Source) -> dict[str, Tracks]:
    good, bad = answers().values()
    return {
        "good": good.replace(record=Record(source=first)),
        "bad": bad.replace(record=Record(source=second)),
    }


def test_trackers_that_ran_on_a_copy_are_compared():
    mine = of_file("sha256:a", 1)
    with pytest.warns(VtlabWarning, match="what bad answered.* look the same in both"):
        assert vtlab.verdict(of_files(mine, of_file("sha256:copy", 1))).state == "label"
    assert vtlab.verdict(of_files(mine, mine.replace(digest=None, marks=None))).state == "label"


def test_trackers_that_ran_on_other_footage_are_not():
    mine = of_file("sha256:a", 1)
    with pytest.raises(InputError, match="what bad answered.* first that does is frame 0"):
        vtlab.verdict(of_files(mine, of_file("sha256:b", 5000)))
    with pytest.raises(InputError, match="different footage: good: frames 0 to 39 .* bad: frames 10 to 49"):
        vtlab.verdict(of_files(mine, mine.replace(start=10)))
    with pytest.raises(InputError, match="different footage"):
        vtlab.verdict(of_files(SOURCE, SOURCE.replace(frames=N + 5)))
