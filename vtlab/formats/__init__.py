"""File formats, one file each: `read_*` and `write_*`; the only places with foreign conventions."""
