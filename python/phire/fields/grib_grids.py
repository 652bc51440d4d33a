"""Grids of GRIB messages: regular, Gaussian, reduced, rotated and projected."""

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
"""Function that returns the value of an ecCodes key of a message; None if it has no such key."""

SOUTH_POLE = 128
"""Bit of ``projectionCentreFlag`` for projections centred on the south pole."""

RELATIVE_TO_GRID = 8
"""Bit of the resolution and component flags for wind along the grid's axes (flag table 3.3)."""


@dataclasses.dataclass(frozen=True, eq=False)
class ReducedRows:
    """Rows of a reduced grid, whose number of points decreases towards the poles.

    Attributes:
        counts: (H,) number of points of each row, which may be 0. The points are evenly spaced
            around the circle, from 0° eastward.
        columns: Number of points of each row of the full grid.
    """

    counts: np.ndarray
    columns: int

    def full(self, values: np.ndarray) -> np.ndarray:
        """Interpolates values (n,) linearly along their rows to the full grid (H, W).

        A point with a missing neighbour is NaN, and so are rows without points, which wave models
        have at the poles.
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
            # Rounding must not make a column at a point of the row depend on the next point, which
            # may be missing.
            west = np.floor(place + 1e-9).astype(int)
            share = np.where(place - west < 1e-9, 0, place - west)
            east = ring[(west + 1) % count]
            result[row] = ring[west] + np.where(share > 0, share * (east - ring[west]), 0)
        return result


def orientation_of_message(get: Get, path: str) -> Orientation:
    """Returns the grid of a message with the order of its rows and columns in the message.

    Args:
        get: Function that returns keys of the message.
        path: Path of the file, for messages.

    Raises:
        InputError: phire does not read this grid, or the keys contradict one another.
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
    """Returns the rows of a reduced grid.

    Args:
        get: Function that returns keys of the message.
        path: Path of the file, for messages.

    Raises:
        InputError: The grid does not extend around the globe.
    """
    counts = np.asarray(get("pl"), int)
    columns = int(counts.max())
    west, east = (get(f"longitudeOf{end}GridPointInDegrees") for end in ("First", "Last"))
    if abs(west) > 1e-3 or east < 360 - 360 / columns - 0.1:
        raise InputError(
            f"{path} has a reduced grid of a region ({west:g}…{east:g} E), which phire does not "
            "read: interpolate it to a regular grid first."
        )
    return ReducedRows(counts, columns)


def wind_direction(get: Get) -> str:
    """Returns the axes of wind components: ``grid``, or ``east`` for east and north.

    The result is empty if the message does not state them.
    """
    relative = get("uvRelativeToGrid")
    if relative is None:
        flags = get("resolutionAndComponentFlags")
        if flags is None:
            return ""
        relative = int(flags) & RELATIVE_TO_GRID
    return "grid" if relative else "east"


def _latitudes(get: Get, path: str) -> np.ndarray:
    """Returns the latitudes in the order of the message."""
    rows = get("Nj")
    first, last = (get(f"latitudeOf{end}GridPointInDegrees") for end in ("First", "Last"))
    if get("gridType") not in ("regular_gg", "reduced_gg"):
        return np.linspace(first, last, rows)
    # N is the number of rows between a pole and the equator. GRIB rounds latitudes to 1e-3°.
    all_rows = Grid.gaussian(2 * get("N")).latitudes
    low, high = min(first, last) - 1e-2, max(first, last) + 1e-2
    latitudes = all_rows[(all_rows >= low) & (all_rows <= high)]
    if len(latitudes) != rows:
        raise InputError(
            f"{path} has {rows} rows, but a Gaussian grid of its size has {len(latitudes)} between "
            "its bounds: the message is damaged or not Gaussian."
        )
    return latitudes if first > last else latitudes[::-1]


def _longitudes(get: Get) -> np.ndarray:
    """Returns the longitudes in the order of the message."""
    west, east = (get(f"longitudeOf{end}GridPointInDegrees") for end in ("First", "Last"))
    if get("iScansNegatively"):
        return np.linspace(west, east if east < west else east - 360, get("Ni"))
    return np.linspace(west, east if east > west else east + 360, get("Ni"))


def _earth(get: Get) -> str:
    """Returns the shape of the Earth in PROJ's notation."""
    radius = get("radius")
    if radius:
        return f"+R={radius}"
    return f"+a={get('earthMajorAxisInMetres')} +b={get('earthMinorAxisInMetres')}"


def _lambert(get: Get) -> str:
    parallels = f"+lat_1={get('Latin1InDegrees')} +lat_2={get('Latin2InDegrees')}"
    return f"+proj=lcc {parallels} +lat_0={get('LaDInDegrees')} +lon_0={get('LoVInDegrees')}"


def _polar(get: Get) -> str:
    sign = -1 if int(get("projectionCentreFlag") or 0) & SOUTH_POLE else 1
    true = sign * abs(get("LaDInDegrees"))  # the sign of the stated latitude is ignored
    meridian = get("orientationOfTheGridInDegrees")
    return f"+proj=stere +lat_0={90 * sign} +lat_ts={true} +lon_0={meridian}"


def _mercator(get: Get) -> str:
    return f"+proj=merc +lat_ts={get('LaDInDegrees')} +lon_0=0"


PROJECTIONS: dict[str, Callable[[Get], str]] = {
    "lambert": _lambert, "polar_stereographic": _polar, "mercator": _mercator
}  # fmt: skip

GRIDDED = ("regular_ll", "regular_gg", "reduced_gg", "reduced_ll", "rotated_ll", *PROJECTIONS)
"""Names by ecCodes of the grids that phire reads."""


def _projected(get: Get, projection: str) -> CurvilinearGrid:
    """Returns a projected grid with evenly spaced rows and columns.

    The first grid point stated by the keys is taken as the first point of the message, as WMO
    specifies and wgrib2 and GDAL do. (ecCodes' iterator takes it as the south-western point in any
    scanning order.)

    Args:
        get: Function that returns keys of the message.
        projection: PROJ text without the shape of the Earth.
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
    """Returns a rotated latitude–longitude grid.

    Raises:
        InputError: The grid has an angle of rotation about its pole.
    """
    import pyproj

    if abs(get("angleOfRotationInDegrees") or 0) > 1e-6:
        raise InputError(
            f"{path} has a rotated grid that is turned about its pole by "
            f"{get('angleOfRotationInDegrees'):g}°, which phire does not read: interpolate it to "
            "another grid first."
        )
    pole = {
        "grid_mapping_name": "rotated_latitude_longitude",
        # GRIB states the southern pole of the rotated system, CF the northern one, opposite to it.
        "grid_north_pole_latitude": -get("latitudeOfSouthernPoleInDegrees"),
        "grid_north_pole_longitude": (get("longitudeOfSouthernPoleInDegrees") + 360) % 360 - 180,
        "earth_radius": float(get("radius") or 6371229),
    }
    return CurvilinearGrid.projected(
        _latitudes(get, path), _longitudes(get), pyproj.CRS.from_cf(pole)
    )
