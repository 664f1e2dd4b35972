"""Every reader on damaged files, and on the bombs that a mutation seldom finds; `make fuzz` goes on."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
import textwrap
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

import vtlab
import vtlab.detectors.recorded
from tests.fuzz.harness import Campaign, table
from vtlab.errors import ExperimentError, FormatError, TracksError, VideoError, VtlabError
from vtlab.experiments import load_experiment
from vtlab.experiments.notebooks import collected
from vtlab.experiments.store import Store
from vtlab.files import csv_text, outside, read_csv, read_parquet, read_yaml
from vtlab.files.pages import chunks
from vtlab.formats import FORMATS, open_format
from vtlab.formats import read_tracks as read_format
from vtlab.prompts import Prompts
from vtlab.tracks import Tracks


@pytest.mark.parametrize("inputs", [25, pytest.param(200, marks=pytest.mark.slow)])
def test_no_reader_crashes_hangs_or_raises_what_is_not_vtlabs(inputs):
    campaign = Campaign()
    try:
        rows = [campaign.run(name, inputs) for name in campaign.names()]
    finally:
        campaign.close()
    assert {n for n, form in FORMATS.items() if form.ready} <= {row.name for row in rows}
    assert {row.inputs for row in rows} == {inputs}  # the same ones on a busy machine
    bad = [f"{row.name}: {dict(row.foreign)}" for row in rows if not row.good]
    assert not bad, "\n".join([table(rows), *bad])


def test_the_harness_sees_crashes_hangs_memory_and_foreign_errors(tmp_path, monkeypatch):
    faults = textwrap.dedent(
        """
        import os, time
        from tests.fuzz import worker
        from tests.fuzz.readers import Reader

        count = iter(range(99))
        def read(folder, path):
            number = int(os.environ["FUZZ_FAULT"]) if next(count) else 0
            if number == 1: os.abort()
            if number == 2: time.sleep(60)
            if number == 3: held = bytearray(os.urandom(1 << 20)) * 400; time.sleep(3)
            if number == 4: raise KeyError("x")
        worker.readers = lambda: [Reader("faulty", lambda f: (f / "a.txt").write_text("a"), read)]
        worker.main()
        """
    )
    (tmp_path / "faulty.py").write_text(faults)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # the script lies elsewhere
    monkeypatch.setattr("tests.fuzz.harness.WORKER", [str(tmp_path / "faulty.py")])
    monkeypatch.setattr("tests.fuzz.harness.GROWTH", 200 * 2**20)
    found = {}
    for fault, kind in enumerate(("", "crashes", "hangs", "greedy", "foreign")):
        monkeypatch.setenv("FUZZ_FAULT", str(fault))
        # A busy machine takes long to begin and to fill memory: only what waits for ever may run out of patience.
        campaign = Campaign(patience=(60.0, 1.0 if kind == "hangs" else 30.0))
        row = campaign.run("faulty", 1)
        campaign.close()
        found[kind] = [k for k in ("crashes", "hangs", "greedy", "foreign") if getattr(row, k)]
    assert found == {k: [k] if k else [] for k in ("", "crashes", "hangs", "greedy", "foreign")}


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{before}'] * 10)}]\n" for before, c in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, "values when its aliases"),
        ("a: &a {b: *a}\n", "holds itself"),
        ("[" * 3000 + "]" * 3000, "within each other"),
        ("x: " + "y" * 2**20, "characters, at most"),
        ("a: 2026-13-45\n", "not a readable YAML file"),
        ("? [1, 2]\n: 3\n", "not a readable YAML file"),
        ("a: !!python/object/apply:os.system [ls]\n", "not a readable YAML file"),
        ("- " * 200_000, "within each other"),
    ],
    ids=["aliases", "itself", "deep", "long", "date", "key", "code", "dashes"],
)  # fmt: skip
def test_yaml_is_bounded(tmp_path, text, told):
    start = time.monotonic()
    with pytest.raises(FormatError, match=told):
        read_yaml(text, "here")
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ExperimentError, match=r"e\.yaml"):
        load_experiment(tmp_path / "e.yaml")
    assert time.monotonic() - start < 5


def test_yaml_of_people_is_read():
    text = (
        "base: &base {lr: 0.1, names: [a, b]}\nmine: {<<: *base, lr: 1.0e-3}\nagain: *base\nday: 2026-01-02\n"
    )
    found = read_yaml(text, "here")
    assert found["mine"] == {"lr": 0.001, "names": ["a", "b"]}
    assert found["again"] == found["base"]


def test_a_small_parquet_of_very_many_rows_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, rows = tmp_path / "many.parquet", 2_000_000
    schema = pa.schema([("frame", pa.int64())], metadata={"vtlab": "{}", "vtlab.detections": "{}"})
    part = pa.table({"frame": np.zeros(rows, np.int64)}, schema=schema)
    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        for _ in range(12):
            out.write_table(part)
    assert path.stat().st_size < 200_000
    for read in (Tracks.load, lambda p: vtlab.detectors.recorded.RecordedDetector(path=p)):
        with pytest.raises(FormatError, match=r"many\.parquet: 24000000 rows, at most 20000000 are read"):
            read(path)


def test_a_text_that_stands_in_every_row_is_counted_in_every_row(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, text = tmp_path / "wide.parquet", "x" * 100_000
    pq.write_table(pa.table({"label": pa.array([text, None] * 500), "n": np.arange(1000)}), path)
    assert read_parquet(path, "a table")["label"][0].as_py() == text
    monkeypatch.setattr(outside, "MOST_BYTES", 40_000_000)
    with pytest.raises(FormatError, match=r"wide\.parquet: unpacks to 50\d+ bytes, at most 40000000"):
        read_parquet(path, "a table")


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_are_counted_as_pyarrow_writes_them(tmp_path, compression, version):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    lists = [None if n == 3 else list(range(n)) for n in rng.integers(0, 5, 3000)]
    table = pa.table(
        {
            "frame": np.arange(3000),
            "label": pa.array(["car", None, "a long name"] * 1000),
            "flag": pa.array([True, False, None] * 1000),
            "point": pa.array(lists, pa.list_(pa.float64())),
            "rings": pa.array(
                [None if p is None else [p, p] for p in lists], pa.list_(pa.list_(pa.float64()))
            ),
        },
        metadata={"a": "b"},
    )
    path = tmp_path / "a.parquet"
    for size in (None, 700):
        pq.write_table(
            table,
            path,
            compression=compression,
            data_page_version=version,
            row_group_size=size,
            data_page_size=2000,
        )
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            expected = [
                (g.column(i).path_in_schema, g.column(i).num_values) for g in groups for i in range(5)
            ]
        with path.open("rb") as file:
            found = list(chunks(file))
        assert [".".join(c.path) for c in found] == [name for name, _ in expected]
        for chunk, (_, count) in zip(found, expected, strict=True):
            assert chunk.values == count
            assert chunk.size > 0
        assert [c.text for c in found[:5]] == [False, True, False, False, False]
        assert read_parquet(path, "a table").equals(table)


def test_a_small_parquet_of_lists_without_end_is_refused_unread(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, count = tmp_path / "lists.parquet", 600_000
    ends = pa.array(np.array([0, count], np.int32))
    column = pa.ListArray.from_arrays(ends, pa.array(np.zeros(count)))
    pq.write_table(pa.table({"point_x": column}, metadata={"vtlab": "{}"}), path, compression="zstd")
    del column
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(outside, "MOST_LISTED", 400_000)
    before = pa.total_allocated_bytes()
    with pytest.raises(FormatError, match=r"lists\.parquet: 600000 values in lists, at most 400000"):
        Tracks.load(path)
    assert pa.total_allocated_bytes() - before < 1_000_000
    texts = pa.array([["x" * 100_000] * 50 for _ in range(5)])
    pq.write_table(pa.table({"names": texts}), path, compression="zstd")
    monkeypatch.setattr(outside, "MOST_BYTES", 20_000_000)
    with pytest.raises(FormatError, match=r"unpacks to 25\d+ bytes"):
        read_parquet(path, "a table")


def test_sizes_that_are_no_numbers(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    Tracks.of([0], [1], [[1, 2, 3, 4]], size=(9, 9)).save(path)
    good = pq.read_table(path)
    for size in ("[Infinity, 5]", "[NaN, 5]", '["a", 5]', "7", "[]", "[1e400, 1]"):
        header = json.dumps({"version": 2, "meta": {}}).replace("{}", '{}, "size": ' + size)
        pq.write_table(good.replace_schema_metadata({"vtlab": header}), path)
        with pytest.raises(FormatError, match=r"a\.parquet"):
            Tracks.load(path)


GOOD = {"video": None, "points": np.zeros((1, 3, 2)), "occluded": np.zeros((1, 3)), "size": (4, 4)}


@pytest.mark.parametrize(
    "attack",
    [
        b"\x80\x04K\x01r\xff\xff\xff\x7f.",  # puts its memory 2 billion places away
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",  # bytes that aren't there
        b"\x80\x04\x95" + (2**60).to_bytes(8, "little") + b"N.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\x00\x00\x00tU\x01btR.",
        pickle.dumps({"x": {**GOOD, "points": 1}}),
        pickle.dumps({"x": {**GOOD, "size": (float("inf"), 4)}}),
        pickle.dumps({}),
    ],
)  # fmt: skip
def test_tapvid_bombs(tmp_path, attack):
    path = tmp_path / "a.pkl"
    path.write_bytes(attack)
    with pytest.raises(FormatError, match=r"a\.pkl"):
        read_format(path, "tapvid")


def test_tapvid_types_can_not_point_out_of_their_array(tmp_path):
    """A type whose field lies a million bytes on reads memory that isn't the file's."""

    class Crafted:
        def __reduce__(self):
            state = (3, "|", None, ("a",), {"a": (np.dtype("f8"), 1_000_000)}, 8, 1, 0)
            return np.dtype, ("V8",), state

    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": Crafted()}))
    with pytest.raises(FormatError, match="state of .*DType.*not opened"):
        read_format(tmp_path / "a.pkl", "tapvid")


def test_a_length_that_is_no_sequences(tmp_path):
    vtlab.formats.write_tracks(Tracks.of([0], [1], [[1, 2, 3, 4]]), tmp_path, "motchallenge", sequence="a")
    truth = tmp_path / "truth/a/gt/gt.txt"
    truth.write_text("900000000000,1,1,1,5,5,1,1,1\n")
    (tmp_path / "truth/a/seqinfo.ini").unlink()
    with pytest.raises(FormatError, match="line 1: a sequence has at most 16777216 frames"):
        open_format(tmp_path, "motchallenge").truth("a") or open_format(tmp_path, "motchallenge")
    (tmp_path / "truth/a/seqinfo.ini").write_text(
        "[Sequence]\nseqLength=9\nimWidth=9\nimHeight=9\nframeRate=x\n"
    )
    with pytest.raises(FormatError, match=r"seqinfo\.ini: frameRate must be a number, got 'x'"):
        open_format(tmp_path, "motchallenge").truth("a")


def png(width: int, height: int) -> bytes:
    """A grey PNG that claims a size and holds a few bytes."""
    import struct

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def test_pictures_that_claim_more_than_anybody_has(tmp_path):
    (tmp_path / "truth/Annotations/a").mkdir(parents=True)
    for size in ((20_000, 20_000), (2**30, 2**30)):
        (tmp_path / "a.png").write_bytes(png(*size))
        with pytest.raises(VideoError, match=r"a\.png"):
            vtlab.open_video(tmp_path / "a.png")
        (tmp_path / "truth/Annotations/a/00000.png").write_bytes(png(*size))
        with pytest.raises(FormatError, match=r"00000\.png"):
            open_format(tmp_path, "davis").truth("a")


def test_a_length_that_a_picture_claims_takes_no_memory(tmp_path):
    """Pillow reads what is left of a chunk of pixels by its length, for which Python makes room at once."""
    image = bytearray(png(64, 48))
    at = image.index(b"IDAT")
    image[at - 4 : at] = (2**31 - 10).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(image)
    tracemalloc.start()
    try:
        with pytest.raises(VideoError, match=r"a\.png"):
            list(vtlab.open_video(tmp_path / "a.png"))
        (tmp_path / "truth/Annotations/a").mkdir(parents=True)
        (tmp_path / "truth/Annotations/a/00000.png").write_bytes(image)
        with pytest.raises(FormatError, match=r"00000\.png"):
            open_format(tmp_path, "davis").truth("a")
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def test_pictures_of_kinds_that_start_programs_are_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(VideoError, match=r"a\.png' is not a readable image"):
        vtlab.open_video(tmp_path / "a.png")


def test_a_damaged_statistic_of_parquet_ends_no_process(tmp_path):
    """pyarrow lets C++'s exception through where a column's statistics are asked for (input 276 of "vtlab", seed 1)."""
    code = """
        import sys
        from pathlib import Path
        import numpy as np, pyarrow as pa, pyarrow.parquet as pq
        from vtlab.errors import FormatError
        from vtlab.files import read_parquet
        path = Path(sys.argv[1])
        pq.write_table(pa.table({"frame": np.arange(5), "x": np.arange(5) / 3}), path)
        good = path.read_bytes()
        read = 0
        for at in range(len(good) - 8 - int.from_bytes(good[-8:-4], "little"), len(good) - 8):
            path.write_bytes(good[:at] + b"\\0" + good[at + 1 :])
            try:
                read += len(read_parquet(path, "a table")) == 5
            except FormatError:
                pass
        assert 20 < read, read
    """
    run = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a.parquet")]
    subprocess.run(run, cwd=Path(__file__).parents[2], check=True, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "prompts": [{"kind": "skeleton", "points": [[5, 6]], "names": ["a"], "edges": [[Infinity, 0]]}]}',
        '{"version": 1, "prompts": [{"kind": "box", "xyxy": [1, 2, 3, 4], "frame": Infinity}]}',
        '{"version": 1, "prompts": [{"kind": "box", "xyxy": [1, 2, 3, 4], "object_id": NaN}]}',
        '{"version": 1, "prompts": ' + "[" * 200_000 + "]" * 200_000 + "}",
        '{"version": 1, "prompts": [], "source": {"start": Infinity}}',
    ],
    ids=["edge", "frame", "id", "deep", "source"],
)
def test_numbers_in_prompts_that_are_none(tmp_path, text):
    """Input 8907 of "prompts", seed 1, and what is like it."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(VtlabError, match=r"a\.json"):
        Prompts.load(tmp_path / "a.json")


