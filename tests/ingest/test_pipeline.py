"""Windows in, results out: nothing dropped, nothing unbounded, and an end in every case."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rdr_qdrant.ingest.thread_executor import BATCHES_PER_WRITER, WINDOWS_WAITING, Pipeline

WRITERS = pytest.mark.parametrize("writers", [0, 1, 4])


def in_twos(window: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(window), 2):
        yield window[start : start + 2]


def go_on() -> None:
    """The check of a caller whom nobody stops."""


@WRITERS
def test_every_window_comes_out(writers: int) -> None:
    done: list[list[int]] = []
    with Pipeline(in_twos, lambda batch: batch, writers=writers, check=go_on) as pipeline:
        for first in range(0, 60, 6):
            done += pipeline.feed(list(range(first, first + 6)))
        done += pipeline.feed_encoded([99])
        done += pipeline.rest()
    assert sorted(one for batch in done for one in batch) == [*range(60), 99]


@WRITERS
def test_what_fails_is_raised_and_what_was_written_is_told(writers: int) -> None:
    def write(batch: list[int]) -> list[int]:
        if 8 in batch:
            raise OSError("no room")
        return batch

    done: list[list[int]] = []

    def feed_all(pipeline: Pipeline[list[int], list[int], list[int]]) -> None:
        for first in range(0, 60, 6):
            done.extend(pipeline.feed(list(range(first, first + 6))))
        done.extend(pipeline.rest())

    with Pipeline(in_twos, write, writers=writers, check=go_on) as pipeline:
        with pytest.raises(OSError, match="no room"):
            feed_all(pipeline)
        done += pipeline.stop()
    told = {one for batch in done for one in batch}
    assert told >= {0, 1, 2, 3, 4, 5}
    assert not told & {8, 9}


@WRITERS
def test_what_the_encoder_raises_ends_it(writers: int) -> None:
    def broken(window: list[int]) -> Iterator[list[int]]:
        yield window[:1]
        raise RuntimeError("the device is gone")

    with Pipeline(broken, lambda batch: batch, writers=writers, check=go_on) as pipeline:
        assert list(pipeline.feed([1, 2])) == []
        found = pipeline.rest()
        with pytest.raises(RuntimeError, match="device is gone"):
            list(found)


@WRITERS
def test_stopping_ends_after_the_batch_in_hand(writers: int) -> None:
    encoded: list[int] = []
    begun = threading.Event()

    def slowly(window: list[int]) -> Iterator[list[int]]:
        for one in window:
            begun.set()
            time.sleep(0.02)
            encoded.append(one)
            yield [one]

    with Pipeline(slowly, lambda batch: batch, writers=writers, check=go_on) as pipeline:
        done = list(pipeline.feed(list(range(500))))
        done += pipeline.feed(list(range(500, 1000)))
        assert begun.wait(5)
        done += pipeline.stop()
    assert 0 < len(encoded) < 100
    assert sorted(one for batch in done for one in batch) == encoded


def test_a_caller_who_is_asked_to_stop_does_not_wait_on() -> None:
    class Asked(Exception):  # noqa: N818
        pass

    def check() -> None:
        raise Asked

    never = threading.Event()

    def stuck(batch: list[int]) -> list[int]:
        never.wait(10)
        return batch

    def feed_too_many(pipeline: Pipeline[list[int], list[int], list[int]]) -> None:
        for _ in range(WINDOWS_WAITING + BATCHES_PER_WRITER + 2):
            list(pipeline.feed([1, 2]))

    with Pipeline(in_twos, stuck, writers=1, check=check) as pipeline:
        started = time.monotonic()
        with pytest.raises(Asked):
            feed_too_many(pipeline)
        assert time.monotonic() - started < 5
        never.set()
        assert [1, 2] in list(pipeline.stop())


def test_little_is_under_way_at_a_time() -> None:
    fed = written = most = 0
    lock = threading.Lock()

    def write(batch: list[int]) -> list[int]:
        nonlocal written
        time.sleep(0.002)
        with lock:
            written += 1
        return batch

    with Pipeline(lambda window: iter([window]), write, writers=2, check=go_on) as pipeline:
        for number in range(60):
            list(pipeline.feed([number]))
            fed += 1
            with lock:
                most = max(most, fed - written)
        list(pipeline.rest())
    assert most <= WINDOWS_WAITING + 2 * BATCHES_PER_WRITER + 1


def test_news_come_between_the_results() -> None:
    with Pipeline(in_twos, lambda batch: batch, writers=1, check=go_on) as pipeline:
        pipeline.tell([-1])
        assert [-1] in [*pipeline.feed([1]), *pipeline.rest()]
