"""Distribution of values: densities, quantiles, and distances from the truth's distribution.

``scipy.stats`` needs all values at once; histograms, moments and extremes add up over chunks.
``tests/evaluation/test_distributions.py`` checks quantiles, moments and Wasserstein distances
against NumPy and SciPy, divergences against ``scipy.stats.entropy`` and ``jensenshannon``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, LOWER, ONE, Definition
from phire.evaluation.histograms import LEVELS, Bins, quantiles, wasserstein
from phire.evaluation.member_point_scores import member_moments
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

FINE = 16384
"""Bins of the histogram, from the truth's minimum − range to its maximum + range."""

COARSE = 1024
"""Bins of the density in the result."""

ERROR_BINS = 1001
"""Bins of the errors, over ±3 standard deviations of the truth; odd, so that one is at zero."""

MEMBER_ERRORS = 1 << 19
"""Approximate largest number of errors of all members of a field whose density is computed."""

DIVERGENCE_BINS = 100
"""Bins of the truth's range for the divergences; two more hold all values beyond it."""

FLOOR = 1e-6
"""Added to the fraction of values in each bin, so that divergences are finite with empty bins."""

TAIL = 0.999
"""Level of the truth's quantile beyond which values count as tail."""

VARIABLES = (
    Definition(
        "wasserstein", "Wasserstein-1 distance",
        "∫ |F(v) − G(v)| dv, F and G the distribution functions of candidate and truth", CHANNEL,
        LOWER, "Villani (2009), doi:10.1007/978-3-540-71050-9",
    ),
    Definition(
        "kullback_leibler", "Kullback–Leibler divergence",
        "Σ q ln(q/p) over 100 bins of the truth's range and two beyond it, q the truth's shares, p "
        "the candidate's, to all of which 10⁻⁶ is added", "1", LOWER,
        "Kullback & Leibler (1951), doi:10.1214/aoms/1177729694",
    ),
    Definition(
        "jensen_shannon", "Jensen–Shannon divergence",
        "½ Σ p ln(2p/(p + q)) + ½ Σ q ln(2q/(p + q)) over the same bins; at most ln 2", "1", LOWER,
        "Lin (1991), doi:10.1109/18.61115",
    ),
    Definition(
        "tail_ratio", "Ratio of tails beyond the truth's 99.9 % quantile",
        "share of the area and times with x above the truth's 99.9 % quantile, divided by the same "
        "share of y; 0: no such extremes, 1: as many as in the truth", "1", ONE,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("distribution")
class Distribution(Statistic):
    """Area-weighted distribution of values over points and times.

    Quantiles and the Wasserstein-1 distance are computed from a histogram of 16384 equal bins,
    which spans three times the truth's range. Histograms can be summed over chunks of times. The
    density of errors is that of every few rows, if an ensemble has very many points.
    """

    order = 50
    definitions = VARIABLES
    summary = (
        ("wasserstein", "wasserstein"),
        ("kullback_leibler", "kullback_leibler"),
        ("jensen_shannon", "jensen_shannon"),
        ("tail_ratio", "tail_ratio"),
    )
    extremes = ("minimum", "maximum")
    shared_by_members = ("truth",)
    member_ranges = (
        "density", "error_density", "quantile_value", "mean", "std", "wasserstein",
        "kullback_leibler", "jensen_shannon", "tail_ratio",
    )  # fmt: skip

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        truth_moments = setting.truth_moments
        self.bins = Bins.between(
            truth_moments.minimum - truth_moments.range,
            truth_moments.maximum + truth_moments.range,
            FINE,
        )
        reach = 3 * np.sqrt(truth_moments.total_variance)
        self.error_bins = Bins.between(-reach, reach, ERROR_BINS)
        self._weights = np.broadcast_to(self.domain.weights, self.domain.shape).copy()
        self._bands = self.domain.bands()

    def _histograms(
        self, bins: Bins, planes: np.ndarray, mask: np.ndarray | None, step: int = 1
    ) -> np.ndarray:
        """Returns area-weighted histograms (n, C, bins) of each ``step``-th row of planes."""
        total = np.zeros((*planes.shape[:2], bins.count))
        for (i, c), band in itertools.product(np.ndindex(*planes.shape[:2]), self._bands):
            rows = slice(band.start, band.stop, step)
            values, weights = planes[i, c, rows], self._weights[rows]
            if mask is not None:
                inside = mask[i, c, rows]
                values, weights = values[inside], weights[inside]
            bins.add_to(total[i, c], values, c, weights)
        return total

    def histograms(self, fields: Batch, mask: np.ndarray | None) -> np.ndarray:
        """Returns the area-weighted histogram (n, C, bins) of each field.

        Without a mask it is cached in the batch, for all statistics and candidates.

        Args:
            fields: Batch of fields.
            mask: (n, C, h, w) True where values count; None means everywhere.
        """

        def count() -> np.ndarray:
            return self._histograms(self.bins, self.domain.cut(fields.planes), mask)

        return count() if mask is not None else fields.once(("histograms", self.domain), count)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns histograms of truth, candidate and error, and moments of the candidate."""
        fields = truth if candidate is None else candidate
        mask = joint_mask(self.domain, truth, fields)
        state = {"truth": self.histograms(truth, mask).sum(0)}
        if candidate is not None:
            state |= self._compared(truth, candidate, mask)
        planes = self.domain.cut(fields.planes)
        total, square = self._moments(planes, mask)
        weight = self._weights_of_fields(fields, mask).sum(0)
        state |= {"sum": total, "square": square, "weight": weight}
        return state | self._extremes(planes, mask)

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """Returns the state of each member, whose moments follow from those of its errors."""
        mask = joint_mask(self.domain, truth, ensemble)
        shared = {
            "truth": self.histograms(truth, mask).sum(0),
            "weight": self._weights_of_fields(truth, mask).sum(0),
        }
        moments = member_moments(self.setting, truth, ensemble)
        error, _, square, mean, mean_square, product, *_ = np.moveaxis(moments, -1, 0)
        # With x = y + e: Σ x′ = Σ y′ + Σ e, and Σ x′² = Σ y′² + 2 Σ y′e + Σ e².
        weights = self._weights_of_fields(truth, mask)[..., None]
        sums, squares = (
            np.where(weights > 0, weights * values, 0).sum(0)
            for values in (mean + error, mean_square + 2 * product + square)
        )
        return [
            shared
            | {"sum": sums[:, m], "square": squares[:, m]}
            | self._compared(truth, member, mask, len(ensemble.each()))
            | self._extremes(self.domain.cut(member.planes), mask)
            for m, member in enumerate(ensemble.each())
        ]

    def _weights_of_fields(self, fields: Batch, mask: np.ndarray | None) -> np.ndarray:
        """Returns the total weight (n, C) of the points of each field that have values."""
        if mask is not None:
            return self.domain.total(mask)
        return np.full(fields.planes.shape[:2], self.domain.total_weight)

    def _compared(
        self, truth: Batch, candidate: Batch, mask: np.ndarray | None, members: int = 1
    ) -> State:
        """Returns the histograms of a candidate, perhaps one of several members, and its error."""
        points = self.domain.shape[0] * self.domain.shape[1]
        step = min(members, max(1, members * points // MEMBER_ERRORS))
        error = self.domain.cut(candidate.planes) - self.domain.cut(truth.planes)
        return {
            "own": self.histograms(candidate, mask).sum(0),
            "error": self._histograms(self.error_bins, error, mask, step).sum(0),
        }

    def _moments(
        self, planes: np.ndarray, mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns weighted sums (C,) of departures from the truth's mean and of their squares."""
        domain = self.domain
        total, square = np.zeros(planes.shape[1]), np.zeros(planes.shape[1])
        for (i, c), rows in itertools.product(np.ndindex(*planes.shape[:2]), self._bands):
            centred = np.subtract(
                planes[i, c, rows], self.setting.truth_moments.mean[c], dtype=np.float64
            )
            if mask is not None:
                centred = np.where(mask[i, c, rows], centred, 0)
            total[c] += domain.total(centred, rows)
            square[c] += domain.total_product(centred, centred, rows)
        return total, square

    def _extremes(self, planes: np.ndarray, mask: np.ndarray | None) -> State:
        """Returns the smallest and largest values (C,) at points with weight; NaN without any."""
        inside = self.domain.weights > 0
        if mask is not None or not inside.all():
            planes = np.where(inside if mask is None else inside & mask, planes, np.nan)
        minimum, maximum = (
            pick.reduce(planes, axis=(0, 2, 3)).astype(np.float64) for pick in (np.fmin, np.fmax)
        )
        return {"minimum": minimum, "maximum": maximum}

    def result(self, state: State) -> xr.Dataset:
        """Returns densities, quantiles and moments and, for a candidate, distances to the truth."""
        histogram = state.get("own", state["truth"])
        levels = np.array(LEVELS)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["quantile"] = ("quantile", levels)
        units = self.units()
        bins = self.bins.coarser(FINE // COARSE)
        coarse = histogram.reshape(len(histogram), COARSE, -1).sum(-1)
        density = divided(coarse, coarse.sum(-1, keepdims=True) * bins.width[:, None])
        dataset["density"] = (("channel", "bin"), density)
        dataset["bin_centre"] = (("channel", "bin"), bins.centres, units)
        dataset["bin_width"] = ("channel", bins.width, units)
        values = [quantiles(h, e, levels) for h, e in zip(histogram, self.bins.edges)]
        dataset["quantile_value"] = (("channel", "quantile"), np.stack(values), units)
        mean = divided(state["sum"], state["weight"])
        variance = divided(state["square"], state["weight"]) - mean**2
        dataset["mean"] = ("channel", mean + self.setting.truth_moments.mean, units)
        dataset["std"] = ("channel", np.sqrt(np.maximum(variance, 0)), units)
        dataset["minimum"] = ("channel", state["minimum"], units)
        dataset["maximum"] = ("channel", state["maximum"], units)
        if "own" in state:
            distance = wasserstein(histogram, state["truth"], self.bins.width)
            dataset["wasserstein"] = (
                "channel",
                distance,
                units | {"long_name": "Wasserstein-1 distance from the truth's values"},
            )
            self._compare(dataset, histogram, state["truth"])
            error = state["error"]
            width = self.error_bins.width
            density = divided(error, error.sum(-1, keepdims=True) * width[:, None])
            dataset["error_density"] = (("channel", "error_bin"), density)
            centres = self.error_bins.centres
            dataset["error_bin_centre"] = (("channel", "error_bin"), centres, units)
        return dataset

    def _compare(self, dataset: xr.Dataset, histogram: np.ndarray, truth: np.ndarray) -> None:
        """Adds the divergences and the ratio of tails to the result."""
        # The middle third of the fine bins is the truth's range.
        first = FINE // 3
        cuts = np.concatenate([[0], np.linspace(first, FINE - first, DIVERGENCE_BINS + 1), [FINE]])
        cuts = np.unique(cuts.astype(int))[:-1]
        p, q = (
            divided(np.add.reduceat(h, cuts, axis=1), h.sum(1, keepdims=True))
            for h in (histogram, truth)
        )
        dataset["jensen_shannon"] = ("channel", jensen_shannon(p, q), {"units": "1"})
        dataset["kullback_leibler"] = ("channel", kullback_leibler(q, p), {"units": "1"})
        reached = divided(np.cumsum(truth, axis=1), truth.sum(1, keepdims=True))
        beyond = reached > TAIL
        tails = [divided((h * beyond).sum(1), h.sum(1)) for h in (histogram, truth)]
        dataset["tail_ratio"] = ("channel", divided(*tails), {"units": "1"})

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.distribution_plots import (
            box_figure,
            density_figure,
            error_figure,
            quantile_figure,
        )
        from phire.evaluation.figures.figure_plan import (
            Plan,
            figure_name,
            in_region,
            plans_by_channel,
        )
        from phire.evaluation.figures.results_reading import has_values, values_of

        for draw, variable, name, title, caption in (
            (density_figure, "density", "distribution", "Distribution of {channel}",
             "Probability density of the values; on the right with a logarithmic axis, for the "
             "tails. A smoothed candidate lacks the tails."),
            (quantile_figure, "quantile_value", "quantiles",
             "Quantiles of {channel} against the truth's",
             "Left: quantiles of the candidate against the truth's; right: their difference. On "
             "the diagonal, or on zero, the distributions are equal. A slope below that of the "
             "diagonal means too few extremes."),
            (error_figure, "error_density", "errors", "Errors of {channel}",
             "Probability density of the error (candidate minus truth); on the right with a "
             "logarithmic axis, for large errors. Narrow and centred on zero is good."),
        ):  # fmt: skip
            yield from plans_by_channel(
                folder, cls.name, draw, group="distributions", title=title, caption=caption,
                variable=variable, name=name,
            )  # fmt: skip
        for region in folder.regions_of(cls.name):
            data = folder.metric(cls.name, region)
            if has_values(data, "quantile_value"):
                yield Plan(
                    figure_name("boxes", region),
                    "distributions",
                    f"Quantiles{in_region(region)}",
                    "Box: 25–75 %, thick line: median, whiskers: 2–98 %.",
                    functools.partial(
                        box_figure, data, channels=values_of(data, "channel"), styles=folder.styles
                    ),
                    region=region,
                )


def kullback_leibler(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Returns the Kullback–Leibler divergence Σ p ln(p/q) in nats.

    Args:
        p, q: (..., bins) shares that sum to 1; :data:`FLOOR` is added to each.

    Returns:
        (...) the divergence; NaN where a share is NaN.
    """
    p, q = ((share + FLOOR) / (share + FLOOR).sum(-1, keepdims=True) for share in (p, q))
    return (p * np.log(p / q)).sum(-1)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Returns the Jensen–Shannon divergence in nats, at most ln 2.

    Args:
        p, q: (..., bins) shares that sum to 1.

    Returns:
        (...) the divergence; NaN where a share is not finite.
    """
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(share > 0, share * np.log(share / middle), 0) for share in (p, q)]
    known = np.isfinite(p).all(-1) & np.isfinite(q).all(-1)
    return np.where(known, sum(parts).sum(-1) / 2, np.nan)
