"""Columns of pyarrow as arrays: what pyarrow's own conversion answers, without pandas."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from vtlab.files.arrow import values_of

KINDS = [pa.int64(), pa.int32(), pa.uint8(), pa.float64(), pa.float32(), pa.bool_(), pa.string()]


def _array(rng, kind, missing):
    """A slice of an array, so that values and the bits of what is missing begin in the middle of a byte."""
    made = rng.integers(0, 2 if kind == pa.bool_() else 200, int(rng.choice([0, 1, 7, 8, 9, 65]))).tolist()
    form = {pa.bool_(): bool, pa.string(): str}.get(kind, int)
    array = pa.array([None if rng.random() < missing else form(v) for v in made], kind)
    return array.slice(int(rng.integers(0, len(made) + 1)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_values_are_those_of_pyarrow(kind):
    rng = np.random.default_rng(0)
    for missing in (0, 0.3, 1):
        for chunks in (1, 1, 1, 2, 3):
            column = pa.chunked_array([_array(rng, kind, missing) for _ in range(chunks)], kind)
            found, want = values_of(column), column.combine_chunks().to_numpy(zero_copy_only=False)
            assert found.dtype == want.dtype
            np.testing.assert_array_equal(found, want)


def test_missing_whole_numbers_keep_the_bits_of_the_others():
    column = pa.chunked_array([pa.array([2**62 + 1, None]), pa.array([-(2**63)])])
    assert values_of(column, fill=0).tolist() == [2**62 + 1, 0, -(2**63)]
