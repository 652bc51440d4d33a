"""Fit of climatologies by least squares, to a source or to a file (``phire climatology``).

``numpy.linalg.lstsq`` needs all times at once; here the normal equations of each point add up over
chunks of times, without missing values. ``tests/fields/test_climatologies.py`` checks the
coefficients against it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phire import progress, provenance, value_text
from phire.errors import InputError, naming_arguments
from phire.fields.climatologies import (
    LEAST_VARIANCE,
    STATISTICS_OF,
    Climatology,
    described_statistics,
    harmonic_basis,
    require_dates,
)
from phire.fields.ensemble import open_fields
from phire.fields.source import Source, Times, close, indices
from phire.fields.source_writing import fields_already_made
from phire.fields.time_blocks import blocks

LEAST_VALUES = 10
"""Smallest number of values for each coefficient of a point, unless there are few fields."""

PHASES = 360
"""Number of phases of the year at which standard deviations of points are averaged."""

LEAST_SHARE = 0.1
"""Lower bound of the smallest eigenvalue of a point's normal matrix, as a share of the eigenvalue
without missing values. Below it a season lacks values, and harmonics would be extrapolated."""

ROUNDING = 1e-12
"""Variance, as a share of the squared mean, below which values are constant up to rounding."""


@naming_arguments()
def fit_climatology(
    source: Source,
    *,
    statistics_of: str = "domain",
    harmonics: int = 0,
    times: Times | None = None,
) -> Climatology:
    """Fits harmonics of mean and variance by least squares over all valid values.

    Points with few values, or without values in some seasons, get the statistics of the domain.
    The fields are read twice, and twice more if there are such points. Memory does not grow with
    the number of fields.

    Args:
        source: The training data.
        statistics_of: ``domain``, ``point`` or ``mean-of-points``, see :data:`STATISTICS_OF`.
        harmonics: Number of harmonics of the year; 0 for one value over the year.
        times: Indices of the fields to use; by default all.

    Raises:
        InputError: An argument is out of range; harmonics are requested of fields without dates;
            or a channel has no valid value, an infinite value, or only one value.
    """
    if statistics_of not in STATISTICS_OF:
        raise InputError(
            f"--statistics-of {statistics_of} must be one of {', '.join(STATISTICS_OF)}."
        )
    if not 0 <= harmonics <= 6:
        raise InputError(f"--seasonal {harmonics}: give a number of harmonics from 0 to 6.")
    chosen = indices(slice(None) if times is None else times, len(source.time))
    time = source.time[chosen]
    if harmonics:
        require_dates(time)
    basis = harmonic_basis(time, harmonics)
    mean, _, weights = _regression(source, chosen, basis, statistics_of, None)
    variance, plain, _ = _regression(source, chosen, basis, statistics_of, mean)
    for c, channel in enumerate(source.channels):
        if not np.isfinite(mean[c]).any():
            raise InputError(f"channel {channel} has no valid value: leave it out.")
        if not (plain[c] > 0).any():
            raise InputError(
                f"channel {channel} is constant and cannot be standardised: leave it out."
            )
    few = _too_few(weights, basis)
    if statistics_of == "mean-of-points":
        mean, variance, plain = _mean_of_points(mean, variance, plain, few)
    # At a constant point all deviations are 0; a standard deviation of 1 avoids 0/0.
    constant = plain <= ROUNDING * mean[:, 0] ** 2
    variance[:, 0][constant] = plain[constant] = 1
    if statistics_of == "point" and few.any():
        whole = fit_climatology(source, harmonics=harmonics, times=chosen)
        for of_points, of_domain in ((mean, whole.mean), (variance, whole.variance)):
            np.copyto(of_points, of_domain, where=few[:, None])
        np.copyto(plain, whole.plain_variance, where=few)
        count = value_text.counted(int(few.any(0).sum()), "point")
        progress.say(
            f"Note: the statistics of the domain are used at {count} with too few values, or "
            "without values in a part of the year."
        )
    return Climatology(
        tuple(source.channels), tuple(source.units), statistics_of, harmonics, mean, variance,
        plain, tuple(sorted(set(time.months().tolist()))) if harmonics else (),
        source.grid if statistics_of == "point" else None,
    )  # fmt: skip


def _mean_of_points(
    mean: np.ndarray, variance: np.ndarray, plain: np.ndarray, few: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the spatial means of the points' means and standard deviations.

    The square of the mean standard deviation is not a sum of harmonics; the harmonics of the
    variance are fitted to it by least squares over the year.

    Args:
        mean: (C, M, h, w) coefficients of the mean.
        variance: (C, M, h, w) coefficients of the variance.
        plain: (C, h, w) variance over the year.
        few: (C, h, w) mask of points that are left out, unless it covers all points.

    Returns:
        ``mean``, ``variance`` and ``plain`` with h = w = 1.
    """
    count, terms = mean.shape[:2]
    phase = 2 * np.pi * np.arange(PHASES) / PHASES
    harmonics = np.arange(1, terms // 2 + 1)[:, None] * phase
    waves = np.stack([np.cos(harmonics), np.sin(harmonics)], axis=1).reshape(-1, PHASES)
    basis = np.concatenate([np.ones((1, PHASES)), waves])
    averaged = np.empty((count, terms)), np.empty((count, terms)), np.empty(count)
    for c in range(count):
        known = np.isfinite(plain[c])
        used = known & ~few[c] if (known & ~few[c]).any() else known
        least = LEAST_VARIANCE * plain[c][used]
        squares = np.maximum(np.einsum("mp,mk->pk", variance[c][:, used], basis), least[:, None])
        deviation = np.sqrt(squares).mean(0)
        averaged[0][c] = mean[c][:, used].mean(-1)
        averaged[1][c] = np.linalg.lstsq(basis.T, deviation**2, rcond=None)[0]
        averaged[2][c] = np.sqrt(plain[c][used]).mean() ** 2
    return tuple(values[..., None, None] for values in averaged)


def _too_few(weights: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Returns the mask (C, h, w) of points with too few values to determine the coefficients.

    Args:
        weights: (C, M, M, h, w) normal matrices of the points.
        basis: (n, M) basis functions at all times. A point with values at all times is never
            masked.
    """
    number, terms = basis.shape
    count = weights[:, 0, 0]
    few = count < min(LEAST_VALUES * terms, number / 2)
    matrices = np.moveaxis(weights / np.maximum(count, 1)[:, None, None], (1, 2), (-2, -1))
    least = np.linalg.eigvalsh(matrices)[..., 0]
    return few | (least < LEAST_SHARE * np.linalg.eigvalsh(basis.T @ basis / number)[0])


def _regression(
    source: Source, chosen: np.ndarray, basis: np.ndarray, of: str, mean: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits harmonics to fields, or to their squared deviations from a mean, by least squares.

    Args:
        source: The training data.
        chosen: Indices of the fields.
        basis: (n, M) basis functions at the times of the fields.
        of: See ``statistics_of`` of :func:`fit_climatology`.
        mean: (C, M, h, w) coefficients of the mean, for squared deviations; None for fields.

    Returns:
        Coefficients (C, M, h, w); mean (C, h, w) over all times; and normal matrices
        (C, M, M, h, w), with h = w = 1 if they are equal at all points.
    """
    channels, terms = len(source.channels), basis.shape[1]
    shape = (1, 1) if of == "domain" else source.grid.shape
    products = np.zeros((channels, terms, *shape))
    # One normal matrix for all points, until a value is missing: a single one has to be inverted.
    weights = np.zeros((channels, terms, terms, 1, 1))
    description = "climatology" if mean is None else "deviations from it"
    with progress.progress_bar(description, len(chosen), "fields") as advance:
        for block in blocks(source, len(chosen)):
            for field, row in zip(source.read(chosen[block]), basis[block]):
                weights = _add(products, weights, field, row, mean, source.channels)
            advance(block.stop - block.start)
    # The pseudo-inverse: a season without values leaves its harmonics undetermined.
    inverse = np.linalg.pinv(np.moveaxis(weights, (1, 2), (-2, -1)), hermitian=True, rcond=1e-9)
    inverse = np.broadcast_to(inverse, (channels, *shape, terms, terms))
    coefficients = np.einsum("chwij,cjhw->cihw", inverse, products)
    coefficients[np.broadcast_to((weights[:, :1, 0] == 0), coefficients.shape)] = np.nan
    with np.errstate(invalid="ignore"):
        return coefficients, products[:, 0] / weights[:, 0, 0], weights


def _add(
    products: np.ndarray,
    weights: np.ndarray,
    field: np.ndarray,
    row: np.ndarray,
    mean: np.ndarray | None,
    channels: Sequence[str],
) -> np.ndarray:
    """Adds one field to the normal equations.

    Args:
        products: (C, M, h, w) right sides, updated in place.
        weights: (C, M, M, h, w) normal matrices, with h = w = 1 while they are equal at all points.
        field: (H, W, C).
        row: (M,) basis functions at the time of the field.
        mean, channels: See :func:`_regression`.

    Returns:
        The updated normal matrices; after the first missing value, one for each point.
    """
    values = np.moveaxis(field, -1, 0).astype(np.float64)
    if np.isinf(values).any():
        c = int(np.isinf(values).any((1, 2)).argmax())
        raise InputError(f"channel {channels[c]} has infinite values: mark them as missing (NaN).")
    if mean is not None:
        values = (values - np.einsum("m,cmhw->chw", row, mean)) ** 2
    present = np.isfinite(values)
    values = np.where(present, values, 0)
    if products.shape[2:] == (1, 1):
        values, present = (v.sum((1, 2), keepdims=True) for v in (values, present))
    elif present.all():
        present = np.ones((len(values), 1, 1))
    elif weights.shape[3:] == (1, 1):
        weights = np.broadcast_to(weights, (*weights.shape[:3], *products.shape[2:])).copy()
    products += row[:, None, None] * values[:, None]
    weights += np.outer(row, row)[:, :, None, None] * present[:, None, None]
    return weights


@naming_arguments()
def climatology(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    statistics_of: str = "domain",
    seasonal: int = 0,
    variables: Sequence[str] | None = None,
    time: str | tuple[str | None, str | None] | None = None,
    overwrite: bool = False,
) -> None:
    """Fits the climatology of a file and writes it; see :func:`fit_climatology`.

    Args:
        source: A field store, NetCDF, Zarr or GRIB file.
        output: Path of the climatology (.h5).
        statistics_of: ``domain``, ``point`` or ``mean-of-points``, see :data:`STATISTICS_OF`.
        seasonal: Number of harmonics of the year; 0 for one value over the year.
        variables: Names of the variables to use; by default all.
        time: Half-open range START,STOP.
        overwrite: Replace an existing output.

    Raises:
        InputError: The file lacks a variable or time, or the output exists and was made with
            other options.
    """
    options = {
        "source": os.path.realpath(source), "fingerprint": provenance.fingerprint(Path(source)),
        "statistics_of": statistics_of, "seasonal": seasonal,
        "variables": None if variables is None else list(variables), "time": time,
    }  # fmt: skip
    if Path(output).suffix != ".h5":
        raise InputError(f"{output}: name an output that ends with .h5.")
    if fields_already_made(output, options, overwrite):
        return
    fields = open_fields(source, variables)
    try:
        times = fields.time.select_range(time)
        found = fit_climatology(
            fields, statistics_of=statistics_of, harmonics=seasonal, times=times
        )
        found.save(output, provenance.record(options))
    finally:
        close(fields)
    progress.say(
        f"{output}: mean and standard deviation of {', '.join(found.channels)}, "
        f"{described_statistics(statistics_of)}, {seasonal} harmonic{'s' * (seasonal != 1)} of "
        f"the year, of {len(times)} fields."
    )
