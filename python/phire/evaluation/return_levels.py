"""Return levels of block maxima by the generalised extreme-value distribution (GEV).

The distribution is fitted by L-moments, which take one pass over the sorted maxima;
``scipy.stats.genextreme.fit`` searches for the likelihood's maximum, sample by sample.
``tests/evaluation/test_return_levels.py`` checks the levels against that fit and against the
quantiles of the distribution that the maxima are drawn from.
"""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from phire.evaluation.spectral_scores import divided

BLOCKS = 10
"""Smallest number of blocks to fit a distribution of maxima to, and of times in a block."""

PERIODS = (2.0, 5.0, 10.0, 20.0, 50.0)
"""Return periods, in blocks."""

REPLICATES = 200
"""Number of bootstrap samples."""

YEAR = 365.2425 * 86400
"""Mean length of a year, s."""


def return_levels(maxima: np.ndarray, periods: tuple[float, ...]) -> np.ndarray:
    """Returns return levels of a generalised extreme-value distribution fitted by L-moments.

    The shape is Hosking's approximation k = 7.8590 c + 2.9554 c², c = 2/(3 + τ₃) − ln 2/ln 3,
    whose error is below 9·10⁻⁴ for −½ ≤ τ₃ ≤ ½. ``scipy.stats.genextreme`` uses the same sign of
    the shape, but fits by maximum likelihood, which is slow for many bootstrap samples.

    Args:
        maxima: (k, n) samples of n block maxima.
        periods: Return periods in blocks.

    Returns:
        (k, periods) levels.

    Source:
        Hosking (1990), doi:10.1111/j.2517-6161.1990.tb01775.x; Hosking, Wallis & Wood (1985),
        doi:10.1080/00401706.1985.10488049.
    """
    ordered = np.sort(maxima, axis=1)
    count = ordered.shape[1]
    rank = np.arange(count)
    first = ordered.mean(1)
    second = (ordered * rank).mean(1) / (count - 1)
    third = (ordered * rank * (rank - 1)).mean(1) / ((count - 1) * (count - 2))
    spread = 2 * second - first
    skew = divided(6 * third - 6 * second + first, spread)
    c = 2 / (3 + skew) - np.log(2) / np.log(3)
    shape = 7.8590 * c + 2.9554 * c**2
    gamma = special.gamma(1 + shape)
    scale = spread * shape / ((1 - 2.0**-shape) * gamma)
    place = first - scale * (1 - gamma) / shape
    levels = 1 - 1 / np.array(periods)
    parameters = (value[:, None] for value in (shape, place, scale))
    return stats.genextreme.ppf(levels, *parameters)


def return_levels_with_intervals(
    greatest: np.ndarray, blocks: np.ndarray | None, seed: int
) -> np.ndarray:
    """Returns levels for :data:`PERIODS`, and the ends of their 95 % intervals, (3, C, periods).

    The intervals are those of :data:`REPLICATES` bootstraps of blocks.

    Args:
        greatest: (T, C) greatest value of each field; a channel with a NaN has the levels NaN.
        blocks: (T,) index of the block of each time; None for too few blocks, which have no levels.
        seed: Seed of the bootstrap.
    """
    levels = np.full((3, greatest.shape[1], len(PERIODS)), np.nan)
    if blocks is None:
        return levels
    random = np.random.default_rng([seed, 7])
    count = int(blocks.max()) + 1
    drawn = random.integers(0, count, (REPLICATES, count))
    for c, series in enumerate(greatest.T):
        if not np.isfinite(series).all():
            continue
        maxima = np.array([series[blocks == block].max() for block in range(count)])
        levels[0, c] = return_levels(maxima[None], PERIODS)[0]
        ends = np.quantile(return_levels(maxima[drawn], PERIODS), [0.025, 0.975], axis=0)
        levels[1:, c] = ends
    return levels


def blocks_of_maxima(moments: np.ndarray, has_calendar: bool) -> np.ndarray | None:
    """Returns the index (T,) of the block of each time; None with too few times.

    Blocks are years if there are at least :data:`BLOCKS` of them, and otherwise of equal length.

    Args:
        moments: (T,) times in s.
        has_calendar: False if the times are step numbers, which have no years.
    """
    if has_calendar:
        years = np.unique((moments / YEAR).astype(int), return_inverse=True)
        if len(years[0]) >= BLOCKS:
            return years[1]
    count = len(moments) // BLOCKS
    return np.arange(len(moments)) * count // len(moments) if count >= BLOCKS else None
