"""Tokenizing in another process gives what tokenizing here gives, whatever happens to it."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.child_process import start_child
from rdr_qdrant.encoding import Encoder, tokenizer_process
from rdr_qdrant.encoding.batching import filled_batches
from rdr_qdrant.encoding.checkpoint import Side, load_checkpoint_tokenizer
from rdr_qdrant.encoding.encoder import encoding_threads
from rdr_qdrant.encoding.token_ids import TokenIds
from rdr_qdrant.encoding.tokenizer import EncoderInput, InputTokenizer, Tokens
from rdr_qdrant.encoding.tokenizer_process import TokenizerProcess
from rdr_qdrant.encoding.transfer import Fetch
from tests.checkpoints import OtherCalls

MAX_LENGTH = 16
INPUTS: list[EncoderInput] = [
    "the river",
    ("Rhine", "the river " * 20),
    ("the river " * 20, "Rhine"),
    "",
    'naïve café 河 \U0001f600 a\x00b\n\r\ttab \u2028 [SEP] [PAD] \\u0041 "quoted"',
    ("a", ""),
]


@pytest.fixture(scope="module")
def here(tiny_pair: tuple[str, str]) -> InputTokenizer:
    return InputTokenizer(load_checkpoint_tokenizer(Side.CONTEXT, tiny_pair[0]), MAX_LENGTH)


@pytest.fixture
def beside(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TokenizerProcess]:
    monkeypatch.setattr(tokenizer_process, "FEWEST_INPUTS", 2)
    tokenizer = load_checkpoint_tokenizer(Side.CONTEXT, tiny_pair[0])
    yield TokenizerProcess(tokenizer, MAX_LENGTH)
    gc.collect()


def in_order(tokens: Tokens) -> Tokens:
    """The same in the order of the inputs."""
    if tokens.positions is None:
        return tokens
    assert sorted(tokens.positions) == list(range(len(tokens.ids)))
    order = np.argsort(tokens.positions).tolist()
    return Tokens(tokens.ids.select(order), [tokens.truncated[one] for one in order])


def assert_equal(found: Tokens, expected: Tokens) -> None:
    found = in_order(found)
    assert found.truncated == expected.truncated
    assert found.ids.ids.dtype == found.ids.lengths.dtype == np.int32
    assert found.ids.lengths.tolist() == expected.ids.lengths.tolist()
    assert found.ids.ids.tolist() == expected.ids.ids.tolist()


def pid_of(beside: TokenizerProcess) -> int:
    assert beside._process
    return beside._process.pid


def test_any_inputs_have_the_same_tokens(here: InputTokenizer, beside: TokenizerProcess) -> None:
    for size in (2, 6, 1000):
        inputs = random.Random(size).choices(INPUTS, k=size)
        expected = here(inputs)
        assert_equal(beside(inputs), expected)
        pid = pid_of(beside)
    assert any(expected.truncated)
    assert not all(expected.truncated)
    assert pid == pid_of(beside), "one process for all of them"


def test_the_longest_come_first_so_that_batches_need_no_copy(
    here: InputTokenizer, beside: TokenizerProcess
) -> None:
    found = beside(random.Random(0).choices(INPUTS, k=300))
    assert found.ids.lengths.tolist() == sorted(found.ids.lengths, reverse=True)
    for batch in filled_batches(found.ids.lengths, 100):
        assert np.shares_memory(found.ids.select(batch).ids, found.ids.ids)


def test_few_inputs_start_no_process(here: InputTokenizer, beside: TokenizerProcess) -> None:
    for few in ([], INPUTS[:1]):
        assert_equal(beside(few), here(few))
    assert beside._process is None


def test_threads_may_share_it(here: InputTokenizer, beside: TokenizerProcess) -> None:
    several = [random.Random(n).choices(INPUTS, k=50) for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        for found, inputs in zip(pool.map(beside, several), several, strict=True):
            assert_equal(found, here(inputs))


def test_if_it_dies_this_process_tokenizes_and_says_so(
    here: InputTokenizer, beside: TokenizerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    expected = here(INPUTS)
    beside(INPUTS)
    first = pid_of(beside)
    os.kill(first, signal.SIGKILL)
    assert_equal(beside(INPUTS), expected)
    [message] = caplog.messages
    assert "status -9" in message
    assert "this one tokenizes" in message
    assert_equal(beside(INPUTS), expected)
    assert pid_of(beside) != first, "the next inputs start another one"
    assert len(caplog.messages) == 1


def test_if_it_cannot_be_started_this_process_tokenizes(
    here: InputTokenizer,
    beside: TokenizerProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    for _ in range(5):
        assert_equal(beside(INPUTS), here(INPUTS))
    assert "does not answer" in caplog.messages[0]
    assert len(caplog.messages) == 3, "it does not try for ever"


def test_an_error_is_raised_as_it_would_be_here(
    here: InputTokenizer, beside: TokenizerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    unusable: list[EncoderInput] = ["the river", "\ud800"]
    with pytest.raises(Exception) as expected:  # noqa: PT011 (the tokenizer's own)
        here(unusable)
    beside(INPUTS)
    pid = pid_of(beside)
    with pytest.raises(expected.type):
        beside(unusable)
    assert_equal(beside(INPUTS), here(INPUTS))
    assert pid_of(beside) == pid
    assert not caplog.messages


def test_an_interrupt_leaves_no_reply_for_the_next_request(
    here: InputTokenizer, beside: TokenizerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside(INPUTS)

    def interrupted(file: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tokenizer_process, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            beside(INPUTS[:3])
    assert_equal(beside(INPUTS), here(INPUTS))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_it_gets_no_secret_and_ends_with_its_owner(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_process, "FEWEST_INPUTS", 2)
    monkeypatch.setenv("QDRANT_API_KEY", "secret-value")
    monkeypatch.setenv("HF_TOKEN", "secret-value")
    owner = TokenizerProcess(load_checkpoint_tokenizer(Side.CONTEXT, tiny_pair[0]), MAX_LENGTH)
    owner(INPUTS)
    folder = Path(f"/proc/{pid_of(owner)}")
    assert b"secret-value" not in (folder / "environ").read_bytes()
    del owner
    gc.collect()
    assert not folder.exists()


def test_a_fork_that_ends_does_not_end_it(here: InputTokenizer, beside: TokenizerProcess) -> None:
    beside(INPUTS)
    pid = pid_of(beside)
    child = os.fork()
    if child == 0:
        threading.Thread(target=lambda: (time.sleep(20), os._exit(1)), daemon=True).start()
        beside._end()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert_equal(beside(INPUTS), here(INPUTS))
    assert pid_of(beside) == pid


def test_an_encoder_beside_a_device_tokenizes_in_the_background(
    tiny_pair: tuple[str, str], here: InputTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On `meta`, which computes nothing; a CPU is busy enough with encoding."""
    monkeypatch.setattr(tokenizer_process, "FEWEST_INPUTS", 2)
    on_cpu, beside = (
        Encoder(Side.CONTEXT, tiny_pair[0], max_length=MAX_LENGTH, device=device, precision="fp32")
        for device in ("cpu", "meta")
    )
    tokens = on_cpu.tokenize(INPUTS)
    assert tokens.done()
    assert isinstance(on_cpu._tokenize, InputTokenizer)
    assert_equal(tokens.result(), here(INPUTS))
    assert_equal(beside.tokenize(INPUTS).result(), here(INPUTS))
    assert isinstance(beside._tokenize, TokenizerProcess)
    assert pid_of(beside._tokenize)


