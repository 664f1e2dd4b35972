"""Thousands of mutations of good run-length masks: each is refused by name, or is the mask that is written there.

The judge is a reader of its own, a character at a time; pycocotools (where it is installed) is asked about valid ones
only, since it trusts what it reads.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from vtlab import masks
from vtlab.errors import InputError

MUTATIONS = 12_000
LETTERS = bytes(range(48, 112))


def good_masks() -> list[np.ndarray]:
    y, x = np.mgrid[:40, :60]
    noise = np.random.default_rng(3).random((12, 17)) < 0.4
    return [
        np.hypot(x - 30, y - 18) < 14,
        (np.hypot(x - 20, y - 9) < 12) | (abs(x - 45) + abs(y - 25) < 9),
        noise,
        np.ones((9, 200), bool),
        np.zeros((31, 7), bool),
    ]


def mutate(rng: random.Random, text: bytes) -> bytes:
    """One to five small damages."""
    data = bytearray(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(9)
        if kind == 0:
            data[at : at + 1] = bytes([rng.choice(LETTERS)])
        elif kind == 1:
            data[at:at] = bytes([rng.choice(LETTERS)])
        elif kind == 2:
            del data[at : at + rng.randrange(1, 4)]
        elif kind == 3 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 4:
            data[at:at] = data[rng.randrange(len(data) + 1) :][: rng.randrange(1, 9)]
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5)))
        elif kind == 7:
            data[at:at] = bytes(rng.choice(b"PoO_") for _ in range(rng.randrange(1, 12)))
        else:
            data[at:at] = b"0" * rng.choice((1, 2, 2, 50))
    return bytes(data)


def slow(text: bytes, height: int, width: int) -> np.ndarray | None:
    """The mask that is written, or None for what is none."""
    runs: list[int] = []
    number, digits = 0, 0
    for code in text:
        if not 48 <= code < 112 or digits == 6:
            return None
        number, digits = number | ((code - 48) & 31) << 5 * digits, digits + 1
        if code - 48 < 32:
            number -= (code - 48 & 16) << 5 * digits - 4
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number, digits = 0, 0
            if not 0 <= runs[-1] <= height * width:
                return None
    if digits or not runs or sum(runs) != height * width or len(runs) > height * width + 1:
        return None
    flat = [i % 2 == 1 for i, run in enumerate(runs) for _ in range(run)]
    return np.array(flat, bool).reshape(width, height).T


def size_of(rng: random.Random, mask: np.ndarray) -> tuple[int, int]:
    """Mostly the mask's own."""
    height, width = mask.shape
    return rng.choice(
        [(height, width)] * 9 + [(width, height), (height, width + 1), (height * width, 1), (0, 9)]
    )


def test_every_mutation_is_refused_or_right():
    rng, pictures = random.Random(14), good_masks()
    seeds = [masks.encode(m) for m in pictures]
    valid: list[tuple[bytes, tuple[int, int], np.ndarray]] = []
    for n in range(MUTATIONS):
        which = n % len(seeds)
        text, size = mutate(rng, seeds[which]), size_of(rng, pictures[which])
        expected = slow(text, *size)
        try:
            found = masks.decode(text, *size)
        except InputError as error:
            if expected is not None or f"{size[0]} x {size[1]} pixels" not in str(error):
                pytest.fail(f"{text!r} of {size}: {error}")
        else:
            assert expected is not None, text
            np.testing.assert_array_equal(found, expected)
            valid.append((text, size, found))
    assert 200 < len(valid) < MUTATIONS // 2
    for text, size, found in valid:
        runs = masks.Runs.of([text], *size)
        assert runs.areas()[0] == found.sum()
        np.testing.assert_array_equal(runs.boxes()[0], masks.to_box(found))
        assert runs.union().counts()[0] == masks.encode(found)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_valid_mutations_equal_pycocotools():
    coco = pytest.importorskip(
        "pycocotools._mask", reason="pycocotools is not installed: pip install 'vtlab[test]'"
    )
    rng, pictures, compared = random.Random(15), good_masks(), 0
    seeds = [masks.encode(m) for m in pictures]
    for n in range(MUTATIONS // 4):
        which = n % len(seeds)
        text, size = mutate(rng, seeds[which]), size_of(rng, pictures[which])
        try:
            found = masks.decode(text, *size)
        except InputError:
            continue
        if found.size:
            np.testing.assert_array_equal(found, coco.decode([{"size": list(size), "counts": text}])[..., 0])
            compared += 1
    assert compared > 50


def test_one_damaged_among_many_is_the_one_named():
    rng, picture = random.Random(16), good_masks()[0]
    seed = masks.encode(picture)
    named = good = 0
    for _ in range(500):
        texts = [seed] * rng.randrange(1, 40)
        at = rng.randrange(len(texts))
        texts[at] = mutate(rng, seed)
        try:
            runs = masks.Runs.of(texts, *picture.shape, name="<{}>".format)
        except InputError as error:
            named += str(error).startswith(f"<{at}>: ")
        else:
            np.testing.assert_array_equal(runs.masks()[at], slow(texts[at], *picture.shape))
            good += 1
    assert named + good == 500
    assert named > 300
