"""Random samples of one stream and of several."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rdr_qdrant.collection import Reservoir, Sampled


def test_all_items_are_kept_up_to_the_size() -> None:
    sample: Reservoir[int] = Reservoir(10)
    for n in range(10):
        assert sample.offer(lambda n=n: n) is not None  # type: ignore[misc]
    assert sorted(sample.items) == list(range(10))
    for n in range(1000):
        sample.offer(lambda n=n: n)  # type: ignore[misc]
    assert len(sample.items) == 10


def test_merged_samples_are_a_sample_of_all() -> None:
    """The items that each part returned as kept include the merged sample."""
    parts: list[Reservoir[int]] = [Reservoir(5) for _ in range(3)]
    given: list[Sampled[int]] = []
    for n in range(3000):
        kept = parts[n % 3].offer(lambda n=n: n)  # type: ignore[misc]
        given += [kept] if kept else []
    whole: Reservoir[int] = Reservoir(5)
    whole.merge(given)
    assert sorted(whole.items) == sorted(one.item for one in sorted(given)[-5:])
    assert len(given) < 200


def test_each_item_has_the_same_probability() -> None:
    times = [0, 0]
    for _ in range(4000):
        sample: Reservoir[int] = Reservoir(1)
        for n in range(2):
            sample.offer(lambda n=n: n)  # type: ignore[misc]
        times[sample.items[0]] += 1
    assert min(times) > 1800


def offer_many(sample: Reservoir[int]) -> None:
    for n in range(300):
        sample.offer(lambda n=n: n)  # type: ignore[misc]


def test_threads_share_a_reservoir(monkeypatch: pytest.MonkeyPatch) -> None:
    def less_and_yield(one: Sampled[int], other: Sampled[int]) -> bool:
        time.sleep(0)
        return one.priority < other.priority

    monkeypatch.setattr(Sampled, "__lt__", less_and_yield)
    sample: Reservoir[int] = Reservoir(200)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(offer_many, [sample] * 8))
    assert len(sample.items) == 200
