"""File formats, one file each, by one contract (`Format`): the only places with foreign conventions.

`FORMATS` has every record by name; `find_format`, `open_format`, `read_tracks`, `write_tracks` and `convert` take the
same words everywhere, as do `--as` and `--to` on the command line.
"""

from vtlab.formats.base import FEATURES, Format, Kind, Loss, Place, Result, dangling
from vtlab.formats.carry import Carried, carry
from vtlab.formats.conversion import Conversion, convert
from vtlab.formats.registry import (
    FORMATS,
    FormatDataset,
    by_ending,
    find_format,
    fitted,
    load_tracks,
    open_format,
    read_tracks,
    save_tracks,
    sniff,
    words,
    write_sequence,
    write_tracks,
)

__all__ = [
    "FEATURES",
    "FORMATS",
    "Carried",
    "Conversion",
    "Format",
    "FormatDataset",
    "Kind",
    "Loss",
    "Place",
    "Result",
    "by_ending",
    "carry",
    "convert",
    "dangling",
    "find_format",
    "fitted",
    "load_tracks",
    "open_format",
    "read_tracks",
    "save_tracks",
    "sniff",
    "words",
    "write_sequence",
    "write_tracks",
]
