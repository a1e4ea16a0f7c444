"""The `[CLS]`-only forward pass equals transformers' own up to rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import DPRConfig

from rdr_qdrant.encoding import Side, packed_linear
from rdr_qdrant.encoding.attention import GroupedByLengthAttention
from rdr_qdrant.encoding.checkpoint import load_checkpoint
from rdr_qdrant.encoding.cls_forward import CLSForward, PaddedForward, make_forward
from tests.checkpoints import CLASSES, VOCABULARY, checkpoint_of, on_lists

TOKENS = st.integers(0, len(VOCABULARY) - 1)
BATCHES = st.lists(st.lists(TOKENS, min_size=1, max_size=60), min_size=1, max_size=12)


@pytest.fixture(params=["packed weights", "public operators"])
def linears(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations of a linear layer."""
    if request.param == "packed weights":
        assert packed_linear._packed_operators_work(), "this torch has the operators"
    else:
        monkeypatch.setattr(packed_linear, "_packed_operators_work", lambda: False)


Encode = Callable[[list[list[int]]], np.ndarray]


def cls_forward(folder: str) -> Encode:
    checkpoint = load_checkpoint(Side.CONTEXT, folder)
    return on_lists(CLSForward(checkpoint, "cpu", GroupedByLengthAttention(), torch.float32))


def padded_forward(folder: str) -> Encode:
    return on_lists(PaddedForward(load_checkpoint(Side.CONTEXT, folder).model, "cpu"))


@given(ids=BATCHES)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_batch_gives_the_same_vectors(
    linears: None, tiny_pair: tuple[str, str], ids: list[list[int]]
) -> None:
    fast, plain = cls_forward(tiny_pair[0])(ids), padded_forward(tiny_pair[0])(ids)
    assert fast.shape == (len(ids), 32)
    assert np.abs(fast - plain).max() < 1e-5


def test_many_rows_are_processed_in_chunks(linears: None, tiny_pair: tuple[str, str]) -> None:
    ids = [[2, *range(5, 100), 3]] * 20
    fast, plain = cls_forward(tiny_pair[0])(ids), padded_forward(tiny_pair[0])(ids)
    assert np.abs(fast - plain).max() < 1e-5


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.999), ("fp16", 0.99999)])
def test_half_precision_is_close_and_returned_as_float32(
    tiny_pair: tuple[str, str], precision: str, least: float
) -> None:
    ids = [[2, *range(5, 60), 3], [2, *range(9, 30), 3]]
    checkpoint = load_checkpoint(Side.CONTEXT, tiny_pair[0])
    half = on_lists(make_forward(checkpoint, "cpu", precision))(ids)
    plain = padded_forward(tiny_pair[0])(ids)
    assert half.dtype == np.float32
    cosines = (half * plain).sum(1) / np.linalg.norm(half, axis=1) / np.linalg.norm(plain, axis=1)
    assert cosines.min() > least
    assert np.abs(half - plain).max() > 1e-6


def test_packed_operators_with_wrong_results_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed_linear._packed_operators_work.cache_clear()
    monkeypatch.setattr(torch.nn.functional, "gelu", torch.nn.functional.relu)
    assert not packed_linear._packed_operators_work()
    packed_linear._packed_operators_work.cache_clear()


@pytest.mark.parametrize(
    "unknown", [{"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"is_decoder": True}]
)
def test_an_unsupported_model_takes_the_padded_pass(unknown: dict[str, object]) -> None:
    config = DPRConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, **unknown
    )
    assert not CLSForward.supports(config)
    if "is_decoder" not in unknown:
        torch.manual_seed(0)
        model = CLASSES[Side.CONTEXT](config).eval()
        forward = make_forward(checkpoint_of(model), "cpu", "fp32")
        assert isinstance(forward, PaddedForward)
        encode = on_lists(forward)
        assert encode([[1, 2, 3], [4]]).shape == (2, 16)
