"""Result files of the representation's evaluation: NetCDF with the options they were made by."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from phire import files
from phire.errors import InputError
from phire.fields.guarded_file import write_netcdf
from phire.fields.output import require_netcdf_name

OPTIONS = "phire_options"


def write_results(results: xr.Dataset, path: str | os.PathLike, options: Mapping[str, Any]) -> None:
    """Writes a dataset whole or not at all, with the options it was made by as an attribute."""
    results = results.assign_attrs({OPTIONS: json.dumps(files.plain(options))})
    with files.replacing(path) as partial:
        write_netcdf(results, partial)


def read_results(path: str | os.PathLike) -> xr.Dataset:
    """Reads a result file into memory.

    Raises:
        InputError: There is none, or it is no NetCDF file.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is not there: name a result file of phire.")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as results:
            return results.load()
    except OSError as error:
        raise InputError(f"{path} is not a NetCDF file of phire's ({error}).") from None


def recorded_options(path: str | os.PathLike) -> dict[str, Any] | None:
    """The options a result file was made by; None where it is not there or of other origin."""
    try:
        written = read_results(path).attrs.get(OPTIONS)
    except InputError:
        return None
    return None if written is None else json.loads(written)


def already_made(path: str | os.PathLike, options: Mapping[str, Any], overwrite: bool) -> bool:
    """``files.already_made`` for a result file, whose name must end with .nc."""
    require_netcdf_name(path)
    return files.already_made(path, recorded_options(path), options, overwrite)
