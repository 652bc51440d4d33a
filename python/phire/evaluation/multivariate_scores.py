"""Energy score and variogram score of patches: multivariate scores of ensembles.

scoringrules holds all pairs of members and points in memory; here patches are cut and scored in
turn. ``tests/evaluation/test_multivariate_scores.py`` checks both scores against scoringrules.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.member_fields import member_fields
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

SIDE = 8
"""Points along a side of a patch."""

PATCHES = 128
"""Largest number of patches of a field; of larger fields, as many are drawn once for all times."""

VARIABLES = (
    Definition(
        "energy_score", "Energy score of patches",
        "E‖X − y‖ − ½ E‖X − X′‖ of patches of 8 × 8 points, ‖·‖ the root of the area-weighted mean "
        "square over the patch",
        CHANNEL, LOWER, "Gneiting & Raftery (2007), doi:10.1198/016214506000001437",
    ),
    Definition(
        "energy_score_fair", "Fair energy score of patches",
        "as the energy score, with X′ a member other than X", CHANNEL, LOWER,
        "Ferro (2014), doi:10.1002/qj.2270",
    ),
    Definition(
        "variogram_score", "Variogram score of patches",
        "(|yᵢ − yⱼ|^½ − E|Xᵢ − Xⱼ|^½)², mean over the pairs of points i ≠ j of a patch", CHANNEL,
        LOWER,
        "Scheuerer & Hamill (2015), doi:10.1175/MWR-D-14-00269.1",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("patch_scores")
class PatchScores(Statistic):
    """Energy and variogram scores of patches of 8 × 8 points, by channel and time.

    The CRPS scores each point separately; these scores also measure the dependence between points.
    Patches are weighted by area; a patch with a missing value is left out.
    """

    order = 113
    title = "Scores of patches"
    definitions = VARIABLES
    summary = (
        ("energy_score_fair_mean", "energy_score_fair"),
        ("variogram_score_mean", "variogram_score"),
    )
    series = ("times", "scores")
    of_truth = False
    ensemble = "all"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        height, width = self.domain.shape
        self.side = min(SIDE, height, width)
        rows = np.arange(0, height - self.side + 1, self.side)
        columns = np.arange(0, width - self.side + 1, self.side)
        corners = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
        if corners.shape[1] > PATCHES:
            random = np.random.default_rng([setting.seed, 4])
            corners = random.choice(corners, PATCHES, axis=1, replace=False)
        inside = np.indices((self.side, self.side)).reshape(2, -1)
        self._rows, self._columns = corners[..., None] + inside[:, None]
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        self._weights = weights[self._rows, self._columns].astype(np.float64)

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires fields of at least 2 × 2 points."""
        if min(setting.domain.shape) < 2:
            return "patches need at least 2 × 2 points"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns scores (n, C, 3) by time: plain and fair energy score, variogram score."""
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        scores = np.full((*fields.observed.shape[:2], 3), np.nan)
        for i, c in np.ndindex(*scores.shape[:2]):
            whole = (self._weights > 0).all(1)
            if fields.mask is not None:
                whole &= fields.mask[i, c][self._rows, self._columns].all(1)
            if not whole.any():
                continue
            rows, columns = self._rows[whole], self._columns[whole]
            observed = fields.observed[i, c][rows, columns].astype(np.float64)
            members = fields.members[i, :, c][:, rows, columns].astype(np.float64)
            weights = self._weights[whole]
            area = weights.sum(1)
            found = (
                *energy_scores(observed, members, weights / area[:, None]),
                variogram_score(observed, members),
            )
            scores[i, c] = [np.average(values, weights=area) for values in found]
        return {"times": truth.times, "scores": scores}

    def result(self, state: State) -> xr.Dataset:
        """Returns each score over (channel, time), and its mean."""
        times, ordered = self.ordered(state)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        for name, values in zip(
            ("energy_score", "energy_score_fair", "variogram_score"),
            np.moveaxis(ordered["scores"], -1, 0),
        ):
            # The variogram score squares differences of roots, which gives the channel's units.
            dataset[name] = (("channel", "time"), values.T, self.units())
            dataset[f"{name}_mean"] = ("channel", mean_of_present(values, 0), self.units())
        dataset.attrs["patch"] = self.side
        return dataset


def energy_scores(
    observed: np.ndarray, members: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the energy score E‖X − y‖ − ½ E‖X − X′‖ of patches, plain and fair.

    X′ is drawn from all members (plain), or from the members other than X (fair).

    Args:
        observed: (p, k) values of each patch.
        members: (M, p, k) values of the members.
        weights: (p, k) weights of the points, of sum 1 in each patch.

    Returns:
        Plain and fair score, each (p,); the fair score of a single member is NaN.

    Source:
        Gneiting & Raftery (2007), doi:10.1198/016214506000001437; Ferro (2014),
        doi:10.1002/qj.2270.
    """
    size = len(members)
    # One matrix product (p, M, M) gives all squared distances: |a − b|² = a·a + b·b − 2 a·b.
    errors = np.swapaxes((members - observed) * np.sqrt(weights), 0, 1)
    products = errors @ np.swapaxes(errors, 1, 2)
    squares = np.einsum("pmm->pm", products)
    distance = np.sqrt(squares).mean(-1)
    among = squares[:, :, None] + squares[:, None, :] - 2 * products
    among = np.sqrt(np.maximum(among, 0, out=among), out=among).sum((1, 2))
    fair = among / (2 * size * (size - 1)) if size > 1 else np.full_like(among, np.nan)
    return distance - among / (2 * size**2), distance - fair


def variogram_score(observed: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Returns the variogram score of order ½ (p,) of patches.

    It is the mean over pairs of points i ≠ j of (|yᵢ − yⱼ|^½ − E|Xᵢ − Xⱼ|^½)².

    Args:
        observed: (p, k) values of each patch.
        members: (M, p, k) values of the members.

    Source:
        Scheuerer & Hamill (2015), doi:10.1175/MWR-D-14-00269.1.
    """
    points, size = observed.shape[1], len(members)
    total = np.zeros(len(observed))
    # Relative to the patch's first point, single precision suffices: the error of the roots is
    # 10⁻⁷ of the largest.
    fields = np.concatenate([observed[None], members]) - observed[:, :1]
    fields = np.ascontiguousarray(np.swapaxes(fields, 1, 2), np.float32)  # (M + 1, k, p)
    share = np.full(size, 1 / size, np.float32)
    for first in range(points - 1):
        roots = fields[:, first + 1 :] - fields[:, first : first + 1]
        np.sqrt(np.abs(roots, out=roots), out=roots)
        mean = (share @ roots[1:].reshape(size, -1)).reshape(roots[0].shape)
        total += ((roots[0] - mean) ** 2).sum(0, dtype=np.float64)
    return total / (points * (points - 1) / 2)
