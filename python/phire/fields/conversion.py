"""Conversion of NetCDF, Zarr and GRIB to a field store: selection, wind to vorticity, writing."""

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
from phire.fields.collection import Part
from phire.fields.deaccumulation import RateSource, parse_deaccumulation
from phire.fields.grid import Grid
from phire.fields.grid_specification import parse_grid
from phire.fields.selection import DERIVED, RegionSource
from phire.fields.source import close
from phire.fields.source_writing import (
    already_made,
    map_names_taken,
    write_source,
)
from phire.fields.static_maps import maps_on_grid
from phire.fields.stored_cells import stored_cells
from phire.fields.time import TimeAxis

LISTED = 100
"""Up to so many sources are kept by name with the output; of more, a digest."""


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

    Rows are written from north to south, longitudes ascending, fields in the order of time; missing
    values are NaN. Memory does not grow with the number of fields. Channels that lie in different
    files on different grids or at different times are brought together at the times that all of
    them have. Wind is transformed on its own grid; then come rates, units, aggregation in time,
    regridding, and the region. Static maps of field stores go with their fields.

    Args:
        sources: Files or patterns, one per year, per variable, per day or all at once; each may
            end with ``:NAMES``, the variables to take of it (``NAME=VARIABLE`` renames).
        output: The store to make (.h5); with the suffix .nc or .zarr, NetCDF or Zarr.
        variables: Names of variables, a channel each, in this order; ``NAME=VARIABLE`` gives the
            channel another name (ERA5's ``divergence=d,vorticity=vo``). By default all (with
            ``wind``: none beside the wind).
        wind: Names of eastward and northward wind: the channels divergence and vorticity are made
            of it, spectrally on global grids, by differences on others; they come first.
        turn_wind: Channels of wind along a grid's x and y axes, to turn to the east and north.
        level: The level to read, where variables have several.
        member: The number of the ensemble's member to read, where variables have several.
        time: Half-open range START,STOP; of aggregated fields the periods that begin in it.
        region: (north, west, south, east), degrees.
        like: A file whose grid to bring all channels to.
        grid: The grid in words instead; see :func:`phire.fields.grid_specification.target_grid`.
            Spherical-harmonic coefficients are synthesised on it: ``gaussian:320``.
        method: Of regridding, one of :data:`phire.fields.regridding.METHODS`.
        least_valid: Least share of the weights, 0 to 1, on valid values.
        weights: A file (``.npz``) to read the weights of regridding from, or to write them to where
            it does not exist; a folder for several grids. It changes no result.
        every: Periods and statistics; see :meth:`phire.fields.aggregation.Aggregation.parse`.
        offset: The periods' start after 00 UTC, such as ``6h``.
        interval_end: Channels whose times end the interval that a field stands for.
        deaccumulate: Channels that accumulate, to become rates; see
            :func:`phire.fields.deaccumulation.parse_deaccumulation`.
        units: ``NAME=UNITS`` of channels to convert.
        static: ``FILE:NAMES`` of static maps, to be brought to the output's grid and kept with it.
        static_derived: Further static maps; see :func:`phire.fields.static_maps.maps_on_grid`.
        overwrite: Replace an output that is there.

    Raises:
        InputError: What is asked for is not there, files do not fit one another, or the output was
            made by something else.
    """
    given = {name: value for name, value in locals().items() if name not in ("sources", "output")}
    requests = [opening.split_names(source) for source in _as_list(sources)]
    options = _recorded(requests, output, given)
    if already_made(output, options, overwrite):
        return
    recipe = _recipe(given)
    parts = _parts(requests, recipe, level, member)
    with contextlib.ExitStack() as stack:
        made, notes, rates = assemble(parts, recipe)
        stack.callback(close, made)
        if region is not None:
            made = RegionSource(made, region)
        times = made.time.select_range(time)
        paths = [path for text, _ in requests for path in opening.expand(text)]
        maps = maps_on_grid(
            static, static_derived, made.grid, method=method, least_valid=least_valid,
            stores=paths,
            taken=map_names_taken(output, made),
        )  # fmt: skip
        unusable = write_source(
            made,
            output,
            options=options,
            times=times,
            overwrite=overwrite,
            description="converting",
            static=maps,
            cells=_cells(recipe, rates, paths, made.channels, made.time[times]),
        )
        notes += [line for source in rates for line in source.notes()]
        for line in notes:
            progress.say(f"Note: {line}.")
        _report(output, made.channels, made.grid.describe(), made.time[times])
        for line in unusable.notes():
            progress.say(f"Note: {line}.")


def _cells(
    recipe: Recipe,
    rates: Sequence[RateSource],
    paths: Sequence[Path],
    channels: Sequence[str],
    time: TimeAxis,
) -> TimeCells | None:
    """Periods and statistics of the output: its own, or those that its one store states."""
    if recipe.aggregation is not None:
        return TimeCells.of(recipe.aggregation, channels, time)
    if recipe.rates:
        return TimeCells.of_rates(rates, channels, time)
    if recipe.wind:
        return None
    names = [(recipe.variables or {}).get(channel, channel) for channel in channels]
    return stored_cells(paths, names, time)


def _recipe(given: Mapping[str, Any]) -> Recipe:
    """The steps that the arguments of :func:`convert` ask for."""
    every, offset, wind = given["every"], given["offset"], given["wind"]
    if offset is not None and every is None:
        raise InputError(f"--offset {offset} shifts the periods of --every: give both.")
    variables = _named(given["variables"], DERIVED if wind else ())
    turn_wind = _wind(given["turn_wind"], "--turn-wind")
    if wind is not None and set(turn_wind or ()) - set(variables or ()):
        raise InputError(
            f"--turn-wind {','.join(turn_wind)}: --wind turns components along the grid's axes "
            "itself and leaves none beside its vorticity: leave --turn-wind out, or name the "
            "components in --variables too."
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
"""Options that every output records; of others those that are not at their defaults."""

DEFAULTS = {"method": "conservative", "least_valid": 0.5, "overwrite": False}


def _recorded(
    requests: Sequence[tuple[str, Sequence[str] | None]],
    output: str | os.PathLike,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the options that an output is made by, to be recorded with it.

    Raises:
        InputError: A source is missing, or is the output itself.
    """
    found = [path for text, _ in requests for path in opening.expand(text)]
    like = given["like"]
    for path in found if like is None else (*found, Path(like)):
        if os.path.lexists(output) and os.path.exists(path) and os.path.samefile(path, output):
            raise InputError(f"{output} is a source itself: name another output.")
    options: dict[str, Any] = {
        "sources": _listed([str(path.resolve()) for path in found]),
        "fingerprints": _listed([provenance.fingerprint(path) for path in found]),
    }
    for name, value in given.items():
        is_default = value is None or value == () or value == DEFAULTS.get(name)
        if name in RECORDED or not is_default:
            options[name] = list(value) if isinstance(value, tuple) and name != "time" else value
    for name in ("overwrite", "weights"):  # neither changes the result
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
    if wind is not None and (len(wind) != 2 or wind[0] == wind[1]):
        raise InputError(f"{option} {','.join(wind)}: name eastward and northward wind, U,V.")
    return None if wind is None else (wind[0], wind[1])


