"""A device with too little memory for a batch; vectors that overflow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rdr_qdrant.encoding import Encoder, Side
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.tokenizer import passage_input
from rdr_qdrant.encoding.transfer import Fetch
from rdr_qdrant.errors import ModelError
from tests.checkpoints import OtherCalls

TEXTS = [passage_input("", "the river " * n) for n in range(1, 12)]


@pytest.fixture
def encoder(tiny_pair: tuple[str, str]) -> Encoder:
    return Encoder(Side.CONTEXT, tiny_pair[0], max_length=64, device="cpu")


def limit_memory(encoder: Encoder, inputs: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Limit the device's memory to so many inputs; return the batch sizes that were tried."""
    forward, sizes = encoder._forward, []

    def limited(ids: TokenIds) -> Fetch:
        sizes.append(len(ids))
        if len(ids) > inputs:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(ids)

    monkeypatch.setattr(encoder, "_forward", OtherCalls(forward, limited))
    return sizes


def test_a_batch_too_large_for_the_device_is_halved(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = encoder.encode(TEXTS).vectors
    sizes = limit_memory(encoder, 3, monkeypatch)
    found = encoder.encode(TEXTS).vectors
    assert np.abs(found - expected).max() < 1e-5
    assert sizes == [11, 5, 2, 3, 6, 3, 3]


def test_too_little_memory_for_one_input_is_an_error(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(encoder, 0, monkeypatch)
    with pytest.raises(ModelError, match="cpu has no memory left for one input of"):
        encoder.encode(TEXTS)


def test_vectors_that_are_not_finite_are_an_error(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflowing(ids: TokenIds) -> Fetch:
        vectors = np.ones((len(ids), encoder.dimension), dtype=np.float32)
        vectors[0, 3] = np.inf
        return lambda: vectors

    monkeypatch.setattr(encoder, "_forward", OtherCalls(encoder._forward, overflowing))
    with pytest.raises(ModelError, match="not finite in fp32 on cpu.*Use precision"):
        encoder.encode(TEXTS)
