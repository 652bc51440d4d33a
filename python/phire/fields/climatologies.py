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

from phire import files
from phire.errors import InputError
from phire.fields.covariates import year_phase
from phire.fields.curvilinear import grid_from_dict
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.time import TimeAxis

STATISTICS_OF = ("domain", "point", "mean-of-points")
"""Statistics of all values of the domain; of each point; or the spatial means of the points' means
and standard deviations, so that the latter leave out differences from place to place."""

LEAST_VARIANCE = 1 / 16
"""Least share of the plain variance that a season has: its harmonics may fall below 0."""


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
        require_dates(time)
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


def require_dates(time: TimeAxis) -> None:
    """Checks that fields have dates, which harmonics of the year need.

    Raises:
        InputError: They only count steps.
    """
    if not time.has_calendar:
        raise InputError("--seasonal needs dates, but the fields only count steps.")