def test_a_system_that_enlarges_no_pipe_is_no_hindrance(
    here: InputTokenizer, beside: TokenizerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def start(function: Any, **options: Any) -> Any:
        asked.append(options.get("pipesize"))
        if options.get("pipesize"):
            raise PermissionError(1, "Operation not permitted")
        return start_child(function, **options)

    monkeypatch.setattr(tokenizer_process, "start_child", start)
    assert_equal(beside(INPUTS), here(INPUTS))
    assert asked == [tokenizer_process.PIPE_BYTES, None]


def test_batches_are_prepared_in_the_thread_that_tokenizes(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(Side.CONTEXT, tiny_pair[0], max_length=MAX_LENGTH, device="cpu")
    expected = encoder.encode(INPUTS).vectors
    forward, threads = encoder._forward, []

    class Watched(OtherCalls):
        def prepare(self, ids: TokenIds) -> Callable[[], Fetch]:
            threads.append(threading.current_thread().name.partition("_")[0])
            return super().prepare(ids)

    monkeypatch.setattr(encoder, "_forward", Watched(forward, forward))
    monkeypatch.setattr(encoder, "_batch_tokens", 20)
    monkeypatch.setattr(encoder, "_tokenizing", ThreadPoolExecutor(1, "tokenizes"))
    tokens = encoder.tokenize(INPUTS).result()
    prepared = len(threads)
    vectors = np.empty_like(expected)
    for batch in encoder.encode_batches(tokens):
        vectors[batch.positions] = batch.vectors
    assert threads == ["tokenizes"] * prepared
    assert prepared > 2
    assert np.abs(vectors - expected).max() < 1e-5


def test_two_threads_encode_beside_cuda_alone(tiny_pair: tuple[str, str]) -> None:
    found = {device: encoding_threads(device) for device in ("cpu", "mps", "cuda", "cuda:1")}
    assert found == {"cpu": 1, "mps": 1, "cuda": 2, "cuda:1": 2}
    pair = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1], device="cpu")
    assert pair.encoding_threads() == 1


def test_a_load_beside_a_gpu_makes_the_same_collection(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its windows are tokenized in the background, while others are encoded and written."""
    monkeypatch.setattr(tokenizer_process, "FEWEST_INPUTS", 2)
    pair = {"context_encoder": tiny_pair[0], "question_encoder": tiny_pair[1], "max_length": 16}
    words = ("river", "king", "city", "people", "music")
    passages = [
        Passage(str(n), " ".join(words[n % 5] for _ in range(n % 23 + 1)), f"Title {n}")
        for n in range(300)
    ]
    stored = []
    for beside_gpu in (False, True):
        embeddings = RDREmbeddings(**pair)
        encoder = embeddings.encoder(Side.CONTEXT)
        if beside_gpu:
            tokenizer = load_checkpoint_tokenizer(Side.CONTEXT, tiny_pair[0])
            tokenize = TokenizerProcess(tokenizer, 16)
            monkeypatch.setattr(encoder, "_tokenize", tokenize)
            monkeypatch.setattr(encoder, "_tokenizing", ThreadPoolExecutor(1))
        with closing(connect(path=":memory:")) as client:
            loader = QdrantLoader(
                embeddings=embeddings, client=client, collection_name="c", batch_size=40
            )
            report = loader.load(passages)
            points, _ = client.scroll("c", limit=999, with_vectors=True)
        counts = (report.uploaded, report.truncated, report.verified)
        stored.append((counts, {point.id: (point.payload, point.vector) for point in points}))
    assert stored[0][0] == stored[1][0]
    assert stored[0][0][1] > 0
    assert stored[0][1] == stored[1][1]
    assert pid_of(tokenize)