def test_what_a_campaign_found(tmp_path):
    """Boxes whose area overflows, names that are lists, an encoding that nobody knows, frames beyond 64 bits."""
    with pytest.raises(TracksError, match="none beyond"):
        Tracks.of([0], [1], [[1, 2, 3, 1e308]])
    tao = {"videos": [{"id": 1, "name": "a"}], "images": [], "tracks": [{"id": [1]}], "annotations": []}
    (tmp_path / "tao.json").write_text(json.dumps({**tao, "categories": []}))
    with pytest.raises(FormatError, match=r"tao\.json"):
        open_format(tmp_path / "tao.json", "tao").truth("a")
    (tmp_path / "cvat.xml").write_text('<?xml version="1.0" encoding="utf-9"?><annotations></annotations>')
    with pytest.raises(FormatError, match=r"cvat\.xml.*utf-9"):
        read_format(tmp_path / "cvat.xml", "cvat")
    region = {"type": "videorectangle", "value": {"framesCount": 3, "sequence": []}}
    for result in (7, [region]):
        task = {"data": {"video": "a.mp4"}, "annotations": 3.5, "predictions": [{"result": result}]}
        (tmp_path / "a.json").write_text(json.dumps(task))
        with pytest.raises(FormatError, match=r"a\.json"):
            read_format(tmp_path / "a.json", "label-studio")
    boxes = [[i, i, i + 9, i + 9] for i in range(40)]
    answers = {name: Tracks.of(range(40), 1, np.add(boxes, n)) for n, name in enumerate("ab")}
    vtlab.verdict(answers, guarantee=False, metric="iou", file=tmp_path / "v.json").next()
    saved = json.loads((tmp_path / "v.json").read_text())
    said = {"looked": [2**70], "unsure": [], "size": None, "objects": []}
    for damage in (
        {"labels": {"video": said}},
        {"known": {"other": {**said, "looked": [3]}}},
        {"order": [["video", 10**30]], "points": [0.5]},
        {"order": [["nobody", 3]], "points": [0.5]},
        {"points": []},
        {"key": []},
        {"version": [1]},
    ):
        (tmp_path / "v.json").write_text(json.dumps({**saved, **damage}))
        with pytest.raises(FormatError, match=r"v\.json"):
            vtlab.verdict(answers, guarantee=False, metric="iou", file=tmp_path / "v.json")


