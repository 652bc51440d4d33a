"""Sampling uncertainty of every number of the table: intervals by a block bootstrap in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Setting, State
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import LOWER, ONE
from phire.evaluation.grouped_times import GroupedTimes, states_by_group
from phire.evaluation.registry import statistic

BLOCKS = 20
"""Blocks of consecutive times, at most; of fewer times, one each."""

FEWEST = 5
REPLICATES = 2000
LEVEL = 0.95


@statistic("uncertainty", function="sampling_uncertainty_of_scores")
class SamplingUncertainty(GroupedTimes):
    """95 % intervals of the table's numbers from a bootstrap of blocks of consecutive times.

    Each number is taken without one of the B blocks after another, which gives Tukey's
    pseudo-values Bθ − (B − 1)θ₍₋ᵦ₎; these are drawn with replacement (Künsch 1989,
    doi:10.1214/aos/1176347265; Efron & Tibshirani 1993, ch. 11). Of a number that is a mean over
    times, a pseudo-value is the mean over its block, so that this is the block bootstrap itself; of
    others it is one to first order, at the cost of B results instead of thousands. Blocks are the
    same for all candidates, which makes their differences paired. Blocks should be longer than
    errors are correlated.
    """

    order = 200
    dimension = "block"
    members_apart = False

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Blocks of equal length, or nearly so."""
        count = len(setting.time)
        blocks = min(BLOCKS, count)
        return np.arange(count) * blocks // max(count, 1), list(range(blocks))

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires enough blocks for their scatter."""
        if len(setting.time) < FEWEST:
            return f"intervals need at least {FEWEST} times"
        return None

    def result(self, state: State) -> xr.Dataset:
        """Each number with the ends of its interval, and its pseudo-values over the blocks."""
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
                continue  # jumps from wave to wave, which no pseudo-value follows
            others = np.stack([one[number].values for one in without])
            pseudo = count * value.values - (count - 1) * others
            base, separator, rest = number.partition(":")
            dimensions, units = value.dims, value.attrs
            low, high = bootstrap_interval(pseudo, self.setting.seed)
            shift = value.values - pseudo.mean(0)
            if definition(base).better in (LOWER, ONE):  # never below 0, such as errors and ratios
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
        """The ends of the intervals."""
        names = [str(name) for name in dataset.data_vars]
        return tuple((n, n) for n in names if n.split(":")[0].endswith(("_low", "_high")))

    @classmethod
    def figures(cls, folder):
        """Yields no figure: intervals stand in the table."""
        yield from ()


def bootstrap_interval(
    values: np.ndarray, seed: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of the percentile interval of the mean of values (B, ...) over blocks.

    The same draws serve whatever has as many blocks, so that candidates are paired.
    """
    random = np.random.default_rng([seed, 5])
    counts = random.multinomial(len(values), np.full(len(values), 1 / len(values)), REPLICATES)
    means = np.tensordot(counts / len(values), values, 1)
    ends = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]
