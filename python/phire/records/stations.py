"""Station observations: a table of places and times, gridded to value and mask channels."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time import TimeAxis

COLUMNS = ("station", "time", "latitude", "longitude")
PREFIX, MASK = "station_", "_mask"


@dataclasses.dataclass(frozen=True)
class Stations:
    """Observations of stations at the times of the fine fields.

    Rows are (n,) arrays in the order of time; stations that are withheld have none.

    Attributes:
        variables: Names of the variables.
        shape: (H, W) of the fine grid.
        time: Index of the fine field.
        station: Number of the station.
        cell: Point of the grid, counted row by row.
        values: (n, variables) float32; NaN where one is missing.
        withheld: Stations never shown: name, latitude, longitude.
        count: Number of stations that are shown.
        hidden: Share of these that is hidden in each field, drawn anew.
        seed: Seed of that draw.
    """

    variables: tuple[str, ...]
    shape: tuple[int, int]
    time: np.ndarray
    station: np.ndarray
    cell: np.ndarray
    values: np.ndarray
    withheld: tuple[tuple[str, float, float], ...]
    count: int
    hidden: float
    seed: int

    @property
    def channels(self) -> tuple[str, ...]:
        """The value and the mask of each variable."""
        names = [f"{PREFIX}{name}" for name in self.variables]
        return tuple(channel for name in names for channel in (name, f"{name}{MASK}"))

    def read_planes(self, time: int) -> np.ndarray:
        """(channels, H, W) float32 of a field: values, NaN where no station reports, and masks.

        Several stations at one point give their mean.
        """
        first, last = np.searchsorted(self.time, [time, time + 1])
        shown = np.random.default_rng([self.seed, 5, time]).random(self.count) >= self.hidden
        rows = np.arange(first, last)[shown[self.station[first:last]]]
        planes = np.full((len(self.channels), *self.shape), np.nan, np.float32)
        for v in range(len(self.variables)):
            values = self.values[rows, v].astype(np.float64)
            there = np.isfinite(values)
            cells, values = self.cell[rows][there], values[there]
            size = self.shape[0] * self.shape[1]
            number = np.bincount(cells, minlength=size)
            total = np.bincount(cells, values, minlength=size)
            mean = np.divide(total, number, out=np.full(size, np.nan), where=number > 0)
            planes[2 * v] = mean.reshape(self.shape)
            planes[2 * v + 1] = (number > 0).reshape(self.shape)
        return planes


def read_stations(path: str, grid: Grid, time: TimeAxis, *, withhold: float, seed: int) -> Stations:
    """Reads a table of stations, a row a station and time.

    Args:
        path: CSV with the columns ``station, time, latitude, longitude`` and one for each variable;
            empty where a value is missing.
        grid: The fine grid.
        time: The times of the fine fields.
        withhold: Share of the stations that is never shown, so that one can score there; the same
            share of the others is hidden in each field.
        seed: Seed of both draws.

    Raises:
        InputError: The table lacks a column, holds what is no number or time, or none of its
            stations lies on the grid at a time of the fields.
    """
    grid.require_coordinates("--stations")
    if not 0 <= withhold < 1:
        raise InputError(f"--withhold-stations {withhold:g} must be a share from 0 to below 1.")
    variables, rows = _read_table(path, time)
    names = sorted({row[0] for row in rows})
    places = {row[0]: row[2:4] for row in rows}
    inside = {name: _on_grid(grid, *places[name]) for name in names}
    outside = [name for name in names if not inside[name]]
    names = [name for name in names if inside[name]]
    if outside:
        progress.say(
            f"{len(outside)} of the {len(outside) + len(names)} stations of {path} lie outside the "
            f"fields and are left out ({', '.join(outside[:5])}{' …' * (len(outside) > 5)})."
        )
    order = np.random.default_rng([seed, 4]).permutation(len(names))
    drawn = {names[i] for i in order[: round(withhold * len(names))]}
    number = {name: i for i, name in enumerate(n for n in names if n not in drawn)}
    index = {int(value): i for i, value in enumerate(time.values)}
    kept = [row for row in rows if row[0] in number and row[1] in index]
    if not kept:
        raise InputError(
            f"--stations {path}: no station lies on {grid.describe()} and reports at a time of the "
            "fields: check its coordinates and times."
        )
    kept.sort(key=lambda row: (index[row[1]], number[row[0]]))
    down, across = grid.nearest([row[2] for row in kept], [row[3] for row in kept])
    return Stations(
        variables=variables,
        shape=grid.shape,
        time=np.array([index[row[1]] for row in kept]),
        station=np.array([number[row[0]] for row in kept]),
        cell=down * grid.shape[1] + across,
        values=np.array([row[4] for row in kept], np.float32),
        withheld=tuple((name, *places[name]) for name in sorted(drawn)),
        count=len(number),
        hidden=withhold,
        seed=seed,
    )


def _on_grid(grid: Grid, latitude: float, longitude: float) -> bool:
    """Tells whether a place lies in a cell of the grid."""
    row, column = grid.nearest(latitude, longitude)
    rows, columns = grid.spacing
    offset = abs((grid.longitudes[column] - longitude + 180) % 360 - 180)
    return abs(grid.latitudes[row] - latitude) <= rows / 2 and offset <= columns / 2


def _read_table(
    path: str, time: TimeAxis
) -> tuple[tuple[str, ...], list[tuple[str, int, float, float, list[float]]]]:
    """Variables of a table, and its rows: station, time, latitude, longitude, values."""
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            columns = table.fieldnames or []
            lacking = [name for name in COLUMNS if name not in columns]
            variables = tuple(name for name in columns if name not in COLUMNS)
            if lacking or not variables:
                raise InputError(
                    f"--stations {path} needs the columns {', '.join(COLUMNS)} and one for each "
                    f"variable; it has {', '.join(columns) or 'none'}."
                )
            moments: dict[str, int] = {}
            return variables, [
                _row(row, variables, time, moments, path, table.line_num) for row in table
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--stations {path} cannot be read ({error}): name a CSV file.") from None


def _row(
    row: dict[str, Any], variables: Sequence[str], time: TimeAxis, moments: dict[str, int],
    path: str, line: int,
) -> tuple[str, int, float, float, list[float]]:  # fmt: skip
    try:
        text = row["time"]
        if text not in moments:
            moments[text] = time.parse(text)
        values = [float(row[name]) if row[name].strip() else np.nan for name in variables]
        place = float(row["latitude"]), float(row["longitude"])
        return row["station"], moments[text], *place, values
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--stations {path}, line {line}: {error}") from None