def test_cells_of_a_batch_are_damaged(tmp_path):
    """What a notebook left, and the record of a cell that failed."""
    good = "tracker,family,success_auc\na,sot,1\nb,sot,0\n"
    for text in (
        "",
        "tracker,family\n",
        "a,b\n1,2\n",
        good.replace("sot", "sat"),
        good.replace("a,sot", ",sot"),
        good + "c,sot,x",
    ):
        (tmp_path / "table.csv").write_text(text)
        with pytest.raises(VtlabError, match=r"table\.csv"):
            collected(tmp_path)
    (tmp_path / "table.csv").write_text(good)
    assert [row["success_auc"] for row in collected(tmp_path).metrics] == [1, 0]
    record = tmp_path / "store/failed/0123/record.json"
    record.parent.mkdir(parents=True)
    for text in (
        "[]",
        "{",
        '{"cell": "a"}',
        '{"cell": "a", "kind": "error", "reason": "", "created": "", "seconds": []}',
    ):
        record.write_text(text)
        with pytest.raises(ExperimentError, match=r"record\.json"):
            Store(tmp_path / "store").failed()


def test_a_byte_order_mark_before_json_and_yaml(tmp_path):
    asked = Prompts([vtlab.BoxPrompt((1, 2, 3, 4))])
    for name, text in (("p.json", asked.to_json()), ("e.yaml", "notebook: n.ipynb\n")):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Prompts.load(tmp_path / "p.json") == asked
    with pytest.raises(ExperimentError, match=r"no such notebook"):
        load_experiment(tmp_path / "e.yaml")


