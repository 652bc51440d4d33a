"""Projected, rotated and curvilinear grids.

*Projected*: rows and columns have constant coordinates y and x of a map projection. *Rotated*: they
have constant latitude and longitude with respect to another pole. *Curvilinear*: only the latitude
and longitude of each point are known.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from phire.errors import InputError
from phire.fields.fractional_indices import fractional_index, invert_bilinear, values_at
from phire.fields.great_circle import (
    angle,
    latitudes_longitudes,
    quadrilateral_areas,
    unit_vectors,
)
from phire.fields.grid import EARTH_RADIUS, TOLERANCE, Grid, edges_between

KIND = "curvilinear"

DEGREES = "degrees"


@dataclasses.dataclass(frozen=True, eq=False)
class CurvilinearGrid(Grid):
    """Projected, rotated or curvilinear grid.

    Its rows and columns have no constant latitude or longitude, so ``latitudes`` and
    ``longitudes`` are the numbers of the rows and columns. The coordinates of its points are
    returned by :meth:`points`.

    Attributes:
        y: (H,) coordinates of the rows, metres (degrees on a rotated grid).
        x: (W,) coordinates of the columns, in the same unit.
        projection: Projection as WKT; empty if unknown.
        stated_points: (2, H, W) latitudes and longitudes, degrees, of a curvilinear grid; None if
            they follow from the projection.
    """

    y: np.ndarray = None
    x: np.ndarray = None
    projection: str = ""
    stated_points: np.ndarray | None = None

    @classmethod
    def projected(cls, y: Any, x: Any, projection: Any) -> CurvilinearGrid:
        """Returns a projected or rotated grid; the spacing may be uneven.

        Args:
            y: (H,) coordinates of the rows, metres, or degrees for a rotated pole.
            x: (W,) coordinates of the columns, in the same unit.
            projection: Any input of ``pyproj.CRS``; empty if unknown.

        Raises:
            InputError: The coordinates are not monotonic, or pyproj does not read the projection.
        """
        y, x = np.array(y, np.float64), np.array(x, np.float64)
        for name, values in (("y", y), ("x", x)):
            steps = np.diff(values)
            if values.ndim != 1 or not ((steps > 0).all() or (steps < 0).all()):
                raise InputError(f"the coordinate {name} is not monotonic: sort the data first.")
        text = _crs(projection).to_wkt() if projection else ""
        return cls(KIND, np.arange(len(y)), np.arange(len(x)), y, x, text)

    @classmethod
    def of_points(cls, latitudes: Any, longitudes: Any) -> CurvilinearGrid:
        """Returns the curvilinear grid of given points.

        Args:
            latitudes, longitudes: (H, W) degrees.

        Raises:
            InputError: A coordinate is not finite, or a latitude is beyond a pole.
        """
        points = np.array([latitudes, longitudes], np.float64)
        if not np.isfinite(points).all():
            raise InputError(
                "the two-dimensional latitudes or longitudes have values that are not finite: "
                "repair the file."
            )
        if np.abs(points[0]).max() > 90 + TOLERANCE:
            raise InputError("a latitude lies beyond the poles: coordinates must be in degrees.")
        y, x = (np.arange(size, dtype=np.float64) for size in points.shape[1:])
        return cls(KIND, y, x, y, x, "", points)

    def __getstate__(self) -> dict[str, Any]:
        # Without cached properties: they are computed again where needed.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    # Properties

    @functools.cached_property
    def crs(self) -> Any:
        """Projection as a ``pyproj.CRS``."""
        return _crs(self.projection)

    @property
    def has_points(self) -> bool:
        """True if the latitudes and longitudes of the points are known."""
        return bool(self.projection) or self.stated_points is not None

    @property
    def has_distances(self) -> bool:
        """True: distances between points are known, at least from ``y`` and ``x``."""
        return True

    @functools.cached_property
    def is_rotated(self) -> bool:
        """True if ``y`` and ``x`` are latitude and longitude with respect to another pole."""
        return bool(self.projection) and self.crs.is_geographic

    @property
    def descending(self) -> bool:
        """True if the first row is the northernmost."""
        if self.stated_points is not None:
            middle = self.stated_points[0][:, self.shape[1] // 2]
            return bool(middle[0] > middle[-1])
        return len(self.y) < 2 or bool(self.y[0] > self.y[-1])

    def require_coordinates(self, what: str) -> None:
        """Raises InputError: rows and columns have no constant latitude and longitude.

        Args:
            what: Noun phrase that needs them, for the message.

        Raises:
            InputError: Always. The message advises to regrid if the points are known.
        """
        if not self.has_points:
            raise InputError(
                f"{what} needs latitudes and longitudes, but the fields are on a "
                f"{self.describe()}: add its projection to the file (CF grid_mapping, or the "
                "attribute proj4), or two-dimensional latitudes and longitudes."
            )
        raise InputError(
            f"{what} needs rows of equal latitude, but the fields are on {self.in_words()}: "
            "regrid them to latitudes and longitudes with `phire regrid` first."
        )

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the latitudes and longitudes of the points, (H, W) each, degrees.

        Raises:
            InputError: Neither the projection nor the coordinates of the points are known.
        """
        if self.stated_points is not None:
            return tuple(self.stated_points)
        return self._points

    @functools.cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        return self.places(*np.meshgrid(self.y, self.x, indexing="ij"))

    def places(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns latitudes and longitudes (degrees) of points with projected coordinates.

        Args:
            y, x: Projected coordinates, metres (degrees on a rotated grid).
        """
        self._require_projection()
        longitude, latitude = self._transformer.transform(x / self._unit, y / self._unit)
        return latitude, longitude

    def coordinates(self, longitude: Any, latitude: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns projected coordinates x and y of points with coordinates in degrees."""
        self._require_projection()
        x, y = self._transformer.transform(longitude, latitude, direction="INVERSE")
        return x * self._unit, y * self._unit

    def places_within(self, rows: Any, columns: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns latitudes and longitudes (...,) of points at fractional rows and columns."""
        rows, columns = np.broadcast_arrays(rows, columns)
        if self.stated_points is None:
            y, x = values_at(self.y, rows.ravel()), values_at(self.x, columns.ravel())
            return self.places(y.reshape(rows.shape), x.reshape(rows.shape))
        i = np.clip(np.floor(rows), 0, self.shape[0] - 2).astype(int)
        j = np.clip(np.floor(columns), 0, self.shape[1] - 2).astype(int)
        down, across = (rows - i)[..., None], (columns - j)[..., None]
        north = (1 - across) * self._vectors[i, j] + across * self._vectors[i, j + 1]
        south = (1 - across) * self._vectors[i + 1, j] + across * self._vectors[i + 1, j + 1]
        return latitudes_longitudes((1 - down) * north + down * south)

    def row_column(self, latitudes: Any, longitudes: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns fractional rows and columns (...,) of points, NaN far from the grid.

        They are computed by the projection if it is known, otherwise by Newton's method from the
        nearest grid point.

        Args:
            latitudes, longitudes: (...,) degrees.
        """
        latitudes, longitudes = np.broadcast_arrays(latitudes, longitudes)
        if self.stated_points is not None:
            return invert_bilinear(self._vectors, self._tree, unit_vectors(latitudes, longitudes))
        x, y = self.coordinates(longitudes, latitudes)
        if self.is_rotated:
            x = self.x.mean() + (x - self.x.mean() + 180) % 360 - 180
        return tuple(fractional_index(values, axis) for values, axis in ((y, self.y), (x, self.x)))

    @functools.cached_property
    def _transformer(self) -> Any:
        import pyproj

        crs = self.crs
        base = crs.source_crs or crs.geodetic_crs
        return pyproj.Transformer.from_crs(crs, base, always_xy=True)

    @functools.cached_property
    def _unit(self) -> float:
        """Length (m) of the projection's unit; 1 for a rotated grid, whose unit is the degree."""
        return 1.0 if self.is_rotated else self.crs.axis_info[0].unit_conversion_factor

    @functools.cached_property
    def _vectors(self) -> np.ndarray:
        """Unit vectors (H, W, 3) of the points."""
        return unit_vectors(*self.points())

    @functools.cached_property
    def _tree(self) -> Any:
        """Search tree of the points' unit vectors."""
        import scipy.spatial

        return scipy.spatial.cKDTree(self._vectors.reshape(-1, 3))

    def _require_projection(self) -> None:
        if not self.projection:
            raise InputError(
                f"the points of {self.in_words()} are not known: the file must state its "
                "projection (CF grid_mapping, or the attribute proj4) or two-dimensional latitudes "
                "and longitudes."
            )

    def spacing_km(self, radius: float = EARTH_RADIUS) -> tuple[float, float]:
        """Returns the mean spacing of rows and columns in km, of the points or else ``y``, ``x``.

        Args:
            radius: Radius of the sphere, m.
        """
        if not self.has_points:
            return tuple(float(np.abs(np.diff(v)).mean()) / 1e3 for v in (self.y, self.x))
        vectors = self._vectors
        down, across = angle(vectors[1:], vectors[:-1]), angle(vectors[:, 1:], vectors[:, :-1])
        return float(down.mean()) * radius / 1e3, float(across.mean()) * radius / 1e3

    def corners(self) -> np.ndarray:
        """Returns the unit vectors (H+1, W+1, 3) of the cells' corners, half way between points."""
        if self.stated_points is not None:
            rows = _vector_edges(self._vectors)
            return np.swapaxes(_vector_edges(np.swapaxes(rows, 0, 1)), 0, 1)
        edges = np.meshgrid(edges_between(self.y), edges_between(self.x), indexing="ij")
        return unit_vectors(*self.places(*edges))

    def cell_areas(self, radius: float = EARTH_RADIUS) -> np.ndarray:
        """Returns the areas (H, W) of the cells in m².

        Args:
            radius: Radius of the sphere, m.
        """
        return self._unit_areas * radius**2

    @functools.cached_property
    def _unit_areas(self) -> np.ndarray:
        """Areas (H, W) of the cells on the unit sphere."""
        return quadrilateral_areas(self.corners(), 1.0)

    def area_weights(self) -> np.ndarray:
        """Returns weights proportional to cell areas, (H, W), with mean 1.

        If the points are unknown, the weights are (H, 1) ones.
        """
        if not self.has_points or min(self.shape) < 2:
            return np.ones((self.shape[0], 1))
        return self._unit_areas / self._unit_areas.mean()

    def window_between(
        self, south: float, north: float, west: float, east: float
    ) -> tuple[slice, slice]:
        """Returns the smallest window of rows and columns that contains all points of a box.

        Args:
            south, north, west, east: Bounds of the box, degrees.

        Raises:
            InputError: No point lies in the box.
        """
        inside = self.points_between(south, north, west, east)
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        if not len(rows):
            raise InputError(
                f"no point of the {self.describe()} lies between {south:g}° and {north:g}° N, "
                f"{west:g}° and {east:g}° E: choose another region."
            )
        return tuple(slice(int(one[0]), int(one[-1]) + 1) for one in (rows, columns))

    # Windows, comparison and text

    def subgrid(self, rows: slice, columns: slice) -> CurvilinearGrid:
        """Returns the grid of a window."""
        if self.stated_points is not None:
            return self.of_points(*self.stated_points[:, rows, columns])
        return self.projected(self.y[rows], self.x[columns], self.projection)

    def coarsened(self, scale: int, alignment: str) -> CurvilinearGrid:
        """Returns the grid of blocks of ``scale`` × ``scale`` points.

        Args:
            scale: Points of a block along each side; divides the shape of the grid.
            alignment: See :func:`phire.fields.coarsening.coarsen_grid`.
        """
        if self.stated_points is None:
            axes = (v.reshape(-1, scale) for v in (self.y, self.x))
            y, x = (v[:, 0] if alignment == "corner" else v.mean(1) for v in axes)
            return self.projected(y, x, self.projection)
        height, width = self.shape
        blocks = self._vectors.reshape(height // scale, scale, width // scale, scale, 3)
        means = blocks[:, 0, :, 0] if alignment == "corner" else blocks.mean((1, 3))
        return self.of_points(*latitudes_longitudes(means))

    def refined(self, scale: int, alignment: str) -> CurvilinearGrid:
        """Returns the grid with ``scale`` × ``scale`` points for each point.

        Inverts :meth:`coarsened`; its arguments are the same.
        """
        offset = (scale - 1) / 2 if alignment == "cell" else 0.0
        rows, columns = ((np.arange(n * scale) - offset) / scale for n in self.shape)
        if self.stated_points is None:
            y, x = values_at(self.y, rows), values_at(self.x, columns)
            return self.projected(y, x, self.projection)
        vectors = values_at(np.moveaxis(values_at(self._vectors, rows), 1, 0), columns)
        return self.of_points(*latitudes_longitudes(np.moveaxis(vectors, 0, 1)))

    def equals(self, other: Grid, tolerance: float = TOLERANCE) -> bool:
        """Returns True if two grids have the same points, within ``tolerance`` degrees."""
        if not isinstance(other, CurvilinearGrid) or self.shape != other.shape:
            return False
        if self.has_points and other.has_points:
            apart = angle(self._vectors, other._vectors)
            return bool(np.rad2deg(apart).max() < tolerance)
        return (
            self.has_points == other.has_points
            and np.allclose(self.y, other.y)
            and np.allclose(self.x, other.x)
        )

    def find(self, part: Grid) -> tuple[slice, slice] | None:
        """Returns the window of this grid that is equal to another grid.

        Args:
            part: The other grid.

        Returns:
            Rows and columns of the window; None if ``part`` is not a window of this grid.
        """
        if not isinstance(part, CurvilinearGrid) or self.has_points != part.has_points:
            return None
        if self.has_points:
            apart = angle(self._vectors, part._vectors[0, 0])
            first = np.unravel_index(apart.argmin(), self.shape)
        else:
            axes = (self.y, part.y), (self.x, part.x)
            first = [np.abs(values - wanted[0]).argmin() for values, wanted in axes]
        window = tuple(slice(int(i), int(i) + size) for i, size in zip(first, part.shape))
        return window if self.subgrid(*window).equals(part) else None

    @property
    def projection_name(self) -> str:
        """CF name of the projection in words, such as ``polar stereographic``."""
        return self.cf_mapping().get("grid_mapping_name", "projected").replace("_", " ")

    def cf_mapping(self) -> dict[str, Any]:
        """Returns the attributes of the CF ``grid_mapping``; an empty dict without a projection."""
        if not self.projection:
            return {}
        with warnings.catch_warnings():
            # pyproj warns that CF lacks some projections; the attribute crs_wkt states them.
            warnings.simplefilter("ignore")
            return self.crs.to_cf()

    def axis_attributes(self) -> tuple[dict[str, str], dict[str, str]]:
        """Returns the CF attributes of the coordinates ``y`` and ``x``."""
        if self.stated_points is not None:
            return {"units": "1", "long_name": "row"}, {"units": "1", "long_name": "column"}
        if self.is_rotated:
            names, unit = ("grid_latitude", "grid_longitude"), "degrees"
        else:
            names, unit = ("projection_y_coordinate", "projection_x_coordinate"), "m"
        return tuple({"standard_name": name, "units": unit} for name in names)

    def describe(self) -> str:
        """Returns the grid in words: ``polar stereographic grid of 512 × 512 points, 1 km``."""
        name = "curvilinear"
        if self.stated_points is None:
            name = self.projection_name if self.projection else "projected"
        text = f"{name} grid of {self.shape[0]} × {self.shape[1]} points"
        if min(self.shape) > 1:
            text += f", {self._spacing_in_words()}"
        return text if self.has_points else f"{text}, of unknown projection"

    def _spacing_in_words(self) -> str:
        """Returns the spacing of rows and columns as text, in km, or degrees if rotated."""
        if self.stated_points is not None:
            return "{:.3g} × {:.3g} km".format(*self.spacing_km())
        steps = [float(np.abs(np.diff(values)).mean()) for values in (self.y, self.x)]
        if self.is_rotated:
            return "{:.4g} × {:.4g} degrees".format(*steps)
        return "{:.4g} × {:.4g} km".format(*(step / 1e3 for step in steps))

    def to_dict(self) -> dict[str, Any]:
        """Returns the grid as a dictionary that JSON can hold."""
        value: dict[str, Any] = {"kind": KIND}
        if self.stated_points is not None:
            return {**value, "points": self.stated_points.tolist()}
        return value | {"y": self.y.tolist(), "x": self.x.tolist(), "projection": self.projection}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> CurvilinearGrid:
        """Returns the grid that :meth:`to_dict` stored in a dictionary."""
        if "points" in value:
            return cls.of_points(*value["points"])
        return cls.projected(value["y"], value["x"], value["projection"])


def grid_from_dict(value: Mapping[str, Any]) -> Grid:
    """Returns the grid, of any kind, that its ``to_dict`` stored in a dictionary."""
    return (CurvilinearGrid if value["kind"] == KIND else Grid).from_dict(value)


@functools.lru_cache(maxsize=16)
def _crs(projection: Any) -> Any:
    import pyproj

    try:
        return pyproj.CRS.from_user_input(projection)
    except pyproj.exceptions.CRSError as error:
        raise InputError(
            f"pyproj does not read the projection {str(projection)[:80]!r} ({error}): correct it, "
            "or import phire before opening a file with xarray, which may load another PROJ."
        ) from None


def _vector_edges(vectors: np.ndarray) -> np.ndarray:
    """Returns unit vectors half way between neighbours of the first axis, and beyond both ends."""
    edges = edges_between(vectors)
    return edges / np.linalg.norm(edges, axis=-1, keepdims=True)
