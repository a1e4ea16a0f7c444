"""The forward pass that GPUs take, without one: its vectors on the CPU, its operators on `meta`.

Tensors on `meta` have shapes but no values: reading one on the host, as a wait for the device
would, raises.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DPRConfig, DPRContextEncoder

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.encoding import Encoder, Side, cls_forward, cuda_graphs
from rdr_qdrant.encoding.attention import VarlenAttention
from rdr_qdrant.encoding.checkpoint import Checkpoint, load_checkpoint
from rdr_qdrant.encoding.cls_forward import CLSForward, Forward, PaddedForward
from rdr_qdrant.encoding.cuda_graphs import GraphedForward, Recording, Work
from rdr_qdrant.encoding.demo_model import demo_encoder
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.tokenizer import EncoderInput, Tokens
from rdr_qdrant.encoding.transfer import Fetch, start_copy_back
from tests.checkpoints import (
    VOCABULARY,
    ModelCard,
    OtherCalls,
    checkpoint_of,
    on_lists,
    write_encoder,
)

varlen = pytest.importorskip("torch.nn.attention.varlen")

LAYERS = 12
TOKENS = 65_536
MOST_OPERATORS = 200


class Recorder(TorchDispatchMode):
    """Counts operators, and those that copy from the host to `meta`."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.copies = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operators[str(func.overloadpacket)] += 1
        from_host = any(isinstance(x, torch.Tensor) and not x.is_meta for x in args)
        self.copies += from_host and isinstance(result, torch.Tensor) and result.is_meta
        return result


@pytest.fixture(scope="module")
def bert_base() -> Checkpoint:
    """A DPR encoder in the shape of BERT-base, without values."""
    with torch.device("meta"):
        return checkpoint_of(DPRContextEncoder(DPRConfig(num_hidden_layers=LAYERS)))


def recorded(forward: Any, lengths: list[int]) -> Recorder:
    ids = TokenIds.concatenate([range(1, 1 + length) for length in lengths])
    with Recorder() as recorder:
        forward(ids)
    return recorder


@pytest.mark.parametrize(
    "lengths", [[256] * 64 + [160] * 300 + [8] * 144, [12]], ids=["full batch", "one question"]
)
def test_a_batch_takes_few_operators_and_one_copy(
    bert_base: Checkpoint, lengths: list[int]
) -> None:
    assert sum(lengths) in (TOKENS, 12)
    found = recorded(CLSForward(bert_base, "meta", VarlenAttention(), torch.float16), lengths)
    assert found.operators.total() <= MOST_OPERATORS, found.operators
    assert found.copies == 1
    # query, key and value are one multiplication; in the last layer only the query is one here
    assert found.operators["aten.linear"] == 2 * LAYERS
    assert found.operators["aten.addmm_"] == 2 * LAYERS
    assert found.operators["torch_attn._varlen_attn"] == LAYERS - 1


@pytest.fixture
def kernel_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the GPU's attention kernel by a reference, and passes all tokens at once."""
    monkeypatch.setattr(varlen, "varlen_attn", reference_varlen)
    monkeypatch.setattr(cls_forward, "FEED_FORWARD_ROWS", TOKENS)
    monkeypatch.setattr(cls_forward, "CPU_ROW_MULTIPLE", 1)


def gpu_path(folder: str) -> CLSForward:
    checkpoint = load_checkpoint(Side.CONTEXT, folder)
    return CLSForward(checkpoint, "cpu", VarlenAttention(), torch.float32)


def reference_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: torch.Tensor,
    key_ends: torch.Tensor,
    longest_query: int,
    longest_key: int,
) -> torch.Tensor:
    """The result of the kernel, computed sequence by sequence."""
    assert query_ends.dtype == key_ends.dtype == torch.int32
    assert int(query_ends.diff().max()) <= longest_query == longest_key
    found = []
    for i in range(len(query_ends) - 1):
        q = query[query_ends[i] : query_ends[i + 1]]
        k, v = (one[key_ends[i] : key_ends[i + 1]] for one in (key, value))
        weights = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        found.append(torch.einsum("hqk,khd->qhd", weights.softmax(-1), v))
    no_sequence = query.new_full(query[query_ends[-1] :].shape, torch.nan)  # memory as it was
    return torch.cat([*found, no_sequence])


