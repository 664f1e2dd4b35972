"""Whether a file looks like what its name says, before its sha256 is recorded as the right one."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from vtlab.errors import WeightsError
from vtlab.files import damage_as, read_json


def check_look(path: Path, name: str) -> None:
    """Open a downloaded checkpoint as far as its kind shows, and to its end where the kind says where that is.

    Args:
        path: The file, under any name.
        name: The name it is to have; its ending says the kind. Kinds that are unknown need only hold something.

    Raises:
        WeightsError: It is empty, packed, a web page, cut, or of another kind.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise WeightsError("it is empty")
    if head[:2] == b"\x1f\x8b" and not name.endswith((".gz", ".tgz")):
        raise WeightsError("it is packed (gzip), not the file itself")
    if head.lstrip()[:1] == b"<":
        raise WeightsError("it is a web page, not the file itself")
    with damage_as(WeightsError, name, "a whole file of its kind"):
        if head[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:  # its list of entries stands at the end
                archive.infolist()
        kind = name.rpartition(".")[2]
        if kind == "safetensors":
            _check_safetensors(path)
        if kind == "json":
            read_json(path, "a JSON file", WeightsError)
    _check_head(kind, head)


def _check_head(kind: str, head: bytes) -> None:
    starts = {
        "pt": (b"PK\x03\x04", b"\x80"),
        "h5": (b"\x89HDF\r\n\x1a\n",),
        "onnx": (
            b"\x08",
            b"\x12",
            b"\x1a",
            b"\x3a",
        ),  # the first field of a ModelProto: version, producer or graph
    }
    starts |= dict.fromkeys(("pth", "ckpt", "tar"), starts["pt"])
    if not head.startswith(starts.get(kind, (b"",))):
        raise WeightsError(f"it does not begin as a .{kind} file does, but with {head[:8]!r}")


def _check_safetensors(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise EOFError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length))
    end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    if size != 8 + length + end:
        raise EOFError(f"{8 + length + end} bytes announced, {size} there")
