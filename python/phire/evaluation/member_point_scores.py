"""Moments of each member's error, structural similarity and total variation, all members at once.

The statistics ``scores`` and ``members`` share them. They are the numbers that ``scores`` takes of
one field after another, at less cost: the truth is read once for all members, and of large grids
the similarity is taken in some rows only.
"""

from __future__ import annotations

import numpy as np

from phire.evaluation.accumulator import Batch, Ensemble, Setting
from phire.evaluation.member_fields import BAND_POINTS, MemberFields, member_fields
from phire.evaluation.similarity import UNIFORM, mean_similarity, similarity_in_rows
from phire.evaluation.total_variation import total_variation

WINDOWS = 1 << 16
"""Windows of all members of a field together, about; see :func:`member_similarity`."""

MOMENTS = 8
"""Sums of a member: of the error e, |e|, e², the truth's departure y′, y′², y′e, and of the truth's
anomaly a the sums a² and ae."""


def member_moments(setting: Setting, truth: Batch, ensemble: Ensemble) -> np.ndarray:
    """Returns the area-weighted means (n, C, M, :data:`MOMENTS`) of each member's error.

    Args:
        setting: Domain, and the truth's mean and climatology; anomalies are NaN without one.
        truth: Fields of the truth.
        ensemble: The members at the same times.
    """

    def compute() -> np.ndarray:
        fields = member_fields(setting.domain, truth, ensemble)
        moments = np.empty((*fields.observed.shape[:2], fields.size, MOMENTS))
        for place in np.ndindex(*moments.shape[:2]):
            moments[place] = _moments_of_field(setting, fields, place, int(truth.times[place[0]]))
        return moments

    return ensemble.once(("member moments", setting.domain), compute)


def _moments_of_field(
    setting: Setting, fields: MemberFields, place: tuple[int, int], time: int
) -> np.ndarray:
    """Means (M, :data:`MOMENTS`) of one time and channel."""
    domain, (i, c) = setting.domain, place
    observed, members = fields.observed[i, c], fields.members[i, :, c]
    weights = np.broadcast_to(domain.weights, domain.shape)
    weights = weights if fields.mask is None else weights * fields.mask[i, c]
    sums = np.zeros((len(members), MOMENTS))
    for rows in domain.bands(BAND_POINTS):
        area = weights[rows].ravel()
        truth = observed[rows].astype(np.float64).ravel() - setting.facts.mean[c]
        anomaly = _anomaly(setting, observed[rows], c, rows, time).ravel()
        errors = np.subtract(members[:, rows], observed[rows], dtype=np.float64)
        errors = errors.reshape(len(members), -1)
        # One product of matrices for the mean error and its products with the truth.
        factors = np.stack([area, area * truth, area * anomaly], axis=1)
        sums[:, [0, 5, 7]] += errors @ factors
        sums[:, [3, 4, 6]] += truth @ factors[:, 0], truth @ factors[:, 1], anomaly @ factors[:, 2]
        sums[:, 1] += np.abs(errors) @ area
        sums[:, 2] += np.square(errors, out=errors) @ area
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums / weights.sum()


def _anomaly(
    setting: Setting, observed: np.ndarray, channel: int, rows: slice, time: int
) -> np.ndarray:
    """Departures (h, w) of rows of the truth from the climatology; NaN without one."""
    facts = setting.facts
    if facts.climatology is None:
        return np.full(observed.shape, np.nan)
    climatology = setting.domain.cut(facts.climatology)[facts.groups[time], channel, rows]
    return np.subtract(observed, climatology, dtype=np.float64)


def member_similarity(setting: Setting, truth: Batch, ensemble: Ensemble) -> np.ndarray:
    """Returns the mean structural similarity (n, C, M) of each member.

    Of large grids it is that of the windows in every few rows: at most as few as there are
    members, so that all members have as many windows together as one field has.

    Args:
        setting: Domain, and the truth's range.
        truth: Fields of the truth.
        ensemble: The members at the same times.
    """
    domain = setting.domain
    fields = member_fields(domain, truth, ensemble)
    found = np.full((*fields.observed.shape[:2], fields.size), np.nan)
    if min(domain.shape) < UNIFORM.size:
        return found
    points = domain.shape[0] * domain.shape[1]
    step = min(max(1, points * fields.size // WINDOWS), fields.size)
    rows = domain.shape[0] - UNIFORM.size + 1
    tops = np.arange((rows - 1) % step // 2, rows, step)
    for i, c in np.ndindex(*found.shape[:2]):
        similarity, full = similarity_in_rows(
            fields.observed[i, c], fields.members[i, :, c], float(setting.facts.range[c]), tops,
            wraps=domain.window_grid.wraps, mask=None if fields.mask is None else fields.mask[i, c],
        )  # fmt: skip
        found[i, c] = [mean_similarity(domain, one, full, tops) for one in similarity]
    return found


def member_variation_difference(setting: Setting, truth: Batch, ensemble: Ensemble) -> np.ndarray:
    """Returns the total variation (n, C, M) of each member minus the truth's, a mean by area.

    Args:
        setting: Domain.
        truth: Fields of the truth.
        ensemble: The members at the same times.
    """
    domain = setting.domain
    fields = member_fields(domain, truth, ensemble)
    found = np.empty((*fields.observed.shape[:2], fields.size))
    for i, c in np.ndindex(*found.shape[:2]):
        mask = None if fields.mask is None else fields.mask[i, c]
        weight = domain.total_weight if mask is None else domain.total(mask)
        members = np.array([total_variation(domain, one, mask) for one in fields.members[i, :, c]])
        with np.errstate(invalid="ignore", divide="ignore"):
            found[i, c] = (members - total_variation(domain, fields.observed[i, c], mask)) / weight
    return found
