"""Standardised anomalies of fields with respect to a climatology, and their inverse."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from phire import progress, provenance, value_text
from phire.errors import InputError, naming_arguments
from phire.fields import units
from phire.fields.climatologies import Climatology
from phire.fields.ensemble import open_fields
from phire.fields.source import ALL, Source, Times, close, indices, member_count, read_members
from phire.fields.source_writing import fields_already_made, write_source


class StandardizedSource:
    """Source of standardised anomalies, (field − mean) / std with a climatology's mean and std.

    Args:
        source: The source, possibly of an ensemble.
        climatology: Climatology that has the source's channels, in any order.
        inverse: Convert in the other direction: ``source`` has standardised anomalies, and this
            source has physical fields.
        name: Name of the source in messages.

    Raises:
        InputError: The climatology lacks a channel or month, or has other units or another grid.
    """

    def __init__(
        self,
        source: Source,
        climatology: Climatology,
        *,
        inverse: bool = False,
        name: str = "the source",
    ) -> None:
        self.climatology = climatology.select(source.channels)
        difference = None
        if not inverse:
            difference = units.difference(source.channels, source.units, self.climatology.units)
        elif any(not units.equal(unit, "1") for unit in source.units):
            raise InputError(
                f"{name} has units ({', '.join(source.units)}), so it is not standardised: leave "
                "out --inverse."
            )
        if difference:
            raise InputError(
                f"{name} has {difference} as the climatology: convert the units first."
            )
        if climatology.grid is not None and not climatology.grid.equals(source.grid):
            raise InputError(
                f"{name} is on {source.grid.in_words()}, but the climatology is on a "
                f"{climatology.grid.describe()}: regrid one of them."
            )
        self.climatology.require_months(source.time)
        self.source, self.inverse = source, inverse
        self.channels, self.grid, self.time = source.channels, source.grid, source.time
        self.units = self.climatology.units if inverse else ("1",) * len(source.channels)
        self.members = member_count(source)
        self.time_chunk = getattr(source, "time_chunk", 1)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields, or the mean of an ensemble; see :class:`phire.fields.source.Source`."""
        fields = self.read_members(times)
        return fields[:, 0] if self.members == 1 else fields.mean(1)

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`phire.fields.source.MemberSource`."""
        chosen = indices(times, len(self.time))
        fields = read_members(self.source, chosen, members)
        # (n, 1, h, w, C): the same for all members.
        mean, std = (moment[:, None] for moment in self.climatology.moments(self.time[chosen]))
        converted = fields * std + mean if self.inverse else (fields - mean) / std
        return converted.astype(np.float32)

    def close(self) -> None:
        """Closes the source."""
        close(self.source)


@naming_arguments()
def standardize(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    climatology: str | os.PathLike,
    inverse: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes the standardised anomalies of a file, or converts anomalies back to physical fields.

    Args:
        source: Field store, NetCDF, Zarr or GRIB file, possibly of an ensemble.
        output: Path of the store (.h5), NetCDF file (.nc) or Zarr directory (.zarr).
        climatology: File written by :func:`phire.fields.climatology`.
        inverse: Convert standardised anomalies in ``source`` to physical fields.
        overwrite: Replace an existing output.

    Raises:
        InputError: The climatology does not fit the fields, or the output exists and was made with
            other options.
    """
    known = Climatology.load(climatology)
    options = {
        "source": os.path.realpath(source), "fingerprint": provenance.fingerprint(Path(source)),
        "climatology": os.path.realpath(climatology),
        "climatology_fingerprint": provenance.fingerprint(Path(climatology)), "inverse": inverse,
    }  # fmt: skip
    for path in (source, climatology):
        if os.path.lexists(output) and os.path.exists(path) and os.path.samefile(path, output):
            raise InputError(f"{output} is one of the inputs: name another output.")
    if fields_already_made(output, options, overwrite):
        return
    fields = open_fields(source)
    try:
        standardized = StandardizedSource(fields, known, inverse=inverse, name=os.fspath(source))
        write_source(
            standardized, output, options=options, overwrite=overwrite, description="standardising"
        )
    finally:
        close(fields)
    count = value_text.counted(len(fields.time), "field")
    progress.say(f"{output}: {count} of {', '.join(fields.channels)}.")
