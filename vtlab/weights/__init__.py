"""Weights: official checkpoints fetched and checked (`files`), read (`checkpoints`), put on a device (`device`)."""

from vtlab.weights.files import (
    WeightStatus,
    cache_folder,
    digest,
    download,
    fetch,
    known,
    list_weights,
    local_folder,
    locate,
    place,
    verify,
)

__all__ = [
    "WeightStatus",
    "cache_folder",
    "digest",
    "download",
    "fetch",
    "known",
    "list_weights",
    "local_folder",
    "locate",
    "place",
    "verify",
]
