"""The `[CLS]`-only forward pass equals transformers' own up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import DPRConfig

from rdr_qdrant.encoding import Side, packed_linear
from rdr_qdrant.encoding.attention import Attention, GroupedByLengthAttention, VarlenAttention
from rdr_qdrant.encoding.checkpoint import load_checkpoint
from rdr_qdrant.encoding.cls_forward import CLSForward, Forward, PaddedForward, make_forward
from tests.checkpoints import CLASSES, VOCABULARY

TOKENS = st.integers(0, len(VOCABULARY) - 1)
BATCHES = st.lists(st.lists(TOKENS, min_size=1, max_size=60), min_size=1, max_size=12)


@pytest.fixture(params=["packed weights", "public operators"])
def linears(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations of a linear layer."""
    if request.param == "packed weights":
        assert packed_linear._packed_operators_work(), "this torch has the operators"
    else:
        monkeypatch.setattr(packed_linear, "_packed_operators_work", lambda: False)


def cls_forward(folder: str, attention: Attention | None = None) -> Forward:
    model = load_checkpoint(Side.CONTEXT, folder).model
    return CLSForward(model, "cpu", attention or GroupedByLengthAttention())


def padded_forward(folder: str) -> Forward:
    return PaddedForward(load_checkpoint(Side.CONTEXT, folder).model, "cpu")


def reference_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: torch.Tensor,
    key_ends: torch.Tensor,
    longest_query: int,
    longest_key: int,
) -> torch.Tensor:
    """The result of the GPU kernel, computed sequence by sequence."""
    assert query_ends.dtype == key_ends.dtype == torch.int32
    assert int(query_ends.diff().max()) == longest_query
    assert int(key_ends.diff().max()) == longest_key
    found = []
    for i in range(len(query_ends) - 1):
        q = query[query_ends[i] : query_ends[i + 1]]
        k, v = (one[key_ends[i] : key_ends[i + 1]] for one in (key, value))
        weights = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        found.append(torch.einsum("hqk,khd->qhd", weights.softmax(-1), v))
    return torch.cat([*found, torch.zeros_like(query[query_ends[-1] :])])


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


def test_the_gpu_kernel_gets_the_right_offsets(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel needs a GPU; a reference function replaces it."""
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(varlen, "varlen_attn", reference_varlen)
    ids = [[2, *range(5, 40), 3], [2, *range(9, 30), 3], [2, *range(9, 30), 3], [2]]
    packed = cls_forward(tiny_pair[0], VarlenAttention())(ids)
    assert np.abs(packed - padded_forward(tiny_pair[0])(ids)).max() < 1e-5


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.999), ("fp16", 0.99999)])
def test_half_precision_is_close_and_returned_as_float32(
    tiny_pair: tuple[str, str], precision: str, least: float
) -> None:
    ids = [[2, *range(5, 60), 3], [2, *range(9, 30), 3]]
    model = load_checkpoint(Side.CONTEXT, tiny_pair[0]).model
    half, plain = make_forward(model, "cpu", precision)(ids), padded_forward(tiny_pair[0])(ids)
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
        assert isinstance(make_forward(model, "cpu", "fp32"), PaddedForward)
        assert make_forward(model, "cpu", "fp32")([[1, 2, 3], [4]]).shape == (2, 16)
