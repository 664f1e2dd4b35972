"""Weights: official checkpoints fetched (`files`), each host in its way (`hosts`), held against digests (`lock`), read
(`checkpoints`), put on a device (`device`)."""

from vtlab.weights.files import (
    WeightStatus,
    digest,
    download,
    fetch,
    known,
    list_weights,
    locate,
    place,
    verify,
)
from vtlab.weights.places import cache_folder, local_folder

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
