"""Run-length masks: the codec beside pycocotools', operations on runs, and what damaged encodings give."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vtlab import masks
from vtlab.errors import FormatError, InputError, PromptError, TracksError
from vtlab.formats.mots import read_mots
from vtlab.masks import Runs
from vtlab.prompts import MaskPrompt, Prompts
from vtlab.tracks import Tracks

GOLDEN = json.loads((Path(__file__).parent / "metrics" / "golden" / "masks_pycocotools.json").read_text())
sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
several = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))


def images(group: dict) -> list[np.ndarray]:
    height, width = group["size"]
    packed = [np.frombuffer(base64.b64decode(p), np.uint8) for p in group["pixels"]]
    return [np.unpackbits(p, count=height * width).reshape(height, width) == 1 for p in packed]


@pytest.mark.parametrize("group", GOLDEN, ids=lambda g: "x".join(map(str, g["size"])))
def test_equals_pycocotools_byte_for_byte(group):
    height, width = group["size"]
    for mask, counts, area in zip(images(group), group["counts"], group["areas"], strict=True):
        assert masks.encode(mask) == masks.encode(np.asfortranarray(mask)) == counts.encode()
        np.testing.assert_array_equal(masks.decode(counts, height, width), mask)
        assert masks.area(counts, height, width) == area
    runs = Runs.of(group["counts"], height, width)
    boxes = np.array(group["boxes"])
    boxes = np.where(
        boxes[:, 2:3] > 0, np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1), np.nan
    )
    np.testing.assert_array_equal(runs.boxes(), boxes)
    np.testing.assert_array_equal(runs.iou(runs), group["iou"])
    assert Runs.of(group["counts"][2:], height, width).union().counts() == [group["union"].encode()]


@given(arrays(bool, sizes))
def test_any_mask_equals_pycocotools(mask):
    coco = pytest.importorskip(
        "pycocotools.mask", reason="pycocotools is not installed: pip install 'vtlab[test]'"
    )
    code = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert masks.encode(mask) == code["counts"]
    np.testing.assert_array_equal(masks.decode(code["counts"], *mask.shape), mask)
    assert masks.area(code["counts"], *mask.shape) == mask.sum()


@given(arrays(bool, several), st.data())
def test_runs_equal_what_pixels_give(stack, data):
    codes = [masks.encode(m) for m in stack]
    runs = Runs.of(codes, *stack.shape[1:])
    np.testing.assert_array_equal(runs.masks(), stack)
    assert runs.counts() == codes
    np.testing.assert_array_equal(runs.areas(), stack.sum(axis=(1, 2)))
    np.testing.assert_array_equal(runs.boxes(), [masks.to_box(m) for m in stack])
    half = len(stack) // 2
    left, right = Runs.of(codes[:half], *stack.shape[1:]), Runs.of(codes[half:], *stack.shape[1:])
    expected = [[masks.iou(a, b) if (a | b).any() else 0 for b in stack[half:]] for a in stack[:half]]
    np.testing.assert_array_equal(left.iou(right), np.reshape(expected, (half, len(stack) - half)))
    group = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(stack), max_size=len(stack))))
    union = runs.union(group).masks()
    assert len(union) == group.max() + 1
    for number, found in enumerate(union):
        np.testing.assert_array_equal(found, stack[group == number].any(axis=0))


@given(arrays(bool, sizes), st.sampled_from(["columns", "rows"]))
def test_runs_of_both_orders(mask, order):
    code = masks.encode(mask)
    runs = masks.to_runs(code, *mask.shape, order)
    assert masks.from_runs(runs, *mask.shape, order) == code
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    np.testing.assert_array_equal(flat, mask.ravel() if order == "rows" else mask.T.ravel())


def test_runs_by_hand():
    mask = np.array([[0, 1, 1], [0, 0, 1]])
    assert masks.to_runs(masks.encode(mask), 2, 3).tolist() == [2, 1, 1, 2]
    assert masks.to_runs(masks.encode(mask), 2, 3, "rows").tolist() == [1, 2, 2, 1]
    assert masks.from_runs([2, 1, 1, 2], 2, 3) == masks.encode(mask) == b"2111"


def test_runs_without_pixels_are_read_as_pycocotools_reads_them():
    # 6 pixels as 1, 0, 2, 3: the second and third are not set although they are written as two runs.
    assert masks.to_runs(b"1023", 2, 3).tolist() == [3, 3]
    runs = Runs.of([b"1023", None, masks.encode(np.ones((2, 3)))], 2, 3)
    assert runs.areas().tolist() == [3, 0, 6]
    np.testing.assert_array_equal(runs.boxes()[1], [np.nan] * 4)


def test_no_masks():
    runs = Runs.of([], 4, 5)
    assert (len(runs), runs.masks().shape, runs.boxes().shape) == (0, (0, 4, 5), (0, 4))
    assert runs.iou(Runs.of([None], 4, 5)).shape == (0, 1)
    assert len(runs.union()) == 0
    assert masks.encode(np.empty((0, 4))) == b"0"
    assert masks.decode(b"0", 0, 4).shape == (0, 4)


GOOD = masks.encode(np.pad(np.ones((50, 60), bool), ((10, 36), (20, 80))))  # of 96 x 160 pixels


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (b"", "has 0 characters"),
        (b"1x3", r"Character 1 \(b'x'\) is none"),
        ("1µ3", r"Character 1 .* is none"),
        (GOOD[:-1] + b"o", "breaks off within a number"),
        (GOOD[:-3], "hold .* pixels in place of 15360"),
        (GOOD + b"1", "hold 15411 pixels in place of 15360"),
        (masks.from_runs([10**6], 1000, 1000), "Run 0 has 1000000 pixels"),
        (masks.from_runs([50 * 60], 50, 60), "hold 3000 pixels in place of 15360"),
        (b"OO1", "Run 0 has -1 pixels"),
        (b"PPPPPPPPPPPPP0", "Number 0 has 14 digits"),
        (b"0" * 15362, "has 15362 runs"),
        (b"0" * 10**5, "has 100000 characters"),
    ],
)
def test_damaged_counts_are_named(counts, message):
    for read in (masks.decode, masks.area, masks.box, masks.to_runs):
        with pytest.raises(InputError, match=rf"mask 0: .*{message}.*96 x 160 pixels \(height x width\)"):
            read(counts, 96, 160)
    with pytest.raises(InputError, match=rf"row 2: .*{message}"):
        Runs.of([GOOD, None, counts, GOOD], 96, 160, name="row {}".format)


def test_counts_of_another_size_were_random_pixels():
    """The same short counts gave 9416, 8539 and 4416 pixels in three runs, of memory that nobody set."""
    counts = masks.encode(np.ones((50, 60), bool))
    with pytest.raises(InputError, match="hold 3000 pixels in place of 15360"):
        masks.decode(counts, 96, 160)


@pytest.mark.parametrize(
    "size", [(-1, 5), (-4, -4), (1 << 20, 1 << 20), (2.5, 4), ("4", 4), (None, 4), (10**400, 1)]
)
def test_sizes_out_of_range(size):
    with pytest.raises(InputError, match="size"):
        masks.decode(b"0", *size)
    with pytest.raises(InputError, match="size"):
        masks.from_runs([0], *size)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([5], "hold 5 pixels"),
        ([-1, 7], "one of -1"),
        ([0] * 9 + [6], "10 of them"),
        ([10**9], "one of 1000000000"),
        ([2**63 - 1, 2**63 - 1, 8], "one of 9223372036854775807"),
        ([10**30], "whole numbers"),
        ([3.0, 3.0], "whole numbers"),
        ([[6]], "whole numbers"),
        ([[1], [2, 3]], "Expected the runs of a mask"),
        (["6"], "whole numbers"),
        ([True], "whole numbers"),
        (None, "whole numbers"),
    ],
)
def test_damaged_runs_are_named(runs, message):
    with pytest.raises(InputError, match=message):
        masks.from_runs(runs, 2, 3)


def test_hostile_input_takes_little_memory():
    tracemalloc.start()
    try:
        # Nothing of the mask's size is made to read, measure or refuse one.
        whole = b"PPPPP8"
        assert masks.area(whole, 1 << 14, 1 << 14) == 0
        assert np.isnan(masks.box(whole, 1 << 14, 1 << 14)).all()
        for counts, size in ((b"PPPPPO", (9, 9)), (b"0" * 10**6, (9, 9)), (whole, (1 << 20, 1 << 20))):
            with pytest.raises(InputError):
                masks.decode(counts, *size)
        with pytest.raises(InputError):
            masks.from_runs([10**9], 9, 9)
        many = Runs.of([GOOD] * 20_000, 96, 160)
        many.areas(), many.boxes()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6 + 12 * many.start.nbytes


def test_masks_of_numbers_that_mean_something_else():
    np.testing.assert_array_equal(masks.as_mask([[0.0, 1.0]]), [[False, True]])
    np.testing.assert_array_equal(masks.as_mask([[0, 255, -1]]), [[False, True, True]])
    for values in ([[0.2, 0.9]], [[-3.5, 1.0]], [[np.nan, 1.0]], [["a", "b"]], [[None, 1]]):
        with pytest.raises(InputError, match="scores > 0.5"):
            masks.encode(values)
    with pytest.raises(InputError, match="shape"):
        masks.encode(np.zeros((2, 2, 2)))


SHORT = masks.encode(np.ones((50, 60), bool))
HOSTILE = [
    SHORT,  # too few pixels: memory that nobody set
    masks.from_runs([0, 1 << 28], 1 << 14, 1 << 14),  # too many: written beyond the mask
    b"0" + b"PPPPPPo" * 30_000,  # 200 kB of long numbers
    GOOD[:-1] + b"o",  # breaks off within a number: read beyond the text
    b"1" * 15_000 + b"o",  # the same at length
    GOOD[:4] + b"2" + GOOD[5:],  # one changed letter
    b"\xff\x00" * 40,
    b"0" * 200_000,
]


def test_mask_prompt_is_checked():
    for counts in HOSTILE:
        with pytest.raises(PromptError, match="run-length encoding.*of a mask of 96 x 160"):
            MaskPrompt(counts, (96, 160))
    for size in ((-96, -160), (1 << 20, 1 << 20), (1e9, 1e9), (float("nan"), 4)):
        with pytest.raises(PromptError, match="size"):
            MaskPrompt(GOOD, size)
    with pytest.raises(PromptError, match="empty"):
        MaskPrompt(masks.encode(np.zeros((96, 160))), (96, 160))


def test_tracks_are_checked():
    good = Tracks.of([0, 1], 7, masks=[GOOD, None], size=(96, 160))
    for counts in HOSTILE:
        with pytest.raises(TracksError, match="mask of object 7 on frame 1: "):
            Tracks.of([0, 1], 7, masks=[GOOD, counts], size=(96, 160))
        rle = np.array([GOOD, counts], object)
        with pytest.raises(TracksError, match="mask of object 7 on frame 1: "):
            good.replace(rle=rle)
    with pytest.raises(TracksError, match="mask of object 7 on frame 0: "):
        good.replace(size=(32, 32))


def write_prompts(path: Path, counts: bytes) -> None:
    item = {"kind": "mask", "counts": base64.b64encode(counts).decode(), "size": [96, 160]}
    path.write_text(json.dumps({"version": 1, "prompts": [item]}))


def write_tracks(path: Path, counts: bytes) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Tracks.of([3], 7, masks=[GOOD], size=(96, 160)).save(path)
    table = pq.read_table(path)
    place = table.column_names.index("mask")
    pq.write_table(table.set_column(place, "mask", pa.array([counts], pa.binary())), path)


def write_mots(path: Path, counts: bytes) -> None:
    good = f"1 2001 2 96 160 {GOOD.decode()}\n".encode()
    path.write_bytes(good + b"1 2002 2 96 160 " + counts + b"\n")


ROADS = {
    "prompts.json": (write_prompts, Prompts.load, "prompt 0: "),
    "tracks.parquet": (write_tracks, Tracks.load, "object 7 on frame 3: "),
    "mots.txt": (write_mots, read_mots, ""),
}


@pytest.mark.parametrize("name", ROADS)
def test_files_are_refused_without_a_crash(name, tmp_path):
    """In a process of its own: it must come to its end, however damaged the mask."""
    write, load, place = ROADS[name]
    files = [tmp_path / f"{i}{name}" for i in range(len(HOSTILE))]
    for file, counts in zip(files, HOSTILE, strict=True):
        write(file, counts)
    code = "\n".join(
        [
            "import sys",
            f"from {load.__module__} import {load.__qualname__.split('.')[0]}",
            "from vtlab.errors import VtlabError",
            "for file in sys.argv[1:]:",
            f"    try: {load.__qualname__}(file)",
            "    except VtlabError as error: print(type(error).__name__, str(error).replace(chr(10), ' '))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(files)
    for line, file in zip(lines, files, strict=True):
        assert line.startswith(("FormatError", "PromptError"))
        assert str(file) in line
        assert place in line


def test_mots_names_the_line(tmp_path):
    for number, counts in enumerate(HOSTILE[:5]):
        path = tmp_path / f"{number}.txt"
        write_mots(path, counts)
        with pytest.raises(FormatError, match=rf"{number}\.txt, line 2: .*96 x 160"):
            read_mots(path)
    for cells in ("--1 2001 2 96 160", "1 2001 2 -96 -160", f"1 {'9' * 5000} 2 96 160", "1² 2001 2 96 160"):
        path.write_bytes(f"{cells} ".encode() + GOOD)
        with pytest.raises(FormatError, match=r"4\.txt"):
            read_mots(path)