RUN = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''=x", "'quoted", "plain", '=A("x","y")', "a=b"]


def test_no_spreadsheet_runs_a_cell(tmp_path):
    import csv

    import pandas as pd

    given = pd.DataFrame({"=name": RUN, "value": np.arange(len(RUN)) - 5.5, "count": np.arange(len(RUN)) - 3})
    text = csv_text(given)
    for row in list(csv.reader(text.splitlines())):
        assert not any(cell[:1] in ("=", "+", "@", "\t") for cell in row), row
        assert row[0][:1] != "-"
        float(row[1]) if row[1] != "value" else None
    (tmp_path / "a.csv").write_text(text)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "a.csv"), given)


def test_names_of_trackers_and_labels_are_cells_too(tmp_path):
    found = Tracks.of([0, 1], [1, 1], [[1, 2, 3, 4]] * 2, label="=cmd|' /C calc'!A0")
    text = found.save(tmp_path / "t.csv").read_text()
    assert "'=cmd" in text
    assert read_csv(tmp_path / "t.csv")["label"].tolist() == ["=cmd|' /C calc'!A0"] * 2
    video = vtlab.open_video(np.random.default_rng(0).integers(0, 255, (4, 40, 40, 3), np.uint8))
    compared = vtlab.compare(video, {"@ncc": "ncc"}, prompts=vtlab.BoxPrompt((5, 5, 20, 20)), progress=False)
    compared.save(tmp_path / "out")
    lines = (tmp_path / "out/table.csv").read_text().splitlines()
    assert lines[1].startswith("'@ncc,")
    assert read_csv(tmp_path / "out/table.csv").iloc[0, 0] == "@ncc"


def test_the_runner_prints_its_table():
    order = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--only",
        "prompts",
        "otb",
        "--inputs",
        "20",
        "--minutes",
        "1",
    ]
    run = subprocess.run(order, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert "| prompts | 20 |" in run.stdout
