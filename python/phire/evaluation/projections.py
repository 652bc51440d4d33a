"""Distances between sets of fields, each field reduced to a few projections.

scikit-learn's random projections need all fields as one matrix; here each field is projected when
it is read. ``tests/evaluation/test_distributions.py`` checks the distances against a known shift
along one pattern, and the RV coefficient by its invariance to rotation.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import sparse, stats

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import HIGHER, LOWER, Definition
from phire.evaluation.feature_distances import frechet_distance
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

SKETCH = 256
"""Number of random projections of each field."""

COMPONENTS = 8
"""Number of random projections, and of principal components, that are compared."""


VARIABLES = (
    Definition(
        "projected_wasserstein", "Wasserstein-1 distance of projections",
        "Wasserstein-1 distance of the truth's and the candidate's fields projected on a single "
        "direction, in standard deviations of the truth; mean over directions", "1", LOWER,
    ),
    Definition(
        "projected_frechet", "Fréchet distance of projections",
        "|μₓ − μ_y|² + tr(Cₓ + C_y − 2 (Cₓ C_y)^½) of the projected fields' means and covariances",
        "1", LOWER, "Dowson & Landau (1982), doi:10.1016/0047-259X(82)90077-X",
    ),
    Definition(
        "rv_coefficient", "RV coefficient",
        "tr(S_xy S_yx) / √(tr(S_xx²) tr(S_yy²)), S the covariances of the projected fields", "1",
        HIGHER, "Robert & Escoufier (1976), doi:10.2307/2347233",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("projections", function="projection_distances")
class Projections(Statistic):
    """Wasserstein-1 and Fréchet distances and RV coefficient of projections of the fields.

    A field is standardised by the truth's mean and standard deviation, weighted by the root of
    area, and projected on 256 random vectors of signs with disjoint supports. This count sketch
    preserves inner products in expectation (Charikar et al. 2004,
    doi:10.1016/S0304-3975(03)00400-6). Two sets of projections are compared: the first random
    ones, and the principal components of the truth's sketches.

    Distances are in standard deviations of the truth's projections. The RV coefficient is
    tr(S_xy S_yx) / √(tr(S_xx²) tr(S_yy²)) of the projections at equal times (Robert & Escoufier
    1976, doi:10.2307/2347233); it is 1 for equal projections. Fields with a missing value are left
    out. For an ensemble, the mean is projected; ranges are those of its members.
    """

    order = 130
    definitions = VARIABLES
    summary = (
        ("wasserstein_mean", "projected_wasserstein"),
        ("frechet", "projected_frechet"),
        ("rv_coefficient", "rv_coefficient"),
    )
    series = ("times", "truth", "own")
    of_truth = False
    ensemble = "mean"
    member_ranges = ("wasserstein", "wasserstein_mean", "frechet", "rv_coefficient")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        std = np.sqrt(setting.truth_moments.total_variance)
        self._std = np.where(std > 0, std, 1)

    def _projection(self) -> tuple[sparse.csr_array, np.ndarray]:
        """Draws the matrix (SKETCH, C·h·w) of the projection; returns it with the projected mean.

        The matrix includes standardisation and area weights.
        """
        random = np.random.default_rng([self.setting.seed, 3])
        channels, shape = len(self._std), self.domain.shape
        size = channels * shape[0] * shape[1]
        places = random.integers(0, SKETCH, size, dtype=np.uint16)
        signs = random.integers(0, 2, size, dtype=np.int8) * np.int8(2) - np.int8(1)
        weights = np.broadcast_to(self.domain.weights, shape)
        scale = np.sqrt(weights / weights.sum() * SKETCH / channels)
        values = signs.reshape(channels, *shape) * (scale / self._std[:, None, None])
        columns = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=SKETCH))
        matrix = sparse.csr_array(
            (values.ravel()[columns], columns, np.append(0, ends)), shape=(SKETCH, size)
        )
        mean = np.broadcast_to(self.setting.truth_moments.mean[:, None, None], values.shape)
        return matrix, matrix @ mean.ravel()

    def __getstate__(self) -> dict:
        # Other processes draw the same numbers from the seed: there is less to send.
        return {key: value for key, value in self.__dict__.items() if key != "_drawn"}

    def _sketches(self, batch: Batch) -> np.ndarray:
        """Returns the projections (n, SKETCH); NaN for a field with a missing value."""

        def compute() -> np.ndarray:
            if not hasattr(self, "_drawn"):
                self._drawn = self._projection()
            matrix, mean = self._drawn
            if isinstance(batch, Ensemble):  # projections are linear
                return np.mean([self._sketches(member) for member in batch.each()], axis=0)
            fields = self.domain.cut(batch.planes).reshape(len(batch), -1)
            return np.stack([matrix @ field.astype(np.float64) for field in fields]) - mean

        return batch.once(("sketches", self.domain), compute)

    def _whole(self, truth: Batch, candidate: Batch) -> np.ndarray:
        """Returns booleans (n,): True for fields without missing values in truth and candidate."""
        sketches = self._sketches(truth), self._sketches(candidate)
        return np.isfinite(sketches).all((0, 2))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the sketches of the fields without missing values in truth and candidate."""
        if candidate is None:
            return {}
        whole = self._whole(truth, candidate)
        if not whole.any():
            return {}
        reference, predicted = (self._sketches(batch)[whole] for batch in (truth, candidate))
        return {"times": truth.times[whole], "truth": reference, "own": predicted}

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """Returns the sketches of each member, for the fields without missing values."""
        whole = self._whole(truth, ensemble)
        if not whole.any():
            return []
        return [{"own": self._sketches(member)[whole]} for member in ensemble.each()]

    def result(self, state: State) -> xr.Dataset:
        """Returns distances over (projection, component) and over projection."""
        _, ordered = self.ordered(state)
        reference, predicted = ordered["truth"], ordered["own"]
        count = min(COMPONENTS, len(reference), SKETCH)
        mean = reference.mean(0)
        _, _, vectors = np.linalg.svd(reference - mean, full_matrices=False)
        components = {
            "random": (reference[:, :count], predicted[:, :count]),
            "principal": (
                (reference - mean) @ vectors[:count].T,
                (predicted - mean) @ vectors[:count].T,
            ),
        }
        distances, frechet, coefficients = [], [], []
        for first, second in components.values():
            std = first.std(0)
            std = np.where(std > 1e-6 * max(std.max(), 1e-300), std, np.nan)
            first, second = first / std, second / std
            distances.append(
                [
                    stats.wasserstein_distance(a, b) if np.isfinite(a).all() else np.nan
                    for a, b in zip(first.T, second.T)
                ]
            )
            known = np.isfinite(std)
            frechet.append(_frechet(first[:, known], second[:, known]))
            coefficients.append(rv_coefficient(first[:, known], second[:, known]))
        dataset = xr.Dataset()
        dataset["projection"] = ("projection", np.array(list(components), dtype=object))
        dataset["component"] = ("component", np.arange(1, count + 1))
        units = {"units": "1", "long_name": "in standard deviations of the truth's projections"}
        dataset["wasserstein"] = (("projection", "component"), np.array(distances), units)
        dataset["wasserstein_mean"] = ("projection", _row_means(np.array(distances)), units)
        dataset["frechet"] = ("projection", np.array(frechet), {"units": "1"})
        dataset["rv_coefficient"] = ("projection", np.array(coefficients), {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import Plan
        from phire.evaluation.figures.results_reading import has_values
        from phire.evaluation.figures.skill_plots import projection_figure

        data = folder.metric("projections")
        if has_values(data, "wasserstein_mean"):
            yield Plan(
                "projections",
                "skill",
                "Distances of projected fields",
                "Distances between truth and candidate of the fields projected on random "
                "directions and on the truth's principal components. Dots of ensembles: the "
                "ensemble mean; pale bars: the range of the members.",
                functools.partial(projection_figure, data, styles=folder.styles),
            )


def rv_coefficient(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the RV coefficient of paired samples (n, p) and (n, q); NaN without variance.

    Source:
        Robert & Escoufier (1976), doi:10.2307/2347233.
    """
    first, second = first - first.mean(0), second - second.mean(0)
    between = np.sum((first.T @ second) ** 2)
    within = np.sum((first.T @ first) ** 2) * np.sum((second.T @ second) ** 2)
    return float(between / np.sqrt(within)) if within > 0 else float("nan")


def _frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the Fréchet distance of two samples (n, p); NaN for fewer than two fields."""
    if len(first) < 2 or not first.shape[1]:
        return float("nan")
    moments = [(s.mean(0), np.atleast_2d(np.cov(s, rowvar=False))) for s in (first, second)]
    return frechet_distance(*moments[0], *moments[1])


def _row_means(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the last axis of the finite values."""
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(-1) / present.sum(-1)
