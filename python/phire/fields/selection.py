"""Sources derived from another source: channels, regions, units, wind and its derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from phire.errors import InputError, naming_arguments
from phire.fields import units
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.source import Source, Times, close, indices, wind_directions

DERIVED = ("divergence", "vorticity")
"""Channels derived from wind, in AtmoDist's order."""


class ChannelSelection:
    """Source of selected channels of another source, in the given order.

    Args:
        source: The source.
        channels: Names of its channels.
        names: New names of these channels; by default they keep their names.
        name: Name of the source in messages.

    Raises:
        InputError: The source lacks a channel.
    """

    def __init__(
        self,
        source: Source,
        channels: Sequence[str],
        *,
        names: Sequence[str] | None = None,
        name: str = "the source",
    ) -> None:
        for channel in channels:
            if channel not in source.channels:
                raise InputError(
                    f"{name} has no channel {channel!r}; it has {', '.join(source.channels)}."
                )
        self.source = source
        self._places = [source.channels.index(channel) for channel in channels]
        self.channels = tuple(names or channels)
        self.units = tuple(source.units[place] for place in self._places)
        self.grid = source.grid
        self.time = source.time

    @property
    def time_chunk(self) -> int:
        """See :attr:`phire.fields.dataset.DatasetSource.time_chunk`."""
        return getattr(self.source, "time_chunk", 1)

    @property
    def interval_starts(self) -> np.ndarray | None:
        """Starts of accumulations; see :class:`phire.fields.collection.FileMetadata`."""
        starts = getattr(self.source, "interval_starts", None)
        return None if starts is None else starts[:, self._places]

    @property
    def wind_directions(self) -> tuple[str, ...]:
        """Axes of wind components; see :func:`phire.fields.source.wind_directions`."""
        stated = wind_directions(self.source)
        return tuple(stated[place] for place in self._places)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.source.read(times)[..., self._places]

    def read_window(self, times: Times, rows: slice, columns: slice) -> np.ndarray:
        """Reads a window of fields; see :func:`read_window`."""
        return read_window(self.source, times, rows, columns)[..., self._places]

    def close(self) -> None:
        """Closes the source."""
        close(self.source)


class ConvertedUnits:
    """Source with some channels converted to other units.

    Args:
        source: The source.
        wanted: New units by channel.
        name: Name of the source in messages.

    Raises:
        InputError: A channel's units are unknown or cannot be converted to the new ones.
    """

    def __init__(
        self, source: Source, wanted: Mapping[str, str], *, name: str = "the source"
    ) -> None:
        self.source = source
        self.channels, self.grid, self.time = source.channels, source.grid, source.time
        self.time_chunk = getattr(source, "time_chunk", 1)
        self._rules = {}
        self.units = tuple(wanted.get(c, unit) for c, unit in zip(source.channels, source.units))
        for c, (channel, unit) in enumerate(zip(source.channels, source.units)):
            if channel not in wanted:
                continue
            found = units.conversion(unit, wanted[channel]) if unit else None
            if found is None:
                raise InputError(
                    f"--units {channel}={wanted[channel]}: {name} has {channel} in "
                    f"{unit or 'unknown units'}, which cannot be converted."
                )
            self._rules[c] = units.Conversion(wanted[channel], *found)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        fields = self.source.read(times)
        for c, rule in self._rules.items():
            rule.apply(fields[..., c])
        return fields

    def close(self) -> None:
        """Closes the source."""
        close(self.source)


