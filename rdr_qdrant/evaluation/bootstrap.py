"""Bootstrap intervals of means over questions, and of paired differences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
COVERAGE = 0.95
DRAWS_PER_BLOCK = 1_000_000
"""Values drawn at once: 16 MB, however many questions there are."""


class BootstrapInterval(NamedTuple):
    """A mean over questions, with the bounds that hold 95 % of the resampled means."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> BootstrapInterval:
    """Compute the mean of one value per question and its 95 % percentile bootstrap interval.

    Args:
        values: one number or truth value per question, [n].
        resamples: samples of n questions, drawn with replacement.
        seed: the same seed and n give the same samples.

    Raises:
        ValueError: there are no values, or not in one dimension.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"values must be of shape [n] with n >= 1, not {list(numbers.shape)}")
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, DRAWS_PER_BLOCK // len(numbers))
    for start in range(0, resamples, step):
        block = means[start : start + step]
        drawn = generator.integers(len(numbers), size=(len(block), len(numbers)))
        block[:] = numbers[drawn].mean(axis=1)
    outside = (1 - COVERAGE) / 2
    low, high = np.quantile(means, (outside, 1 - outside))
    return BootstrapInterval(float(numbers.mean()), float(low), float(high))


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> BootstrapInterval:
    """Compute the mean difference `first - second` and its interval by paired bootstrap.

    Args:
        first: one value per question of a system, [n].
        second: the values of another system for the same questions in the same order, [n].
        resamples: see `mean_interval`.
        seed: see `mean_interval`.

    Raises:
        ValueError: the two differ in length, or there are no values.
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if one.shape != other.shape:
        raise ValueError(
            f"values of shapes {list(one.shape)} and {list(other.shape)} cannot be compared"
        )
    return mean_interval(one - other, resamples=resamples, seed=seed)
