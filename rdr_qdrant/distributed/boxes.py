"""One value a row: Ray Data's blocks as this package uses them.

A batch of passages goes through a dataset as one Python value in one row. Columns of its own for
metadata would give a passage the keys of its neighbours, as nulls, and other types to numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

COLUMN = "value"


def boxed(value: Any) -> dict[str, Any]:
    """A batch of Ray Data with one row, which holds this value."""
    column = np.empty(1, dtype=object)
    column[0] = value
    return {COLUMN: column}


def unboxed(batch: Mapping[str, Any]) -> Iterator[Any]:
    """The values in a batch."""
    yield from batch.get(COLUMN, ())


def block_of(value: Any) -> Any:
    """A block with one row, which holds this value."""
    from ray.data.block import BlockAccessor

    return BlockAccessor.batch_to_block(boxed(value))
