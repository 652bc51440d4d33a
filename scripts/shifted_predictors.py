"""Writes coarse fields of a later or earlier time as predictors of their own.

Daily rain of station data is measured from morning to morning, so that a part of it falls on the
next day of a reanalysis: the fields of that day are predictors, too.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import xarray as xr


def shifted(dataset: xr.Dataset, shift: str, suffix: str) -> xr.Dataset:
    """Returns the fields of ``time + shift`` at every time, under names with a suffix.

    Args:
        dataset: Fields with the dimension ``time``; others are left out.
        shift: A time step such as ``1D`` or ``-6h``.
        suffix: Is added to the names.

    Returns:
        The same times and grid. A time whose shifted one is not there, as at the end of a season,
        has its own fields.
    """
    fields = dataset[[name for name in dataset.data_vars if "time" in dataset[name].dims]]
    number, unit = int(shift[:-1]), shift[-1]
    wanted = dataset["time"].values + np.timedelta64(number, unit)
    held = np.isin(wanted, dataset["time"].values)
    found = fields.sel(time=np.where(held, wanted, dataset["time"].values))
    found = found.assign_coords(time=dataset["time"])
    return found.rename({name: f"{name}{suffix}" for name in found.data_vars})


@click.command()
@click.argument("coarse", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--shift", default="1D", show_default=True, help="Time step, such as 1D or -6h.")
@click.option("--suffix", default="_next", show_default=True, help="Added to the names.")
def main(coarse: Path, output: Path, shift: str, suffix: str) -> None:
    """Writes the fields of COARSE at a later or earlier time to OUTPUT (NetCDF)."""
    with xr.open_dataset(coarse) as dataset:
        shifted(dataset, shift, suffix).to_netcdf(output)


if __name__ == "__main__":
    main()
