"""Fitting of climatologies by least squares: of a source, and of a file as a command does it."""

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
from phire.fields.source_writing import already_made, blocks

LEAST_VALUES = 10
"""Least number of values a coefficient of a point, where the fields are not themselves few."""

PHASES = 360
"""Phases of the year at which standard deviations of points are averaged."""

LEAST_SHARE = 0.1
"""Least eigenvalue of a point's normal matrix, in that of a point without missing values: less
where values of a season are missing, so that its harmonics would be extrapolated."""

ROUNDING = 1e-12
"""Share of the squared mean below which a variance is that of rounding."""


@naming_arguments()
def fit_climatology(
    source: Source,
    *,
    statistics_of: str = "domain",
    harmonics: int = 0,
    times: Times | None = None,
) -> Climatology:
    """Fits mean and variance by least squares over all values that are not missing.

    Points with few values, or with values of a part of the seasons alone, have the statistics of
    the domain. The fields are read twice, and twice more for such points; memory does not grow
    with their number.

    Args:
        source: The training data.
        statistics_of: ``domain``, ``point`` or ``mean-of-points``, see :data:`STATISTICS_OF`.
        harmonics: Number of harmonics of the year; 0 for one value over the year.
        times: The fields to use; all if not given.

    Raises:
        InputError: There are no dates where harmonics are wanted, a channel has no values or is
            constant, or infinite values.
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
            raise InputError(f"channel {channel} holds nothing but missing values: leave it out.")
        if not (plain[c] > 0).any():
            raise InputError(f"channel {channel} is constant: it cannot be standardised.")
    few = _too_few(weights, basis)
    if statistics_of == "mean-of-points":
        mean, variance, plain = _mean_of_points(mean, variance, plain, few)
    # A constant point has deviations of 0, which a standard deviation of 1 leaves as they are.
    constant = plain <= ROUNDING * mean[:, 0] ** 2
    variance[:, 0][constant] = plain[constant] = 1
    if statistics_of == "point" and few.any():
        whole = fit_climatology(source, harmonics=harmonics, times=chosen)
        for own, common in ((mean, whole.mean), (variance, whole.variance)):
            np.copyto(own, common, where=few[:, None])
        np.copyto(plain, whole.plain_variance, where=few)
        count = value_text.counted(int(few.any(0).sum()), "point")
        progress.say(
            f"Note: the statistics of the domain stand for {count} with few values, or with values "
            "of a part of the year alone."
        )
    return Climatology(
        tuple(source.channels), tuple(source.units), statistics_of, harmonics, mean, variance,
        plain, tuple(sorted(set(time.months().tolist()))) if harmonics else (),
        source.grid if statistics_of == "point" else None,
    )  # fmt: skip


def _mean_of_points(
    mean: np.ndarray, variance: np.ndarray, plain: np.ndarray, few: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Averages means and standard deviations of points; one value of each for the domain.

    Harmonics of the variance follow, by least squares over the year, the square of the mean
    standard deviation, which is not itself a sum of harmonics.

    Args:
        mean: (C, M, h, w) coefficients.
        variance: The same of the squared deviations.
        plain: (C, h, w) mean of the squared deviations.
        few: (C, h, w) mask of points that do not count, unless there are no others.
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
    """Returns the mask (C, h, w) of points whose values do not determine the coefficients.

    Args:
        weights: (C, M, M, h, w) normal matrices of the points.
        basis: (n, M) of all times; a point with values at all of them is never masked.
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
    """Coefficients (C, M, h, w) of the fields, or of their squared deviations from ``mean``.

    The second result is the plain mean (C, h, w) of the same, the third the normal matrices
    (C, M, M, h, w), of h and w 1 where those of all points are alike.
    """
    channels, terms = len(source.channels), basis.shape[1]
    shape = (1, 1) if of == "domain" else source.grid.shape
    products = np.zeros((channels, terms, *shape))
    # Of all points alike while no value is missing: one matrix to invert instead of one a point.
    weights = np.zeros((channels, terms, terms, 1, 1))
    description = "climatology" if mean is None else "deviations from it"
    with progress.progress_bar(description, len(chosen), "fields") as advance:
        for block in blocks(source, len(chosen)):
            for field, row in zip(source.read(chosen[block]), basis[block]):
                weights = _add(products, weights, field, row, mean, source.channels)
            advance(block.stop - block.start)
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
    """Adds one field (H, W, C) to the normal equations; returns the weights, perhaps by point."""
    values = np.moveaxis(field, -1, 0).astype(np.float64)
    if np.isinf(values).any():
        c = int(np.isinf(values).any((1, 2)).argmax())
        raise InputError(f"channel {channels[c]} holds infinite values: mark them as missing.")
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
    """Fits the climatology of a file; see :func:`fit_climatology`.

    Args:
        source: A field store, NetCDF, Zarr or GRIB.
        output: The climatology to make (.h5).
        statistics_of: ``domain``, ``point`` or ``mean-of-points``, see :data:`STATISTICS_OF`.
        seasonal: Number of harmonics of the year; 0 for one value over the year.
        variables: Names of the variables to take; by default all.
        time: Half-open range START,STOP.
        overwrite: Replace an output that is there.

    Raises:
        InputError: What is asked for is not there, or the output was made by something else.
    """
    options = {
        "source": os.path.realpath(source), "fingerprint": provenance.fingerprint(Path(source)),
        "statistics_of": statistics_of, "seasonal": seasonal,
        "variables": None if variables is None else list(variables), "time": time,
    }  # fmt: skip
    if Path(output).suffix != ".h5":
        raise InputError(f"{output}: name a climatology that ends with .h5.")
    if already_made(output, options, overwrite):
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
