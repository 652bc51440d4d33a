"""Sampling uncertainty of all scores: confidence intervals by a block bootstrap in time.

``scipy.stats.bootstrap`` computes a score again for each of thousands of resamples of all fields;
here each score is computed once without each block, from states that are merged.
``tests/evaluation/test_sampling_uncertainty.py`` checks the intervals against the normal
distribution's, a direct bootstrap and their coverage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import LOWER, ONE
from phire.evaluation.grouped_times import GroupedTimes, states_by_group
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

BLOCKS = 20
"""Largest number of blocks of consecutive times; with fewer times, each is a block."""

FEWEST = 5
"""Smallest number of times for which intervals are computed."""

REPLICATES = 2000
"""Number of bootstrap samples."""

LEVEL = 0.95
"""Level of the intervals."""


@statistic("uncertainty", function="sampling_uncertainty_of_scores")
class SamplingUncertainty(GroupedTimes):
    """95 % confidence intervals of the scores by a bootstrap of blocks of consecutive times.

    Each score θ is recomputed B times, leaving out one of B blocks each time. This gives Tukey's
    pseudo-values Bθ − (B − 1)θ₍₋ᵦ₎, which are resampled with replacement (Künsch 1989,
    doi:10.1214/aos/1176347265; Efron & Tibshirani 1993, ch. 11). If the score is a mean over times,
    a pseudo-value is the mean over its block, and this is the block bootstrap. For other scores it
    is the block bootstrap to first order, and needs B results instead of thousands.

    All candidates have the same blocks, so that their differences are paired. Intervals are too
    narrow if errors are correlated over more than the length of a block.
    """

    order = 200
    dimension = "block"
    members_apart = False

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Groups times into at most :data:`BLOCKS` blocks of nearly equal length."""
        count = len(setting.time)
        blocks = min(BLOCKS, count)
        return np.arange(count) * blocks // max(count, 1), list(range(blocks))

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires at least :data:`FEWEST` times."""
        if len(setting.time) < FEWEST:
            return f"intervals need at least {FEWEST} times"
        return None

    def result(self, state: State) -> xr.Dataset:
        """Returns each score with its interval (low, high), and its pseudo-values by block."""
        states = states_by_group(state)
        blocks = sorted({int(group) for group, _ in states})
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["block"] = ("block", np.array(blocks))

        def numbers(left_out: int | None) -> dict[str, xr.DataArray]:
            joined: dict[str, State] = {}
            for block in blocks:
                for name in self.statistics:
                    part = states.get((str(block), name))
                    if block != left_out and part:
                        joined[name] = self.statistics[name].merge(joined.get(name, {}), part)
            return self.numbers(joined)

        whole = numbers(None)
        without = [numbers(block) for block in blocks]
        count = len(blocks)
        for number, value in whole.items():
            if number.split(":")[0].endswith("resolution"):
                continue  # jumps between discrete wavelengths: pseudo-values need a smooth score
            others = np.stack([one[number].values for one in without])
            pseudo = count * value.values - (count - 1) * others
            base, separator, rest = number.partition(":")
            dimensions, units = value.dims, value.attrs
            low, high = bootstrap_interval(pseudo, self.setting.seed)
            # The interval is centred on the score, not on the mean of its pseudo-values.
            shift = value.values - pseudo.mean(0)
            if definition(base).better in (LOWER, ONE):  # errors and ratios are never negative
                low, high = (np.maximum(end + shift, 0) - shift for end in (low, high))
            ends = {"": value.values, "_low": low + shift, "_high": high + shift}
            for ending, values in ends.items():
                dataset[f"{base}{ending}{separator}{rest}"] = (dimensions, values, units)
            name = f"{base}_blocks{separator}{rest}"
            dataset[name] = (("block", *dimensions), pseudo, units)
            for dimension in set(dimensions) - {"channel"}:
                dataset[dimension] = value[dimension]
        return dataset

    @classmethod
    def summary_of(cls, dataset: xr.Dataset) -> tuple[tuple[str, str], ...]:
        """Returns the ends of the intervals as columns of the table of scores."""
        names = [str(name) for name in dataset.data_vars]
        return tuple((n, n) for n in names if n.split(":")[0].endswith(("_low", "_high")))

    @classmethod
    def figures(cls, folder):
        """Yields no figure: intervals are shown in the table of scores."""
        yield from ()


def bootstrap_interval(
    values: np.ndarray, seed: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the percentile interval (low, high) of the mean over blocks.

    The drawn blocks depend on ``seed`` and the number of blocks only, so that the samples of all
    candidates are paired.

    Args:
        values: (B, ...) values of the blocks.
        seed: Seed of the draws.
        level: Level of the interval.
    """
    random = np.random.default_rng([seed, 5])
    counts = random.multinomial(len(values), np.full(len(values), 1 / len(values)), REPLICATES)
    means = np.tensordot(counts / len(values), values, 1)
    ends = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]
