"""Climatologies: mean and variance by season, over the domain or at each point."""

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

from phire import files
from phire.errors import InputError
from phire.fields.covariates import year_phase
from phire.fields.curvilinear import grid_from_dict
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.time_axis import TimeAxis

STATISTICS_OF = ("domain", "point", "mean-of-points")
"""Statistics of all values of the domain (``domain``), or of each point (``point``), or the spatial
means of the points' means and standard deviations (``mean-of-points``). The standard deviation of
the last one does not include differences between points."""

LEAST_VARIANCE = 1 / 16
"""Lower bound of the variance at any time, as a share of the variance over the year.

Harmonics of the variance alone may fall below 0."""

ARRAYS = ("mean", "variance", "plain_variance")

FORMAT = "phire climatology 1"


@dataclasses.dataclass(frozen=True, eq=False)
class Climatology:
    """Mean and variance of channels as harmonics of the phase of the year.

    With the fraction φ of the year that has passed, a statistic is
    a₀ + Σ_k (a_k cos 2πkφ + b_k sin 2πkφ), which has no jumps between months.

    Attributes:
        channels: Names of the channels.
        units: Units of the channels.
        statistics_of: ``domain``, ``point`` or ``mean-of-points``, see :data:`STATISTICS_OF`.
        harmonics: Number of harmonics; 0 for one value over the year.
        mean: (C, 1 + 2·harmonics, h, w) coefficients of the mean, where (h, w) is the shape of the
            grid for statistics of points, otherwise (1, 1).
        variance: Coefficients of the variance, of the same shape.
        plain_variance: (C, h, w) variance over the whole year.
        months: Months of the year with data; empty without harmonics.
        grid: Grid for statistics of points, otherwise None.
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
        """Returns the mean and standard deviation at given times, (n, h, w, C) each.

        Raises:
            InputError: The climatology has no data of the month of a time.
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
        """Checks that the climatology has data of the month of each time.

        Raises:
            InputError: It lacks a month, or the times have no dates.
        """
        if not self.harmonics:
            return
        require_dates(time)
        unknown = sorted(set(time.months().tolist()) - set(self.months))
        if unknown:
            raise InputError(
                f"the climatology has the months {', '.join(map(str, self.months))}, but the "
                f"fields also {', '.join(map(str, unknown))}: fit it to fields of all months."
            )

    def select(self, channels: Sequence[str]) -> Climatology:
        """Returns the climatology of some of the channels, in the given order.

        Raises:
            InputError: The climatology lacks a channel.
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
        """Returns the climatology of a window; a climatology of the domain is returned unchanged.

        Args:
            points: Rows and columns of the window.
            grid: Grid of the window.
        """
        if self.grid is None:
            return self
        rows, columns = points[0][:, None], points[1]  # index arrays of all combinations
        arrays = {name: getattr(self, name)[..., rows, columns] for name in ARRAYS}
        return dataclasses.replace(self, grid=grid, **arrays)

    def summary(self) -> dict[str, Any]:
        """Returns a summary that JSON can hold: coefficients of the domain, and a fingerprint.

        Coefficients of points are represented by the fingerprint only.
        """
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
        # As a dataset: attributes are limited to 64 KiB, and curvilinear grids are larger.
        group["description"] = json.dumps(described)

    @classmethod
    def read(cls, group: h5py.Group, path: str | os.PathLike) -> Climatology:
        """Reads a climatology from a group; the inverse of :meth:`write`.

        Args:
            group: The group.
            path: Path of its file, for messages.

        Raises:
            InputError: The group has other content, or a climatology of another version.
        """
        try:
            described = json.loads(group["description"][()])
            arrays = {name: group[name][...] for name in ARRAYS}
        except (OSError, KeyError, ValueError):
            raise InputError(f"{path} is not a file of `phire climatology`.") from None
        if described.pop("format", None) != FORMAT:
            raise InputError(
                f"{path} was written by another version of `phire climatology`: run it again."
            )
        grid = described.pop("grid")
        lists = {name: tuple(described.pop(name)) for name in ("channels", "units", "months")}
        return cls(
            **described, **lists, **arrays,
            grid=None if grid is None else grid_from_dict(grid),
        )  # fmt: skip

    def save(self, path: str | os.PathLike, record: dict[str, Any]) -> None:
        """Writes the climatology to an HDF5 file.

        Args:
            path: Path of the file.
            record: Provenance; see :func:`phire.provenance.record`.
        """
        with files.replacing(path) as partial, GuardedHDF5(partial) as file:
            self.write(file)
            file.attrs["phire"] = json.dumps(record)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Climatology:
        """Reads a climatology from a file; the inverse of :meth:`save`.

        Raises:
            InputError: The file does not exist or has other content.
        """
        if not Path(path).exists():
            raise InputError(f"{path} does not exist: make it with `phire climatology`.")
        try:
            with h5py.File(path, "r") as file:
                return cls.read(file, path)
        except OSError:
            raise InputError(f"{path} is not a file of `phire climatology`.") from None


def described_statistics(statistics_of: str) -> str:
    """Returns a member of :data:`STATISTICS_OF` in words."""
    return (
        "of the mean of the points"
        if statistics_of == "mean-of-points"
        else f"of each {statistics_of}"
    )


def harmonic_basis(time: TimeAxis, harmonics: int) -> np.ndarray:
    """Returns the basis functions of a climatology at given times.

    Args:
        time: The n times.
        harmonics: Number of harmonics.

    Returns:
        (n, 1 + 2·harmonics): 1, then cos 2πkφ and sin 2πkφ for each harmonic k, with the phase φ
        of the year.
    """
    columns = [np.ones(len(time))]
    if harmonics:
        phase = 2 * np.pi * year_phase(time.values, time.calendar)
        for k in range(1, harmonics + 1):
            columns += [np.cos(k * phase), np.sin(k * phase)]
    return np.stack(columns, axis=1)


def require_dates(time: TimeAxis) -> None:
    """Checks that fields have dates, which harmonics of the year need.

    Raises:
        InputError: They only count steps.
    """
    if not time.has_calendar:
        raise InputError(
            "--seasonal needs dates, but the fields only count steps: leave it out, or convert "
            "them from a file that has times."
        )
