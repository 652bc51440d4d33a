"""Conversion of xarray objects to sources: the metric's channels in order, rows from the north."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire import progress
from phire.errors import InputError
from phire.evaluation.pairing import align, north_up
from phire.fields.ensemble import as_source
from phire.fields.grid import Grid
from phire.fields.source import Source

ROWS, COLUMNS = ("latitude", "lat", "y", "row"), ("longitude", "lon", "x", "column")


@dataclasses.dataclass(frozen=True)
class XarrayFields:
    """Fields of an xarray object, and the coordinates for results on them.

    Attributes:
        source: The fields, first row in the north.
        dimension: Name of the dimension with several fields; None for one field.
        labels: Values of that dimension if they are neither dates nor whole numbers.
    """

    source: Source
    dimension: Hashable | None = None
    labels: np.ndarray | None = None

    def array(self, values: np.ndarray, layer: str) -> xr.DataArray:
        """Adds coordinates to a result (n,), or to maps (n, h, w) on the feature grid."""
        coordinates: dict[Hashable, Any] = {}
        dimensions: list[Hashable] = []
        if self.dimension is None:
            values = values[0]
        else:
            dimensions.append(self.dimension)
            time = self.source.time
            coordinates[self.dimension] = (
                time.to_coordinate() if self.labels is None else self.labels[time.values]
            )
        if values.ndim > len(dimensions):
            grid = feature_grid(self.source.grid, values.shape[-2:])
            names = ("latitude", "longitude") if grid.has_coordinates else ("row", "column")
            dimensions += names
            if grid.has_coordinates:
                coordinates |= dict(zip(names, (grid.latitudes, grid.longitudes)))
        return xr.DataArray(
            values,
            dims=dimensions,
            coords=coordinates,
            name="learned_distance",
            attrs={"long_name": "learned distance", "units": "1", "layer": layer},
        )


def open_xarray(
    given: xr.Dataset | xr.DataArray, channels: Sequence[str], what: str
) -> XarrayFields:
    """Reads the metric's channels from an xarray object.

    Args:
        given: Dataset with one variable per channel, or DataArray with a dimension ``channel`` (or
            a single channel), over latitude, longitude and at most one more dimension.
        channels: Names of the channels, in the order wanted.
        what: Name of the argument, for messages.

    Raises:
        InputError: A channel is missing, or the dimensions do not match.
    """
    # Registers the Blosc filter, because xarray reads a store's values only here.
    import phire.fields.compression  # noqa: F401

    # A scalar time is dropped, because a single field is compared regardless of its time.
    dataset = _dataset(given, channels, what).reset_coords(drop=True)
    dimensions = list(dict.fromkeys(d for v in dataset.values() for d in v.dims))
    (rows, columns), further = _horizontal(dimensions), []
    for name in dimensions:
        if name not in (*rows, *columns):
            further.append(name)
    if len(rows) != 1 or len(columns) != 1 or len(further) > 1:
        raise InputError(
            f"{what} has the dimensions {', '.join(map(str, dimensions))}: it needs latitude, "
            "longitude and at most one more beside channel."
        )
    if rows[0] not in dataset.coords or columns[0] not in dataset.coords:
        dataset = dataset.drop_vars([rows[0], columns[0]], errors="ignore")
        dataset = dataset.rename({rows[0]: "row", columns[0]: "column"})
    dimension, labels = (further[0] if further else None), None
    if dimension is not None and dimension in dataset.coords:
        values = dataset[dimension].values
        if not _counts_time(values):
            labels = values
            dataset = dataset.drop_vars(dimension)
    if dimension not in (None, "time"):
        dataset = dataset.rename({dimension: "time"})
    return XarrayFields(north_up(as_source(dataset, channels, name=what)), dimension, labels)


def pair(first: XarrayFields, second: XarrayFields) -> tuple[XarrayFields, XarrayFields]:
    """Aligns two sets of fields by time, latitude and longitude.

    The rules are those of :func:`phire.evaluation.scores`. Two single fields are compared
    regardless of their times.

    Raises:
        InputError: Only one of them is a series, or their times or grids do not match.
    """
    if (first.dimension is None) != (second.dimension is None):
        raise InputError("one of x and y is a single field, the other a series: select a time.")
    count = len(first.source.time)
    aligned, placed = align(first.source, {"y": second.source}, np.arange(count))
    if len(aligned.time) < max(count, len(second.source.time)):
        progress.say(
            f"{len(aligned.time)} of the {count} fields of x and {len(second.source.time)} of y "
            "have a time in common: only these are compared."
        )
    return (
        dataclasses.replace(first, source=north_up(aligned)),
        dataclasses.replace(second, source=north_up(placed["y"])),
    )


def feature_grid(grid: Grid, shape: tuple[int, int]) -> Grid:
    """Returns the grid of a layer's features, each at the centre of the points that it covers.

    Args:
        grid: Grid of the fields.
        shape: Rows and columns of the feature map.
    """
    axes = []
    for values, count in zip((grid.latitudes, grid.longitudes), shape):
        middle = (np.arange(count) + 0.5) * len(values) / count - 0.5
        axes.append(np.interp(middle, np.arange(len(values)), values))
    return Grid.regional(*axes) if grid.has_coordinates else Grid.pixels(*shape)


def _horizontal(dimensions: Sequence[Hashable]) -> tuple[list[Hashable], list[Hashable]]:
    return tuple([d for d in dimensions if d in names] for names in (ROWS, COLUMNS))


def _counts_time(values: np.ndarray) -> bool:
    """Returns True if the values of a dimension are dates or whole numbers."""
    if values.dtype == object:
        return len(values) > 0 and hasattr(values[0], "calendar")
    return values.dtype.kind in "Miu"


def _dataset(given: xr.Dataset | xr.DataArray, channels: Sequence[str], what: str) -> xr.Dataset:
    """Returns a dataset with one variable per channel."""
    if isinstance(given, xr.Dataset):
        missing = [name for name in channels if name not in given]
        if missing:
            raise InputError(
                f"{what} has no variable {missing[0]!r}: the metric needs {', '.join(channels)}, "
                f"the dataset holds {', '.join(map(str, given))}."
            )
        return given[list(channels)]
    if "channel" not in given.dims:
        if len(channels) != 1:
            raise InputError(
                f"{what} has no dimension 'channel': pass a Dataset with the variables "
                f"{', '.join(channels)}, or stack them along it."
            )
        return given.to_dataset(name=channels[0])
    if "channel" in given.coords and given["channel"].dtype.kind in "UO":
        missing = [name for name in channels if name not in given["channel"].values]
        if missing:
            raise InputError(
                f"{what} has no channel {missing[0]!r}: the metric needs {', '.join(channels)}."
            )
        given = given.sel(channel=list(channels))
    elif given.sizes["channel"] != len(channels):
        raise InputError(
            f"{what} has {given.sizes['channel']} channels, the metric was trained on "
            f"{len(channels)} ({', '.join(channels)}): pass these, in this order."
        )
    return xr.Dataset({c: given.isel(channel=i, drop=True) for i, c in enumerate(channels)})
