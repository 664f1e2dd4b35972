"""Files as other systems leave them: line ends and byte order marks of Windows, decimal commas, paths with backslashes."""

from __future__ import annotations

from pathlib import PureWindowsPath

import numpy as np
import pytest

from vtlab import formats
from vtlab.errors import FormatError
from vtlab.files import file_names, label_of
from vtlab.formats import FORMATS, open_format, read_tracks
from vtlab.testing.formats import example

NAMES = sorted(name for name, form in FORMATS.items() if form.ready)
TEXT = {".txt", ".csv", ".json", ".xml", ".ini", ".yaml", ".yml", ".value", ".tag", ".label", ".seqinfo", ""}


def texts(root):
    return [p for p in root.rglob("*") if p.is_file() and p.suffix in TEXT and b"\0" not in p.read_bytes()]


@pytest.mark.parametrize("name", NAMES)
def test_line_ends_and_a_mark_of_windows_change_nothing(name, tmp_path):
    """The same truth and the same results, whoever saved the text last."""
    form, found = FORMATS[name], {}
    for kind in ("plain", "windows"):
        root = tmp_path / kind
        formats.write_tracks(example(form), root, name, sequence="walk")
        formats.write_tracks(example(form), root, name, sequence="walk", tracker="mine")
        for path in texts(root) if kind == "windows" else ():
            told = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            path.write_bytes(b"\xef\xbb\xbf" + told)
        data = open_format(root, name)
        found[kind] = [data.truth(n) for n in data.names]
        for result in form.find_results(root / "mine", data.names):
            found[kind].append(
                form.read_tracks(result.path, form.read_sequence(data.place(data.names[0]), images=False))
            )
    assert len(found["plain"]) == len(found["windows"]) > 0
    for plain, windows in zip(found["plain"], found["windows"], strict=True):
        assert plain.frame.tolist() == windows.frame.tolist()
        assert plain.object_id.tolist() == windows.object_id.tolist()
        assert plain.label.tolist() == windows.label.tolist()
        np.testing.assert_array_equal(plain.boxes, windows.boxes)


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("otb", "walk/groundtruth_rect.txt", "10,5;20,5;30,0;40,0\n11,5;20,5;30,0;40,0\n"),
        ("mot17", "walk/gt/gt.txt", "1;1;10,5;20,5;30,0;40,0;1;1;1\n"),
    ],
)
def test_a_decimal_comma_is_refused_by_file_and_line(name, file, text, tmp_path):
    """As a spreadsheet saves it where the comma is decimal: it would be other columns, so nothing is guessed."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    with pytest.raises(FormatError, match=r"(groundtruth_rect|gt)\.txt, line 1"):
        read_tracks(tmp_path / file, name)


def test_names_of_files_are_names_on_windows_too():
    """No drive, no folder, no device, no other file: whatever trackers and sequences are called."""
    labels = [
        "a\\b",
        "C:x",
        "a/b",
        "con",
        "x.",
        " x",
        "Car",
        "car",
        "CAR",
        "a:b|c",
        "nul.txt",
        "..",
        "é",
        "日本",
    ]
    made = file_names(labels)
    for label, name in made.items():
        path = PureWindowsPath("C:/runs") / f"{name}.parquet"
        assert path.parent == PureWindowsPath("C:/runs")
        assert path.name == f"{name}.parquet"
        assert not PureWindowsPath(name).is_reserved()
        assert label_of(name) == label
    assert len({name.lower() for name in made.values()}) == len(labels)