def test_the_vectors_are_those_of_the_model_card(kernel_on_cpu: None) -> None:
    demo = str(demo_encoder(Side.CONTEXT))
    texts = ["the river is in the north", "a king", "the old city of the great river " * 12, "x"]
    oracle = ModelCard(Side.CONTEXT, demo)
    encode = on_lists(gpu_path(demo))
    found = encode([oracle.tokenizer(text)["input_ids"] for text in texts])
    assert np.abs(found - np.stack([oracle.encode(text) for text in texts])).max() < 1e-5


def test_any_lengths_give_the_vectors_of_transformers(
    kernel_on_cpu: None, tiny_pair: tuple[str, str]
) -> None:
    random = np.random.default_rng(0)
    plain = on_lists(PaddedForward(load_checkpoint(Side.CONTEXT, tiny_pair[0]).model, "cpu"))
    fast = on_lists(gpu_path(tiny_pair[0]))
    for _ in range(6):
        lengths = random.integers(1, 60, size=random.integers(1, 12))
        ids = [random.integers(0, len(VOCABULARY), size=n).tolist() for n in lengths]
        assert np.abs(fast(ids) - plain(ids)).max() < 1e-5


class RecorderOnCpu:
    """Repeats recorded work by doing it again, into the same memory."""

    def __init__(self, *, fails: bool = False) -> None:
        self.shapes_recorded = 0
        self._fails = fails

    def in_order(self) -> AbstractContextManager[None]:
        return nullcontext()

    def record(self, work: Work) -> Recording:
        self.shapes_recorded += 1
        if self._fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        output = torch.zeros_like(work())

        def replay() -> None:
            output.copy_(work())

        return replay, output


@pytest.mark.parametrize("fails", [False, True])
def test_recorded_batches_give_the_vectors_of_transformers(
    kernel_on_cpu: None, tiny_pair: tuple[str, str], fails: bool
) -> None:
    random = np.random.default_rng(0)
    plain = on_lists(PaddedForward(load_checkpoint(Side.CONTEXT, tiny_pair[0]).model, "cpu"))
    recorder = RecorderOnCpu(fails=fails)
    forward = GraphedForward(gpu_path(tiny_pair[0]), "cpu", recorder)
    for size in (1, 1, 2, 3, 5, 8, 12, 1, 12):
        lengths = random.integers(1, 60, size=size)
        ids = [random.integers(0, len(VOCABULARY), size=n).tolist() for n in lengths]
        assert np.abs(on_lists(forward)(ids) - plain(ids)).max() < 1e-5
    assert recorder.shapes_recorded <= 8


def test_questions_of_similar_length_are_recorded_once(
    kernel_on_cpu: None, tiny_pair: tuple[str, str]
) -> None:
    recorder = RecorderOnCpu()
    forward = GraphedForward(gpu_path(tiny_pair[0]), "cpu", recorder)
    for length in (5, 12, 17, 32):
        on_lists(forward)([[2, *range(5, 3 + length), 3]])
    assert recorder.shapes_recorded == 1


