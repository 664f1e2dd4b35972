"""Results in a zip, and conversions that would lose something in silence."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vtlab import formats
from vtlab.benchmark import evaluate_folders
from vtlab.errors import FormatError, InputError, TracksError
from vtlab.files import archive, unpacked
from vtlab.formats import FORMATS, convert, find_format, open_format
from vtlab.testing.formats import example
from vtlab.tracks import Source, Tracks
from vtlab.video import open_video


def pack(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(folder.rglob("*")):
            out.write(file, file.relative_to(folder))
    return path


@pytest.mark.parametrize("layout", ["otb", "davis", "motchallenge", "got10k", "vtlab"])
def test_a_zip_is_the_folder_in_it(tmp_path, layout):
    form = find_format(layout)
    for tracker in ("", "mine", "other"):
        kind = "results" if tracker else "truth"
        formats.write_tracks(example(form, kind), tmp_path / "all", form, sequence="walk", tracker=tracker)
    rule = None if form.family else "otb"
    plain = evaluate_folders(tmp_path / "all", tmp_path / "all", layout, rule=rule).table
    zipped = pack(tmp_path / "all", tmp_path / "all.zip")
    for truth, tracks in ((tmp_path / "all", zipped), (zipped, tmp_path / "all")):
        found = evaluate_folders(truth, tracks, layout, rule=rule).table
        assert found.equals(plain)
    (tmp_path / "mine").mkdir()
    one = pack(tmp_path / "all/mine", tmp_path / "mine.zip")  # without a folder of its own: the zip's name
    assert set(evaluate_folders(tmp_path / "all/truth", one, layout, rule=rule).parts) == {"mine"}
    (tmp_path / "mine/data.zip").write_bytes(one.read_bytes())
    found = evaluate_folders(tmp_path / "all/truth", tmp_path / "mine/data.zip", layout, rule=rule)
    assert set(found.parts) == {"mine"}
    done = convert(zipped, tmp_path / "out", layout, layout=layout, results=True)
    assert {p.relative_to(tmp_path / "out").parts[0] for p in done.written} == {"mine", "other"}


def test_an_error_in_a_zip_names_it(tmp_path):
    form = find_format("otb")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/walk.txt").write_text("1,2,3,4\n1,2,x,4\n")
    packed = pack(tmp_path / "mine", tmp_path / "mine.zip")
    with pytest.raises(FormatError) as raised:
        evaluate_folders(tmp_path / "truth", packed, "otb")
    assert str(raised.value).startswith(f"{packed}/walk.txt, line 2")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../out.txt", "leads out"),
        ("a/../../out.txt", "leads out"),
        ("/out.txt", "leads out"),
        ("..\\out.txt", "leads out"),
        ("C:/out.txt", "leads out"),
    ],
)
def test_no_file_of_a_zip_lands_outside(tmp_path, name, told):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("good.txt", "1")
        out.writestr(name, "1")
    with pytest.raises(FormatError, match=rf"a\.zip: .*{told}"), unpacked(tmp_path / "a.zip"):
        pytest.fail("it was unpacked")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.skipif(os.name == "nt", reason="no disk of Windows takes a colon")
def test_a_colon_in_a_zip_is_part_of_a_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("12:30:05.txt", "1")
        out.writestr("my:tracker/12:30:05.txt", "2")
    with unpacked(tmp_path / "a.zip") as folder:
        assert [(folder / n).read_text() for n in ("12:30:05.txt", "my:tracker/12:30:05.txt")] == ["1", "2"]


def test_links_doubles_and_bombs_in_a_zip(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as out:
        out.writestr(link, "/etc/passwd")
    with pytest.raises(FormatError, match="is a link"), unpacked(tmp_path / "link.zip"):
        pass
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as out:
        out.writestr("a.txt", "1")
        out.writestr("A.txt", "2")
    data = (tmp_path / "twice.zip").read_bytes().replace(b"A.txt", b"a.txt")
    (tmp_path / "twice.zip").write_bytes(data)
    with pytest.raises(FormatError, match=r"'a\.txt' is there twice"), unpacked(tmp_path / "twice.zip"):
        pass
    monkeypatch.setattr(archive, "MOST_UNPACKED", 3_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for i in range(4):
            out.writestr(f"{i}.txt", bytes(1_000_000))
    with (
        pytest.raises(FormatError, match="unpacks to more than 3000000 bytes"),
        unpacked(tmp_path / "bomb.zip"),
    ):
        pass
    (tmp_path / "cut.zip").write_bytes(data[:30] + b"x" * 10 + data[40:])
    with pytest.raises(FormatError, match=r"cut\.zip"), unpacked(tmp_path / "cut.zip"):
        pass


@pytest.mark.parametrize(("target", "names"), [("vot", 3), ("otb", 3), ("vtlab", 3)])
def test_repetitions_stay_apart(tmp_path, target, names):
    form = find_format("got10k")
    given = example(form, "results")
    formats.write_tracks(example(form), tmp_path / "in", form, sequence="walk")
    for n in (1, 2, 3):
        moved = given.replace(boxes=given.boxes + n)
        path = form.path_of(tmp_path / "in", "walk", "mine")
        form.write_tracks(moved, path.with_name(f"walk_{n:03d}.txt"))
    done = convert(tmp_path / "in", tmp_path / "out", target, layout="got10k", results=True)
    assert len({*done.written}) == names
    found = [find_format(target).read_tracks(p) for p in done.written]
    np.testing.assert_allclose([t.boxes[0, 0] - given.boxes[0, 0] for t in found], [1, 2, 3])


def test_two_results_that_are_no_repetitions(tmp_path):
    form = find_format("otb")
    for folder in ("mine", "mine/data"):
        formats.write_tracks(example(form, "results"), tmp_path / "in", form, sequence="walk", tracker="mine")
        (tmp_path / "in/mine/data").mkdir(exist_ok=True)
        (tmp_path / f"in/{folder}/walk.txt").write_text((tmp_path / "in/mine/walk.txt").read_text())
    with pytest.raises(FormatError, match="'mine' has another result for 'walk'"):
        convert(tmp_path / "in", tmp_path / "out", "vtlab", layout="otb", results=True)


def test_names_that_would_be_one_file(tmp_path):
    form = find_format("otb")
    for tracker in ("a/b", "a_b"):
        form.write_tracks(example(form, "results"), tmp_path / "in" / tracker / "walk.txt")
    with pytest.raises(FormatError, match="two of it would be written to"):
        convert(tmp_path / "in", tmp_path / "out", "vtlab", layout="otb", results=True)


def test_truth_of_results_that_lie_elsewhere(tmp_path):
    form = find_format("davis")
    drawn = example(form)
    formats.write_tracks(drawn, tmp_path / "benchmark", form, sequence="walk")
    odd = drawn.renamed({1: 2, 2: 7})
    formats.write_tracks(odd, tmp_path / "results", form, sequence="walk", tracker="mine")
    convert(tmp_path / "results", tmp_path / "blind", "vtlab", layout="davis", results=True)
    with pytest.raises(FormatError, match="the values 7 are no object of the truth"):
        convert(
            tmp_path / "results",
            tmp_path / "out",
            "vtlab",
            layout="davis",
            results=True,
            truth=tmp_path / "benchmark",
        )
    with pytest.raises(InputError, match="results=True"):
        convert(tmp_path / "results", tmp_path / "out", "vtlab", layout="davis", truth=tmp_path / "benchmark")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no truth in the layout 'davis'"):
        convert(
            tmp_path / "results",
            tmp_path / "out",
            "vtlab",
            layout="davis",
            results=True,
            truth=tmp_path / "empty",
        )


@pytest.mark.parametrize("target", ["davis", "youtube-vos", "mots", "tapvid"])
def test_boxes_are_not_written_as_nothing(tmp_path, target):
    boxes = Tracks.of([0, 1], [1, 1], [[1, 2, 3, 4]] * 2, size=(20, 30))
    formats.write_tracks(boxes, tmp_path / "in", "motchallenge", sequence="a")
    with pytest.raises(TracksError, match=rf"'{target}' holds (masks|points), these tracks have boxes only"):
        convert(tmp_path / "in", tmp_path / "out", target)
    assert not (tmp_path / "out").exists()


def test_visibility_is_in_the_ledger(tmp_path):
    formats.write_tracks(
        Tracks.of([0, 1, 2], 1, [[1, 2, 3, 4]] * 3, size=(20, 30)),
        tmp_path / "in",
        "motchallenge",
        sequence="a",
    )
    truth = tmp_path / "in/truth/a/gt/gt.txt"
    truth.write_text("".join(f"{f},1,2,3,2,2,1,1,{v}\n" for f, v in ((1, 1), (2, 0.25), (3, 0))))
    done = convert(tmp_path / "in", tmp_path / "out", "vtlab")
    assert [(row.kind, row.count, row.place) for row in done.losses] == [("visibility", 1, "a")]
    assert convert(tmp_path / "out", tmp_path / "again", "motchallenge").losses == ()
    with pytest.raises(TracksError, match="1 values of visibility"):
        convert(tmp_path / "in", tmp_path / "strict", "vtlab", strict=True)


def test_names_of_masks_are_cut_with_their_frames(tmp_path):
    form = find_format("davis")
    video = open_video(np.zeros((12, 48, 64, 3), np.uint8), name="walk")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk", tracker="mine")
    truth = open_format(tmp_path, form).truth("walk")
    whole = truth.replace(record=truth.record.replace(source=Source.of_video(video)))
    for cut in (np.s_[2:9:3], np.s_[8:1:-2]):
        part = whole.on(video[cut])
        assert part.record.files == [f"{f:05d}.png" for f in np.arange(12)[cut]]
        assert part.record.annotated == tuple(range(len(video[cut])))
        written = form.write_tracks(part, tmp_path / f"cut{cut.start}", "truth")
        assert sorted(p.name for p in written.iterdir()) == sorted(part.record.files)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    form = find_format("motchallenge")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk")
    formats.write_tracks(example(form, "results"), tmp_path, form, sequence="walk", tracker="mine")
    file = tmp_path / "truth/walk/gt/gt.txt"
    file.unlink()
    file.symlink_to("/nowhere/gt.txt")
    with pytest.raises(
        FormatError, match=r"gt\.txt is a link to '/nowhere/gt\.txt', which is not there"
    ) as raised:
        evaluate_folders(tmp_path / "truth", tmp_path / "mine", "motchallenge")
    assert "Is the layout right" not in str(raised.value)


def test_a_colon_in_names_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "2024-01-01T12:30:05"
    for form in (f for f in FORMATS.values() if f.ready):
        root = Path(f"at 12:30/{form.name}")
        form.write_tracks(example(form), form.path_of(root, name), "truth")
        form.write_tracks(example(form, "results"), form.path_of(root, name, "it:2"), "results")
        found = evaluate_folders(root, root, form, rule=None if form.family else "otb")
        assert [(t, [p.sequence for p in parts]) for t, parts in found.parts.items()] == [("it:2", [name])], (
            form.name
        )
