"""Fitting of a downscaler to xarray data: records in a temporary folder, then a training."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from phire.downscaling.training import train_generator
from phire.errors import InputError
from phire.records import write_downscaling_records
from phire.training import Run, train

INNER = {"build", "phases", "run", "options", "validation", "monitor", "callbacks"}
"""Arguments of :func:`phire.training.train` that :func:`train_generator` gives itself."""


def fit(
    fine: xr.Dataset, out: str | os.PathLike, given: Mapping[str, Any], options: Mapping[str, Any]
) -> Run:
    """Makes records of datasets and trains on them.

    Args:
        fine: The fine fields.
        out: The run to make.
        given: Further datasets, by the names of phire-data's options.
        options: Options of the records and of the training, by name.

    Raises:
        InputError: An option is unknown, something is no dataset, or the data do not fit.
    """
    of_records = _names(write_downscaling_records) - {"store", "output", *given}
    of_training = (_names(train_generator) | (_names(train) - INNER)) - {"records", "out", "loop"}
    unknown = sorted({*options} - of_records - of_training)
    if unknown:
        raise InputError(
            f"{unknown[0]} is no option of a fit: the records have "
            f"{', '.join(sorted(of_records))}; the training has {', '.join(sorted(of_training))}."
        )
    if "validation" in options:
        raise InputError("validation names records: make these by phire-data and train on them.")
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        files = {name: _written(Path(folder), name, value) for name, value in given.items()}
        low = files.pop("low")
        chosen = {name: value for name, value in options.items() if name in of_records}
        chosen.pop("overwrite", None)
        records = Path(folder) / "records"
        write_downscaling_records(
            _written(Path(folder), "fine", fine)[0], records, low=low[0] if low else None, **files,
            **chosen,
        )  # fmt: skip
        theirs = {
            name: value for name, value in options.items()
            if name in of_training and (name in ("seed", "overwrite") or name not in of_records)
        }  # fmt: skip
        return train_generator(records, out, **theirs)


def _names(function: Any) -> set[str]:
    return {*inspect.signature(function).parameters}


def _written(folder: Path, name: str, value: Any) -> list[str]:
    """Writes datasets as NetCDF files."""
    if value is None:
        return []
    datasets = [value] if isinstance(value, (xr.Dataset, xr.DataArray)) else list(value)
    paths = []
    for number, dataset in enumerate(datasets):
        if isinstance(dataset, xr.DataArray):
            dataset = dataset.to_dataset(name=dataset.name or name)
        if not isinstance(dataset, xr.Dataset):
            raise InputError(
                f"{name} is a {type(dataset).__name__}: pass an xarray Dataset, or a list of some."
            )
        path = folder / f"{name}-{number}.nc"
        dataset.to_netcdf(path)
        paths.append(str(path))
    return paths
