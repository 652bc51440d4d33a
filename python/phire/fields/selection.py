"""Parts of a source, and what is computed of it field by field, as sources again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from phire.errors import InputError
from phire.fields import units
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.source import Source, Times, close, indices

DERIVED = ("divergence", "vorticity")
"""The channels that wind is turned into, in AtmoDist's order."""


class ChannelSelection:
    """Some channels of a source, in the order wanted.

    Args:
        source: Any source.
        channels: Names of its channels.
        names: What to call them; by default as the source does.
        name: What errors call the source.

    Raises:
        InputError: The source has no such channel.
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
        """See :attr:`phire.fields.dataset.DatasetSource.interval_starts`."""
        starts = getattr(self.source, "interval_starts", None)
        return None if starts is None else starts[:, self._places]

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.source.read(times)[..., self._places]

    def read_window(self, times: Times, rows: slice, columns: slice) -> np.ndarray:
        """Reads a window of fields: (n, h, w, C) float32."""
        return read_window(self.source, times, rows, columns)[..., self._places]

    def close(self) -> None:
        """Closes the source."""
        close(self.source)


class ConvertedUnits:
    """A source with some channels in other units.

    Args:
        source: Any source.
        wanted: Units by channel.
        name: What errors call the source.

    Raises:
        InputError: A channel's units are unknown or cannot be converted to those wanted.
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
                    f"{unit or 'unknown units'}, which do not convert to that."
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
    """A region of a source's fields.

    Args:
        source: Any source whose grid has coordinates.
        region: (north, west, south, east) in degrees, the bounds included; west to east may run
            across the seam of the grid, and is the whole circle where both are equal modulo 360.

    Raises:
        InputError: The grid has no coordinates, or the region lies outside.
    """

    def __init__(self, source: Source, region: Sequence[float]) -> None:
        north, west, south, east = region
        if not -90 <= south < north <= 90:
            raise InputError(
                f"--region {','.join(f'{bound:g}' for bound in region)}: the order is N,W,S,E, in "
                "degrees, with the northern bound north of the southern one."
            )
        self.source = source
        self._rows = source.grid.rows_between(south, north)
        columns = source.grid.columns_between(west, east)
        breaks = np.flatnonzero(np.diff(columns) != 1) + 1
        self._columns = [
            slice(int(run[0]), int(run[-1]) + 1) for run in np.split(columns, breaks) if len(run)
        ]
        longitudes = np.concatenate([source.grid.longitudes[run] for run in self._columns])
        latitudes = source.grid.latitudes[self._rows]
        whole = (len(latitudes), len(longitudes)) == source.grid.shape
        regional = Grid.from_coordinates if whole else Grid.regional
        start = west + (longitudes[0] - west + 180) % 360 - 180
        longitudes = start + (longitudes - longitudes[0]) % 360
        self.grid = regional(latitudes, longitudes)
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


class WindSource:
    """Divergence and vorticity of a source's wind: channels in AtmoDist's order.

    On global grids by spherical harmonics, up to the largest degree that the grid resolves (a field
    with a missing value is then missing wholly); on other grids by finite differences (missing
    where a neighbour is).

    Args:
        source: Any source whose grid has coordinates.
        wind: The channels of eastward and of northward wind, m/s.
        kept: Further channels to pass through, after divergence and vorticity.
        radius: Radius of the sphere in metres.

    Raises:
        InputError: The source has no such channels, or no coordinates.
    """

    def __init__(
        self,
        source: Source,
        wind: tuple[str, str],
        *,
        kept: Sequence[str] = (),
        radius: float = EARTH_RADIUS,
    ) -> None:
        source.grid.require_coordinates("the vorticity of wind (--wind)")
        self.source = ChannelSelection(source, (*wind, *kept))
        self.channels = (*DERIVED, *kept)
        self.units = ("s**-1", "s**-1", *self.source.units[2:])
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
        for one in fields:  # one by one: the transforms work in float64
            vorticity, divergence = self._derived(one[..., 0], one[..., 1])
            one[..., 0], one[..., 1] = divergence, vorticity
        return fields

    def close(self) -> None:
        """Closes the source."""
        close(self.source)

    def _derived(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from phire.fields.differences import wind_to_vorticity_divergence

        if self._harmonics is None:
            return wind_to_vorticity_divergence(u, v, self.grid, self.radius)
        if not (np.isfinite(u).all() and np.isfinite(v).all()):
            missing = np.full(self.grid.shape, np.nan)
            return missing, missing
        return self._harmonics.wind_to_vorticity_divergence(u, v)


def read_window(source: Source, times: Times, rows: slice, columns: slice) -> np.ndarray:
    """Reads a window of fields (n, h, w, C), by the source's own way where it has one."""
    if hasattr(source, "read_window"):
        return source.read_window(times, rows, columns)
    return source.read(indices(times, len(source.time)))[:, rows, columns]
