"""One seeded mutator for every kind of file: bytes, text, and what lies within JSON, PNG, pickle, Parquet and zip.

A change of the bytes alone ends at the first checksum or length of a format. So half the time the content is taken
apart, changed, and put together again with right checksums: damage that only the reader's own checks can find.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

WORDS = (
    *("", "0", "-1", "1.5", "NaN", "nan", "inf", "-Infinity", "1e400", "1e308", "9" * 30, "2147483648"),
    *(
        "18446744073709551616",
        "-9223372036854775809",
        "1e18",
        "true",
        "null",
        "[]",
        "{}",
        "[[1]]",
        '""',
        "ä",
        "\0",
    ),
    *(
        "²",
        "\ufeff",
        ",",
        ";",
        "\t",
        "\n",
        "'",
        '"',
        "=",
        ":",
        "- ",
        "&a",
        "*a",
        "!!python/none",
        "<<",
        "?",
        "60000000",
    ),
)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 1.5, float("nan"), float("inf"), 2**31, 2**63, -(2**70), 10**30, 1e308),
    *(
        "",
        "x",
        "ä\0",
        [],
        {},
        [1, 2],
        [[1, 2], [3]],
        ["x"],
        {"a": 1},
        {"a": {"b": []}},
        [None],
        "nan",
        60_000_000,
    ),
)


def mutate(rng: random.Random, data: bytes, name: str = "") -> bytes:
    """A damaged copy of a file's content; `name` tells its kind by its ending."""
    inside = INSIDE.get(name.rpartition(".")[2])
    if inside is not None and rng.random() < 0.5:
        return inside(rng, data)
    if rng.random() < 0.6 and is_text(data):
        return in_text(rng, data.decode()).encode("utf-8", "surrogatepass")
    return in_bytes(rng, data)


def is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def several(rng: random.Random) -> range:
    return range(rng.choice((1, 1, 1, 2, 3, 8)))