def test_vectors_of_recorded_batches_are_right_from_several_threads(
    kernel_on_cpu: None, tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # on a GPU vectors are copied, and in order
    monkeypatch.setattr(cuda_graphs, "start_copy_back", lambda v: start_copy_back(v.clone()))
    forward = GraphedForward(gpu_path(tiny_pair[0]), "cpu", RecorderOnCpu())
    plain = on_lists(PaddedForward(load_checkpoint(Side.CONTEXT, tiny_pair[0]).model, "cpu"))
    texts = [[[2, 5 + n % 40, 6 + n % 30, 3]] for n in range(64)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(on_lists(forward), texts))
    assert all(np.abs(f - plain(ids)).max() < 1e-5 for f, ids in zip(found, texts, strict=True))


@pytest.mark.parametrize("recorded", [False, True])
def test_a_vector_that_overflows_spoils_no_other(
    kernel_on_cpu: None, tmp_path: Path, recorded: bool
) -> None:
    folder = write_encoder(tmp_path, Side.CONTEXT, overflowing="king")
    forward: Forward = gpu_path(str(folder))
    if recorded:
        forward = GraphedForward(gpu_path(str(folder)), "cpu", RecorderOnCpu())
    king, river = VOCABULARY.index("king"), VOCABULARY.index("river")
    found = on_lists(forward)([[2, river, river, 3], [2, river, 3], [2, king, 3], [2, river, 3]])
    assert np.isfinite(found).all(axis=1).tolist() == [True, True, False, True]


@pytest.mark.parametrize(("ahead", "order"), [(0, "SFSFSF"), (1, "SSFSFF")])
def test_a_batch_is_started_before_the_vectors_of_the_last_are_waited_for(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, ahead: int, order: str
) -> None:
    """`S` starts a batch, `F` waits for one; on a CPU, where starting is computing, in turns."""
    encoder = Encoder(Side.CONTEXT, tiny_pair[0], max_length=64, device="cpu")
    assert encoder._batches_ahead == 0
    inputs = ["the river " * n for n in (10, 20, 30)]
    expected = encoder.encode(inputs).vectors
    forward, events = encoder._forward, []

    def start(ids: TokenIds) -> Fetch:
        events.append("S")
        fetch = forward(ids)

        def wait() -> np.ndarray:
            events.append("F")
            return fetch()

        return wait

    monkeypatch.setattr(encoder, "_forward", OtherCalls(forward, start))
    monkeypatch.setattr(encoder, "_batches_ahead", ahead)
    monkeypatch.setattr(encoder, "_batch_tokens", 1)
    assert np.abs(encoder.encode(inputs).vectors - expected).max() < 1e-5
    assert "".join(events) == order


def test_a_gpu_encodes_while_the_next_inputs_are_tokenized(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given the batches of a part before the vectors of the part before are waited for."""
    encoder = Encoder(Side.CONTEXT, tiny_pair[0], max_length=8, device="cpu")
    inputs = ["the river " * (n % 7) for n in range(25)]
    expected = encoder.encode(inputs)
    tokenize, forward = encoder._tokenize, encoder._forward
    parts, second_part, events = [], threading.Event(), []

    def watched_tokenize(part: Sequence[EncoderInput]) -> Tokens:
        parts.append(len(part))
        if len(parts) == 2:
            second_part.set()
        return tokenize(part)

    def start(ids: TokenIds) -> Fetch:
        assert second_part.wait(60)  # for ever, if parts took turns
        events.append(f"S{len(ids)}")
        fetch = forward(ids)

        def wait() -> np.ndarray:
            events.append(f"F{len(ids)}")
            return fetch()

        return wait

    monkeypatch.setattr("rdr_qdrant.encoding.encoder.TOKENIZED_BESIDE", 10)
    monkeypatch.setattr(encoder, "_tokenize", watched_tokenize)
    monkeypatch.setattr(encoder, "_tokenizing", ThreadPoolExecutor(1))
    monkeypatch.setattr(encoder, "_batches_ahead", 1)
    monkeypatch.setattr(encoder, "_forward", OtherCalls(forward, start))
    found = encoder.encode(inputs)
    assert parts == [10, 10, 5]
    assert events == ["S10", "S10", "F10", "S5", "F10", "F5"]
    assert found.truncated == expected.truncated
    assert any(found.truncated)
    assert np.abs(found.vectors - expected.vectors).max() < 1e-5


def test_a_question_takes_one_forward_pass(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1])
    encoder = pair.encoder(Side.QUESTION)
    forward, batches = encoder._forward, []

    def start(ids: TokenIds) -> Fetch:
        batches.append(len(ids))
        return forward(ids)

    monkeypatch.setattr(encoder, "_forward", OtherCalls(forward, start))
    assert len(pair.embed_query("who found the river?")) == 32
    assert batches == [1]
