"""Sources of ensembles, and opening of files and xarray objects with or without members."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr

from phire.errors import InputError, naming_arguments
from phire.fields.dataset import DatasetSource
from phire.fields.further_dimensions import MEMBERS
from phire.fields.opening import NETCDF, ZARR, format_of, open_dataset, open_source
from phire.fields.source import ALL, Source, Times, wind_directions

CLIMATOLOGICAL = ("month", "dayofyear")
"""Dimensions of climatologies, as in the result of ``groupby("time.month").mean()``."""

_TIMES = {"time", "valid_time", "step"}


class EnsembleSource:
    """Source of an ensemble; :meth:`read` gives the ensemble mean.

    Args:
        sources: One source for each member, with equal grids, channels and times.

    Attributes:
        members: Number of members.

    Raises:
        InputError: There is no member, or members differ in grid, channels or times.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise InputError("an ensemble needs at least one member.")
        first = sources[0]
        for source in sources[1:]:
            if (
                source.channels != first.channels
                or source.time != first.time
                or not source.grid.equals(first.grid)
            ):
                raise InputError(
                    "the members differ in grid, channels or times: give members that agree."
                )
        self.sources = list(sources)
        self.members = len(sources)
        self.channels, self.units = first.channels, first.units
        self.grid, self.time = first.grid, first.time
        self.wind_directions = wind_directions(first)

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`phire.fields.source.MemberSource`."""
        return np.stack([source.read(times) for source in self.sources[members]], axis=1)

    def read(self, times: Times) -> np.ndarray:
        """Reads the ensemble's mean; see :class:`phire.fields.source.Source`."""
        return self.read_members(times).mean(1)


@naming_arguments()
def open_fields(path: str | os.PathLike, variables: Sequence[str] | None = None) -> Source:
    """Opens a field store, NetCDF, Zarr or GRIB file as a source.

    A NetCDF or Zarr file with a dimension of members gives an :class:`EnsembleSource`.

    Args:
        path: The file.
        variables: Names of the channels to read; all by default.

    Raises:
        InputError: The file does not exist, has a format that phire does not read, or lacks a
            variable.
    """
    if os.path.exists(path) and format_of(path) in (NETCDF, ZARR):
        dataset = open_dataset(path)
        timeless = not _TIMES & {*dataset.dims, *dataset.coords}
        if timeless or member_dimension(dataset) is not None:
            return as_source(dataset, variables, name=os.fspath(path))
        dataset.close()
    return open_source(path, variables)


def member_dimension(dataset: xr.Dataset) -> str | None:
    """Returns the dimension of a dataset's ensemble members; None if it has fewer than two."""
    for name in MEMBERS:
        if dataset.sizes.get(name, 1) > 1:
            return name
    return None


def as_source(
    dataset: xr.Dataset | xr.DataArray | Source,
    variables: Sequence[str] | None = None,
    *,
    name: str = "the dataset",
) -> Source:
    """Returns the source of an xarray object; a source is returned unchanged.

    Without a time dimension, a dimension of months or days of the year serves as time; without
    either, the result has a single time.

    Args:
        dataset: Variables over latitude and longitude, and optionally time and member.
        variables: Variables to read, one channel each; by default all that are fields.
        name: Name of the object in messages.

    Raises:
        InputError: ``dataset`` is neither an xarray object nor a source.
    """
    if isinstance(dataset, xr.DataArray):
        dataset = dataset.to_dataset(name=dataset.name or "field")
    if not isinstance(dataset, xr.Dataset):
        if isinstance(dataset, Source):
            return dataset
        raise InputError(
            f"{name} is a {type(dataset).__name__}, which has no coordinates: pass an xarray "
            "Dataset or DataArray over time, latitude and longitude, or "
            "phire.fields.ArraySource(values, grid=…) of an array (time, row, column, channel)."
        )
    # DatasetSource needs a time dimension.
    if not _TIMES & {*dataset.dims, *dataset.coords}:
        season = next((name for name in CLIMATOLOGICAL if name in dataset.dims), None)
        if season is None:
            dataset = dataset.expand_dims(time=[0])
        else:
            dataset = dataset.sortby(season).rename({season: "time"})
    dimension = member_dimension(dataset)
    if dimension is None:
        return DatasetSource(dataset, variables=variables, name=name)
    parts = [dataset.isel({dimension: m}) for m in range(dataset.sizes[dimension])]
    return EnsembleSource([DatasetSource(p, variables=variables, name=name) for p in parts])