def in_bytes(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in several(rng):
        at, n = rng.randrange(len(out) + 1), rng.choice((1, 1, 2, 4, 8, 64, 500))
        kind = rng.randrange(9)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = rng.randbytes(n)
        elif kind == 4:
            out[at:at] = out[rng.randrange(len(out) + 1) :][:n]
        elif kind == 5 and rng.random() < 0.3:
            del out[at:]
        elif kind == 6:
            out[at : at + n] = bytes([rng.choice((0, 255))]) * n
        elif kind == 7:
            width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
            number = rng.choice(NUMBERS) & ((1 << 8 * width) - 1)
            out[at : at + width] = number.to_bytes(width, order)
        else:
            out[at : at + n] = rng.randbytes(n)
    return bytes(out)


def in_text(rng: random.Random, text: str) -> str:
    for _ in several(rng):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        kind = rng.randrange(7)
        tokens = list(re.finditer(r"[\w.+-]+", text))
        if kind <= 2 and tokens:
            token = rng.choice(tokens)
            text = text[: token.start()] + rng.choice(WORDS) + text[token.end() :]
            continue
        if kind == 3:
            lines[at:at] = [lines[rng.randrange(len(lines))]] * rng.choice((1, 1, 3))
        elif kind == 4:
            del lines[at]
        elif kind == 5:
            cut = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + rng.choice(WORDS) + lines[at][cut:]
        else:
            lines[at] = lines[at][rng.randrange(len(lines[at]) + 1) :]
        text = "\n".join(lines)
    return text


def in_tree(rng: random.Random, tree: Any, values: tuple[Any, ...] = VALUES) -> Any:
    """A copy of nested lists and dicts with a few nodes replaced, removed, doubled or deepened."""
    nodes: list[tuple[Any, Any]] = []

    def copy(node: Any) -> Any:
        if isinstance(node, dict):
            made: Any = {k: copy(v) for k, v in node.items()}
            nodes.extend((made, k) for k in made)
        elif isinstance(node, list | tuple):
            made = [copy(v) for v in node]
            nodes.extend((made, k) for k in range(len(made)))
        else:
            made = node
        return made

    whole = {"": copy(tree)}
    nodes.append((whole, ""))
    for _ in several(rng):
        holder, key = rng.choice(nodes)
        if (isinstance(holder, list) and key >= len(holder)) or (
            isinstance(holder, dict) and key not in holder
        ):
            continue
        kind = rng.randrange(8)
        if kind <= 4:
            holder[key] = rng.choice(values)
        elif kind == 5 and holder is not whole:
            del holder[key]
        elif kind == 6 and isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            holder[key] = [holder[key]]
    return whole[""]


def in_json(rng: random.Random, data: bytes) -> bytes:
    return json.dumps(in_tree(rng, json.loads(data))).encode()


def in_png(rng: random.Random, data: bytes) -> bytes:
    """One chunk's content is changed, and its checksum is made right again."""
    at, chunks = 8, []
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    which = rng.randrange(len(chunks))
    kind, content = chunks[which]
    if kind == b"IDAT" and rng.random() < 0.5:
        content = zlib.compress(in_bytes(rng, zlib.decompress(content)))
    else:
        content = in_bytes(rng, content)
    chunks[which] = kind, content
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return data[:8] + b"".join(parts)


def in_pickle(rng: random.Random, data: bytes) -> bytes:
    import numpy as np

    arrays = (
        *(
            np.zeros(0),
            np.zeros((2, 3)),
            np.array(5),
            np.full((2, 5, 2), np.nan),
            np.zeros((1, 1, 1, 3), np.uint8),
        ),
        *(
            np.array(["x"]),
            np.array([[1, "a"]], object),
            np.zeros((3, 4, 2), complex),
            np.zeros((2, 4, 5, 3)),
        ),
        *(
            b"",
            b"\xff\xd8\xff",
            [b"x"],
            (1, 2),
            (0, 0),
            (-3, 4),
            (2**40, 2**40),
            (float("nan"), 3),
            ("a", "b"),
        ),
    )
    return pickle.dumps(in_tree(rng, pickle.loads(data), VALUES + arrays), protocol=rng.choice((2, 4, 5)))


def in_parquet(rng: random.Random, data: bytes) -> bytes:
    """Another header (JSON in the metadata), another type or other values of a column, a column more or less."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    noted = table.schema.metadata or {}
    kind = rng.randrange(4)
    if kind == 0:
        key = next((k for k in noted if k.startswith(b"vtlab")), None)
        if key is None:
            return in_bytes(rng, data)
        text = json.dumps(in_tree(rng, json.loads(noted[key]))).encode()
        noted = {**noted, key: text if rng.random() < 0.8 else in_bytes(rng, text)}
    elif kind == 1:
        table = table.drop_columns([rng.choice(table.column_names)])
    elif kind == 2:
        at = rng.randrange(table.num_columns)
        values: list[Any] = list(table.column(at).to_pylist())
        for _ in several(rng) if values else ():
            values[rng.randrange(len(values))] = rng.choice((*VALUES, b"", b"\xff0"))
        table = table.set_column(at, table.column_names[at], [loose(pa, values)])
    else:
        at, n = rng.randrange(table.num_columns), table.num_rows
        values = [rng.choice((*VALUES, b"x", [1.0], b"04"))] * n
        table = table.set_column(at, table.column_names[at], [loose(pa, values)])
    out = io.BytesIO()
    try:
        pq.write_table(table.replace_schema_metadata(noted), out)
    except pa.ArrowException:  # what Parquet can't hold
        return in_bytes(rng, data)
    return out.getvalue()


def loose(pa: Any, values: list[Any]) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeError):
        return pa.array([ascii(v) for v in values])


def in_zip(rng: random.Random, data: bytes) -> bytes:
    """One entry is changed; the archive is written anew."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        entries = old.infolist()
        chosen = rng.randrange(len(entries))
        for i, entry in enumerate(entries):
            content = old.read(entry)
            new.writestr(entry.filename, in_bytes(rng, content) if i == chosen else content)
    return out.getvalue()


INSIDE: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "json": in_json,
    "ipynb": in_json,
    "png": in_png,
    "pkl": in_pickle,
    "parquet": in_parquet,
    "zip": in_zip,
    "pt": in_zip,
}
