from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from examples.rag_backend.dynamic_batching import BatchedEmbeddings, DynamicBatcher
from rdr_qdrant import RDREmbeddings
from rdr_qdrant.encoding import FloatArray


def lengths(questions: Sequence[str]) -> FloatArray:
    return np.array([[len(question)] for question in questions], dtype=np.float32)


def test_what_waits_is_run_together_and_everyone_gets_their_own() -> None:
    busy, released = threading.Event(), threading.Event()
    runs: list[int] = []

    def run(questions: Sequence[str]) -> FloatArray:
        runs.append(len(questions))
        busy.set()
        assert released.wait(10)
        return lengths(questions)

    batcher = DynamicBatcher(run, max_batch=4)
    got: dict[int, float] = {}

    def ask(n: int) -> None:
        got[n] = float(batcher(["x" * n])[0, 0])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 8)]
    threads[0].start()
    assert busy.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(batcher._queue) < 6:
        pass
    released.set()
    for thread in threads:
        thread.join(10)
    assert got == {n: float(n) for n in range(1, 8)}
    assert runs == [1, 4, 2]


def test_more_questions_than_one_run_takes_come_back_in_their_order() -> None:
    questions = ["x" * n for n in range(1, 12)]
    assert DynamicBatcher(lengths, max_batch=3)(questions)[:, 0].tolist() == list(range(1, 12))


def test_an_error_goes_to_all_of_its_run_and_the_next_run_is_well() -> None:
    first_runs, others_wait = threading.Event(), threading.Event()

    def run(questions: Sequence[str]) -> FloatArray:
        if "first" in questions:
            first_runs.set()
            assert others_wait.wait(60)
        if "bad" in questions:
            raise ValueError(f"bad among {len(questions)}")
        return lengths(questions)

    batcher = DynamicBatcher(run)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(batcher, ["first"])
        assert first_runs.wait(60)
        others = [pool.submit(batcher, [question]) for question in ("well", "bad")]
        while len(batcher._queue) < 2:
            time.sleep(0.001)
        others_wait.set()
        assert first.result().tolist() == [[5]]
        for other in others:
            with pytest.raises(ValueError, match="bad among 2"):
                other.result()
    assert batcher(["well"]).tolist() == [[4]]


def test_vectors_are_those_of_the_pair(tiny: RDREmbeddings, tiny_pair: tuple[str, str]) -> None:
    batched = BatchedEmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1])
    questions = ["who built the city?", "where is the river?"]
    expected = tiny.encode_questions(questions)
    assert np.allclose(batched.encode_questions(questions), expected, atol=1e-6)
    assert batched.encode_questions([]).shape == (0, expected.shape[1])
