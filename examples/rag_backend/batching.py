"""Questions that arrive while the encoder is busy are encoded together in its next run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.encoding import FloatArray

MOST_TOGETHER = 32


class BatchedEmbeddings(RDREmbeddings):
    """`RDREmbeddings` for many threads: the question encoder runs once for all that wait.

    Nobody waits for others to come: a lone question is encoded at once.
    """

    _batcher: Batcher = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._batcher = Batcher(super().encode_questions)

    def encode_questions(self, questions: Sequence[str]) -> FloatArray:
        """Vectors of questions, float32 [n, dim], in their order."""
        return self._batcher(questions)


class Batcher:
    """Calls of many threads made as few.

    Args:
        run: makes one row for each question.
        most: most questions of one run.
    """

    def __init__(
        self, run: Callable[[Sequence[str]], FloatArray], most: int = MOST_TOGETHER
    ) -> None:
        self._run = run
        self._most = most
        self._waiting: list[tuple[str, Future[FloatArray]]] = []
        self._changing = threading.Lock()
        self._running = threading.Lock()

    def __call__(self, questions: Sequence[str]) -> FloatArray:
        """The rows of these questions; what `run` raises is raised to everyone of that run."""
        if not questions:
            return self._run(questions)
        mine = [(question, Future[FloatArray]()) for question in questions]
        with self._changing:
            self._waiting += mine
        with self._running:
            while not mine[-1][1].done():
                self._run_next()
        return np.stack([future.result() for _, future in mine])

    def _run_next(self) -> None:
        with self._changing:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            rows = self._run([question for question, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), row in zip(batch, rows, strict=True):
                future.set_result(row)
