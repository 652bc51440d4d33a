"""Conversion of NetCDF, Zarr, GRIB and field stores to one field store."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.fields import opening
from phire.fields.aggregation import Aggregation
from phire.fields.assembly import Recipe, assemble
from phire.fields.cell_methods import TimeCells
from phire.fields.collection import FileMetadata
from phire.fields.deaccumulation import RateSource, parse_deaccumulation
from phire.fields.grid import Grid
from phire.fields.grid_specification import parse_grid
from phire.fields.selection import DERIVED, RegionSource
from phire.fields.source import close
from phire.fields.source_writing import (
    fields_already_made,
    map_names_taken,
    write_source,
)
from phire.fields.static_maps import maps_on_grid
from phire.fields.stored_cells import stored_cells
from phire.fields.time_axis import TimeAxis

LISTED = 100
"""Number of sources up to which all their names are recorded; above it, a digest of them."""


@naming_arguments()
def convert(
    sources: opening.Paths,
    output: str | os.PathLike,
    *,
    variables: Sequence[str] | None = None,
    wind: tuple[str, str] | None = None,
    turn_wind: tuple[str, str] | None = None,
    level: float | None = None,
    member: int | None = None,
    time: str | tuple[str | None, str | None] | None = None,
    region: Sequence[float] | None = None,
    like: str | os.PathLike | None = None,
    grid: str | None = None,
    method: str = "conservative",
    least_valid: float = 0.5,
    weights: str | os.PathLike | None = None,
    every: str | None = None,
    offset: str | None = None,
    interval_end: Sequence[str] | None = None,
    deaccumulate: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    static: Sequence[str] = (),
    static_derived: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Converts NetCDF, Zarr, GRIB or field stores to one field store.

    Rows are written from north to south, longitudes ascending, and fields in the order of time;
    missing values are NaN. Memory does not grow with the number of fields. Channels on different
    grids or at different times are combined at the times that all of them have. The steps are, in
    this order: vorticity and divergence of wind (on its own grid), rates, units, aggregation in
    time, regridding, and the region. Static maps of field stores are copied, regridded if
    necessary.

    Args:
        sources: Paths or glob patterns, split by time or by variable. Each may end with
            ``:NAMES``, the variables to read from it; ``NAME=VARIABLE`` renames one.
        output: Path of the store (.h5); a path that ends with .nc or .zarr gives NetCDF or Zarr.
        variables: Names of variables, one channel each, in this order; ``NAME=VARIABLE`` gives the
            channel another name (ERA5's ``divergence=d,vorticity=vo``). By default all; with
            ``wind``, none but the derived channels.
        wind: Names of eastward and northward wind, from which the channels divergence and
            vorticity are derived: spectrally on global grids, by finite differences on others.
            They are the first channels.
        turn_wind: Channels of wind along a grid's x and y axes, which are rotated to east and
            north.
        level: Level to read, for variables with levels.
        member: Number of the ensemble member to read, for variables with members.
        time: Half-open range START,STOP. Aggregated fields are chosen by the start of their
            period.
        region: (north, west, south, east), degrees.
        like: File whose grid all channels are regridded to.
        grid: Name of the target grid, instead of ``like``; see
            :func:`phire.fields.grid_specification.target_grid`. Spherical-harmonic coefficients
            are synthesised on it: ``gaussian:320``.
        method: Method of regridding, one of :data:`phire.fields.regridding.METHODS`.
        least_valid: Share of a target point's weights, 0 to 1, that must lie on valid values;
            below it the point is missing.
        weights: File (``.npz``) with the weights of regridding, written if it does not exist; a
            folder for several pairs of grids. It does not change the result.
        every: Periods and statistics; see :meth:`phire.fields.aggregation.Aggregation.parse`.
        offset: Duration between 00 UTC and the start of the periods, such as ``6h``.
        interval_end: Channels whose times are the end of their field's interval.
        deaccumulate: Accumulating channels, which become rates; see
            :func:`phire.fields.deaccumulation.parse_deaccumulation`.
        units: New units of channels, ``NAME=UNITS``.
        static: Static maps to regrid and store with the output, ``FILE:NAMES``.
        static_derived: Further static maps; see :func:`phire.fields.static_maps.maps_on_grid`.
        overwrite: Replace an existing output.

    Raises:
        InputError: A file, variable, level or time does not exist, files do not fit one another,
            or the output exists and was made with other options.
    """
    given = {name: value for name, value in locals().items() if name not in ("sources", "output")}
    requests = [opening.split_names(source) for source in _as_list(sources)]
    options = _recorded(requests, output, given)
    if fields_already_made(output, options, overwrite):
        return
    recipe = _recipe(given)
    parts = _parts(requests, recipe, level, member)
    with contextlib.ExitStack() as stack:
        source, notes, rates = assemble(parts, recipe)
        stack.callback(close, source)
        if region is not None:
            source = RegionSource(source, region)
        times = source.time.select_range(time)
        paths = [path for text, _ in requests for path in opening.expand(text)]
        maps = maps_on_grid(
            static, static_derived, source.grid, method=method, least_valid=least_valid,
            stores=paths,
            taken=map_names_taken(output, source),
        )  # fmt: skip
        unusable = write_source(
            source,
            output,
            options=options,
            times=times,
            overwrite=overwrite,
            description="converting",
            static=maps,
            cells=_cells(recipe, rates, paths, source.channels, source.time[times]),
        )
        notes += [line for rate_source in rates for line in rate_source.notes()]
        for line in notes:
            progress.say(f"Note: {line}.")
        _report(output, source.channels, source.grid.describe(), source.time[times])
        for line in unusable.notes():
            progress.say(f"Note: {line}.")


