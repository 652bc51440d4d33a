"""Station observations, gridded from a table into value channels and mask channels."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.station_tables import read_station_table
from phire.fields.time_axis import TimeAxis

PREFIX, MASK = "station_", "_mask"


@dataclasses.dataclass(frozen=True)
class Stations:
    """Station observations at the times of the fine fields.

    ``time``, ``station``, ``cell`` and ``values`` have one entry for each of n observations, in the
    order of time. Withheld stations have none.

    Attributes:
        variables: Names of the variables.
        shape: (H, W) of the fine grid.
        time: (n,) index of the fine field.
        station: (n,) number of the station.
        cell: (n,) grid point, counted row by row.
        values: (n, variables) float32; NaN for missing values.
        withheld: Stations that are never inputs: name, latitude, longitude.
        count: Number of stations that are inputs.
        hidden: Share of the input stations that is hidden in each field, at random.
        seed: Seed of the random choice of hidden stations.
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
        """Names of the channels: the value and the mask of each variable."""
        names = [f"{PREFIX}{name}" for name in self.variables]
        return tuple(channel for name in names for channel in (name, f"{name}{MASK}"))

    def read_planes(self, time: int) -> np.ndarray:
        """Returns the gridded observations at one time, (channels, H, W) float32.

        Values are NaN and masks 0 where no station reports. Several stations at one grid point are
        averaged.
        """
        first, last = np.searchsorted(self.time, [time, time + 1])
        shown = np.random.default_rng([self.seed, 5, time]).random(self.count) >= self.hidden
        rows = np.arange(first, last)[shown[self.station[first:last]]]
        planes = np.full((len(self.channels), *self.shape), np.nan, np.float32)
        for v in range(len(self.variables)):
            values = self.values[rows, v].astype(np.float64)
            present = np.isfinite(values)
            cells, values = self.cell[rows][present], values[present]
            size = self.shape[0] * self.shape[1]
            number = np.bincount(cells, minlength=size)
            total = np.bincount(cells, values, minlength=size)
            mean = np.divide(total, number, out=np.full(size, np.nan), where=number > 0)
            planes[2 * v] = mean.reshape(self.shape)
            planes[2 * v + 1] = (number > 0).reshape(self.shape)
        return planes


def read_stations(path: str, grid: Grid, time: TimeAxis, *, withhold: float, seed: int) -> Stations:
    """Reads a table of station observations, one row per station and time.

    Args:
        path: CSV file; see :func:`phire.fields.station_tables.read_station_table`.
        grid: The fine grid.
        time: Times of the fine fields.
        withhold: Share of the stations that are never inputs, for scoring. The same share of the
            others is hidden in each field.
        seed: Seed of both random choices.

    Raises:
        InputError: The table lacks a column, holds invalid numbers or times, or has no station on
            the grid at a time of the fields.
    """
    grid.require_coordinates("--stations")
    if not 0 <= withhold < 1:
        raise InputError(f"--withhold-stations {withhold:g} must be at least 0 and below 1.")
    table = read_station_table(path, time)
    inside = np.array([_on_grid(grid, *p) for p in zip(table.latitudes, table.longitudes)], bool)
    outside = [name for name, within in zip(table.names, inside) if not within]
    if outside:
        progress.say(
            f"{len(outside)} of the {len(table.names)} stations of {path} lie outside the "
            f"fields and are left out ({', '.join(outside[:5])}{' …' * (len(outside) > 5)})."
        )
    table = table.select(inside)
    order = np.random.default_rng([seed, 4]).permutation(len(table.names))
    drawn = np.isin(np.arange(len(order)), order[: round(withhold * len(order))])
    places = zip(table.names, table.latitudes.tolist(), table.longitudes.tolist())
    withheld = tuple(place for place, hidden in zip(places, drawn) if hidden)
    table = table.select(~drawn)
    index = {int(value): i for i, value in enumerate(time.values)}
    at = np.array([index.get(int(moment), -1) for moment in table.times], int)
    rows = np.flatnonzero(at >= 0)
    if not len(rows):
        raise InputError(
            f"--stations {path}: no station lies on {grid.describe()} and reports at a time of the "
            "fields: check its coordinates and times."
        )
    rows = rows[np.lexsort((table.station[rows], at[rows]))]
    down, across = grid.nearest(table.latitudes, table.longitudes)
    station = table.station[rows]
    return Stations(
        variables=table.variables,
        shape=grid.shape,
        time=at[rows],
        station=station,
        cell=(down * grid.shape[1] + across)[station],
        values=table.values[rows].astype(np.float32),
        withheld=withheld,
        count=len(table.names),
        hidden=withhold,
        seed=seed,
    )


def _on_grid(grid: Grid, latitude: float, longitude: float) -> bool:
    """Returns True if a location lies in a cell of the grid."""
    row, column = grid.nearest(latitude, longitude)
    rows, columns = grid.spacing
    offset = abs((grid.longitudes[column] - longitude + 180) % 360 - 180)
    return abs(grid.latitudes[row] - latitude) <= rows / 2 and offset <= columns / 2
