"""Pointwise scores of all members at once: moments of errors, SSIM and total variation.

The statistics ``scores`` and ``members`` use them. The results equal those of ``scores`` for single
fields, but cost less: the truth is processed once for all members, and on large grids SSIM is
computed in some rows only.
"""

from __future__ import annotations

import numpy as np

from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.member_fields import BAND_POINTS, MemberFields, member_fields
from phire.evaluation.setting import Setting
from phire.evaluation.structural_similarity import UNIFORM, mean_similarity, similarity_in_rows
from phire.evaluation.total_variation import total_variation

WINDOWS = 1 << 16
"""Approximate number of windows of all members of a field; see :func:`member_similarity`."""

MOMENTS = 8
"""Number of moments of a member: the means of e, |e|, e², y′, y′², y′e, a² and ae, where e is the
error, y′ the truth's departure from its mean, and a the truth's anomaly from the climatology."""


def member_moments(setting: Setting, truth: Batch, ensemble: Ensemble) -> np.ndarray:
    """Returns the area-weighted moments of each member, (n, C, M, :data:`MOMENTS`).

    Args:
        setting: Setting with the domain, and the truth's mean and climatology; without a
            climatology, moments of anomalies are NaN.
        truth: Fields of the truth.
        ensemble: Fields of the members at the same times.
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
    """Returns the moments (M, :data:`MOMENTS`) of one time and channel."""
    domain, (i, c) = setting.domain, place
    observed, members = fields.observed[i, c], fields.members[i, :, c]
    weights = np.broadcast_to(domain.weights, domain.shape)
    weights = weights if fields.mask is None else weights * fields.mask[i, c]
    sums = np.zeros((len(members), MOMENTS))
    for rows in domain.bands(BAND_POINTS):
        area = weights[rows].ravel()
        values = observed[rows].astype(np.float64)
        truth = values.ravel() - setting.truth_moments.mean[c]
        anomaly = _anomaly(setting, observed[rows], c, rows, time)
        if fields.mask is not None:  # the climatology may lack what the fields lack
            anomaly = np.where(fields.mask[i, c, rows], anomaly, 0)
        anomaly = anomaly.ravel()
        # A subtraction that converts its arguments took twice as long as the conversion before it,
        # and one product with three columns twice as long as three products.
        errors = members[:, rows].astype(np.float64)
        errors -= values
        errors = errors.reshape(len(members), -1)
        with_truth, with_anomaly = area * truth, area * anomaly
        for moment, factor in ((0, area), (5, with_truth), (7, with_anomaly)):
            sums[:, moment] += errors @ factor
        sums[:, [3, 4, 6]] += truth @ area, truth @ with_truth, anomaly @ with_anomaly
        sums[:, 1] += np.abs(errors, out=errors) @ area
        sums[:, 2] += np.square(errors, out=errors) @ area
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums / weights.sum()


def _anomaly(
    setting: Setting, observed: np.ndarray, channel: int, rows: slice, time: int
) -> np.ndarray:
    """Returns the anomalies (h, w) of some rows of the truth; NaN without a climatology."""
    truth_moments = setting.truth_moments
    if truth_moments.climatology is None:
        return np.full(observed.shape, np.nan)
    climatology = setting.domain.cut(truth_moments.climatology)[
        truth_moments.groups[time], channel, rows
    ]
    return np.subtract(observed, climatology, dtype=np.float64)


def member_similarity(setting: Setting, truth: Batch, ensemble: Ensemble) -> np.ndarray:
    """Returns the mean structural similarity (n, C, M) of each member.

    On large grids only the windows in every few rows are used. The step is at most twice the number
    of members, so that all members together have at least half as many windows as a single field.

    Args:
        setting: Setting with the domain, and the truth's range.
        truth: Fields of the truth.
        ensemble: Fields of the members at the same times.
    """
    domain = setting.domain
    fields = member_fields(domain, truth, ensemble)
    found = np.full((*fields.observed.shape[:2], fields.size), np.nan)
    if min(domain.shape) < UNIFORM.size:
        return found
    points = domain.shape[0] * domain.shape[1]
    step = min(max(1, points * fields.size // WINDOWS), 2 * fields.size)
    rows = domain.shape[0] - UNIFORM.size + 1
    tops = slice((rows - 1) % step // 2, rows, step)
    for i, c in np.ndindex(*found.shape[:2]):
        similarity, full = similarity_in_rows(
            fields.observed[i, c], fields.members[i, :, c],
            float(setting.truth_moments.range[c]), tops, wraps=domain.window_grid.wraps,
            mask=None if fields.mask is None else fields.mask[i, c],
        )  # fmt: skip
        found[i, c] = [mean_similarity(domain, one, full, tops) for one in similarity]
    return found


def member_variation_difference(setting: Setting, truth: Batch, ensemble: Ensemble) -> np.ndarray:
    """Returns the area-weighted total variation (n, C, M) of each member minus the truth's.

    Args:
        setting: Setting with the domain.
        truth: Fields of the truth.
        ensemble: Fields of the members at the same times.
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