class RegionSource:
    """Source of a region of another source's fields.

    On a projected or curvilinear grid it is the smallest window that contains the region.

    Args:
        source: Source whose grid has coordinates or points.
        region: (north, west, south, east) in degrees, including the bounds. The region may cross
            the seam of the grid. If west and east are equal modulo 360, it is the whole circle.

    Raises:
        InputError: The grid has no coordinates, or does not overlap the region.
    """

    @naming_arguments()
    def __init__(self, source: Source, region: Sequence[float]) -> None:
        north, west, south, east = region
        if not -90 <= south < north <= 90:
            raise InputError(
                f"--region {','.join(f'{bound:g}' for bound in region)}: the order must be "
                "N,W,S,E, in degrees, N north of S."
            )
        self.source = source
        if isinstance(source.grid, CurvilinearGrid):
            self._rows, columns = source.grid.window_between(south, north, west, east)
            self._columns = [columns]
            self.grid = source.grid.subgrid(self._rows, columns)
        else:
            self._rows = source.grid.rows_between(south, north)
            self._columns, self.grid = _columns(source.grid, self._rows, west, east)
        self.channels = source.channels
        self.units = source.units
        self.time = source.time

    @property
    def time_chunk(self) -> int:
        """See :attr:`phire.fields.dataset.DatasetSource.time_chunk`."""
        return getattr(self.source, "time_chunk", 1)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        parts = [read_window(self.source, times, self._rows, run) for run in self._columns]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _columns(grid: Grid, rows: slice, west: float, east: float) -> tuple[list[slice], Grid]:
    """Returns slices of the columns between two longitudes, and the grid of the region.

    Args:
        grid: The whole grid.
        rows: Rows of the region.
        west, east: Bounds, degrees.
    """
    columns = grid.columns_between(west, east)
    breaks = np.flatnonzero(np.diff(columns) != 1) + 1
    runs = [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(columns, breaks) if len(run)]
    longitudes = np.concatenate([grid.longitudes[run] for run in runs])
    latitudes = grid.latitudes[rows]
    whole = (len(latitudes), len(longitudes)) == grid.shape
    regional = Grid.from_coordinates if whole else Grid.regional
    # Longitudes ascend from near ``west``, also across the seam of the grid.
    start = west + (longitudes[0] - west + 180) % 360 - 180
    return runs, regional(latitudes, start + (longitudes - longitudes[0]) % 360)


