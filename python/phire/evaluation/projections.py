"""Distances between sets of whole fields, seen through few numbers a field."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import sparse, stats

from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import HIGHER, LOWER, Definition
from phire.evaluation.feature_distances import frechet_distance
from phire.evaluation.registry import statistic

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

SKETCH = 256
"""Random projections of each field."""

COMPONENTS = 8
"""Projections compared: the first random ones, and as many principal components."""


VARIABLES = (
    Definition(
        "projected_wasserstein", "Wasserstein-1 distance of projections",
        "mean Wasserstein-1 distance of the fields projected on single directions", "1", LOWER,
    ),
    Definition(
        "projected_frechet", "Fréchet distance of projections",
        "Fréchet distance of the normal distributions fitted to the projected fields", "1", LOWER,
    ),
    Definition(
        "rv_coefficient", "RV coefficient",
        "tr(S_xy S_yx) / √(tr(S_xx²) tr(S_yy²)), S the covariances of the projected fields", "1",
        HIGHER, "Robert & Escoufier (1976), doi:10.2307/2347233",
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("projections", function="projection_distances")
class Projections(Statistic):
    """Wasserstein-1, Fréchet and RV distances of random and principal projections of fields.

    A field, standardised by the truth's mean and standard deviation and weighted by the root of
    area, is projected on 256 random vectors of signs with disjoint supports (a count sketch, which
    keeps inner products: Charikar et al. 2004, doi:10.1016/S0304-3975(03)00400-6). Principal
    components are those of the truth's sketches. Distances are in standard deviations of the
    truth's projections. The RV coefficient is tr(S₁₂ S₂₁) / √(tr S₁₁² · tr S₂₂²) of the paired
    projections (Robert & Escoufier 1976, doi:10.2307/2347233): 1 where they agree. Fields with a
    missing value are left out; of an ensemble, the mean is taken, and ranges are of its members.
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
        std = np.sqrt(setting.facts.total_variance)
        self._std = np.where(std > 0, std, 1)

    def _projection(self) -> tuple[sparse.csr_array, np.ndarray]:
        """Draws the matrix (SKETCH, C·h·w) of the projection; also returns the projected mean."""
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
        mean = np.broadcast_to(self.setting.facts.mean[:, None, None], values.shape)
        return matrix, matrix @ mean.ravel()

    def __getstate__(self) -> dict:
        # Drawn again where it arrives: smaller to send than the numbers.
        return {key: value for key, value in self.__dict__.items() if key != "_drawn"}

    def _sketches(self, batch: Batch) -> np.ndarray:
        """(n, SKETCH); NaN where a value is missing."""

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
        """Returns the fields (n,) without missing values."""
        sketches = self._sketches(truth), self._sketches(candidate)
        return np.isfinite(sketches).all((0, 2))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """The sketches of the fields without missing values."""
        if candidate is None:
            return {}
        whole = self._whole(truth, candidate)
        if not whole.any():
            return {}
        theirs, own = (self._sketches(batch)[whole] for batch in (truth, candidate))
        return {"times": truth.times[whole], "truth": theirs, "own": own}

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """The sketches of each member, of the fields without missing values."""
        whole = self._whole(truth, ensemble)
        if not whole.any():
            return []
        return [{"own": self._sketches(member)[whole]} for member in ensemble.each()]

    def result(self, state: State) -> xr.Dataset:
        """Distances over (projection, component) and over projection."""
        _, ordered = self.ordered(state)
        theirs, own = ordered["truth"], ordered["own"]
        count = min(COMPONENTS, len(theirs), SKETCH)
        mean = theirs.mean(0)
        _, _, vectors = np.linalg.svd(theirs - mean, full_matrices=False)
        components = {
            "random": (theirs[:, :count], own[:, :count]),
            "principal": ((theirs - mean) @ vectors[:count].T, (own - mean) @ vectors[:count].T),
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
        """Yields the figures that a folder of results gives; see :class:`Statistic`."""
        from phire.evaluation.figures.plan import Plan
        from phire.evaluation.figures.reading import has_values
        from phire.evaluation.figures.skill import projection_figure

        data = folder.metric("projections")
        if has_values(data, "wasserstein_mean"):
            yield Plan(
                "projections",
                "skill",
                "Distances of projected fields",
                "Fields projected on random directions and on the truth's principal components: "
                "distances of what remains.",
                functools.partial(projection_figure, data, styles=folder.styles),
            )


def rv_coefficient(first: np.ndarray, second: np.ndarray) -> float:
    """RV coefficient of paired samples (n, p) and (n, q); NaN without variance."""
    first, second = first - first.mean(0), second - second.mean(0)
    between = np.sum((first.T @ second) ** 2)
    within = np.sum((first.T @ first) ** 2) * np.sum((second.T @ second) ** 2)
    return float(between / np.sqrt(within)) if within > 0 else float("nan")


def _frechet(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 2 or not first.shape[1]:
        return float("nan")
    moments = [(s.mean(0), np.atleast_2d(np.cov(s, rowvar=False))) for s in (first, second)]
    return frechet_distance(*moments[0], *moments[1])


def _row_means(values: np.ndarray) -> np.ndarray:
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(-1) / present.sum(-1)
