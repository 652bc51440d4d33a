"""Fitting of a downscaler to xarray data: records in a temporary folder, then a training."""

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
"""Name of the records in the configuration of a run, instead of a temporary path."""
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
    of_records = (_names(write_downscaling_records) | _names(SamplingOptions)) - {
        "store", "output", "sampling", *given,
    }  # fmt: skip
    of_training = (_names(train_generator) | (_names(train) - INNER)) - {
        "records", "out", "loop", "origin",
    }  # fmt: skip
    unknown = sorted({*options} - of_records - of_training)
    if unknown:
        raise InputError(
            f"{unknown[0]} is no option of a fit: the records have "
            f"{', '.join(sorted(of_records))}; the training has {', '.join(sorted(of_training))}."
        )
    options = dict(options)
    validation = options.pop("validation", None)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        files = {name: _written(Path(folder), name, value) for name, value in given.items()}
        files["low"] = next(iter(files["low"]), None)
        chosen = {name: value for name, value in options.items() if name in of_records}
        chosen.pop("overwrite", None)
        records, held_out = _write_records(Path(folder), fine, validation, {**files, **chosen})
        origin = _origin(Path(folder), records, chosen, temporary=held_out != validation)
        theirs = {
            name: value for name, value in options.items()
            if name in of_training and (name in ("seed", "overwrite") or name not in of_records)
        }  # fmt: skip
        return train_generator(records, out, validation=held_out, origin=origin, **theirs)


def _origin(
    folder: Path, records: Path, options: Mapping[str, Any], temporary: bool
) -> dict[str, Any]:
    """Returns what the run's configuration says of its records, the same for the same data.

    Args:
        folder: The temporary folder, which holds the data as NetCDF.
        records: The records in it.
        options: Options of the records.
        temporary: The records to validate on lie there, too.
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
    """Writes the records to train on and, unless they are given, those to validate on.

    Args:
        folder: Where to write.
        fine: The fine fields.
        validation: Fine fields, a share of the times, a directory of records, or None.
        options: Those of :func:`phire.records.write_downscaling_records`.

    Returns:
        Both directories; the second is None without a validation.
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
    fitted = dict.fromkeys(("normalization", "statistics_of", "seasonal"))
    alike = {**options, "time": last, "shards": 1, "statistics": records, **fitted}
    write_downscaling_records(other, held_out, **alike)
    return records, held_out


def _split_times(store: str, time: Any, share: float) -> tuple[tuple, tuple]:
    """Splits the times: the last share of them validates, those before train.

    Raises:
        InputError: The share is not between 0 and 1, or one part has no field.
    """
    if not isinstance(share, (int, float)) or not 0 < share < 1:
        raise InputError(
            f"validation={share} must be a share of the times above 0 and below 1, a dataset, or a "
            "directory of records."
        )
    with contextlib.closing(open_source(store)) as source:
        chosen = source.time[source.time.select_range(time)]
    first = round((1 - share) * len(chosen))
    if not 0 < first < len(chosen):
        raise InputError(
            f"validation={share:g} of {len(chosen)} times leaves none to train or to validate on."
        )
    start, stop = time.split(",") if isinstance(time, str) else time or (None, None)
    border = chosen.format(first).removeprefix("step ")
    return (start or None, border), (border, stop or None)


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
