"""Return levels of block maxima by the generalised extreme-value distribution (GEV).

The distribution is fitted by L-moments, which take one pass over the sorted maxima;
``scipy.stats.genextreme.fit`` searches for the likelihood's maximum, sample by sample.
``tests/evaluation/test_return_levels.py`` checks the levels against that fit and against the
quantiles of the distribution that the maxima are drawn from.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special, stats

from phire.evaluation.spectral_scores import divided
from phire.fields.time_axis import TimeAxis

BLOCKS = 10
"""Smallest number of blocks to fit a distribution of maxima to, and of times in a block."""

PERIODS = (2.0, 5.0, 10.0, 20.0, 50.0)
"""Return periods, in blocks."""

REPLICATES = 200
"""Number of bootstrap samples."""

YEAR = 365.2425 * 86400
"""Mean length of a year, s."""


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Blocks of times, of each of which the maximum is taken.

    Attributes:
        index: (T,) index of the block of each time.
        length: Length of a block as text: ``1 year``, or ``10 times at steps of 3 h``.
        in_years: True if the blocks are years.
    """

    index: np.ndarray
    length: str
    in_years: bool = False

    @property
    def count(self) -> int:
        """Number of blocks."""
        return int(self.index.max()) + 1


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
    greatest: np.ndarray, blocks: Blocks | None, seed: int
) -> np.ndarray:
    """Returns levels for :data:`PERIODS`, and the ends of their 95 % intervals, (3, C, periods).

    The intervals are those of :data:`REPLICATES` bootstraps of blocks.

    Args:
        greatest: (T, C) greatest value of each field; a channel with a NaN has the levels NaN.
        blocks: Blocks of the times; None for too few blocks, which have no levels.
        seed: Seed of the bootstrap.
    """
    levels = np.full((3, greatest.shape[1], len(PERIODS)), np.nan)
    if blocks is None:
        return levels
    random = np.random.default_rng([seed, 7])
    drawn = random.integers(0, blocks.count, (REPLICATES, blocks.count))
    for c, series in enumerate(greatest.T):
        if not np.isfinite(series).all():
            continue
        maxima = np.array([series[blocks.index == b].max() for b in range(blocks.count)])
        levels[0, c] = return_levels(maxima[None], PERIODS)[0]
        ends = np.quantile(return_levels(maxima[drawn], PERIODS), [0.025, 0.975], axis=0)
        levels[1:, c] = ends
    return levels


def blocks_of_maxima(time: TimeAxis) -> Blocks | None:
    """Returns the blocks of a time axis (T,); None with too few times.

    Blocks are years if there are at least :data:`BLOCKS` of them, and otherwise of equal length.
    """
    if time.has_calendar:
        # floor: years before 1970 have negative numbers, and 1969 is not 1970.
        years, index = np.unique(np.floor(time.values / YEAR), return_inverse=True)
        if len(years) >= BLOCKS:
            return Blocks(index, "1 year", in_years=True)
    count = len(time) // BLOCKS
    if count < BLOCKS:
        return None
    index = np.arange(len(time)) * count // len(time)
    length = f"{' or '.join(map(str, np.unique(np.bincount(index))))} times"
    if time.has_calendar:
        length += f" at steps of {time.step_text}{', with gaps' if time.gaps() else ''}"
    return Blocks(index, length)
