"""An encoder beside a GPU that does nothing but take time; see `feeding.py --rate`."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np

from benchmarks.feeding_corpus import DISTINCT, VECTORS, WINDOW, ReadyVectors, passage
from benchmarks.gpu import write_encoder
from rdr_qdrant import Passage
from rdr_qdrant.encoding import EncodedBatch, Encoder, Side, tokenizer_process
from rdr_qdrant.encoding.batching import filled_batches
from rdr_qdrant.encoding.cls_forward import Forward, batch_array
from rdr_qdrant.encoding.cuda_graphs import graph_shape
from rdr_qdrant.encoding.encoder import BATCH_TOKENS, BATCHES_AHEAD
from rdr_qdrant.encoding.token_ids import IntArray, TokenIds
from rdr_qdrant.encoding.tokenizer import Tokens, passage_input
from rdr_qdrant.encoding.tokenizer_process import run_worker
from rdr_qdrant.encoding.transfer import Fetch, FloatArray

TOKENS = 142
"""Tokens of a passage."""


class BesideGPU(ReadyVectors):
    """An `Encoder` as on a GPU; the GPU and the process that tokenizes do nothing but take time.

    Args:
        rate: passages a second of the GPU.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.gpu = TimedForward(rate)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = str(write_encoder(Path(folder), 1))
            with (
                patch.object(Encoder, "_make_forward", lambda *_: self.gpu),
                patch.object(tokenizer_process, "InputTokenizer", lambda *_: numbers_of),
            ):
                self._encoder = Encoder(
                    Side.CONTEXT,
                    checkpoint,
                    max_length=256,
                    device="meta",
                    batch_tokens=BATCH_TOKENS["cuda"],
                )
        self._encoder._batches_ahead = BATCHES_AHEAD  # as on `cuda`
        tokenizer_process.run_worker = tokenize_in_no_time
        self.tokenize_passages([passage(number) for number in range(WINDOW)]).result()  # starts it

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        return self._encoder.tokenize([passage_input(one.title, one.text) for one in passages])

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        return self._encoder.encode_batches(tokens.result())


class TimedForward(Forward):
    """A forward pass that takes the time of a GPU, and of the host what `GraphedForward` does.

    Args:
        rate: passages a second.

    Attributes:
        began: when it was first used (`time.perf_counter`); 0 before.
        idle: seconds for which it had nothing to do since.
    """

    def __init__(self, rate: float) -> None:
        self.began = self.idle = 0.0
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def batches(self, lengths: IntArray, max_tokens: int) -> Iterator[list[int]]:
        return filled_batches(lengths, max_tokens)

    def prepare(self, ids: TokenIds) -> Callable[[], Fetch]:
        array = batch_array(ids, graph_shape(ids))
        release_lock()  # PyTorch does at each call: here copying to pinned memory
        return partial(self._start, ids.ids[ids.offsets[:-1]], array)

    def __call__(self, ids: TokenIds) -> Fetch:
        return self.prepare(ids)()

    def _start(self, numbers: IntArray, array: IntArray) -> Fetch:
        with self._lock:
            for _ in range(6):  # copies there and back, the graph, a slice, memory, an event
                release_lock()
            now = time.perf_counter()
            self.began = self.began or now
            self._free_at = self._free_at or now
            self.idle += max(0.0, now - self._free_at)
            self._free_at = max(self._free_at, now) + len(numbers) / self._rate
            done_at = self._free_at

        def fetch() -> FloatArray:
            time.sleep(max(0.0, done_at - time.perf_counter()))
            return cast(FloatArray, VECTORS[numbers % DISTINCT])

        return fetch


def release_lock() -> None:
    """Let another thread have the interpreter, if one waits."""
    time.sleep(0)


def tokenize_in_no_time() -> None:
    """Answer requests as `tokenizer_process.run_worker` does, from which it takes this over."""
    with (
        patch.object(tokenizer_process, "InputTokenizer", lambda *_: numbers_of),
        patch("tokenizers.Tokenizer.from_str"),
    ):
        run_worker()


def numbers_of(inputs: Sequence[Any]) -> Tokens:
    """Tokens of passages, 142 each; the first is the number of the passage."""
    texts = (one if isinstance(one, str) else one[1] for one in inputs)
    ids = np.full((len(inputs), TOKENS), 1000, dtype=np.int32)
    ids[:, 0] = [int(text.rpartition(" ")[2]) for text in texts]
    lengths = np.full(len(inputs), TOKENS, dtype=np.int32)
    return Tokens(TokenIds(ids.reshape(-1), lengths), [False] * len(inputs))
