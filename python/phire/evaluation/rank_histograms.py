"""Rank histograms of the truth among the members, and the PIT histogram.

Written by hand because ties are ranked at random from a seed that depends on the time alone, so
that counts do not depend on the chunks. ``tests/evaluation/test_rank_histograms.py`` checks them by
a chi-square test of exchangeable members and by closed forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import LOWER, ONE, ZERO, Definition
from phire.evaluation.histograms import sums_in_few_bins
from phire.evaluation.member_fields import MemberSummary, member_fields
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

BINS = 20
"""Number of bins of the PIT histogram."""

VARIABLES = (
    Definition(
        "rank_error", "Error of the rank histogram",
        "Σₖ |fₖ − 1/(M + 1)|, fₖ the share of rank k; 0 for a flat histogram", "1", LOWER,
        "Delle Monache et al. (2006), doi:10.1029/2005JD006917",
    ),
    Definition(
        "rank_delta", "Departure of the rank histogram relative to sampling noise",
        "Σₖ (sₖ − N/(M+1))² · (M+1)/(N M), sₖ the number of points of rank k, N that of all "
        "points; 1 is expected if ranks are equally likely and points independent", "1", ONE,
        "Candille & Talagrand (2005), doi:10.1256/qj.04.71",
    ),
    Definition(
        "calibration_bias", "Bias of ranks",
        "∫ (C(u) − u) du, C the cumulative rank histogram; above 0: the members are too high", "1",
        ZERO,
    ),
    Definition(
        "calibration_error", "Calibration error of ranks",
        "∫ (C(u) − u)² du, C the cumulative rank histogram", "1", LOWER,
    ),
    Definition(
        "pit_histogram", "Histogram of the probability integral transform",
        "frequency of u = (rank + a uniform random number) / (M + 1) in 20 equal bins, relative to "
        "1/20; rank = 0 … M is the number of members below the truth", "1", "",
        "Gneiting, Balabdaoui & Raftery (2007), doi:10.1111/j.1467-9868.2007.00587.x",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("rank_uniformity")
class RankUniformity(Statistic):
    """Rank histogram with ties broken at random, measures of its flatness, and PIT histogram.

    If the truth equals some members, as at dry points of rain, its rank is drawn at random from
    the tied ranks (Hamill & Colucci 1998, doi:10.1175/1520-0493(1998)126<0711:EOEREP>2.0.CO;2).
    The draws depend on the seed and the time only.
    """

    order = 114
    definitions = VARIABLES
    summary = (
        ("rank_error", "rank_error"),
        ("rank_delta", "rank_delta"),
        ("calibration_bias", "calibration_bias"),
        ("calibration_error", "calibration_error"),
    )
    of_truth = False
    ensemble = "all"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns histograms of ranks (C, M + 1) and of the PIT (C, bins).

        Points are weighted by area, except in "points", the number of points of each rank.
        """
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        channels, size = fields.observed.shape[1], fields.size
        below, equal = fields.summary.below, fields.summary.equal
        state = {key: np.zeros((channels, size + 1)) for key in ("rank", "points")}
        state["pit"] = np.zeros((channels, BINS))
        for i, time in enumerate(truth.times):
            value = int(self.setting.time.values[time]) % 2**63
            random = np.random.default_rng([self.setting.seed, value, 3])
            place = random.random(below.shape[1:]) * (equal[i] + 1.0) + below[i]
            for c in range(channels):
                weights = fields.weights[i, c].ravel()
                rank = place[c].astype(np.intp).ravel()
                transform = (place[c] * (BINS / (size + 1))).astype(np.intp).ravel()
                state["rank"][c] += sums_in_few_bins(rank, weights, size + 1)
                state["points"][c] += sums_in_few_bins(rank, 1.0 * (weights > 0), size + 1)
                state["pit"][c] += sums_in_few_bins(transform, weights, BINS)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns rank and PIT histograms by channel, and measures of flatness."""
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        share = divided(state["rank"], state["rank"].sum(-1, keepdims=True))
        bias, error = calibration(share)
        points, ranks = state["points"], share.shape[-1]
        number = points.sum(-1, keepdims=True)
        departure = ((points - number / ranks) ** 2).sum(-1)
        for name, values in (
            ("rank_error", np.abs(share - 1 / ranks).sum(-1)),
            ("rank_delta", divided(departure * ranks, number[:, 0] * (ranks - 1))),
            ("calibration_bias", bias),
            ("calibration_error", error),
        ):
            dataset[name] = ("channel", values, {"units": "1"})
        dataset["rank_histogram"] = (("channel", "rank"), share, {"units": "1"})
        level = divided(state["pit"], state["pit"].sum(-1, keepdims=True)) * BINS
        dataset["probability"] = ("probability", (np.arange(BINS) + 0.5) / BINS)
        dataset["pit_histogram"] = (("channel", "probability"), level, {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans

        panel = Panel(
            "",
            "pit_histogram",
            "probability",
            "Probability integral transform of the truth",
            "Frequency relative to a flat histogram",
            reference=1.0,
            from_zero=True,
        )
        yield from channel_plans(
            folder, cls.name, [panel], "ensembles", "PIT histogram",
            "Flat if the ensemble is calibrated; a U shape means too little spread, a slope a "
            "bias. Ties, as at dry points of rain, are broken at random.",
        )  # fmt: skip


def calibration(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns ∫ (C(u) − u) du and ∫ (C(u) − u)² du over u = 0 … 1, each (...).

    C is the cumulative rank histogram, piecewise linear, so that both integrals are exact.

    Args:
        share: (..., K) rank histograms of sum 1.
    """
    ranks = share.shape[-1]
    start = np.zeros_like(share[..., :1])
    gap = np.concatenate([start, np.cumsum(share, -1)], -1) - np.arange(ranks + 1) / ranks
    left, right = gap[..., :-1], gap[..., 1:]
    squares = (left**2 + left * right + right**2) / 3
    return (left + right).mean(-1) / 2, squares.mean(-1)


def weights_of_ranks(summary: MemberSummary, size: int, weights: np.ndarray) -> np.ndarray:
    """Returns the weight (C, M + 1) of each rank of the truth, ties split evenly.

    A truth with b members below and e equal has the ranks b … b + e with equal probability.

    Args:
        summary: Numbers of members below the truth and equal to it.
        size: M, number of members.
        weights: (n, C, h, w) weights of the points.
    """
    total = np.zeros((weights.shape[1], size + 1))
    for c in range(len(total)):
        # Points are counted by the pair (members equal, members below) before ties are split.
        place = summary.equal[:, c] * np.intp(size + 1) + summary.below[:, c]
        table = sums_in_few_bins(place.ravel(), weights[:, c].ravel(), (size + 1) ** 2)
        for ties, row in enumerate(table.reshape(size + 1, size + 1)):
            for step in range(ties + 1):
                total[c, step:] += row[: size + 1 - step] / (ties + 1)
    return total
