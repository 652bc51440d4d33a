"""Grids of GRIB messages: regular, Gaussian, rotated, projected, and reduced ones made full."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.orientation import Orientation

Get = Callable[[str], Any]
"""Returns the value of one of ecCodes' keys of a message; None where it has no such key."""

SOUTH_POLE = 128
"""Bit of ``projectionCentreFlag`` of projections about the south pole."""

RELATIVE_TO_GRID = 8
"""Bit of the resolution and component flags: wind is along the grid's axes (flag table 3.3)."""


@dataclasses.dataclass(frozen=True, eq=False)
class ReducedRows:
    """Rows of a reduced grid, which have fewer points towards the poles.

    Attributes:
        counts: (H,) points of each row, evenly around the circle from 0° eastward; perhaps 0.
        columns: Points of a row of the full grid.
    """

    counts: np.ndarray
    columns: int

    def full(self, values: np.ndarray) -> np.ndarray:
        """Interpolates values (n,) linearly along their rows to the full grid (H, W).

        A point is missing where a neighbour that it depends on is; so are rows without points,
        as wave models have them about the poles.
        """
        result = np.empty((len(self.counts), self.columns))
        starts = np.concatenate([[0], np.cumsum(self.counts)])
        for row, (start, count) in enumerate(zip(starts, self.counts)):
            if not count:
                result[row] = np.nan
                continue
            ring = values[start : start + count]
            if count == self.columns:
                result[row] = ring
                continue
            place = np.arange(self.columns) * (count / self.columns)
            west = np.floor(place + 1e-9).astype(int)
            share = np.where(place - west < 1e-9, 0, place - west)
            east = ring[(west + 1) % count]
            result[row] = ring[west] + np.where(share > 0, share * (east - ring[west]), 0)
        return result


def orientation_of_message(get: Get, path: str) -> Orientation:
    """Finds the grid of a message, and how the message orders rows and columns.

    Args:
        get: Gives the message's keys.
        path: What errors call its file.

    Raises:
        InputError: The grid is of a type that phire does not read, or its keys do not fit.
    """
    kind = get("gridType")
    if kind in PROJECTIONS:
        return Orientation.of_curvilinear(_projected(get, PROJECTIONS[kind](get)))
    if kind == "rotated_ll":
        return Orientation.of_curvilinear(_rotated(get, path))
    if kind in ("reduced_gg", "reduced_ll"):
        columns = reduced_rows(get, path).columns
        return Orientation.of_coordinates(_latitudes(get, path), 360 / columns * np.arange(columns))
    return Orientation.of_coordinates(_latitudes(get, path), _longitudes(get))


def reduced_rows(get: Get, path: str) -> ReducedRows:
    """Returns the rows of a reduced grid that reaches around the globe.

    Raises:
        InputError: It does not.
    """
    counts = np.asarray(get("pl"), int)
    columns = int(counts.max())
    west, east = (get(f"longitudeOf{end}GridPointInDegrees") for end in ("First", "Last"))
    if abs(west) > 1e-3 or east < 360 - 360 / columns - 0.1:
        raise InputError(
            f"{path} holds a reduced grid of a region ({west:g}…{east:g} E), which phire does not "
            "read: interpolate it to a regular grid first."
        )
    return ReducedRows(counts, columns)


def wind_direction(get: Get) -> str:
    """``grid`` where the message says that wind is along the grid's axes, ``east`` if to the east.

    Empty where it says nothing.
    """
    relative = get("uvRelativeToGrid")
    if relative is None:
        flags = get("resolutionAndComponentFlags")
        if flags is None:
            return ""
        relative = int(flags) & RELATIVE_TO_GRID
    return "grid" if relative else "east"


def _latitudes(get: Get, path: str) -> np.ndarray:
    """Latitudes in the order of the message."""
    rows = get("Nj")
    first, last = (get(f"latitudeOf{end}GridPointInDegrees") for end in ("First", "Last"))
    if get("gridType") not in ("regular_gg", "reduced_gg"):
        return np.linspace(first, last, rows)
    all_rows = Grid.gaussian(2 * get("N")).latitudes
    low, high = min(first, last) - 1e-2, max(first, last) + 1e-2
    latitudes = all_rows[(all_rows >= low) & (all_rows <= high)]
    if len(latitudes) != rows:
        raise InputError(f"{path} has Gaussian rows that do not fit its {rows} rows.")
    return latitudes if first > last else latitudes[::-1]