def _cells(
    recipe: Recipe,
    rates: Sequence[RateSource],
    paths: Sequence[Path],
    channels: Sequence[str],
    time: TimeAxis,
) -> TimeCells | None:
    """Returns the intervals and statistics of the output's fields; None if unknown.

    They result from the recipe's aggregation or rates. Without either, the intervals and
    statistics of the input store still hold.
    """
    if recipe.aggregation is not None:
        return TimeCells.of(recipe.aggregation, channels, time)
    if recipe.rates:
        return TimeCells.of_rates(rates, channels, time)
    if recipe.wind:  # divergence and vorticity have no statistic in the input store
        return None
    names = [(recipe.variables or {}).get(channel, channel) for channel in channels]
    return stored_cells(paths, names, time)


def _recipe(given: Mapping[str, Any]) -> Recipe:
    """Returns the recipe that the arguments of :func:`convert` describe.

    Raises:
        InputError: An argument has a wrong form, or two arguments exclude one another.
    """
    every, offset, wind = given["every"], given["offset"], given["wind"]
    if offset is not None and every is None:
        raise InputError(f"--offset {offset} shifts the periods of --every: give --every, too.")
    variables = _named(given["variables"], DERIVED if wind else ())
    turn_wind = _wind(given["turn_wind"], "--turn-wind")
    if wind is not None and set(turn_wind or ()) - set(variables or ()):
        raise InputError(
            f"--turn-wind {','.join(turn_wind)}: --wind rotates the components itself and does not "
            "write them: leave --turn-wind out, or name the components in --variables, too."
        )
    return Recipe(
        variables=variables,
        wind=_wind(wind),
        turn_wind=turn_wind,
        rates=parse_deaccumulation(given["deaccumulate"] or ()),
        units=_units(given["units"] or ()),
        aggregation=None if every is None else Aggregation.parse(every, offset),
        interval_end=given["interval_end"] or (),
        grid=_target(given["like"], given["grid"]),
        method=given["method"],
        least_valid=given["least_valid"],
        weights=given["weights"],
    )


RECORDED = ("variables", "wind", "level", "time", "region", "grid")
"""Options that are recorded with every output; others only if they differ from their defaults."""

DEFAULTS = {"method": "conservative", "least_valid": 0.5, "overwrite": False}
"""Defaults of the options whose default is not None or ()."""


