"""From the formats people have to a field store: select, turn wind into vorticity, write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, progress
from phire.errors import InputError
from phire.fields import opening
from phire.fields.output import already_made, unusable_values, write_source
from phire.fields.selection import DERIVED, ChannelSelection, RegionSource, WindSource
from phire.fields.source import Source
from phire.fields.time import TimeAxis

LISTED = 100
"""Up to so many sources are kept by name with the output; of more, a digest."""


def convert(
    sources: opening.Paths,
    output: str | os.PathLike,
    *,
    variables: Sequence[str] | None = None,
    wind: tuple[str, str] | None = None,
    level: float | None = None,
    member: int | None = None,
    time: str | tuple[str | None, str | None] | None = None,
    region: Sequence[float] | None = None,
    grid: str | None = None,
    overwrite: bool = False,
) -> None:
    """Converts NetCDF, Zarr, GRIB or field stores to one field store.

    Rows are written from north to south, longitudes ascending, fields in the order of time; what
    is missing is NaN. Memory stays bounded whatever the length.

    Args:
        sources: Files or patterns, one per year, per variable, per day or all at once.
        output: The store to make (.h5); with the suffix .nc or .zarr, NetCDF or Zarr.
        variables: Names of variables, a channel each, in this order; ``NAME=VARIABLE`` gives the
            channel another name (ERA5's ``divergence=d,vorticity=vo``). By default all (with
            ``wind``: none beside the wind).
        wind: Names of eastward and northward wind: the channels divergence and vorticity are made
            of it, spectrally on global grids, by differences on others; they come first.
        level: The level to read, where variables have several.
        member: The number of the ensemble's member to read, where variables have several.
        time: Half-open range START,STOP.
        region: (north, west, south, east), degrees.
        grid: The grid to synthesise spherical-harmonic coefficients on: ``gaussian:320``.
        overwrite: Make the output anew.

    Raises:
        InputError: What is asked for is not there, files do not fit one another, or the output was
            made by something else.
    """
    found = opening.expand(sources)
    for path in found:
        if os.path.lexists(output) and os.path.samefile(path, output):
            raise InputError(f"{output} is a source itself: name another output.")
    options = {
        "sources": _listed([str(path.resolve()) for path in found]),
        "fingerprints": _listed([files.fingerprint(path) for path in found]),
        "variables": None if variables is None else list(variables),
        "wind": None if wind is None else list(wind),
        "level": level,
        **({} if member is None else {"member": member}),
        "time": time,
        "region": None if region is None else list(region),
        "grid": grid,
    }
    if already_made(output, options, overwrite):
        return
    if wind is not None and (len(wind) != 2 or wind[0] == wind[1]):
        raise InputError(f"--wind {','.join(wind)}: name eastward and northward wind, U,V.")
    named = _named(variables, DERIVED if wind else ())
    wanted = None if named is None else list(named.values())
    if wind is not None:
        wanted = list(dict.fromkeys((*wind, *(wanted or ()))))
    with opening.open_source(
        found,
        wanted,
        level=level,
        member=member,
        grid=None if grid is None else opening.parse_grid(grid),
    ) as source:
        made: Source = source
        if wind is not None:
            made = WindSource(source, tuple(wind), kept=list((named or {}).values()))
            if not source.grid.is_sphere:
                progress.say(
                    "The grid is not global: divergence and vorticity are finite differences."
                )
        if named is not None:
            names = (*(DERIVED if wind else ()), *named)
            made = ChannelSelection(made, made.channels, names=names)
        if region is not None:
            made = RegionSource(made, region)
        times = source.time.select_range(time)
        order = np.argsort(source.time.values[times], kind="stable")
        times = times[order]
        write_source(
            made,
            output,
            options=options,
            times=times,
            overwrite=overwrite,
            description="converting",
        )
        _report(output, made.channels, made.grid.describe(), source.time[times])


def _named(variables: Sequence[str] | None, taken: Sequence[str]) -> dict[str, str] | None:
    """The variables by the names of their channels; ``taken`` are names of other channels."""
    if variables is None:
        return None
    named: dict[str, str] = {}
    for text in variables:
        name, _, variable = text.rpartition("=")
        name = name or variable
        if name in named or name in taken or not variable:
            raise InputError(
                f"--variables {','.join(variables)}: give each channel a name of its own, NAME or "
                "NAME=VARIABLE."
            )
        named[name] = variable
    return named


def _listed(texts: list[str]) -> Any:
    """A list to keep with the output; of a long one its ends and a digest of the whole."""
    if len(texts) <= LISTED:
        return texts
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    return {"count": len(texts), "first": texts[0], "last": texts[-1], "digest": digest}


def _report(output: str | os.PathLike, channels: Sequence[str], grid: str, time: TimeAxis) -> None:
    """Says what was written, and what users must know of it: gaps, repetitions, missing values."""
    progress.say(
        f"{output}: {', '.join(channels)}; {len(time)} field{'s' * (len(time) > 1)}, "
        f"{time.step_text}, "
        f"{time.format(0)} to {time.format(-1)}; {grid}."
    )
    for line in irregularities(time):
        progress.say(f"Note: {line}.")
    missing, wholly, infinite = unusable_values(Path(output))
    if missing:
        progress.say(
            f"Note: {missing:,} value{'s are' if missing > 1 else ' is'} missing (NaN), "
            f"{wholly:,} field{'s' * (wholly != 1)} wholly."
        )
    if infinite:
        progress.say(
            f"Note: {infinite:,} value{'s are' if infinite > 1 else ' is'} infinite: no training, "
            "statistic or score can use them."
        )


def irregularities(time: TimeAxis, most: int = 5) -> list[str]:
    """Gaps and repeated times in words, a sentence each; none where the series is regular."""
    lines = []
    gaps = time.gaps()
    if gaps:
        count = sum(steps for _, steps in gaps)
        places = [f"{steps} after {time.format(i)}" for i, steps in gaps[:most]]
        lines.append(
            f"{len(gaps)} gap{'s' * (len(gaps) > 1)} in time, {count} step{'s' * (count > 1)} "
            f"missing ({', '.join(places)}{' …' if len(gaps) > most else ''})"
        )
    repeated = time.repeated()
    if len(repeated):
        names = list(dict.fromkeys(time.format(int(i)) for i in repeated))
        lines.append(
            f"{len(names)} time{'s occur' if len(names) > 1 else ' occurs'} more than once "
            f"({', '.join(names[:most])}{' …' if len(names) > most else ''}): pairs are not drawn "
            "there"
        )
    return lines
