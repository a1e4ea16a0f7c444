from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rdr_qdrant.encoding.batching import filled_batches, length_sorted_batches
from rdr_qdrant.encoding.encoder import BATCH_TOKENS, inputs_at_a_time
from rdr_qdrant.encoding.token_ids import TokenIds


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


@given(st.lists(st.integers(1, 256), max_size=200), st.integers(1, 4096))
def test_batches_that_are_not_padded_are_filled(lengths: list[int], max_tokens: int) -> None:
    batches = list(filled_batches(np.array(lengths, dtype=np.int32), max_tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for number, batch in enumerate(batches):
        tokens, longest = sum(lengths[i] for i in batch), max(lengths[i] for i in batch)
        assert tokens <= max_tokens or len(batch) == 1
        assert len(batch) * longest <= 2 * max_tokens or len(batch) == 1
        for following in batches[number + 1 : number + 2]:
            more = tokens + lengths[following[0]], longest * (len(batch) + 1)
            assert more[0] > max_tokens or more[1] > 2 * max_tokens


def test_a_gpu_gets_more_at_a_time() -> None:
    assert inputs_at_a_time("cpu") == inputs_at_a_time("mps") == 256
    assert inputs_at_a_time("cuda:1") * 160 >= 8 * BATCH_TOKENS["cuda"]


@given(st.lists(st.lists(st.integers(0, 30_000), min_size=1, max_size=9), min_size=1, max_size=9))
def test_token_ids_are_those_of_the_inputs(sequences: list[list[int]]) -> None:
    every = TokenIds.concatenate(sequences)
    order = list(reversed(range(len(sequences))))
    chosen = every.select(order)
    ids, mask = chosen.padded()
    assert [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)] == sequences[::-1]
    assert chosen.positions.tolist() == [i for s in sequences[::-1] for i in range(len(s))]
    assert every.offsets.tolist() == [sum(map(len, sequences[:i])) for i in range(len(order) + 1)]
