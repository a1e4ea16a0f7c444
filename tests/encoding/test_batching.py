from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rdr_qdrant.encoding.batching import length_sorted_batches


@given(st.lists(st.integers(1, 256), max_size=200), st.integers(1, 4096))
def test_every_input_comes_once_and_no_batch_is_over_budget(
    lengths: list[int], max_tokens: int
) -> None:
    batches = list(length_sorted_batches(lengths, max_tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= max_tokens or len(batch) == 1


def test_batches_hold_inputs_of_like_length() -> None:
    assert list(length_sorted_batches([5, 100, 6, 90], 200)) == [[1, 3], [2, 0]]
