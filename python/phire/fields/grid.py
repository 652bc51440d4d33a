"""Geometry of grids: coordinates, spacing, cell areas and quadrature weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import ducc0
import numpy as np

from phire.errors import InputError
from phire.fields import native_libraries  # noqa: F401  loads pyproj before eccodes
from phire.fields.global_latitudes import GEOMETRIES, POLAR_GAP, ideal_latitudes, possible_rows

EARTH_RADIUS = 6.3712e6
"""Radius of the Earth, m; pyspharm's and the ECMWF's values agree with it to four digits."""

TOLERANCE = 2e-3
"""Largest difference (degrees) between equal coordinates; GRIB rounds to 1e-3."""


@dataclasses.dataclass(frozen=True)
class Completion:
    """Global grid of which another grid has all rows but a few at the poles.

    Attributes:
        grid: The global grid, with the same order of latitudes and the same columns.
        before: Number of its rows before the first row of the other grid.
        after: Number of its rows after the last row of the other grid.
    """

    grid: Grid
    before: int
    after: int

    @property
    def missing(self) -> int:
        """Number of missing rows."""
        return self.before + self.after

    @property
    def rows(self) -> slice:
        """Rows of the global grid that the other grid has."""
        return slice(self.before, self.grid.shape[0] - self.after)

    @property
    def missing_area(self) -> float:
        """Share of the sphere's area that the missing rows represent."""
        edges = np.sin(np.deg2rad(self.grid.row_edges()))
        edges[[0, -1]] = np.sign(edges[[0, -1]])  # the outermost cells reach the poles
        return float(1 - abs(edges[self.rows.stop] - edges[self.rows.start]) / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """Grid of rows of equal latitude and columns of equal longitude.

    Attributes:
        kind: One of :data:`GEOMETRIES` (global grids); ``regional``; ``pixels`` (no coordinates,
            rows and columns are numbered); or ``curvilinear`` (see
            :class:`phire.fields.curvilinear.CurvilinearGrid`).
        latitudes: (H,) degrees north, in either order.
        longitudes: (W,) degrees east, ascending without a jump, possibly below 0 or above 360.
    """

    kind: str
    latitudes: np.ndarray
    longitudes: np.ndarray

    def __post_init__(self) -> None:
        for name in ("latitudes", "longitudes"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    # Constructors

    @classmethod
    def driscoll_healy(cls, rows: int, columns: int | None = None) -> Grid:
        """Returns a grid with H rows from 90° to −90° + 180°/H, without a row on the south pole.

        Args:
            rows: Number of rows H.
            columns: Number of columns from 0° eastward; by default 2H.
        """
        return cls(
            "driscoll-healy", ideal_latitudes("driscoll-healy", rows), _circle(rows, columns)
        )

    @classmethod
    def pole_to_pole(cls, rows: int, columns: int | None = None) -> Grid:
        """Returns a grid with rows from 90° to −90°, on both poles (Clenshaw–Curtis).

        Args:
            rows: Number of rows H.
            columns: Number of columns from 0° eastward; by default 2(H − 1).
        """
        columns = columns or 2 * (rows - 1)
        return cls("pole-to-pole", ideal_latitudes("pole-to-pole", rows), _circle(rows, columns))

    @classmethod
    def cell_centred(cls, rows: int, columns: int | None = None) -> Grid:
        """Returns a grid with outer rows half a spacing from the poles (Fejér's first rule).

        Args:
            rows: Number of rows H.
            columns: Number of columns from 0° eastward; by default 2H.
        """
        return cls("cell-centred", ideal_latitudes("cell-centred", rows), _circle(rows, columns))

    @classmethod
    def gaussian(cls, rows: int, columns: int | None = None) -> Grid:
        """Returns a grid with rows at the H roots of the Legendre polynomial of degree H.

        Args:
            rows: Number of rows H.
            columns: Number of columns from 0° eastward; by default 2H.
        """
        return cls("gaussian", ideal_latitudes("gaussian", rows), _circle(rows, columns))

    @classmethod
    def of_kind(
        cls, kind: str, rows: int, longitudes: Sequence[float], *, descending: bool = True
    ) -> Grid:
        """Returns a global grid of a kind.

        Args:
            kind: ``driscoll-healy``, ``pole-to-pole``, ``cell-centred`` or ``gaussian``.
            rows: Number of rows H.
            longitudes: (W,) degrees east, evenly spaced around the circle.
            descending: True for rows from north to south.

        Raises:
            InputError: The kind is unknown, or the longitudes do not close the circle.
        """
        latitudes = ideal_latitudes(kind, rows)
        return cls(kind, latitudes if descending else latitudes[::-1], longitudes)

    @classmethod
    def regional(cls, latitudes: Sequence[float], longitudes: Sequence[float]) -> Grid:
        """Returns a grid of a part of the sphere, or of the whole without a known quadrature."""
        return cls("regional", latitudes, longitudes)

    @classmethod
    def pixels(cls, rows: int, columns: int) -> Grid:
        """Returns a grid without coordinates."""
        return cls("pixels", np.arange(rows), np.arange(columns))

    @classmethod
    def bare(cls, rows: int, columns: int) -> Grid:
        """Returns the grid of a store without coordinates.

        It is a Driscoll–Healy grid, as in AtmoDist's files, if W = 2H and H is even; otherwise a
        grid without coordinates.
        """
        if columns == 2 * rows and rows % 2 == 0:
            return cls.driscoll_healy(rows)
        return cls.pixels(rows, columns)

    @classmethod
    def from_coordinates(cls, latitudes: Any, longitudes: Any) -> Grid:
        """Returns the grid with given coordinates, from which its kind is recognised.

        Args:
            latitudes: (H,) degrees north, strictly monotonic.
            longitudes: (W,) degrees east; a jump by 360° at the date line or at Greenwich is
                removed.

        Raises:
            InputError: The coordinates are not one-dimensional, finite and monotonic.
        """
        latitudes = np.asarray(latitudes, dtype=np.float64)
        longitudes = np.asarray(longitudes, dtype=np.float64)
        for name, values in (("latitude", latitudes), ("longitude", longitudes)):
            if values.ndim != 1 or not len(values):
                raise InputError(
                    f"{name} has {values.ndim} dimensions, but must have one: regrid the data "
                    "first."
                )
            if not np.isfinite(values).all():
                raise InputError(f"{name} has values that are not finite: repair the file.")
        steps = np.diff(latitudes)
        if not ((steps > 0).all() or (steps < 0).all()):
            raise InputError("the latitudes are not monotonic: sort the data along latitude first.")
        if np.abs(latitudes).max() > 90 + TOLERANCE:
            raise InputError("a latitude lies beyond the poles: coordinates must be in degrees.")
        longitudes = np.rad2deg(np.unwrap(np.deg2rad(longitudes)))
        if (np.diff(longitudes) <= 0).any():
            raise InputError("the longitudes do not ascend eastward: sort the data first.")
        if longitudes[0] >= 360 or longitudes[-1] < 0:
            longitudes = longitudes - 360 * np.floor(longitudes[0] / 360)
        grid = cls("regional", latitudes, longitudes)
        if not grid.wraps:
            return grid
        southward = latitudes if grid.descending else latitudes[::-1]
        for kind in GEOMETRIES:
            ideal = ideal_latitudes(kind, len(latitudes))
            if np.abs(ideal - southward).max() < TOLERANCE:
                # Exact rows replace those of the file, which may be rounded to float32: transforms
                # would lose precision.
                ideal = ideal if grid.descending else ideal[::-1]
                columns = longitudes[0] + 360 * np.arange(len(longitudes)) / len(longitudes)
                return cls(kind, ideal, columns)
        return grid

    # Properties

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns (H, W)."""
        return len(self.latitudes), len(self.longitudes)

    @property
    def is_global(self) -> bool:
        """True if the grid covers the sphere with a known quadrature."""
        return self.kind in GEOMETRIES

    @functools.cached_property
    def completion(self) -> Completion | None:
        """Global grid that has all rows of this grid; None if no global grid has them.

        Rows may be missing within :data:`POLAR_GAP` degrees of either pole, for example if a crop
        or a coarsening drops the last of 721 rows. The columns must close the circle.
        """
        if self.is_global:
            return Completion(self, 0, 0)
        rows = len(self.latitudes)
        southward = self.latitudes if self.descending else self.latitudes[::-1]
        if not self.wraps or rows < 4 or max(90 - southward[0], 90 + southward[-1]) > POLAR_GAP:
            return None
        for kind in ("pole-to-pole", "cell-centred", "gaussian"):
            for whole, north in possible_rows(kind, southward):
                ideal = ideal_latitudes(kind, whole)[north : north + rows]
                if np.abs(ideal - southward).max() < TOLERANCE:
                    grid = Grid.of_kind(kind, whole, self.longitudes, descending=self.descending)
                    gaps = north, whole - rows - north
                    return Completion(grid, *(gaps if self.descending else gaps[::-1]))
        return None

    @property
    def is_sphere(self) -> bool:
        """True if the grid is global, possibly without a few rows at the poles."""
        return self.completion is not None

    @property
    def has_coordinates(self) -> bool:
        """True if rows and columns have latitudes and longitudes."""
        return self.kind not in ("pixels", "curvilinear")

    @property
    def has_points(self) -> bool:
        """True if the latitudes and longitudes of the points are known."""
        return self.has_coordinates

    @property
    def has_distances(self) -> bool:
        """True if distances in km between points are known."""
        return self.has_coordinates

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the latitudes and longitudes of the points, (H, W) each, degrees.

        Raises:
            InputError: The grid has no coordinates.
        """
        self.require_coordinates("a place")
        return tuple(np.meshgrid(self.latitudes, self.longitudes, indexing="ij"))

    @property
    def descending(self) -> bool:
        """True if the first row is the northernmost."""
        return len(self.latitudes) < 2 or self.latitudes[0] > self.latitudes[-1]

    @property
    def spacing(self) -> tuple[float, float]:
        """Mean spacing of rows and of columns, degrees; in pixels without coordinates."""
        rows, columns = (
            abs(float(values[-1] - values[0])) / (len(values) - 1) if len(values) > 1 else np.nan
            for values in (self.latitudes, self.longitudes)
        )
        return rows, columns

    @functools.cached_property
    def wraps(self) -> bool:
        """True if the columns close the circle, the first one following the last."""
        if not self.has_coordinates or len(self.longitudes) < 4:
            return False
        steps = np.diff(self.longitudes)
        gap = 360 - (self.longitudes[-1] - self.longitudes[0])
        # Rounding of the longitudes adds up over the columns in the width of the gap.
        width = max(TOLERANCE, 1e-3 * steps.mean())
        return bool(np.ptp(steps) < 2 * width and abs(gap - steps.mean()) < len(steps) * width)

    @property
    def colatitudes(self) -> np.ndarray:
        """Angular distances (H,) of the rows from the north pole, radians."""
        return np.deg2rad(90 - self.latitudes)

    def spacing_km(self, radius: float = EARTH_RADIUS) -> tuple[float, float]:
        """Returns the spacing of rows, and of columns at the middle latitude, in km.

        Args:
            radius: Radius of the sphere, m.

        Raises:
            InputError: The grid has no coordinates.
        """
        self.require_coordinates("a distance in kilometres")
        rows, columns = np.deg2rad(self.spacing) * radius / 1e3
        middle = np.deg2rad(self.latitudes[[0, -1]].mean())
        return float(rows), float(columns * np.cos(middle))

    def require_coordinates(self, what: str) -> None:
        """Checks that the grid has coordinates.

        Args:
            what: Noun phrase that needs them, for the message: ``a distance in kilometres``.

        Raises:
            InputError: The grid has no coordinates.
        """
        if not self.has_coordinates:
            raise InputError(
                f"{what} needs coordinates, but the fields ({self.describe()}) have none: give a "
                "file that states latitudes and longitudes, or y and x in m or km and a projection."
            )

    def quadrature_weights(self) -> np.ndarray:
        """Returns the quadrature weights (H,) of the rows of a global grid, for ∫ f sin θ dθ.

        Their sum is 2. If rows at the poles are missing, the others have their weights in the
        complete grid, and the sum is smaller.

        Raises:
            InputError: The grid is not global.
        """
        if self.completion is None:
            raise InputError(
                f"{self.in_words()} is not global and therefore has no quadrature weights."
            )
        whole = self.completion.grid
        weights = ducc0.sht.get_gridweights(GEOMETRIES[whole.kind], whole.shape[0]) / (2 * np.pi)
        return (weights if self.descending else weights[::-1])[self.completion.rows]

    def area_weights(self) -> np.ndarray:
        """Returns area weights (H, 1) of the rows, with mean 1.

        They are quadrature weights on global grids and cell areas on others, where a cell extends
        half way to its neighbours, and a cell at an edge as far outward as inward, but not beyond
        the pole. Without coordinates all weights are 1.
        """
        if not self.has_coordinates:
            weights = np.ones(self.shape[0])
        elif self.is_sphere:
            weights = self.quadrature_weights()
        else:
            edges = self.row_edges()
            weights = np.abs(np.diff(np.sin(np.deg2rad(edges))))
        return (weights / weights.mean())[:, None]

    def row_edges(self) -> np.ndarray:
        """Returns the latitudes (H+1,) half way between rows; the outer ones end at the poles."""
        return np.clip(edges_between(self.latitudes, -0.5), -90, 90)

    def column_edges(self) -> np.ndarray:
        """Returns the longitudes (W+1,) half way between columns.

        The outer edges are as far outward as the next ones are inward; on a grid that closes the
        circle they differ by exactly 360°.
        """
        edges = edges_between(self.longitudes, 0.5)
        if self.wraps:
            edges[-1] = edges[0] + 360
        return edges

    # Windows and nearest points

    def subgrid(self, rows: slice, columns: slice) -> Grid:
        """Returns the grid of a window, or this grid if the window is all of it."""
        latitudes, longitudes = self.latitudes[rows], self.longitudes[columns]
        if (len(latitudes), len(longitudes)) == self.shape:
            return self
        kind = "regional" if self.has_coordinates else "pixels"
        return Grid(kind, latitudes, longitudes)

    def rows_between(self, south: float, north: float) -> slice:
        """Returns the rows with latitudes from ``south`` to ``north`` (degrees, inclusive).

        Raises:
            InputError: The grid has no coordinates, or no row in this range.
        """
        self.require_coordinates("a range of latitudes")
        inside = np.flatnonzero(
            (self.latitudes >= south - TOLERANCE) & (self.latitudes <= north + TOLERANCE)
        )
        if not len(inside):
            raise InputError(
                f"no row of the {self.describe()} lies between {south}° and {north}°: choose "
                "another region."
            )
        return slice(int(inside[0]), int(inside[-1]) + 1)

    def columns_between(self, west: float, east: float) -> np.ndarray:
        """Returns indices of the columns from ``west`` eastward to ``east`` (degrees, inclusive).

        The range may cross the seam of the grid; its indices then continue at 0. Bounds that are
        equal modulo 360 (such as −180 and 180) give all columns, starting at or east of ``west``.

        Raises:
            InputError: The grid has no coordinates, or no column in this range.
        """
        self.require_coordinates("a range of longitudes")
        width = (east - west) % 360 or 360.0
        offset = (self.longitudes - west + TOLERANCE) % 360
        inside = np.flatnonzero(offset <= width + 2 * TOLERANCE)
        if not len(inside):
            raise InputError(
                f"no column of the {self.describe()} lies between {west}° and {east}°: choose "
                "another region."
            )
        # In the order of their distance eastward from `west`.
        return inside[np.argsort(offset[inside], kind="stable")]

    def points_between(self, south: float, north: float, west: float, east: float) -> np.ndarray:
        """Returns the mask (H, W) of the points in a box.

        Args:
            south, north: Bounds of latitude, degrees, inclusive.
            west, east: Bounds of longitude, degrees, inclusive; the box extends eastward from
                ``west`` to ``east``.
        """
        latitudes, longitudes = self.points()
        width = (east - west) % 360 or 360.0
        offset = (longitudes - west + TOLERANCE) % 360
        within = (latitudes >= south - TOLERANCE) & (latitudes <= north + TOLERANCE)
        return within & (offset <= width + 2 * TOLERANCE)

    def nearest(self, latitude: Any, longitude: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns rows and columns of the grid points nearest to given points.

        Args:
            latitude: Degrees north.
            longitude: Degrees east, modulo 360.
        """
        self.require_coordinates("a place")
        latitude, longitude = np.asarray(latitude, float), np.asarray(longitude, float)
        rows = np.abs(latitude[..., None] - self.latitudes).argmin(-1)
        offset = (longitude[..., None] - self.longitudes + 180) % 360 - 180
        return rows, np.abs(offset).argmin(-1)

    # Comparison and text

    def equals(self, other: Grid, tolerance: float = TOLERANCE) -> bool:
        """Returns True if two grids have the same points.

        Args:
            other: The other grid.
            tolerance: Largest difference of coordinates, degrees.
        """
        return (
            type(self) is type(other)
            and self.shape == other.shape
            and self.has_coordinates == other.has_coordinates
            and np.allclose(self.latitudes, other.latitudes, rtol=0, atol=tolerance)
            and np.allclose(
                (self.longitudes - other.longitudes + 180) % 360, 180, rtol=0, atol=tolerance
            )
        )

    def describe(self) -> str:
        """Returns the grid in words: ``driscoll-healy grid of 128 × 256 points``."""
        text = f"{self.kind} grid of {self.shape[0]} × {self.shape[1]} points"
        if self.kind != "regional":
            return text
        if self.is_sphere:
            whole = self.completion.grid
            missing = self.completion.missing
            rows = "row" if missing == 1 else "rows"
            return f"{text}, all but {missing} {rows} of {whole.in_words()}"
        (first, last), (west, east) = self.latitudes[[0, -1]], self.longitudes[[0, -1]]
        return f"{text}, {_degrees(first)}…{_degrees(last)} N, {_degrees(west)}…{_degrees(east)} E"

    def in_words(self) -> str:
        """Returns :meth:`describe` with an article: ``an oblique mercator grid of …``."""
        text = self.describe()
        return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as a dictionary that JSON can hold."""
        return {
            "kind": self.kind,
            "latitudes": self.latitudes.tolist(),
            "longitudes": self.longitudes.tolist(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Grid:
        """Returns the grid that :meth:`to_dict` stored in a dictionary."""
        return cls(value["kind"], value["latitudes"], value["longitudes"])


def edges_between(values: np.ndarray, half: float | None = None) -> np.ndarray:
    """Returns the edges (n+1, ...) half way between values; the outer ones are extrapolated.

    Args:
        values: (n, ...) coordinates along the first axis.
        half: Half width of the cell if there is only one value.
    """
    if len(values) == 1:
        return values + np.array([-half, half])
    middle = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])


def _circle(rows: int, columns: int | None) -> np.ndarray:
    """Returns evenly spaced longitudes from 0°, by default twice as many as rows."""
    columns = columns or 2 * rows
    return 360 * np.arange(columns) / columns


def _degrees(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
