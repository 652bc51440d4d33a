"""Errors of the small scales: high-passed at a degree of spherical harmonics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.global_spectra import GlobalSpectra, cutoff_degree
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

MULTIPLES = (1.0, 2.0, 3.0, 4.0, 5.0)
"""Multiples of the truth's standard deviation beyond which an error counts as large."""


VARIABLES = (
    Definition(
        "high_pass_rmse", "Root mean square error of small scales",
        "√⟨w (x − y)²⟩ after a high-pass at spherical-harmonic degrees", CHANNEL, LOWER,
    ),
    Definition(
        "exceedance", "Large errors",
        "share of the area where the error, high-passed at a degree, exceeds a multiple of the "
        "standard deviation of the high-passed truth",
        "1", LOWER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("high_pass", function="high_pass_errors")
class HighPass(Statistic):
    """RMSE of high-passed errors, and share of the area where they are large.

    The high-pass removes spherical-harmonic degrees below a cutoff. The first of two cutoffs is the
    largest degree of the coarse grid, H / (2 · scale), or, without a scale, a quarter of the
    largest degree. The second is twice the first. An error is large if it exceeds a multiple of the
    standard deviation of the truth at the same time, high-passed at the same degree.
    """

    order = 80
    definitions = VARIABLES
    summary = (("rmse_mean", "high_pass_rmse"),)
    member_ranges = ("exceedance", "rmse", "rmse_mean")
    of_truth = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.spectra = GlobalSpectra(setting)
        last = self.spectra.harmonics.truncation
        first = int(cutoff_degree(setting)) if setting.scale else last // 4
        first = max(1, min(first, last))
        self.degrees = [first, 2 * first] if 2 * first <= 0.9 * last else [first]

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires the whole sphere."""
        if not setting.grid.is_sphere:
            return "a high-pass at a degree needs fields on a global grid"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums over time of the shares and of the mean squares."""
        if candidate is None:
            return {}
        domain, harmonics = self.domain, self.spectra.harmonics
        coefficients = self.spectra.coefficients(candidate) - self.spectra.coefficients(truth)
        variance = self.spectra.variance(truth)
        channels = truth.planes.shape[1]
        state = {
            "count": np.zeros(channels),
            "share": np.zeros((channels, len(self.degrees), len(MULTIPLES))),
            "square": np.zeros((channels, len(self.degrees))),
        }
        whole = np.isfinite(coefficients[..., 0])
        state["count"] += whole.sum(0)
        for i, c in zip(*np.nonzero(whole)):
            for d, degree in enumerate(self.degrees):

                def synthesise(i=i, c=c, degree=degree) -> np.ndarray:
                    high_passed = np.where(harmonics.degrees >= degree, coefficients[i, c], 0)
                    error = harmonics.synthesise(high_passed)
                    return np.abs(error, out=error)

                # Cached for the whole domain and all regions. A candidate's batch belongs to one
                # batch of the truth, so that the key need not name the truth.
                error = candidate.once(("high-pass error", i, c, degree), synthesise)
                error = domain.cut(error)
                std = np.sqrt(variance[i, c, degree:].sum())
                state["square"][c, d] += domain.mean_product(error, error)
                state["share"][c, d] += self._shares(error, std)
        return state

    def _shares(self, error: np.ndarray, std: float) -> np.ndarray:
        """Returns the shares of the area where ``error`` exceeds each multiple of ``std``.

        Args:
            error: (h, w) absolute error.
            std: Standard deviation of the truth.
        """
        domain = self.domain
        if domain.weights.shape[1] > 1:
            return np.array([domain.mean(error > multiple * std) for multiple in MULTIPLES])
        # All points of a row have one weight: counting booleans is many times as fast as summing.
        counts = np.array(
            [[np.count_nonzero(row > m * std) for m in MULTIPLES] for row in error], np.float64
        )
        return domain.weights[:, 0] @ counts / domain.total_weight

    def result(self, state: State) -> xr.Dataset:
        """Returns ``exceedance(channel, degree, multiple)`` and ``rmse(channel, degree)``."""
        count = state["count"]
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["degree"] = ("degree", np.array(self.degrees))
        dataset["multiple"] = ("multiple", np.array(MULTIPLES))
        dataset["exceedance"] = (
            ("channel", "degree", "multiple"),
            divided(state["share"], count[:, None, None]),
            {"units": "1", "long_name": "share of the area with larger errors"},
        )
        rmse = np.sqrt(divided(state["square"], count[:, None]))
        dataset["rmse"] = (("channel", "degree"), rmse, self.units())
        dataset["rmse_mean"] = ("channel", rmse[:, 0], self.units())
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import plans_by_channel
        from phire.evaluation.figures.skill_plots import large_error_figure

        yield from plans_by_channel(
            folder,
            cls.name,
            large_error_figure,
            group="skill",
            title="Large errors of {channel}",
            caption="Share of the area where the error of the small scales exceeds a multiple of "
            "the truth's standard deviation; lower is better.",
            variable="exceedance",
        )
