"""The pipeline of threads: nothing dropped, nothing unbounded, and an end in every case."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rdr_qdrant.ingest.batch_result import BatchResult, RetryEvent
from rdr_qdrant.ingest.cancellation import Cancellation, JobCancelled
from rdr_qdrant.ingest.records import EmbeddedBatch, TokenizedBatch
from rdr_qdrant.ingest.thread_executor import BATCHES_PER_WRITER, TOKENIZED_BATCHES, Pipeline

WRITERS = pytest.mark.parametrize("writers", [0, 1, 4])
Numbers = list[int]


class Trial:
    """A pipeline over plain numbers, what it reported, and errors to raise at the first reports."""

    def __init__(
        self,
        writers: int,
        embed: Callable[[Numbers], Iterator[Numbers]] | None = None,
        write: Callable[[Numbers], None] = lambda numbers: None,
        *,
        embedders: int = 1,
        keeps_order: bool = False,
    ) -> None:
        self.reported: list[Any] = []
        self.errors: list[Exception] = []
        self.cancellation = Cancellation()
        run: Any = SimpleNamespace(
            sink=SimpleNamespace(write_threads=writers, keeps_order=keeps_order),
            apply=self._apply,
            cancellation=self.cancellation,
        )
        embed = embed or in_twos

        def embed_batch(batch: TokenizedBatch) -> Iterator[EmbeddedBatch]:
            for part in embed(batch.tokens):
                yield EmbeddedBatch(part, None, [])  # type: ignore[arg-type]

        def write_batch(batch: Any) -> BatchResult:
            write(batch.points)
            return BatchResult(Counter(), stored_ids=batch.points)

        self.pipeline = Pipeline(run, embed_batch, embedders=embedders)
        self.pipeline.write = write_batch

    def submit(self, numbers: Numbers) -> None:
        self.pipeline.submit(TokenizedBatch([], numbers))

    def submit_sixty(self) -> None:
        """Submit the numbers below 60 in batches of six, and wait for them."""
        for first in range(0, 60, 6):
            self.submit(list(range(first, first + 6)))
        self.pipeline.join()

    @property
    def written(self) -> Numbers:
        results = (one for one in self.reported if isinstance(one, BatchResult))
        return sorted(number for one in results for number in one.stored_ids)  # type: ignore[misc]

    def _apply(self, result: BatchResult | RetryEvent) -> None:
        self.reported.append(result)
        if self.errors:
            raise self.errors.pop(0)


def in_twos(numbers: Numbers) -> Iterator[Numbers]:
    for start in range(0, len(numbers), 2):
        yield numbers[start : start + 2]


@WRITERS
def test_every_batch_is_written_and_reported(writers: int) -> None:
    trial = Trial(writers)
    for first in range(0, 60, 6):
        trial.submit(list(range(first, first + 6)))
    trial.pipeline.submit_write(EmbeddedBatch([99], None, []))  # type: ignore[list-item]
    trial.pipeline.join()
    trial.pipeline.close()
    assert trial.written == [*range(60), 99]


@pytest.mark.parametrize("writers", [0, 1])
def test_batches_are_written_in_their_order_though_two_are_embedded(writers: int) -> None:
    order: Numbers = []
    second_is_done = threading.Event()

    def first_is_slow(numbers: Numbers) -> Iterator[Numbers]:
        if numbers[0] == 0:
            assert second_is_done.wait(60)  # for ever, if they took turns
        second_is_done.set()
        yield numbers

    trial = Trial(writers, first_is_slow, order.extend, embedders=2, keeps_order=True)
    trial.submit_sixty()
    trial.pipeline.close()
    assert order == list(range(60))


@pytest.mark.parametrize("writers", [0, 1])
def test_a_stop_drops_nothing_that_is_embedded_where_the_order_is_kept(writers: int) -> None:
    first_may_end, second_is_done = threading.Event(), threading.Event()

    def first_ends_after_the_stop(numbers: Numbers) -> Iterator[Numbers]:
        if numbers[0] == 0:
            assert first_may_end.wait(60)
        else:
            second_is_done.set()
        yield numbers

    order: Numbers = []
    trial = Trial(writers, first_ends_after_the_stop, order.extend, embedders=2, keeps_order=True)
    trial.submit([0, 1])
    trial.submit([2, 3])
    assert second_is_done.wait(60)
    threading.Timer(0.3, first_may_end.set).start()
    trial.pipeline.finish_in_flight()
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("writers", [0, 1])
def test_after_a_batch_that_failed_none_is_written_where_the_order_is_kept(writers: int) -> None:
    third_is_done = threading.Event()

    def broken(numbers: Numbers) -> Iterator[Numbers]:
        if numbers[0] == 6:
            assert third_is_done.wait(60)
            raise RuntimeError("the device is gone")
        if numbers[0] == 12:
            third_is_done.set()
        yield numbers

    order: Numbers = []
    trial = Trial(writers, broken, order.extend, embedders=2, keeps_order=True)

    with pytest.raises(RuntimeError, match="device is gone"):
        trial.submit_sixty()
    trial.pipeline.finish_in_flight()
    assert order == list(range(6))


@WRITERS
def test_a_failed_write_is_raised_and_what_was_written_is_reported(writers: int) -> None:
    def write(numbers: Numbers) -> None:
        if 8 in numbers:
            raise OSError("no space")

    trial = Trial(writers, write=write)

    with pytest.raises(OSError, match="no space"):
        trial.submit_sixty()
    trial.pipeline.finish_in_flight()
    assert {*trial.written} >= {0, 1, 2, 3, 4, 5}
    assert not {*trial.written} & {8, 9}


@WRITERS
def test_all_results_are_applied_though_some_applications_fail(writers: int) -> None:
    """As with `--strict`, which ends a load at its first reject: the rest was written too."""
    both_are_handed_on = threading.Event()

    def embed(numbers: Numbers) -> Iterator[Numbers]:
        yield from in_twos(numbers)
        both_are_handed_on.set()

    trial = Trial(writers, embed)
    trial.errors = [ValueError("first reject"), ValueError("second reject")]
    trial.submit([0, 1, 2, 3])
    assert both_are_handed_on.wait(60)
    with pytest.raises(ValueError, match="first reject"):
        trial.pipeline.join()
    trial.pipeline.finish_in_flight()
    assert not trial.errors
    assert trial.written == [0, 1, 2, 3]


@WRITERS
def test_an_error_of_the_encoder_is_raised(writers: int) -> None:
    def broken(numbers: Numbers) -> Iterator[Numbers]:
        yield numbers[:1]
        raise RuntimeError("the device is gone")

    trial = Trial(writers, broken)
    trial.submit([1, 2])
    with pytest.raises(RuntimeError, match="device is gone"):
        trial.pipeline.join()
    trial.pipeline.finish_in_flight()


@WRITERS
def test_finishing_ends_after_the_parts_in_flight(writers: int) -> None:
    embedded: Numbers = []
    begun = threading.Event()

    def slowly(numbers: Numbers) -> Iterator[Numbers]:
        for one in numbers:
            begun.set()
            time.sleep(0.02)
            embedded.append(one)
            yield [one]

    trial = Trial(writers, slowly)
    trial.submit(list(range(500)))
    trial.submit(list(range(500, 1000)))
    assert begun.wait(5)
    trial.pipeline.finish_in_flight()
    assert 0 < len(embedded) < 500
    assert trial.written == embedded


def test_a_cancelled_caller_does_not_wait_for_space() -> None:
    never = threading.Event()
    trial = Trial(1, write=lambda _: never.wait(10) and None)
    trial.cancellation.request()

    def submit_too_many() -> None:
        for _ in range(TOKENIZED_BATCHES + BATCHES_PER_WRITER + 2):
            trial.submit([1, 2])

    try:
        with pytest.raises(JobCancelled):
            submit_too_many()
    finally:
        never.set()
    trial.pipeline.finish_in_flight()
    assert trial.written[:1] == [1]


def test_little_is_in_flight_at_a_time() -> None:
    written = most = 0
    lock = threading.Lock()

    def write(numbers: Numbers) -> None:
        nonlocal written
        time.sleep(0.002)
        with lock:
            written += 1

    trial = Trial(2, lambda numbers: iter([numbers]), write)
    for submitted in range(1, 61):
        trial.submit([submitted])
        with lock:
            most = max(most, submitted - written)
    trial.pipeline.join()
    trial.pipeline.close()
    assert most <= TOKENIZED_BATCHES + 2 * BATCHES_PER_WRITER + 1


def test_retries_are_reported_in_the_thread_of_the_caller() -> None:
    trial = Trial(1)
    trial.pipeline.post_retry("no answer", 1.5)
    trial.submit([1])
    trial.pipeline.join()
    trial.pipeline.close()
    assert RetryEvent("no answer", 1.5) in trial.reported


@WRITERS
def test_what_is_done_meanwhile_and_results_do_not_wait_for_each_other(writers: int) -> None:
    def meanwhile() -> bool:
        reported_at.append(len(trial.reported))
        first_may_end.set()
        if trial.reported:
            second_may_end.set()
        return len(reported_at) < 10

    def waits(numbers: Numbers) -> Iterator[Numbers]:
        assert (first_may_end if numbers == [1] else second_may_end).wait(60)
        yield numbers

    first_may_end, second_may_end = threading.Event(), threading.Event()
    reported_at: list[int] = []
    trial = Trial(writers, waits)
    trial.submit([1])
    trial.submit([2])
    trial.pipeline.join(meanwhile)
    trial.pipeline.close()
    assert trial.written == [1, 2]
    assert reported_at[0] == 0
    assert reported_at[-1] >= 1


def test_a_job_that_is_cancelled_does_nothing_further_meanwhile() -> None:
    def cancel() -> bool:
        trial.cancellation.requested.set()
        calls.append(1)
        free.set()
        return True

    def waits(numbers: Numbers) -> Iterator[Numbers]:
        assert free.wait(60)
        yield numbers

    calls: list[int] = []
    free = threading.Event()
    trial = Trial(1, waits)
    trial.submit([1])
    with pytest.raises(JobCancelled):
        trial.pipeline.join(cancel)
    trial.pipeline.close()
    assert len(calls) == 1
