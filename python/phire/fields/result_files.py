"""NetCDF files of results, with the options that they were computed with as an attribute."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from phire import existing_outputs, files
from phire.errors import InputError
from phire.fields.guarded_file import write_netcdf
from phire.fields.source_writing import require_netcdf_name

OPTIONS = "phire_options"
"""Attribute of the file with the options as JSON."""


def write_result(
    dataset: xr.Dataset,
    path: str | os.PathLike,
    options: Mapping[str, Any],
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Writes a result atomically, with the options that it was computed with.

    Args:
        dataset: The result.
        path: Path of the file.
        options: All options that affect the numbers.
        attributes: Further attributes of the file.
    """
    recorded = {OPTIONS: json.dumps(files.plain(options))}
    dataset = dataset.assign_attrs({**(attributes or {}), **recorded})
    encoding = {
        name: {"zlib": True, "complevel": 1, "shuffle": True}
        for name, variable in dataset.variables.items()
        if variable.size > 4096 and variable.dtype.kind in "fi"
    }
    with files.replacing(path) as partial:
        write_netcdf(dataset, partial, encoding)


def read_result(
    path: str | os.PathLike,
    required: Sequence[str] = (),
    expected: str = "a file of results (NAME/METRIC.nc)",
) -> xr.Dataset:
    """Reads a result into memory.

    Args:
        path: The NetCDF file.
        required: Variables and coordinates that the file must hold.
        expected: Kind of file to name in messages, such as ``METRIC/lag.nc of rplearn-eval``.

    Raises:
        InputError: ``path`` does not exist, is not a NetCDF file, or lacks a required variable.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist: name {expected}.")
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            missing = [name for name in required if name not in dataset.variables]
            if missing:
                raise InputError(f"{path} holds no variable {missing[0]}: name {expected}.")
            return dataset.load()
    except OSError as error:
        raise InputError(f"{path} is not a NetCDF file of results ({error}).") from None


def options_of_result(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the options stored in a result; None if there is no file, or not one of phire."""
    if not Path(path).is_file():
        return None
    try:
        # With h5py, which is faster than xarray: an evaluation reads the options of all its files
        # before it starts.
        with h5py.File(path, "r") as file:
            text = file.attrs.get(OPTIONS)
    except OSError:
        return None
    return None if text is None else json.loads(text)


def result_already_made(
    path: str | os.PathLike, options: Mapping[str, Any], overwrite: bool, announce: bool = True
) -> bool:
    """Returns True if a result exists and was made with the same options.

    Args:
        path: Path of the result.
        options, overwrite, announce: See :func:`phire.existing_outputs.already_made`.

    Raises:
        InputError: The name does not end with .nc, or the file was made with other options.
    """
    require_netcdf_name(path)
    return existing_outputs.already_made(
        path, options_of_result(path), options, overwrite, announce
    )
