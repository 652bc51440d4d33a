"""Writes coarse fields shifted in time, as further predictors.

Stations measure daily rain from morning to morning, so a part of it falls on the next day of a
reanalysis. The fields of that day are therefore useful predictors.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import xarray as xr


def shifted(dataset: xr.Dataset, shift: str, suffix: str) -> xr.Dataset:
    """Returns the fields at ``time + shift`` for every time, with a suffix to their names.

    Args:
        dataset: Fields; variables without the dimension ``time`` are left out.
        shift: Duration such as ``1D`` or ``-6h``.
        suffix: Suffix of the new names.

    Returns:
        Fields at the same times and on the same grid. Where ``time + shift`` does not exist, such
        as at the end of a season, the field is not shifted.
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
@click.option("--shift", default="1D", show_default=True, help="Duration, such as 1D or -6h.")
@click.option("--suffix", default="_next", show_default=True, help="Suffix of the new names.")
def main(coarse: Path, output: Path, shift: str, suffix: str) -> None:
    """Write the fields of COARSE, shifted in time, to OUTPUT (NetCDF)."""
    with xr.open_dataset(coarse) as dataset:
        shifted(dataset, shift, suffix).to_netcdf(output)


if __name__ == "__main__":
    main()
