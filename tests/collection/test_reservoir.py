"""Random samples of one stream and of several."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rdr_qdrant.collection import Reservoir, Sampled


def test_all_items_are_kept_up_to_the_size() -> None:
    sample: Reservoir[int] = Reservoir(10)
    assert len(sample.offer(4, lambda n: n)) == 4
    assert len(sample.offer(6, lambda n: 4 + n)) == 6
    assert sorted(sample.items) == list(range(10))
    assert len(sample.offer(1000, lambda n: n)) <= 10
    assert sample.offer(0, lambda n: n) == []
    assert len(sample.items) == 10


def test_merged_samples_are_a_sample_of_all() -> None:
    """The items that each part returned as kept include the merged sample."""
    parts: list[Reservoir[int]] = [Reservoir(5) for _ in range(3)]
    given: list[Sampled[int]] = []
    for start in range(0, 3000, 7):
        given += parts[start % 3].offer(7, lambda n, start=start: start + n)  # type: ignore[misc]
    whole: Reservoir[int] = Reservoir(5)
    whole.merge(given)
    assert sorted(whole.items) == sorted(one.item for one in sorted(given)[-5:])
    assert len(given) < 200


def test_each_item_has_the_same_probability() -> None:
    times = [0, 0]
    for _ in range(4000):
        sample: Reservoir[int] = Reservoir(1)
        if random.random() < 0.5:
            sample.offer(2, lambda n: n)
        else:
            sample.offer(1, lambda n: n)
            sample.offer(1, lambda n: n + 1)
        times[sample.items[0]] += 1
    assert min(times) > 1800


def offer_many(sample: Reservoir[int]) -> None:
    for n in range(300):
        sample.offer(1, lambda _, n=n: n)  # type: ignore[misc]


def test_threads_share_a_reservoir(monkeypatch: pytest.MonkeyPatch) -> None:
    def less_and_yield(one: Sampled[int], other: Sampled[int]) -> bool:
        time.sleep(0)
        return one.priority < other.priority

    monkeypatch.setattr(Sampled, "__lt__", less_and_yield)
    sample: Reservoir[int] = Reservoir(200)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(offer_many, [sample] * 8))
    assert len(sample.items) == 200
