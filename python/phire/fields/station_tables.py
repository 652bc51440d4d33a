"""Tables of station observations: CSV files with one row for each station and time."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from phire.errors import InputError
from phire.fields.time_axis import TimeAxis

COLUMNS = ("station", "time", "latitude", "longitude")
ELEVATION = "elevation"
"""Optional column of the stations' heights, m."""


@dataclasses.dataclass(frozen=True, eq=False)
class StationTable:
    """Observations of S stations in n rows.

    Attributes:
        variables: Names of the variables.
        names: Names of the stations in alphabetical order.
        latitudes, longitudes: (S,) degrees.
        elevations: (S,) metres; NaN if the table does not state them.
        station: (n,) index of the station of each row.
        times: (n,) time of each row, as in :attr:`phire.fields.time_axis.TimeAxis.values`.
        values: (n, variables) observations; NaN for missing ones.
    """

    variables: tuple[str, ...]
    names: tuple[str, ...]
    latitudes: np.ndarray
    longitudes: np.ndarray
    elevations: np.ndarray
    station: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def series(self, time: TimeAxis, variables: Sequence[str]) -> np.ndarray:
        """Returns the observations at given times: (T, S, variables), NaN for missing ones.

        Args:
            time: The times.
            variables: Names of variables; one that the table lacks is missing everywhere.
        """
        found = np.full((len(time), len(self.names), len(variables)), np.nan)
        place = {int(value): i for i, value in enumerate(time.values)}
        rows = np.array([place.get(int(value), -1) for value in self.times], int)
        wanted = rows >= 0
        for v, name in enumerate(variables):
            if name in self.variables:
                column = self.values[wanted, self.variables.index(name)]
                found[rows[wanted], self.station[wanted], v] = column
        return found

    def select(self, chosen: np.ndarray) -> StationTable:
        """Returns the table of some stations.

        Args:
            chosen: (S,) mask of the stations.
        """
        number = np.cumsum(chosen) - 1
        rows = chosen[self.station]
        return StationTable(
            self.variables,
            tuple(name for name, one in zip(self.names, chosen) if one),
            *(part[chosen] for part in (self.latitudes, self.longitudes, self.elevations)),
            number[self.station[rows]],
            self.times[rows],
            self.values[rows],
        )


def read_station_table(path: str, time: TimeAxis, option: str = "--stations") -> StationTable:
    """Reads a table of station observations.

    Args:
        path: CSV file with the columns ``station, time, latitude, longitude``, optionally
            ``elevation`` (m), and one column for each variable, where an empty cell is missing.
        time: Axis whose calendar is that of the times.
        option: Option that named the file, for messages.

    Raises:
        InputError: The file cannot be read, lacks a column, or has a cell that is not a number or
            time.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream)
            columns = table.fieldnames or []
            lacking = [name for name in COLUMNS if name not in columns]
            variables = tuple(n for n in columns if n not in (*COLUMNS, ELEVATION))
            if lacking or not variables:
                raise InputError(
                    f"{option} {path} needs the columns {', '.join(COLUMNS)} and one for each "
                    f"variable; it has {', '.join(columns) or 'none'}."
                )
            moments: dict[str, int] = {}
            where = f"{option} {path}"
            rows = [
                _row(row, variables, time, moments, f"{where}, line {table.line_num}")
                for row in table
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{option} {path} cannot be read ({error}): name a CSV file.") from None
    return _table(variables, rows)


def _table(variables: tuple[str, ...], rows: Sequence[tuple]) -> StationTable:
    """Returns the table of rows from :func:`_row`."""
    places = {name: place for name, _, place, _ in rows}
    names = tuple(sorted(places))
    number = {name: i for i, name in enumerate(names)}
    where = np.array([places[name] for name in names], np.float64).reshape(len(names), 3)
    return StationTable(
        variables,
        names,
        *where.T,
        np.array([number[name] for name, *_ in rows], int),
        np.array([moment for _, moment, *_ in rows], np.int64),
        np.array([values for *_, values in rows], np.float64).reshape(len(rows), len(variables)),
    )


def _row(
    row: Mapping[str, str],
    variables: Sequence[str],
    time: TimeAxis,
    moments: dict[str, int],
    where: str,
) -> tuple[str, int, tuple[float, float, float], list[float]]:
    """Returns name, time, place (latitude, longitude, elevation) and values of a row.

    Args:
        row: Cells by column.
        variables: Columns of the variables.
        time: Axis whose calendar is that of the times.
        moments: Cache of parsed times by text.
        where: File and line, for messages.
    """
    try:
        text = row["time"]
        if text not in moments:
            moments[text] = time.parse(text)
        values = [float(row[name]) if row[name].strip() else np.nan for name in variables]
        height = (row.get(ELEVATION) or "").strip()
        place = float(row["latitude"]), float(row["longitude"]), float(height or "nan")
        return row["station"], moments[text], place, values
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: {error}") from None
