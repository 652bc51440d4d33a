"""Correlation matrix of the channels, and its error against the truth's."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Setting, State, Statistic
from phire.evaluation.definitions import LOWER, Definition
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

VARIABLES = (
    Definition(
        "channel_correlation", "Correlation of channels",
        "between each two channels over points and times, weighted by area", "1",
    ),
    Definition(
        "channel_correlation_error", "Error of the channels' correlations",
        "root mean square difference of the correlations of candidate and truth over all pairs of "
        "channels", "1", LOWER,
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("channel_correlation", function="correlations_of_channels")
class ChannelCorrelation(Statistic):
    """Correlation matrix of the channels over points and times, and its error.

    A point counts where truth and candidate have a value in all channels.
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
        """Weighted sums (C + 1, C + 1) of products of 1 and of departures from the mean."""
        domain = self.domain
        fields = truth if candidate is None else candidate
        mask = joint_mask(domain, truth, fields)
        inside = None if mask is None else mask.all(1)
        state = {"own": self._products(domain.cut(fields.planes), inside)}
        if candidate is not None:
            state["truth"] = self._products(domain.cut(truth.planes), inside)
        return state

    def _products(self, planes: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
        channels = planes.shape[1]
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        sums = np.zeros((channels + 1, channels + 1))
        for i, field in enumerate(planes):
            area = weights if inside is None else weights * inside[i]
            flat = np.ones((channels + 1, area.size))
            flat[1:] = (field - self.setting.facts.mean[:, None, None]).reshape(channels, -1)
            if inside is not None:
                flat[:, ~inside[i].ravel()] = 0
            sums += (flat * area.ravel()) @ flat.T
        return sums

    def result(self, state: State) -> xr.Dataset:
        """``channel_correlation(channel, other)``, and the error beside the truth's."""
        own = _correlations(state["own"])
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["other"] = ("other", np.array(self.setting.channels, dtype=object))
        dataset["channel_correlation"] = (("channel", "other"), own, {"units": "1"})
        if "truth" in state:
            above = np.triu_indices(len(own), 1)
            gap = (own - _correlations(state["truth"]))[above]
            error = np.sqrt(np.mean(gap**2))
            dataset["channel_correlation_error"] = ((), error, {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures that a folder of results gives; see :class:`Statistic`."""
        from phire.evaluation.figures.correlation_matrices import correlation_matrix_figure
        from phire.evaluation.figures.plan import Plan, figure_name, in_region

        for region in folder.regions_of(cls.name):
            title = f"Correlations between channels{in_region(region)}"
            data = folder.metric(cls.name, region)
            yield Plan(
                figure_name(cls.name, region),
                "distributions",
                title,
                "Over points and times. A candidate whose channels do not fit each other, such as "
                "wind and temperature, has other correlations than the truth.",
                functools.partial(correlation_matrix_figure, data, title=title),
                region=region,
            )


def _correlations(sums: np.ndarray) -> np.ndarray:
    """Correlations (C, C) from sums of products, the first row and column of which are with 1."""
    products = divided(sums, sums[0, 0])
    covariance = products[1:, 1:] - products[1:, :1] * products[:1, 1:]
    variance = np.diag(covariance)
    return divided(covariance, np.sqrt(np.outer(variance, variance)))
