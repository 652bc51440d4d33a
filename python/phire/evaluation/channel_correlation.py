"""Correlation matrix of the channels, and its difference from the truth's.

``numpy.cov`` needs all values at once; here weighted moments add up over chunks.
``tests/evaluation/test_channel_correlation.py`` checks them against it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import LOWER, Definition
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

VARIABLES = (
    Definition(
        "channel_correlation", "Correlation of channels",
        "Pearson correlation of each pair of channels over points and times, weighted by area", "1",
    ),
    Definition(
        "channel_correlation_error", "Error of the channels' correlations",
        "root mean square difference of the correlations of candidate and truth over all pairs of "
        "channels", "1", LOWER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("channel_correlation", function="correlations_of_channels")
class ChannelCorrelation(Statistic):
    """Correlation matrix of the channels over points and times, and its error.

    A point counts only where truth and candidate both have values in all channels.
    """

    order = 55
    definitions = VARIABLES
    summary = (("channel_correlation_error", "channel_correlation_error"),)
    member_ranges = ("channel_correlation", "channel_correlation_error")
    noted_if_refused = False

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires two channels."""
        return None if len(setting.channels) > 1 else "there is only one channel"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns weighted sums of products (C + 1, C + 1), of candidate and truth.

        The first channel is the constant 1: its products are the sum of the weights and the
        weighted sums of departures from the truth's mean.
        """
        domain = self.domain
        fields = truth if candidate is None else candidate
        mask = joint_mask(domain, truth, fields)
        inside = None if mask is None else mask.all(1)
        state = {"own": self._products(domain.cut(fields.planes), inside)}
        if candidate is not None:
            state["truth"] = self._products(domain.cut(truth.planes), inside)
        return state

    def _products(self, planes: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
        """Returns the weighted sums of products (C + 1, C + 1) of planes (n, C, h, w).

        Args:
            planes: Values within the domain.
            inside: (n, h, w) True for points that count; None means all.
        """
        channels = planes.shape[1]
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        # Departures from the truth's mean keep precision where values are far from 0 (pressure).
        sums = np.zeros((channels + 1, channels + 1))
        for i, field in enumerate(planes):
            area = weights if inside is None else weights * inside[i]
            flat = np.ones((channels + 1, area.size))
            flat[1:] = (field - self.setting.truth_moments.mean[:, None, None]).reshape(
                channels, -1
            )
            if inside is not None:
                flat[:, ~inside[i].ravel()] = 0
            sums += (flat * area.ravel()) @ flat.T
        return sums

    def result(self, state: State) -> xr.Dataset:
        """Returns ``channel_correlation(channel, other)`` and, for a candidate, its error."""
        correlations = _correlations(state["own"])
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["other"] = ("other", np.array(self.setting.channels, dtype=object))
        dataset["channel_correlation"] = (("channel", "other"), correlations, {"units": "1"})
        if "truth" in state:
            above = np.triu_indices(len(correlations), 1)
            gap = (correlations - _correlations(state["truth"]))[above]
            error = np.sqrt(np.mean(gap**2))
            dataset["channel_correlation_error"] = ((), error, {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.correlation_matrix_plots import correlation_matrix_figure
        from phire.evaluation.figures.figure_plan import Plan, figure_name, in_region

        for region in folder.regions_of(cls.name):
            title = f"Correlations between channels{in_region(region)}"
            data = folder.metric(cls.name, region)
            yield Plan(
                figure_name(cls.name, region),
                "distributions",
                title,
                "Correlation of each pair of channels over points and times. Where the channels of "
                "a candidate are physically inconsistent (wind with temperature, say), its "
                "correlations differ from the truth's.",
                functools.partial(correlation_matrix_figure, data, title=title),
                region=region,
            )


def _correlations(sums: np.ndarray) -> np.ndarray:
    """Returns correlations (C, C) from sums of products (C + 1, C + 1) of ``measure``."""
    products = divided(sums, sums[0, 0])
    covariance = products[1:, 1:] - products[1:, :1] * products[:1, 1:]
    variance = np.diag(covariance)
    return divided(covariance, np.sqrt(np.outer(variance, variance)))
