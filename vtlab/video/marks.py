"""Marks: the perceptual hashes of some frames of a clip, small enough to travel with labels.

At rest they are a mapping of plain values: `method` "phash-256", `frames` (their numbers) or `row` (first, step and count
of an even row of them), and `hashes` (base64 of zlib of the hashes, each but the first as its difference from the last).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.video.hashing import HASH_BYTES
from vtlab.video.manifest import Manifest

_METHOD = "phash-256"
MOST_MARKS = 20_000
"""Marks that travel at most; of a longer clip those of every second frame, every third, ..."""


@dataclass(frozen=True, eq=False)
class Marks:
    """What some frames of a clip look like.

    Attributes:
        frames: Their numbers in the clip, ascending, int64 (M,).
        hashes: Their perceptual hashes, uint8 (M, 32).
    """

    frames: NDArray[np.int64]
    hashes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def of_hashes(cls, found: Mapping[int, bytes]) -> Self:
        """Marks from hashes by frame."""
        frames = np.array(sorted(found), dtype=np.int64)
        frames = frames[:: max(1, -(-len(frames) // MOST_MARKS))]
        joined = b"".join(found[int(f)] for f in frames)
        return cls(frames, np.frombuffer(joined, np.uint8).reshape(-1, HASH_BYTES))

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> Self:
        """All that a manifest says."""
        return cls.of_hashes({i: row.tobytes() for i, row in enumerate(manifest.hashes)})

    def moved(self, places: NDArray[np.int64]) -> Self:
        """Those of another clip of the same video: `places` (M,) are its numbers of the frames, below 0 = it lacks them."""
        there = np.flatnonzero(places >= 0)
        order = there[np.argsort(places[there], kind="stable")]
        return type(self)(places[order], self.hashes[order])

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        even = len(self) > 2 and len(set(np.diff(self.frames).tolist())) == 1
        row = [int(self.frames[0]), int(self.frames[1] - self.frames[0]), len(self)] if even else None
        changes = self.hashes.copy()
        changes[1:] ^= self.hashes[:-1]
        packed = base64.b64encode(zlib.compress(changes.tobytes(), 9)).decode("ascii")
        return {
            "method": _METHOD,
            **({"row": row} if row else {"frames": self.frames.tolist()}),
            "hashes": packed,
        }

    @classmethod
    def of(cls, data: Any) -> Self:
        """Read what `to_dict` gives, unpacked within the bounds that it may have; raises `FormatError`."""
        try:
            if not isinstance(data, Mapping) or data["method"] != _METHOD:
                raise ValueError(f"expected marks of the method {_METHOD!r}")
            frames = _numbers(data)
            size = HASH_BYTES * len(frames)
            unpack = zlib.decompressobj()
            found = unpack.decompress(base64.b64decode(data["hashes"], validate=True), size + 1)
            if len(found) != size:
                raise ValueError(
                    f"{len(frames)} frames need {size} bytes of hashes, they unpack to another number"
                )
        except (KeyError, TypeError, ValueError, OverflowError, zlib.error, binascii.Error) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(f"The marks of frames are damaged: {reason}."[:300]) from None
        changes = np.frombuffer(found, np.uint8).reshape(-1, HASH_BYTES)
        return cls(frames, np.bitwise_xor.accumulate(changes, axis=0) if len(changes) else changes)


def _numbers(data: Mapping[str, Any]) -> NDArray[np.int64]:
    """Frame numbers, ascending and bounded."""
    if "row" in data:
        first, step, count = (int(v) for v in data["row"])
        if not 0 < count <= MOST_MARKS or not 0 < step < 2**31:
            raise ValueError(f"a row of {count} frames in steps of {step}")
        frames = first + step * np.arange(count, dtype=np.int64)
    else:
        given = data["frames"]
        if not isinstance(given, list) or len(given) > MOST_MARKS:
            raise ValueError(f"'frames' must be a list of at most {MOST_MARKS} numbers")
        frames = np.array([int(f) for f in given], dtype=np.int64)
    if len(frames) and (frames[0] < 0 or frames[-1] >= 2**40 or (np.diff(frames) <= 0).any()):
        raise ValueError("frames must ascend from 0 on")
    return frames
