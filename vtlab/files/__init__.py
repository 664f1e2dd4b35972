"""Files: written whole or not at all, and read so that what came from outside harms nobody."""

from vtlab.files.archive import is_archive, unpack, unpacked
from vtlab.files.digests import file_digest, folder_digest
from vtlab.files.labels import file_names, label_of
from vtlab.files.locks import locked
from vtlab.files.outside import (
    DAMAGE,
    BoundedFile,
    damage_as,
    parse_json,
    read_json,
    read_parquet,
    read_text,
    read_yaml,
    told_as_format,
)
from vtlab.files.sheets import csv_text, read_csv, read_texts
from vtlab.files.whole import cache_folder, check_folder, check_place, kept_beside, write_whole

__all__ = [
    "DAMAGE",
    "BoundedFile",
    "cache_folder",
    "check_folder",
    "check_place",
    "csv_text",
    "damage_as",
    "file_digest",
    "file_names",
    "folder_digest",
    "is_archive",
    "kept_beside",
    "label_of",
    "locked",
    "parse_json",
    "read_csv",
    "read_json",
    "read_parquet",
    "read_text",
    "read_texts",
    "read_yaml",
    "told_as_format",
    "unpack",
    "unpacked",
    "write_whole",
]
