"""Fitting of a generator to xarray data: writes temporary records, then trains on them."""

from __future__ import annotations

import contextlib
import inspect
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from phire.downscaling.generator_training import train_generator
from phire.downscaling.run_inputs import inputs_without_paths
from phire.errors import InputError
from phire.fields import open_source
from phire.files import plain
from phire.provenance import fingerprint
from phire.records import write_downscaling_records
from phire.records.manifest import Manifest
from phire.records.sampling_options import SamplingOptions
from phire.training import Run, train

DATA = "xarray data"
"""Name of the records in the run's configuration, in place of a temporary path."""
INNER = {"build", "phases", "run", "options", "validation", "monitor", "callbacks"}
"""Arguments of :func:`phire.training.train` that :func:`train_generator` sets."""


def fit(
    fine: xr.Dataset, out: str | os.PathLike, given: Mapping[str, Any], options: Mapping[str, Any]
) -> Run:
    """Writes records from xarray datasets and trains a generator on them.

    Args:
        fine: Fine target fields.
        out: Path of the run directory to create.
        given: Further datasets, by the names of the arguments of
            :func:`phire.records.write_downscaling_records`.
        options: Options of the records and of the training, by name.

    Returns:
        The run.

    Raises:
        InputError: An option is unknown, a value is no dataset, or the data do not fit together.
    """
    record_options = (_names(write_downscaling_records) | _names(SamplingOptions)) - {
        "store", "output", "sampling", *given,
    }  # fmt: skip
    training_options = (_names(train_generator) | (_names(train) - INNER)) - {
        "records", "out", "loop", "origin",
    }  # fmt: skip
    unknown = sorted({*options} - record_options - training_options)
    if unknown:
        raise InputError(
            f"{unknown[0]} is not an option of Downscaler.fit: choose from those of the records "
            f"({', '.join(sorted(record_options))}) and those of the training "
            f"({', '.join(sorted(training_options))})."
        )
    options = dict(options)
    validation = options.pop("validation", None)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        files = {name: _written(Path(folder), name, value) for name, value in given.items()}
        files["low"] = next(iter(files["low"]), None)
        chosen = {name: value for name, value in options.items() if name in record_options}
        chosen.pop("overwrite", None)
        records, held_out = _write_records(Path(folder), fine, validation, {**files, **chosen})
        origin = _origin(Path(folder), records, chosen, temporary=held_out != validation)
        # seed and overwrite are options of both; other shared names belong to the records.
        shared = record_options - {"seed", "overwrite"}
        training = {
            name: value
            for name, value in options.items()
            if name in training_options and name not in shared
        }
        return train_generator(records, out, validation=held_out, origin=origin, **training)


def _origin(
    folder: Path, records: Path, options: Mapping[str, Any], temporary: bool
) -> dict[str, Any]:
    """Returns the description of the records for the run's configuration, without their paths.

    Equal data and options give an equal description, so a fit can be resumed.

    Args:
        folder: Temporary folder, which holds the data as NetCDF.
        records: Directory of the training records.
        options: Options of the records.
        temporary: True if the validation records are in the temporary folder, too.
    """
    data = [fingerprint(path) for path in sorted(folder.glob("*.nc"))]
    found = {
        "records": DATA,
        "records_fingerprint": data,
        "records_options": plain(options),
        "inputs": inputs_without_paths(Manifest.load(records)),
    }
    return {**found, "validation": DATA} if temporary else found


def _write_records(
    folder: Path, fine: xr.Dataset, validation: Any, options: dict[str, Any]
) -> tuple[Path, Any]:
    """Writes the training records and, if needed, the validation records.

    Args:
        folder: Directory to write to.
        fine: Fine target fields.
        validation: Fine fields, a fraction of the times, a directory of records, or None.
        options: Options of :func:`phire.records.write_downscaling_records`.

    Returns:
        Directories of both records; the second is None without a validation.
    """
    records, held_out = folder / "records", folder / "validation"
    store = _written(folder, "fine", fine)[0]
    if validation is None or isinstance(validation, (str, os.PathLike)):
        write_downscaling_records(store, records, **options)
        return records, validation
    if isinstance(validation, (xr.Dataset, xr.DataArray)):
        other, last = _written(folder, "validation", validation)[0], None
    else:
        other = store
        options["time"], last = _split_times(store, options.get("time"), validation)
    write_downscaling_records(store, records, **options)
    # Validation records take normalization and statistics from the training records.
    fitted = dict.fromkeys(("normalization", "statistics_of", "seasonal"))
    held_out_options = {**options, "time": last, "shards": 1, "statistics": records, **fitted}
    write_downscaling_records(other, held_out, **held_out_options)
    return records, held_out


def _split_times(store: str, time: Any, share: float) -> tuple[tuple, tuple]:
    """Splits the times into a first part for training and a last part for validation.

    Args:
        store: File of the fine fields.
        time: Range of times to split, ``START,STOP`` or a pair; None for all.
        share: Fraction of the times for validation.

    Returns:
        Ranges (start, stop) of both parts.

    Raises:
        InputError: ``share`` is not between 0 and 1, or a part has no field.
    """
    if not isinstance(share, (int, float)) or not 0 < share < 1:
        raise InputError(
            f"validation={share} must be a fraction of the times between 0 and 1, a dataset, or a "
            "directory of records."
        )
    with contextlib.closing(open_source(store)) as source:
        chosen = source.time[source.time.select_range(time)]
    first = round((1 - share) * len(chosen))
    if not 0 < first < len(chosen):
        raise InputError(
            f"validation={share:g} of {len(chosen)} times leaves no time to train or to validate "
            "on: choose another fraction."
        )
    start, stop = time.split(",") if isinstance(time, str) else time or (None, None)
    border = chosen.format(first).removeprefix("step ")
    return (start or None, border), (border, stop or None)


def _names(function: Any) -> set[str]:
    """Returns the names of a function's arguments."""
    return {*inspect.signature(function).parameters}


def _written(folder: Path, name: str, value: Any) -> list[str]:
    """Writes one dataset or several as NetCDF files; returns their paths."""
    if value is None:
        return []
    datasets = [value] if isinstance(value, (xr.Dataset, xr.DataArray)) else list(value)
    paths = []
    for number, dataset in enumerate(datasets):
        if isinstance(dataset, xr.DataArray):
            dataset = dataset.to_dataset(name=dataset.name or name)
        if not isinstance(dataset, xr.Dataset):
            raise InputError(
                f"{name} is a {type(dataset).__name__}: pass an xarray Dataset or a list of them."
            )
        path = folder / f"{name}-{number}.nc"
        dataset.to_netcdf(path)
        paths.append(str(path))
    return paths