class WindSource:
    """Source of divergence and vorticity of another source's wind, in AtmoDist's order.

    On global grids they are computed with spherical harmonics, up to the largest degree that the
    grid resolves; a field with a missing value is then missing entirely. On other grids they are
    computed with finite differences and are missing next to a missing value; on projected and
    curvilinear grids with the metric of the grid.

    Args:
        source: Source whose grid has coordinates or points.
        wind: Channels of eastward and northward wind, m/s. On projected grids they may also be the
            components along x and y, if the source's ``wind_directions`` say so.
        further: Further channels, which follow divergence and vorticity unchanged.
        radius: Radius of the sphere, m.

    Raises:
        InputError: The source lacks a channel or coordinates, or does not state the axes of wind
            components on a projected grid.
    """

    def __init__(
        self,
        source: Source,
        wind: tuple[str, str],
        *,
        further: Sequence[str] = (),
        radius: float = EARTH_RADIUS,
    ) -> None:
        self._metric, self._direction = None, ""
        if isinstance(source.grid, CurvilinearGrid) and source.grid.has_points:
            self._direction = _wind_direction(source, wind)
        else:
            source.grid.require_coordinates("the vorticity of wind (--wind)")
            _refuse_unturned(source, wind, "--wind")
        self.source = ChannelSelection(source, (*wind, *further))
        self.channels = (*DERIVED, *further)
        self.units = ("s**-1", "s**-1", *self.source.units[2:])
        self.wind_directions = ("", "", *wind_directions(self.source)[2:])
        self.grid = source.grid
        self.time = source.time
        self.radius = radius
        self._harmonics = None
        if self.grid.is_sphere:
            from phire.fields.harmonics import SphericalHarmonics

            self._harmonics = SphericalHarmonics(self.grid, radius=radius)
        elif min(self.grid.shape) < 3:
            raise InputError(
                f"--wind needs at least three rows and columns for differences, not "
                f"{self.grid.shape[0]} × {self.grid.shape[1]}."
            )

    @property
    def time_chunk(self) -> int:
        """See :attr:`phire.fields.dataset.DatasetSource.time_chunk`."""
        return self.source.time_chunk

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        fields = self.source.read(times)
        for one in fields:  # one field at a time: the transforms need float64 copies
            vorticity, divergence = self._derived(one[..., 0], one[..., 1])
            one[..., 0], one[..., 1] = divergence, vorticity
        return fields

    def close(self) -> None:
        """Closes the source."""
        close(self.source)

    def _derived(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes vorticity and divergence (H, W) of one field of wind."""
        from phire.fields.differences import wind_to_vorticity_divergence
        from phire.fields.surface_metric import SurfaceMetric

        if self._direction:
            if self._metric is None:
                self._metric = SurfaceMetric.of(self.grid, self.radius)
            u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
            return self._metric.wind_to_vorticity_divergence(u, v, self._direction)
        if self._harmonics is None:
            return wind_to_vorticity_divergence(u, v, self.grid, self.radius)
        # A missing value would spread over the whole sphere in the transform.
        if not (np.isfinite(u).all() and np.isfinite(v).all()):
            missing = np.full(self.grid.shape, np.nan)
            return missing, missing
        return self._harmonics.wind_to_vorticity_divergence(u, v)


class EastwardWind:
    """Source whose wind along the axes of its grid is rotated to east and north.

    Args:
        source: Source whose grid has points.
        wind: Channels of the components along x and y.

    Raises:
        InputError: The source lacks a channel, or does not state that the components are along
            the axes of the grid.
    """

    def __init__(self, source: Source, wind: tuple[str, str]) -> None:
        from phire.fields.surface_metric import SurfaceMetric

        for name in wind:
            if name not in source.channels:
                raise InputError(
                    f"--turn-wind {','.join(wind)}: {name} is not a channel; the channels are "
                    f"{', '.join(source.channels)}."
                )
        if _wind_direction(source, wind, "--turn-wind") != "grid":
            raise InputError(
                f"--turn-wind {','.join(wind)}: the components already point east and north: leave "
                "it out."
            )
        self.source, self._places = source, [source.channels.index(name) for name in wind]
        self.channels, self.units = source.channels, source.units
        self.grid, self.time = source.grid, source.time
        self.time_chunk = getattr(source, "time_chunk", 1)
        self.interval_starts = getattr(source, "interval_starts", None)
        self.wind_directions = tuple(
            "east" if channel in wind else direction
            for channel, direction in zip(source.channels, wind_directions(source))
        )
        metric = SurfaceMetric.of(source.grid)
        (x, _), (east, _) = metric.axes("grid"), metric.axes("east")
        north = np.cross(metric.vectors, east)  # upward × east
        # Cosine and sine of the angle from east to the x axis, counterclockwise.
        self._cosine, self._sine = (x * east).sum(-1), (x * north).sum(-1)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        fields = self.source.read(times)
        u, v = (fields[..., place].astype(np.float64) for place in self._places)
        fields[..., self._places[0]] = u * self._cosine - v * self._sine
        fields[..., self._places[1]] = u * self._sine + v * self._cosine
        return fields

    def close(self) -> None:
        """Closes the source."""
        close(self.source)


def unturned_note(source: Source, name: str) -> str | None:
    """Returns a clause on wind along a projected grid's axes, which regridding does not rotate.

    Args:
        source: The source that is to be regridded.
        name: Name of the source in the clause.

    Returns:
        The clause; None if no channel is known to be a component along the axes.
    """
    directions = wind_directions(source)
    along = [channel for channel, d in zip(source.channels, directions) if d == "grid"]
    if not along or not isinstance(source.grid, CurvilinearGrid):
        return None
    return (
        f"{', '.join(along)} of {name} are components along the axes of its grid, and regridding "
        "does not rotate them: use `phire convert --turn-wind U,V` to rotate them to east and north"
    )


def _wind_direction(source: Source, wind: tuple[str, str], option: str = "--wind") -> str:
    """Returns ``grid`` or ``east``: the axes of the wind components on a projected grid.

    Raises:
        InputError: The source does not state them, or they differ between the components.
    """
    _refuse_unturned(source, wind, option)
    stated = dict(zip(source.channels, wind_directions(source)))
    found = {stated.get(name, "") for name in wind}
    if len(found) == 1 and found != {""}:
        return found.pop()
    raise InputError(
        f"{option} {','.join(wind)}: the file does not state whether the components on the "
        f"{source.grid.describe()} are along its axes or to the east and north: give them the CF "
        "standard_name x_wind and y_wind, or eastward_wind and northward_wind (of GRIB, the flag "
        "uvRelativeToGrid)."
    )


def _refuse_unturned(source: Source, wind: tuple[str, str], option: str) -> None:
    """Raises InputError for components along the axes of a grid before a regridding."""
    stated = dict(zip(source.channels, wind_directions(source)))
    if "unturned" in {stated.get(name, "") for name in wind}:
        raise InputError(
            f"{option} {','.join(wind)}: the components are along the axes of the grid that the "
            "fields were regridded from: rotate them before regridding, with `phire convert "
            f"--turn-wind {','.join(wind)}`."
        )


def read_window(source: Source, times: Times, rows: slice, columns: slice) -> np.ndarray:
    """Reads a window of fields, with the source's ``read_window`` if it has one.

    Args:
        source: The source.
        times: Indices of the times.
        rows, columns: The window.

    Returns:
        (n, h, w, C) float32.
    """
    if hasattr(source, "read_window"):
        return source.read_window(times, rows, columns)
    return source.read(indices(times, len(source.time)))[:, rows, columns]
