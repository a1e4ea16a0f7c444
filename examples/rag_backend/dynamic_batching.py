"""Dynamic batching: questions that arrive while the encoder runs are encoded together next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.encoding import FloatArray

MAX_BATCH = 32


class BatchedEmbeddings(RDREmbeddings):
    """`RDREmbeddings` for many threads: one encoder run serves all waiting questions.

    There is no waiting time: a question that finds the encoder idle is encoded at once.
    """

    _batcher: DynamicBatcher = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._batcher = DynamicBatcher(super().encode_questions)

    def encode_questions(self, questions: Sequence[str]) -> FloatArray:
        """Embed questions; float32 [n, dim], in their order."""
        return self._batcher(questions)


class DynamicBatcher:
    """Combines the calls of many threads into few.

    Args:
        encode: returns one row per question.
        max_batch: most questions of one call of `encode`.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], FloatArray], max_batch: int = MAX_BATCH
    ) -> None:
        self._encode = encode
        self._max_batch = max_batch
        self._queue: list[tuple[str, Future[FloatArray]]] = []
        self._queue_lock = threading.Lock()
        self._encode_lock = threading.Lock()

    def __call__(self, questions: Sequence[str]) -> FloatArray:
        """Return the rows of these questions; an error of `encode` reaches its whole batch."""
        if not questions:
            return self._encode(questions)
        mine = [(question, Future[FloatArray]()) for question in questions]
        with self._queue_lock:
            self._queue += mine
        with self._encode_lock:
            while not mine[-1][1].done():
                self._encode_next_batch()
        return np.stack([future.result() for _, future in mine])

    def _encode_next_batch(self) -> None:
        with self._queue_lock:
            size = self._max_batch
            batch, self._queue = self._queue[:size], self._queue[size:]
        try:
            rows = self._encode([question for question, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), row in zip(batch, rows, strict=True):
                future.set_result(row)
