"""Climatologies: mean and standard deviation by season, over the domain or at each point."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phire import files, progress, provenance, value_text
from phire.errors import InputError, naming_arguments
from phire.fields.covariates import year_phase
from phire.fields.curvilinear import grid_from_dict
from phire.fields.ensemble import open_fields
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.source import Source, Times, close, indices
from phire.fields.source_writing import already_made, blocks
from phire.fields.time import TimeAxis

STATISTICS_OF = ("domain", "point", "mean-of-points")
"""Statistics of all values of the domain; of each point; or the spatial means of the points' means
and standard deviations, so that the latter leave out differences from place to place."""

LEAST_VARIANCE = 1 / 16
"""Least share of the plain variance that a season has: its harmonics may fall below 0."""

LEAST_VALUES = 10
"""Least number of values a coefficient of a point, where the fields are not themselves few."""

PHASES = 360
"""Phases of the year at which standard deviations of points are averaged."""

LEAST_SHARE = 0.1
"""Least eigenvalue of a point's normal matrix, in that of a point without missing values: less
where values of a season are missing, so that its harmonics would be extrapolated."""

ROUNDING = 1e-12
"""Share of the squared mean below which a variance is that of rounding."""

ARRAYS = ("mean", "variance", "plain_variance")

FORMAT = "phire climatology 1"


@dataclasses.dataclass(frozen=True, eq=False)
class Climatology:
    """Mean and variance of channels as harmonics of the part of the year that has passed.

    A value at the phase φ of the year is a₀ + Σ_k (a_k cos 2πkφ + b_k sin 2πkφ): no month jumps.

    Attributes:
        channels: Names of the channels.
        units: Their units.
        statistics_of: ``domain``, ``point`` or ``mean-of-points``, see :data:`STATISTICS_OF`.
        harmonics: Number of harmonics; 0 where the season does not matter.
        mean: (C, 1 + 2·harmonics, h, w) coefficients; h and w are 1 but of points.
        variance: The same of the squared deviations from the mean.
        plain_variance: (C, h, w) mean of the squared deviations, whatever the season.
        months: Months of the year that the fields were of; empty without harmonics.
        grid: The grid of the points; None where the statistics are not of each point.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    statistics_of: str
    harmonics: int
    mean: np.ndarray
    variance: np.ndarray
    plain_variance: np.ndarray
    months: tuple[int, ...] = ()
    grid: Grid | None = None

    def moments(self, time: TimeAxis) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (n, h, w, C) at some times.

        Raises:
            InputError: A time lies in a month that the climatology does not know.
        """
        self.require_months(time)
        basis = harmonic_basis(time, self.harmonics)
        mean, variance = (
            np.einsum("nm,cmhw->nhwc", basis, coefficients)
            for coefficients in (self.mean, self.variance)
        )
        least = LEAST_VARIANCE * np.moveaxis(self.plain_variance, 0, -1)
        return mean, np.sqrt(np.maximum(variance, least))

    def require_months(self, time: TimeAxis) -> None:
        """Raises InputError for times in months that the climatology has no data of.

        Raises:
            InputError: There is such a time, or the times have no dates.
        """
        if not self.harmonics:
            return
        _require_dates(time)
        unknown = sorted(set(time.months().tolist()) - set(self.months))
        if unknown:
            raise InputError(
                f"the climatology is of the months {', '.join(map(str, self.months))}, the fields "
                f"also of {', '.join(map(str, unknown))}: make it of fields of all months."
            )

    def select(self, channels: Sequence[str]) -> Climatology:
        """Returns the climatology of some channels, in the order given.

        Raises:
            InputError: A channel is not among its own.
        """
        missing = [name for name in channels if name not in self.channels]
        if missing:
            raise InputError(
                f"the climatology has no channel {', '.join(missing)}; it has "
                f"{', '.join(self.channels)}."
            )
        places = [self.channels.index(name) for name in channels]
        return dataclasses.replace(
            self, channels=tuple(channels), units=tuple(self.units[p] for p in places),
            mean=self.mean[places], variance=self.variance[places],
            plain_variance=self.plain_variance[places],
        )  # fmt: skip

    def at(self, points: tuple[np.ndarray, np.ndarray], grid: Grid) -> Climatology:
        """Returns the climatology of some points; of a domain itself.

        Args:
            points: Their rows and columns.
            grid: The grid of these.
        """
        if self.grid is None:
            return self
        rows, columns = points[0][:, None], points[1]
        arrays = {name: getattr(self, name)[..., rows, columns] for name in ARRAYS}
        return dataclasses.replace(self, grid=grid, **arrays)

    def summary(self) -> dict[str, Any]:
        """Returns the JSON form: coefficients of the domain; of arrays of points a hash."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name), "<f8"))
        coefficients = {
            name: getattr(self, name)[..., 0, 0].tolist() for name in ARRAYS if self.grid is None
        }
        return {
            "channels": list(self.channels), "statistics_of": self.statistics_of,
            "harmonics": self.harmonics, "months": list(self.months), **coefficients,
            "fingerprint": digest.hexdigest()[:16],
        }  # fmt: skip

    def write(self, group: h5py.Group) -> None:
        """Writes the climatology into a group of an HDF5 file."""
        described = {
            "format": FORMAT, "channels": self.channels, "units": self.units,
            "statistics_of": self.statistics_of, "harmonics": self.harmonics,
            "months": self.months, "grid": None if self.grid is None else self.grid.to_dict(),
        }  # fmt: skip
        for name in ARRAYS:
            group[name] = getattr(self, name)
        # As data: an attribute holds 64 kB at most, and grids of points are larger.
        group["description"] = json.dumps(described)

    @classmethod
    def read(cls, group: h5py.Group, path: str | os.PathLike) -> Climatology:
        """Reads what :meth:`write` wrote.

        Args:
            group: The group.
            path: Its file, for messages.

        Raises:
            InputError: The group holds something else.
        """
        try:
            described = json.loads(group["description"][()])
            arrays = {name: group[name][...] for name in ARRAYS}
        except (OSError, KeyError, ValueError):
            raise InputError(f"{path} is no climatology of `phire climatology`.") from None
        if described.pop("format", None) != FORMAT:
            raise InputError(f"{path} is a climatology of another version: make it again.")
        grid = described.pop("grid")
        lists = {name: tuple(described.pop(name)) for name in ("channels", "units", "months")}
        return cls(
            **described, **lists, **arrays,
            grid=None if grid is None else grid_from_dict(grid),
        )  # fmt: skip

    def save(self, path: str | os.PathLike, record: dict[str, Any]) -> None:
        """Writes the climatology to an HDF5 file with what made it."""
        with files.replacing(path) as partial, GuardedHDF5(partial) as file:
            self.write(file)
            file.attrs["phire"] = json.dumps(record)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Climatology:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: The file is missing or holds something else.
        """
        if not Path(path).exists():
            raise InputError(f"{path} does not exist: make it with `phire climatology`.")
        try:
            with h5py.File(path, "r") as file:
                return cls.read(file, path)
        except OSError:
            raise InputError(f"{path} is no climatology of `phire climatology`.") from None


def described_statistics(statistics_of: str) -> str:
    """Returns a member of :data:`STATISTICS_OF` in words."""
    return (
        "of the mean of the points"
        if statistics_of == "mean-of-points"
        else f"of each {statistics_of}"
    )


def harmonic_basis(time: TimeAxis, harmonics: int) -> np.ndarray:
    """Returns (n, 1 + 2·harmonics) ones, and cosine and sine of multiples of the phase of the
    year."""
    columns = [np.ones(len(time))]
    if harmonics:
        phase = 2 * np.pi * year_phase(time.values, time.calendar)
        for k in range(1, harmonics + 1):
            columns += [np.cos(k * phase), np.sin(k * phase)]
    return np.stack(columns, axis=1)


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
        _require_dates(time)
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


def _require_dates(time: TimeAxis) -> None:
    if not time.has_calendar:
        raise InputError("--seasonal needs dates, but the fields only count steps.")


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