def _recorded(
    requests: Sequence[tuple[str, Sequence[str] | None]],
    output: str | os.PathLike,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the options that are recorded with an output.

    Args:
        requests: Paths or patterns, each with the names of its variables or None.
        output: Path of the output.
        given: Arguments of :func:`convert` by name.

    Raises:
        InputError: A source does not exist, or is the output itself.
    """
    found = [path for text, _ in requests for path in opening.expand(text)]
    like = given["like"]
    for path in found if like is None else (*found, Path(like)):
        if os.path.lexists(output) and os.path.exists(path) and os.path.samefile(path, output):
            raise InputError(f"{output} is one of the sources: name another output.")
    options: dict[str, Any] = {
        "sources": _listed([str(path.resolve()) for path in found]),
        "fingerprints": _listed([provenance.fingerprint(path) for path in found]),
    }
    for name, value in given.items():
        is_default = value is None or value == () or value == DEFAULTS.get(name)
        if name in RECORDED or not is_default:
            options[name] = list(value) if isinstance(value, tuple) and name != "time" else value
    for name in ("overwrite", "weights"):  # neither of them affects the result
        options.pop(name, None)
    maps = [
        path for text in given["static"] for path in opening.expand(opening.split_names(text)[0])
    ]
    if maps:
        options["static_fingerprints"] = [provenance.fingerprint(path) for path in maps]
    names = {text: list(names) for text, names in requests if names is not None}
    if names:
        options["names"] = names
    if like is not None:
        (path,) = opening.expand(like)[:1]
        options |= {"like": str(path.resolve()), "like_fingerprint": provenance.fingerprint(path)}
    return options


def _as_list(sources: opening.Paths) -> list[str | os.PathLike]:
    return [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)


def _wind(wind: Sequence[str] | None, option: str = "--wind") -> tuple[str, str] | None:
    """Checks that an option names two different components of wind, and returns them."""
    if wind is not None and (len(wind) != 2 or wind[0] == wind[1]):
        raise InputError(f"{option} {','.join(wind)}: name eastward and northward wind, U,V.")
    return None if wind is None else (wind[0], wind[1])


def _target(like: str | os.PathLike | None, grid: str | None) -> Grid | str | None:
    """Returns the target grid, or its name if the grid depends on the source (``degrees:…``)."""
    if like is not None and grid is not None:
        raise InputError("give either --like FILE or --grid SPEC for the target grid, not both.")
    if like is not None:
        return opening.grid_of_file(like)
    if grid is None or grid.startswith("degrees"):
        return grid
    return parse_grid(grid)


def _parts(
    requests: Sequence[tuple[str, Sequence[str] | None]],
    recipe: Recipe,
    level: float | None,
    member: int | None,
) -> list[FileMetadata]:
    """Returns the metadata of all files, with channels under the names that requests give them.

    Args:
        requests: Paths or patterns, each with the names of its variables or None.
        recipe: Its variables are read from files without names, and spectral coefficients are
            synthesised on its grid.
        level, member: See :func:`convert`.
    """
    # Spectral coefficients can only be synthesised on a global grid.
    synthesis = recipe.grid if isinstance(recipe.grid, Grid) and recipe.grid.is_global else None
    choices = {"level": level, "member": member, "grid": synthesis}
    if all(names is None for _, names in requests):
        found = [file for path, _ in requests for file in opening.expand(path)]
        parts = opening.open_parts(list(dict.fromkeys(found)), recipe.wanted, **choices)
    else:
        parts = [part for request in requests for part in _request_parts(*request, choices)]
    opening.check_choices(parts, level=level, member=member)
    return parts


def _request_parts(
    path: str, names: Sequence[str] | None, choices: Mapping[str, Any]
) -> list[FileMetadata]:
    """Returns the metadata of the files of one request, ``FILE:NAMES``."""
    if names is None:
        return opening.open_parts(opening.expand(path), **choices)
    if not names:
        raise InputError(f"{path}: name the variables to read after the colon, FILE:NAMES.")
    named = _named(names, (), option=f"{path}:")
    new = {variable: name for name, variable in named.items()}
    return [
        dataclasses.replace(part, channels=tuple(new[channel] for channel in part.channels))
        for part in opening.open_parts(opening.expand(path), list(new), **choices)
    ]


def _units(texts: Sequence[str]) -> dict[str, str]:
    """Parses texts ``NAME=UNITS`` into units by channel."""
    found = dict(text.partition("=")[::2] for text in texts)
    for name, unit in found.items():
        if not name.strip() or not unit.strip():
            raise InputError(f"--units {','.join(texts)} is not of the form NAME=UNITS.")
    return {name.strip(): unit.strip() for name, unit in found.items()}


def _named(
    variables: Sequence[str] | None, taken: Sequence[str], option: str = "--variables "
) -> dict[str, str] | None:
    """Parses ``NAME`` or ``NAME=VARIABLE`` into variables by the name of their channel.

    Args:
        variables: The texts; None for all variables.
        taken: Names of other channels.
        option: Name of the option, for messages.

    Raises:
        InputError: A name is empty, repeated or taken.
    """
    if variables is None:
        return None
    named: dict[str, str] = {}
    for text in variables:
        name, _, variable = text.rpartition("=")
        name = name or variable
        if name in named or name in taken or not variable:
            raise InputError(
                f"{option}{','.join(variables)}: give each channel a different name, NAME or "
                "NAME=VARIABLE."
            )
        named[name] = variable
    return named


def _listed(texts: list[str]) -> Any:
    """Returns a list to record with the output; for a long list its count, ends and a digest."""
    if len(texts) <= LISTED:
        return texts
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    return {"count": len(texts), "first": texts[0], "last": texts[-1], "digest": digest}


def _report(output: str | os.PathLike, channels: Sequence[str], grid: str, time: TimeAxis) -> None:
    """Prints the output's channels, times and grid, with gaps and repeated times."""
    progress.say(
        f"{output}: {', '.join(channels)}; {len(time)} field{'s' * (len(time) > 1)}, "
        f"{time.step_text}, "
        f"{time.format(0)} to {time.format(-1)}; {grid}."
    )
    for line in irregularities(time):
        progress.say(f"Note: {line}.")


def irregularities(time: TimeAxis, most: int = 5) -> list[str]:
    """Returns a clause on gaps and one on repeated times; an empty list if there are none.

    Args:
        time: The times.
        most: Number of gaps and of times to name.
    """
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
            f"({', '.join(names[:most])}{' …' if len(names) > most else ''}): no pairs of fields "
            "are drawn at these times"
        )
    return lines