def _longitudes(get: Get) -> np.ndarray:
    """Longitudes in the order of the message."""
    west, east = (get(f"longitudeOf{end}GridPointInDegrees") for end in ("First", "Last"))
    if get("iScansNegatively"):
        return np.linspace(west, east if east < west else east - 360, get("Ni"))
    return np.linspace(west, east if east > west else east + 360, get("Ni"))


def _earth(get: Get) -> str:
    """Returns the shape of the Earth as PROJ has it."""
    radius = get("radius")
    if radius:
        return f"+R={radius}"
    return f"+a={get('earthMajorAxisInMetres')} +b={get('earthMinorAxisInMetres')}"


def _lambert(get: Get) -> str:
    parallels = f"+lat_1={get('Latin1InDegrees')} +lat_2={get('Latin2InDegrees')}"
    return f"+proj=lcc {parallels} +lat_0={get('LaDInDegrees')} +lon_0={get('LoVInDegrees')}"


def _polar(get: Get) -> str:
    sign = -1 if int(get("projectionCentreFlag") or 0) & SOUTH_POLE else 1
    true = sign * abs(get("LaDInDegrees"))
    meridian = get("orientationOfTheGridInDegrees")
    return f"+proj=stere +lat_0={90 * sign} +lat_ts={true} +lon_0={meridian}"


def _mercator(get: Get) -> str:
    return f"+proj=merc +lat_ts={get('LaDInDegrees')} +lon_0=0"


PROJECTIONS: dict[str, Callable[[Get], str]] = {
    "lambert": _lambert, "polar_stereographic": _polar, "mercator": _mercator
}  # fmt: skip

GRIDDED = ("regular_ll", "regular_gg", "reduced_gg", "reduced_ll", "rotated_ll", *PROJECTIONS)
"""ecCodes' names of the grids that are read."""


def _projected(get: Get, projection: str) -> CurvilinearGrid:
    """Returns a grid of even rows and columns of a projection, from its first point on.

    The stated first point is the first one of the message, as WMO has it and wgrib2 and GDAL read
    it; ecCodes' own iterator takes it for the south-western one in whatever order rows are.
    """
    text = f"{projection} {_earth(get)} +units=m"
    one = CurvilinearGrid.projected([0.0], [0.0], text)
    first = [get(f"{name}OfFirstGridPointInDegrees") for name in ("longitude", "latitude")]
    x, y = one.coordinates(*first)
    steps = []
    for name, other in (("Dx", "Di"), ("Dy", "Dj")):
        step = get(f"{name}InMetres")
        steps.append(get(f"{other}InMetres") if step is None else step)
    dx = -steps[0] if get("iScansNegatively") else steps[0]
    dy = steps[1] if get("jScansPositively") else -steps[1]
    return CurvilinearGrid.projected(
        y + dy * np.arange(get("Nj")), x + dx * np.arange(get("Ni")), text
    )


def _rotated(get: Get, path: str) -> CurvilinearGrid:
    """Returns a grid of latitudes and longitudes about another pole."""
    import pyproj

    if abs(get("angleOfRotationInDegrees") or 0) > 1e-6:
        raise InputError(
            f"{path} holds a rotated grid that is turned about its pole by "
            f"{get('angleOfRotationInDegrees'):g}°, which phire does not read."
        )
    pole = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": -get("latitudeOfSouthernPoleInDegrees"),
        "grid_north_pole_longitude": (get("longitudeOfSouthernPoleInDegrees") + 360) % 360 - 180,
        "earth_radius": float(get("radius") or 6371229),
    }
    return CurvilinearGrid.projected(
        _latitudes(get, path), _longitudes(get), pyproj.CRS.from_cf(pole)
    )