def _target(like: str | os.PathLike | None, grid: str | None) -> Grid | str | None:
    """Returns the target grid: of a file, of a kind that needs no source, or as text."""
    if like is not None and grid is not None:
        raise InputError("name the grid wanted by --like FILE or by --grid SPEC, one of them.")
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
) -> list[Part]:
    """The metadata of all files; channels that a request renames have their new names."""
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
) -> list[Part]:
    """The metadata of the files of ``FILE:NAMES``."""
    if names is None:
        return opening.open_parts(opening.expand(path), **choices)
    if not names:
        raise InputError(f"{path}: name the variables to take after the colon, FILE:NAMES.")
    named = _named(names, (), option=f"{path}:")
    new = {variable: name for name, variable in named.items()}
    return [
        dataclasses.replace(part, channels=tuple(new[channel] for channel in part.channels))
        for part in opening.open_parts(opening.expand(path), list(new), **choices)
    ]


def _units(texts: Sequence[str]) -> dict[str, str]:
    """Units to convert channels to, of texts ``NAME=UNITS``."""
    found = dict(text.partition("=")[::2] for text in texts)
    for name, unit in found.items():
        if not name.strip() or not unit.strip():
            raise InputError(f"--units {','.join(texts)} is not of the form NAME=UNITS.")
    return {name.strip(): unit.strip() for name, unit in found.items()}


def _named(
    variables: Sequence[str] | None, taken: Sequence[str], option: str = "--variables "
) -> dict[str, str] | None:
    """Returns variables by the names of their channels; ``taken`` are names of other channels."""
    if variables is None:
        return None
    named: dict[str, str] = {}
    for text in variables:
        name, _, variable = text.rpartition("=")
        name = name or variable
        if name in named or name in taken or not variable:
            raise InputError(
                f"{option}{','.join(variables)}: give each channel a name of its own, NAME or "
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
    """Reports the output, with gaps and repeated times."""
    progress.say(
        f"{output}: {', '.join(channels)}; {len(time)} field{'s' * (len(time) > 1)}, "
        f"{time.step_text}, "
        f"{time.format(0)} to {time.format(-1)}; {grid}."
    )
    for line in irregularities(time):
        progress.say(f"Note: {line}.")


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
