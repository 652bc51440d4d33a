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
    mask = None if fields.mask is None else fields.mask[i, c]
    # Single precision, also of sums along a row, changed RMSE and MAE by at most 2·10⁻⁸ and took
    # 5 ms in place of 7 ms for 16 members of 512 × 512 points.
    kind = np.result_type(members, np.float32)
    sums = np.zeros((len(members), MOMENTS))
    for rows in domain.bands(BAND_POINTS):
        truth = observed[rows] - setting.truth_moments.mean[c]
        anomaly = _anomaly(setting, observed[rows], c, rows, time)
        if mask is not None:
            truth, anomaly = (np.where(mask[rows], one, 0) for one in (truth, anomaly))
        sums[:, 3] += domain.total(truth, rows)
        sums[:, 4] += domain.total_product(truth, truth, rows)
        sums[:, 6] += domain.total_product(anomaly, anomaly, rows)
        area, of_rows = domain.weights[rows], np.ones(len(truth))
        if area.shape[1] == 1:
            area, of_rows = np.ones_like(truth), area[:, 0]

        def total(values: np.ndarray, factor: np.ndarray, of_rows=of_rows) -> np.ndarray:
            return np.vecdot(values, factor.astype(kind)) @ of_rows

        errors = np.subtract(members[:, rows], observed[rows], dtype=kind)
        for moment, factor in ((0, area), (5, area * truth), (7, area * anomaly)):
            sums[:, moment] += total(errors, factor)
        sums[:, 1] += total(np.abs(errors), area)
        sums[:, 2] += total(np.square(errors, out=errors), area)
    weight = domain.total_weight if mask is None else domain.total(mask)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums / weight


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

    On large grids only the windows in every few rows are used. The step is at most the number of
    members, so that all members together have at least as many windows as a single field.

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
    step = min(max(1, points * fields.size // WINDOWS), fields.size)
    rows = domain.shape[0] - UNIFORM.size + 1
    tops = np.arange((rows - 1) % step // 2, rows, step)
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
