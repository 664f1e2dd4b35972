"""Text and folders as people have them: empty cells, byte order marks, links, leftovers, ids of 64 bits."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import formats
from vtlab.errors import FormatError, VtlabWarning
from vtlab.formats import FORMATS, find_format, open_format
from vtlab.formats.mot_text import read_mot_rows
from vtlab.formats.mots import read_mots
from vtlab.formats.single_object import read_boxes, read_flags
from vtlab.metrics.consistency import similarity
from vtlab.metrics.pairing import pairs_of_boxes
from vtlab.sequence import Sequence
from vtlab.testing.formats import example
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "line", ["10,,20,30,40", ",10,20,30,40", "10,20,30,,40", "10\t\t20\t30\t40", "10, ,20,30,40"]
)
def test_an_empty_cell_moves_no_column(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"1,2,3,4\n{line}\n")
    with pytest.raises(FormatError, match=r"a\.txt, line 2: a cell is empty"):
        read_boxes(tmp_path / "a.txt")
    for name, layout in (
        ("groundtruth_rect.txt", "otb"),
        ("groundtruth.txt", "got10k"),
        ("groundtruth.txt", "lasot"),
    ):
        (tmp_path / layout / "S").mkdir(parents=True)
        (tmp_path / layout / "S" / name).write_text(f"1,2,3,4\n{line}\n")
        with pytest.raises(FormatError, match=r"line 2: a cell is empty"):
            open_format(tmp_path / layout, layout).truth("S")


def test_corners_are_told_by_what_tells(tmp_path):
    """A box that moves tells, and one that leads beyond the frames; any other is read, with a word."""
    path = tmp_path / "S.txt"
    np.savetxt(path, np.tile([20, 10, 30, 30], (25, 1)), "%d", ",")
    with pytest.warns(
        VtlabWarning, match=r"S\.txt: columns 3 and 4 exceed columns 1 and 2 .* nothing in the file tells"
    ):
        assert read_boxes(path)[0].tolist() == [20, 10, 50, 40]
    with pytest.raises(FormatError, match="as in x1, y1, x2, y2"):
        read_boxes(path, size=(44, 36))
    clip = open_video(np.zeros((25, 36, 44, 3), np.uint8))  # no truth: its video tells
    with pytest.raises(FormatError, match="as in x1, y1, x2, y2"):
        find_format("otb").read_tracks(path, Sequence("S", clip))
    step = np.arange(25)[:, None]
    for x1, y1, x2, y2 in ((60, 50, 80, 60), (60, 50, 70, 90), (10, 40, 160, 90), (2, 3, 90, 80)):
        corners = np.hstack([step + x1, step + y1, step + x2, step + y2])
        np.savetxt(path, corners, "%d", ",")
        with pytest.raises(FormatError, match="as in x1, y1, x2, y2"):
            read_boxes(path)
    # Still, while its sizes breathe.
    np.savetxt(path, np.hstack([np.tile([20, 10], (25, 1)), 30 + step % 5, 30 + step % 3]), "%d", ",")
    with pytest.warns(VtlabWarning, match="nothing in the file tells"):
        assert len(read_boxes(path)) == 25
    # Large, near the origin: the second pair stays while the first moves.
    np.savetxt(path, np.hstack([step + 1, step + 2, 90 + step % 5, 80 + step % 3]), "%d", ",")
    assert len(read_boxes(path)) == 25


def test_full_lines_are_read_whatever_separates_them():
    text = b"1,2,3,4\n1, 2, 3, 4\n1\t2\t3\t4\n1\t\t2\t\t3\t\t4\n1 2 3 4\n1,2,3,4,\n 1  2 3   4 \nnan,nan,nan,nan\n"
    found = read_boxes(text)
    np.testing.assert_array_equal(found[:-1], [[1, 2, 4, 6]] * 7)
    assert np.isnan(found[-1]).all()


def test_empty_flags_and_cells_between_tabs(tmp_path):
    (tmp_path / "flags.txt").write_text("1,,0,1\n")
    with pytest.raises(FormatError, match="a cell is empty"):
        read_flags(tmp_path / "flags.txt", 3)
    with pytest.raises(FormatError, match="line 1: a value is missing"):
        read_mot_rows(b"1\t1\t\t5\t20\t30\t1\n2\t1\t\t5\t20\t30\t1\n")


def test_byte_order_marks_in_text_of_every_format(tmp_path):
    for form in (f for f in FORMATS.values() if f.ready):
        given = example(form)
        formats.write_tracks(given, tmp_path / form.name, form, sequence="a")
        formats.write_tracks(
            example(form, "results"), tmp_path / form.name, form, sequence="a", tracker="mine"
        )
        for path in (tmp_path / form.name).rglob("*"):
            if path.suffix in (".txt", ".ini", ".label", ".json", "") and path.is_file():
                path.write_bytes(BOM + path.read_bytes())
        sequence = form.read_sequence(form.find(tmp_path / form.name)["a"], images=False)
        assert len(sequence.truth) == len(given), form.name
        (result,) = form.find_results(tmp_path / form.name)
        assert len(form.read_tracks(result.path, sequence)) == len(given), form.name
    assert len(read_mot_rows(BOM + b"1,1,2,3,4,5,1,-1,-1,-1\n")) == 1


def test_a_mots_file_with_a_letter_that_is_none(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"1 2001 2 4 5 \xe4\n")
    with pytest.raises(FormatError, match=r"a\.txt, line 1"):
        read_mots(tmp_path / "a.txt")


def test_two_names_of_one_folder_are_told(tmp_path):
    form = find_format("otb")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk", tracker="mine")
    (tmp_path / "other").symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.warns(VtlabWarning, match="other is the same folder as .*mine; it is read once"):
        assert [r.tracker for r in form.find_results(tmp_path)] == ["mine"]


def test_a_mask_whose_name_is_no_number_among_numbers(tmp_path):
    form = find_format("davis")
    formats.write_tracks(example(form), tmp_path, form, sequence="walk")
    mask = next((tmp_path / "truth").rglob("00003.png"))
    mask.rename(mask.with_name("1²1.png"))
    with pytest.raises(FormatError, match="1²1.png: the masks beside it are named by the number"):
        open_format(tmp_path, form).truth("walk")


def test_ids_of_64_bits():
    big = [2**40, 2**40 + 2**33, -(2**62), 2**62 + 2**61]
    boxes = np.array([[10 * i, 0, 10 * i + 8, 8] for i in range(4)], float)
    pairs = pairs_of_boxes(([0] * 4, big, boxes), ([0] * 4, big[::-1], boxes[::-1]))
    assert (pairs.truth.tracks, pairs.answer.tracks, len(pairs.t)) == (4, 4, 4)
    a = Tracks.of([0] * 4 + [1] * 4, big * 2, np.tile(boxes, (2, 1)))
    assert similarity(a, a) == pytest.approx(1.0)
    # 2**32 frames apart and one more object used to be the same row
    rows = PointRows.of([1], [0], [0], [[1.0, 2.0]])
    told = Tracks.of([0, 1], [2**32, 0], points=rows)
    assert find_format("motchallenge").losses(told)["absent"].count == 1
    point = PointRows.of([0, 0], [2**62, 2**61], [0, 1], [[1.0, 2.0], [5.0, 6.0]])
    one = Tracks.of([0, 0], [2**62, 2**61], points=point)
    assert similarity(one, one) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("entry", "name"), [("imDir", "../other"), ("imDir", "/etc"), ("video", "../../secret.mp4")]
)
def test_a_sequence_reaches_no_file_outside_its_folder(tmp_path, entry, name):
    folder = tmp_path / "set" / "a"
    (folder / "gt").mkdir(parents=True)
    (folder / "gt" / "gt.txt").write_text("1,1,10,10,5,5,1,1,1\n")
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=a\nseqLength=1\nimWidth=64\nimHeight=48\n{entry}={name}\n"
    )
    with pytest.raises(FormatError, match=rf"seqinfo.ini, {entry}: the name leads elsewhere"):
        list(open_format(tmp_path / "set", "motchallenge"))
