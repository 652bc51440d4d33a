"""Station observations at the times of an evaluation, and the grid's surface height at stations."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

from phire import progress, provenance
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.interpolation import scattered_map
from phire.fields.source import Source
from phire.fields.station_tables import StationTable, read_station_table

POINTS = ("nearest", "bilinear")
"""Interpolations from grid points to stations."""


@dataclasses.dataclass(frozen=True, eq=False)
class StationObservations:
    """Observations at stations within a grid, at the times of an evaluation.

    Attributes:
        table: Names and places of the stations.
        observed: (T, S, C) observations in the units of the channels; NaN where one is missing.
        points: Interpolation to the stations, ``nearest`` or ``bilinear``.
        orography: (S,) height of the grid's surface at the stations in metres; None if not known.
        origin: Path and fingerprint of the table, and of the orography.
    """

    table: StationTable
    observed: np.ndarray
    points: str
    orography: np.ndarray | None
    origin: tuple[str, ...]


def read_observations(
    path: str | os.PathLike | None,
    truth: Source,
    *,
    points: str = "nearest",
    orography: Source | None = None,
) -> StationObservations | None:
    """Reads a table of stations for an evaluation.

    Args:
        path: CSV file, see :func:`phire.fields.station_tables.read_station_table`; its variables
            have the names and units of the truth's channels. With None, None is returned.
        truth: Truth of the evaluation, with its channels, times and grid.
        points: Interpolation to the stations, ``nearest`` or ``bilinear``.
        orography: Source of one map, the height of the grid's surface in metres.

    Raises:
        InputError: ``points`` is unknown, the grid has no coordinates, no station lies on the grid
            or reports a channel at one of the times, or the orography does not cover the stations.
    """
    if path is None:
        return None
    path, time, grid = os.fspath(path), truth.time, truth.grid
    if points not in POINTS:
        raise InputError(f"--station-points {points}: it must be one of {', '.join(POINTS)}.")
    if not grid.has_points:
        raise InputError(f"--stations {path}: the fields have no latitudes and longitudes.")
    table = read_station_table(path, time)
    inside = scattered_map(grid, table.latitudes, table.longitudes, points)[1]
    if not inside.all():
        progress.say(
            f"{np.count_nonzero(~inside)} of the {len(inside)} stations of {path} lie outside the "
            "fields and are left out."
        )
    table = table.select(inside)
    observed = table.series(time, truth.channels)
    if not np.isfinite(observed).any():
        raise InputError(
            f"--stations {path}: no station within the fields reports one of "
            f"{', '.join(truth.channels)} at a time of the evaluation: name the columns as the "
            "channels, and check coordinates and times."
        )
    height, origin = None, [_identity(path)]
    if orography is not None:
        height = _at(table, orography.grid, points, orography.read([0])[0, ..., 0])
        if np.isnan(height).any():
            raise InputError("--orography does not cover all stations: name a map of the domain.")
        inner = getattr(orography, "path", None)
        origin.append(_identity(inner) if inner else str(float(np.sum(height))))
    return StationObservations(table, observed, points, height, tuple(origin))


def _identity(path: str) -> str:
    """Returns the absolute path of a file with its fingerprint."""
    return f"{Path(path).resolve()} {provenance.fingerprint(Path(path))}"


def _at(table: StationTable, grid: Grid, points: str, field: np.ndarray) -> np.ndarray:
    """Returns the values (S,) of a field (H, W) at the stations; NaN outside its grid."""
    weights, inside = scattered_map(grid, table.latitudes, table.longitudes, points)
    return np.where(inside, weights(field[None, ..., None])[0, :, 0], np.nan)
