"""Regridding of whole files, the command ``phire regrid``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from phire import progress, provenance, value_text
from phire.errors import InputError, naming_arguments
from phire.fields import opening
from phire.fields.cluster import cluster
from phire.fields.ensemble import open_fields
from phire.fields.grid import Grid
from phire.fields.grid_specification import target_grid
from phire.fields.regridding import RegriddedSource, note_outside
from phire.fields.selection import unturned_note
from phire.fields.source import Source, close
from phire.fields.source_writing import fields_already_made, map_names_taken, write_source
from phire.fields.static_maps import maps_on_grid
from phire.fields.stored_cells import stored_cells


@naming_arguments()
def regrid(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    like: str | os.PathLike | None = None,
    grid: str | None = None,
    method: str = "conservative",
    least_valid: float = 0.5,
    variables: Sequence[str] | None = None,
    level: float | None = None,
    time: str | tuple[str | None, str | None] | None = None,
    weights: str | os.PathLike | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
) -> None:
    """Regrids the fields of a file, including ensemble members and static maps.

    Memory does not grow with the number of fields. Weights are computed once. Workers read and
    regrid chunks of times, which this process writes in order.

    Args:
        source: A field store, NetCDF, Zarr or GRIB file.
        output: Path of the store (.h5); a path that ends with .nc or .zarr gives NetCDF or Zarr.
        like: File whose grid is the target.
        grid: Name of the target grid, instead of ``like``; see
            :func:`phire.fields.grid_specification.target_grid`.
        method: One of :data:`phire.fields.regridding.METHODS`.
        least_valid: Share of a target point's weights, 0 to 1, that must lie on valid values;
            below it the point is missing.
        variables: Names of the variables to regrid; by default all.
        level: Level to read, for variables with levels.
        time: Half-open range START,STOP.
        weights: File (``.npz``) with the weights of regridding, written if it does not exist. It
            does not change the result.
        overwrite: Replace an existing output.
        workers: Number of worker processes; by default none.
        scheduler: Address of a running dask cluster to use instead of ``workers``.

    Raises:
        InputError: The file lacks a variable, level or time, the grids do not overlap, or the
            output exists and was made with other options.
        WorkError: A task lost its worker repeatedly.
    """
    if (like is None) == (grid is None):
        raise InputError("give either --like FILE or --grid SPEC for the target grid.")
    options = {
        **_provenance(source, like), "grid": grid, "method": method, "least_valid": least_valid,
        "variables": None if variables is None else list(variables), "level": level, "time": time,
    }  # fmt: skip
    for path in (source, like):
        if path is not None and os.path.lexists(output) and os.path.samefile(path, output):
            raise InputError(f"{output} is one of the inputs: name another output.")
    if fields_already_made(output, options, overwrite):
        return
    if level is None:  # open_fields keeps members, but cannot choose a level
        fields = open_fields(source, variables)
    else:
        fields = opening.open_source(source, variables, level=level)
    try:
        if like is None:
            target = target_grid(grid, fields.grid)
        else:
            target = opening.grid_of_file(like)
        regridded = _regridded(fields, target, os.fspath(source), method, least_valid, weights)
        times = fields.time.select_range(time)
        with cluster(workers, scheduler) as client:
            unusable = write_source(
                regridded,
                output,
                options=options,
                times=times,
                overwrite=overwrite,
                description="regridding",
                cells=stored_cells(opening.expand(source), fields.channels, fields.time[times]),
                static=maps_on_grid(
                    (), (), target, method=method, least_valid=least_valid,
                    stores=opening.expand(source), taken=map_names_taken(output, fields),
                ),
                client=client,
            )  # fmt: skip
    finally:
        close(fields)
    count = value_text.counted(len(times), "field")
    progress.say(f"{output}: {count} on {target.in_words()}, {method}.")
    for line in unusable.notes():
        progress.say(f"Note: {line}.")


def _provenance(source: str | os.PathLike, like: str | os.PathLike | None) -> dict[str, str | None]:
    """Returns paths and fingerprints of the input files, as the output records them."""
    return {
        "source": os.path.realpath(source),
        "fingerprint": provenance.fingerprint(opening.expand(source)[0]),
        "like": None if like is None else os.path.realpath(like),
        "like_fingerprint": None
        if like is None
        else provenance.fingerprint(opening.expand(like)[0]),
    }


def _regridded(
    fields: Source,
    target: Grid,
    name: str,
    method: str,
    least_valid: float,
    weights: str | os.PathLike | None,
) -> RegriddedSource:
    """Returns the fields of a file on another grid, and prints notes on points and wind axes.

    Raises:
        InputError: See :class:`RegriddedSource`; the message names the file.
    """
    try:
        regridded = RegriddedSource(
            fields, target, method, least_valid=least_valid, weights=weights
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    note_outside(regridded.regridder)
    note = unturned_note(fields, name)
    if note:
        progress.say(f"Note: {note}.")
    return regridded
