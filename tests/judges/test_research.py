"""The clients of research formats read what vtlab wrote, give its numbers, and vtlab reads what they wrote.

Their answers are the golden files of tests/formats/golden, which the default suite compares with: VTLAB_GOLDEN=1 writes
them anew.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from tests.judges import scenes, vot_scene
from tests.judges.asking import GOLDEN, ask, compare, keep
from vtlab.errors import VtlabWarning
from vtlab.formats import convert, find_format, write_tracks

pytestmark = pytest.mark.judge


@pytest.mark.parametrize("form", scenes.TRACKEVAL)
def test_trackeval(form, tmp_path):
    scenes.write_many(form, tmp_path)
    compare(f"trackeval-{form}", ask("trackeval", scenes.TRACKEVAL[form], str(tmp_path)))


@pytest.mark.parametrize("form", ["youtube-vis", "tao", "burst"])
def test_trackeval_of_two_sequences_in_one_file(form, tmp_path):
    for name in ("walk", "run"):
        for kind, tracker in (("truth", ""), ("results", "mine")):
            write_tracks(scenes.many(kind, form), tmp_path / "own", "vtlab", sequence=name, tracker=tracker)
    for results in (False, True):
        convert(tmp_path / "own", tmp_path / "out", form, results=results)
    compare(f"trackeval-{form}-joined", ask("trackeval", scenes.TRACKEVAL[form], str(tmp_path / "out")))


@pytest.mark.parametrize("rule", scenes.ROAD)
def test_trackeval_of_roads(rule, tmp_path):
    scenes.write_road(rule, tmp_path)
    dataset = "BDD100K" if rule == "bdd100k" else "Kitti2DBox"
    compare(f"trackeval-{rule}", ask("trackeval", dataset, str(tmp_path), scenes.ROAD[rule]))


def test_trackeval_in_its_own_tree(tmp_path):
    form = find_format("mot17", tree="MOT17-train")
    for name in ("MOT17-02-DPM", "MOT17-04-DPM"):
        for kind, tracker in (("truth", ""), ("results", "mine")):
            write_tracks(scenes.many(kind, "mot15"), tmp_path, form, sequence=name, tracker=tracker)
    compare("trackeval-tree", ask("trackeval", "MotChallenge2DBox", str(tmp_path)))


def test_got10k(tmp_path):
    scenes.write_one("got10k", tmp_path)
    compare("got10k", ask("got10k", str(tmp_path)))
    made = tmp_path / "loop/GOT-10k/still/walk/walk_001.txt"
    keep([made, made.with_name("walk_time.txt")], "got10k")
    form, truth = find_format("got10k"), scenes.one("truth")
    with pytest.warns(
        VtlabWarning, match="nothing in the file tells"
    ):  # the client's own tracker stands still
        read = form.read_tracks(made, form.read_sequence(form.find(tmp_path)["walk"], images=False))
    assert len(read) == scenes.COUNT == len(read.step_seconds)
    np.testing.assert_allclose(read.boxes, np.tile(truth.boxes[0], (scenes.COUNT, 1)), atol=1e-3)


def test_vot(tmp_path):
    scenes.write_vot(tmp_path)
    answer = ask("vot", str(tmp_path))
    file = GOLDEN / "vot.json"
    if os.environ.get("VTLAB_GOLDEN") == "1":
        file.write_text(json.dumps(answer, sort_keys=True) + "\n")
    assert json.loads(file.read_text()) == answer
    keep([tmp_path / f"again/walk/walk_00{n}.bin" for n in (1, 2, 3, 4)], "vot")
    keep([tmp_path / f"again/walk/walk_00{n}.txt" for n in (2, 4)], "vot")
    vot = find_format("vot")
    truth = vot.read_sequence(vot.find(tmp_path)["walk"], images=False)
    for path in sorted((tmp_path / "mine/walk").glob("walk_*")):
        if path.suffix == ".value":
            continue
        given = vot.read_tracks(path, truth)
        for ending in ("txt", "bin"):
            again = vot.read_tracks(tmp_path / f"again/walk/{path.stem}.{ending}", truth)
            np.testing.assert_allclose(
                again.boxes, given.boxes, atol=2e-3
            )  # the client writes three decimals
            np.testing.assert_array_equal(again.visible, given.visible)
            assert again.meta.get("codes") == given.meta.get("codes")
            assert (again.rle is None) == (given.rle is None)
            if given.rle is not None:
                assert again.rle.tolist() == given.rle.tolist()


def test_vot_scores(tmp_path):
    vot_scene.write(tmp_path)
    answer = ask("vot", str(tmp_path), script="vot_scores")
    file = GOLDEN / "vot_scores.json"
    if os.environ.get("VTLAB_GOLDEN") == "1":
        file.write_text(json.dumps(answer, sort_keys=True) + "\n")
    assert json.loads(file.read_text()) == answer
