"""The pass that computes only what the vector needs is the library's own, up to rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DPRConfig

from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.checkpoint import load_checkpoint
from rdr_qdrant.encoding.forward import CLSForward, PlainForward, make_forward
from tests.checkpoints import CLASSES, VOCABULARY

TOKENS = st.integers(0, len(VOCABULARY) - 1)
BATCHES = st.lists(st.lists(TOKENS, min_size=1, max_size=60), min_size=1, max_size=12)


@given(BATCHES)
@settings(max_examples=40, deadline=None)
def test_any_batch_gives_the_same_vectors(tiny_pair: tuple[str, str], ids: list[list[int]]) -> None:
    model = load_checkpoint(Side.CONTEXT, tiny_pair[0]).model
    fast, plain = CLSForward(model)(ids), PlainForward(model, "cpu")(ids)
    assert fast.shape == (len(ids), 32)
    assert (fast - plain).abs().max() < 1e-5


def test_many_rows_go_through_in_parts(tiny_pair: tuple[str, str]) -> None:
    model = load_checkpoint(Side.CONTEXT, tiny_pair[0]).model
    ids = [[2, *range(5, 100), 3]] * 20
    assert (CLSForward(model)(ids) - PlainForward(model, "cpu")(ids)).abs().max() < 1e-5


@pytest.mark.parametrize(
    "unknown", [{"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"is_decoder": True}]
)
def test_what_is_not_known_takes_the_plain_pass(unknown: dict[str, object]) -> None:
    config = DPRConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, **unknown
    )
    assert not CLSForward.fits(config)
    if "is_decoder" not in unknown:
        torch.manual_seed(0)
        model = CLASSES[Side.CONTEXT](config).eval()
        assert isinstance(make_forward(model, "cpu"), PlainForward)
        assert make_forward(model, "cpu")([[1, 2, 3], [4]]).shape == (2, 16)
