"""Bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from rdr_qdrant.evaluation.bootstrap import mean_interval, paired_difference


def test_the_interval_is_that_of_the_obvious_implementation() -> None:
    values = np.random.default_rng(1).random(57)
    drawn = np.random.default_rng(0).integers(57, size=(10_000, 57))
    bounds = np.quantile([values[row].mean() for row in drawn], (0.025, 0.975))
    interval = mean_interval(values)
    assert interval == pytest.approx((values.mean(), *bounds), abs=1e-12)
    assert interval == mean_interval(list(values))


def test_blocks_do_not_change_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(100)
    whole = mean_interval(values, resamples=500)
    monkeypatch.setattr("rdr_qdrant.evaluation.bootstrap.DRAWS_PER_BLOCK", 700)
    assert mean_interval(values, resamples=500) == pytest.approx(whole, abs=1e-12)
    assert mean_interval(values, resamples=500, seed=1) != whole


def test_a_paired_interval_is_narrower_than_that_of_unrelated_systems() -> None:
    """Questions differ much more than the systems do on one question."""
    random = np.random.default_rng(2)
    first = random.random(300)
    second = first - 0.02 + 0.01 * random.random(300)
    mean, low, high = paired_difference(first, second)
    assert low < mean < high
    assert mean == pytest.approx((first - second).mean())
    assert low > 0
    assert high - low < 0.01
    _, other_low, other_high = paired_difference(first, random.permutation(second))
    assert other_low < 0 < other_high


def test_truth_values_are_shares_and_equal_systems_do_not_differ() -> None:
    hits = np.array([True, False, True, True])
    assert mean_interval(hits).mean == 0.75
    assert paired_difference(hits, hits) == (0.0, 0.0, 0.0)
    assert paired_difference([True, False], [False, True]).mean == 0.0


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1]), ([], []), ([[1]], [[1]])])
def test_values_that_are_no_pairs_are_refused(first: list[int], second: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot be compared|must be of shape"):
        paired_difference(first, second)
