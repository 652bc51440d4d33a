"""Quantiles of candidate and truth by season.

xarray's quantiles by group need all times at once; here each season has a histogram.
``tests/evaluation/test_distributions.py`` checks the quantiles against ``numpy.quantile`` of each
season.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.distributions import Distribution
from phire.evaluation.histograms import LEVELS, quantiles, wasserstein
from phire.evaluation.member_ranges import of_members
from phire.evaluation.nan_statistics import greatest_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.fields.time_axis import SEASONS

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

VARIABLES = (
    Definition(
        "seasonal_wasserstein", "Wasserstein-1 distance by season",
        "∫ |F(v) − G(v)| dv, F and G the distribution functions of candidate and truth over the "
        "area and the times of a season; seasonal_wasserstein_worst: the largest of the seasons",
        CHANNEL, LOWER, "Villani (2009), doi:10.1007/978-3-540-71050-9",
    ),
    Definition(
        "seasonal_wasserstein_worst", "Largest Wasserstein-1 distance of a season",
        "largest seasonal_wasserstein of the seasons", CHANNEL, LOWER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("seasonal_quantiles", function="quantiles_by_season")
class SeasonalQuantiles(Statistic):
    """Area-weighted quantiles of candidate and truth over the times of each season.

    A candidate may have the right distribution over the year and a wrong one in every season.
    Quantiles are computed from histograms with the bins of the statistic ``distribution``.
    """

    order = 51
    definitions = VARIABLES
    summary = (("seasonal_wasserstein_worst", "seasonal_wasserstein_worst"),)
    of_truth = False
    ensemble = "together"
    member_ranges = ("quantile_value", "seasonal_wasserstein", "seasonal_wasserstein_worst")
    noted_if_refused = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.distribution = Distribution(setting)
        self.seasons = setting.time.months() % 12 // 3

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires times with dates in at least two seasons."""
        if not setting.time.has_calendar:
            return "the times have no dates"
        if len(np.unique(setting.time.months() % 12 // 3)) < 2:
            return "all times are of one season"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns histograms (seasons, C, bins) of truth and candidate."""
        if candidate is None:
            return {}
        mask = joint_mask(self.domain, truth, candidate)
        if not isinstance(candidate, Ensemble):
            return self._by_season(truth, candidate, mask)
        members = [self._by_season(truth, member, mask) for member in candidate.each()]
        whole = {"truth": members[0]["truth"], "own": sum(one["own"] for one in members)}
        members = [{"own": one["own"]} for one in members]
        return whole | of_members(members)

    def _by_season(self, truth: Batch, candidate: Batch, mask: np.ndarray | None) -> State:
        """Returns histograms (seasons, C, bins) of truth and of one candidate or member."""
        seasons = self.seasons[truth.times]
        state = {}
        for key, batch in (("truth", truth), ("own", candidate)):
            counts = self.distribution.histograms(batch, mask)
            state[key] = np.zeros((len(SEASONS), *counts.shape[1:]))
            np.add.at(state[key], seasons, counts)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns quantiles over (channel, season, quantile) and distances of each season."""
        present = np.unique(self.seasons)
        bins, levels = self.distribution.bins, np.array(LEVELS)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["quantile"] = ("quantile", levels)
        dataset["season"] = ("season", np.array(SEASONS, dtype=object)[present])
        parts = {key: state[key][present] for key in ("own", "truth")}
        for name, key in (("quantile_value", "own"), ("truth_quantile_value", "truth")):
            values = [
                [quantiles(weights, edges, levels) for weights in parts[key][:, c]]
                for c, edges in enumerate(bins.edges)
            ]
            dataset[name] = (("channel", "season", "quantile"), np.array(values), self.units())
        distance = wasserstein(parts["own"], parts["truth"], bins.width).T
        dataset["seasonal_wasserstein"] = (("channel", "season"), distance, self.units())
        worst = greatest_present(distance, -1)
        dataset["seasonal_wasserstein_worst"] = ("channel", worst, self.units())
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.distribution_plots import seasonal_quantile_figure
        from phire.evaluation.figures.figure_plan import plans_by_channel

        yield from plans_by_channel(
            folder,
            cls.name,
            seasonal_quantile_figure,
            group="distributions",
            title="Quantiles of {channel} by season",
            caption="Above: quantiles of the candidate against the truth's; below: their "
            "difference. On the diagonal, or on zero, the distributions of a season are equal. "
            "Over the whole year, opposite errors of two seasons would cancel.",
            variable="quantile_value",
            dimension="season",
        )
