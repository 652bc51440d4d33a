"""Assembly of an output's channels from groups of files.

The channels of one grid and the same times form a group. Each group is renamed, converted to rates
and units, aggregated and regridded; then the groups are merged.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from phire import progress, value_text
from phire.errors import InputError
from phire.fields.aggregation import AggregatedSource, Aggregation
from phire.fields.collection import CollectedSource, FileMetadata
from phire.fields.deaccumulation import RateSource
from phire.fields.grid import Grid
from phire.fields.grid_specification import target_grid
from phire.fields.longitudes import TurnedSource, shared_columns
from phire.fields.merging import MergedSource, collect_groups, in_order
from phire.fields.regridding import RegriddedSource, note_outside
from phire.fields.selection import (
    DERIVED,
    ChannelSelection,
    ConvertedUnits,
    EastwardWind,
    WindSource,
    unturned_note,
)
from phire.fields.source import Source


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Steps from the variables of files to the channels of an output, applied in this order.

    Attributes:
        variables: Names of variables by the new name of their channel; None reads all.
        wind: Names of eastward and northward wind, from which divergence and vorticity are
            derived; None derives neither.
        turn_wind: Channels of wind along x and y, which are rotated to east and north.
        rates: Accumulating channels, which become rates, with the interval (s) at which each
            accumulation restarts; see :class:`phire.fields.deaccumulation.RateSource`.
        units: New units by channel.
        aggregation: Periods and statistics; None keeps the time step.
        interval_end: Channels whose times are the end of their field's interval.
        grid: Grid of the output, or its name; see
            :func:`phire.fields.grid_specification.target_grid`. None keeps the input grid.
        method: Method of regridding; see :class:`phire.fields.regridding.Regridder`.
        least_valid: Share of a target point's weights, 0 to 1, that must lie on valid values;
            below it the point is missing.
        weights: File or folder with regridding weights; see
            :func:`phire.fields.regridding_weights.stored_weights`.
    """

    variables: Mapping[str, str] | None = None
    wind: tuple[str, str] | None = None
    turn_wind: tuple[str, str] | None = None
    rates: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aggregation: Aggregation | None = None
    interval_end: Sequence[str] = ()
    grid: Grid | str | None = None
    method: str = "conservative"
    least_valid: float = 0.5
    weights: str | os.PathLike | None = None

    @property
    def wanted(self) -> list[str] | None:
        """Names of the variables to read, with the wind first; None for all."""
        wanted = None if self.variables is None else list(self.variables.values())
        if self.wind is not None:
            wanted = list(dict.fromkeys((*self.wind, *(wanted or ()))))
        return wanted


def assemble(
    parts: Sequence[FileMetadata], recipe: Recipe
) -> tuple[Source, list[str], list[RateSource]]:
    """Combines the channels of files on one grid, at the times that all of them have.

    Args:
        parts: The files.
        recipe: Steps applied to each group of channels with one grid and the same times.

    Returns:
        The combined source, which closes its files; one sentence for each kind of field that was
        left out; and the sources of the rates.

    Raises:
        InputError: A step is not possible, a named channel does not exist, or the groups have no
            common time.
    """
    groups = collect_groups(parts, recipe.wanted)
    _check_wind(groups, recipe.wind)
    notes: list[str] = []
    rates: list[RateSource] = []
    sources, names = [], []
    target = recipe.grid
    for group in groups:
        name = _name(group)
        if isinstance(target, str):  # depends on the extent of the first group, then fixed for all
            target = target_grid(target, group.grid)
        source = _with_steps(group, recipe, name, notes, rates)
        if target is not None and not source.grid.equals(target):
            if shared_columns(source.grid, target) is not None:
                source = TurnedSource(source, target)
            else:
                source = _regridded(source, target, recipe, name)
        sources.append(source)
        names.append(name)
    merged = MergedSource(sources, names)
    _check_names(merged.channels, recipe)
    notes += merged.notes()
    return in_order(merged, _channel_order(merged.channels, recipe)), notes, rates


def _with_steps(
    group: CollectedSource, recipe: Recipe, name: str, notes: list[str], found: list[RateSource]
) -> Source:
    """Returns a group of channels after all steps of the recipe except regridding.

    Args:
        group: The group.
        recipe: The steps.
        name: Name of the group in messages.
        notes: List to which sentences on fields left out are appended.
        found: List to which the source of rates is appended.
    """
    source: Source = group
    named = recipe.variables
    if named is not None:
        named = {new: old for new, old in named.items() if old in group.channels}
    if recipe.wind is not None and recipe.wind[0] in group.channels:
        source = WindSource(group, tuple(recipe.wind), further=list((named or {}).values()))
        if not group.grid.is_sphere:
            progress.say(
                "The grid is not global: divergence and vorticity are computed by finite "
                "differences."
            )
        names = (*DERIVED, *(named or {}))
        source = ChannelSelection(source, source.channels, names=names)
    elif named is not None:
        source = ChannelSelection(source, list(named.values()), names=list(named))
    # Before regridding: afterwards the axes of the components are lost.
    if recipe.turn_wind is not None and set(recipe.turn_wind) & set(source.channels):
        source = EastwardWind(source, recipe.turn_wind)
    if recipe.grid is not None and unturned_note(source, name):
        notes.append(unturned_note(source, name))
    rates = {c: reset for c, reset in recipe.rates.items() if c in source.channels}
    if rates:
        source = RateSource(source, rates, name=name)
        found.append(source)
        if source.left_out:
            verb = "is" if source.left_out == 1 else "are"
            count = value_text.counted(source.left_out, "field")
            notes.append(f"{count} of {name} {verb} left out: no interval ends at their time")
    converted = {c: unit for c, unit in recipe.units.items() if c in source.channels}
    if converted:
        source = ConvertedUnits(source, converted, name=name)
    if recipe.aggregation is not None:
        _check_sums(recipe.aggregation, rates)
        ends = (*recipe.interval_end, *rates)  # a rate holds for the interval before its time
        source = AggregatedSource(source, recipe.aggregation, interval_end=ends, name=name)
        if source.note():
            notes.append(f"of {name}, {source.note()}")
    return source


def _regridded(source: Source, target: Grid, recipe: Recipe, name: str) -> Source:
    try:
        regridded = RegriddedSource(
            source, target, recipe.method, least_valid=recipe.least_valid, weights=recipe.weights
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    note_outside(regridded.regridder)
    return regridded


def _check_wind(groups: Sequence[CollectedSource], wind: Sequence[str] | None) -> None:
    """Raises InputError if a group has only one of the two components of the wind."""
    for group in groups if wind is not None else ():
        if (wind[0] in group.channels) != (wind[1] in group.channels):
            raise InputError(
                f"--wind {','.join(wind)}: both components must have one grid and the same times, "
                f"but {_name(group)} has only one of them."
            )


def _check_sums(aggregation: Aggregation, rates: Iterable[str]) -> None:
    """Raises InputError if rates are to be summed: the unit of the sum would be wrong."""
    for channel in rates:
        if aggregation.statistic_of(channel) == "sum":
            raise InputError(
                f"--every {aggregation.period}:sum: {channel} is a rate after --deaccumulate, and "
                f"sums are for amounts: take its mean ({channel}=mean)."
            )


def _check_names(channels: Sequence[str], recipe: Recipe) -> None:
    """Raises InputError if two channels have one name, or an option names an unknown channel."""
    repeated = [channel for channel in channels if list(channels).count(channel) > 1]
    if repeated:
        raise InputError(f"two channels are called {repeated[0]}: rename one, NAME={repeated[0]}.")
    named = {
        "--turn-wind": recipe.turn_wind or (),
        "--deaccumulate": recipe.rates,
        "--units": recipe.units,
        "--every": recipe.aggregation.channels if recipe.aggregation else (),
        "--interval-end": recipe.interval_end,
    }
    for option, names in named.items():
        for name in names:
            if name not in channels:
                raise InputError(
                    f"{option} {name} is not a channel; the channels are {', '.join(channels)}."
                )


def _channel_order(channels: Sequence[str], recipe: Recipe) -> list[str]:
    """Returns channel names in output order: divergence, vorticity, the recipe's, then others."""
    first = list(DERIVED) if recipe.wind is not None else []
    order = [*first, *(recipe.variables or ())]
    return [*order, *(channel for channel in channels if channel not in order)]


def _name(group: CollectedSource) -> str:
    """Returns the name of a group in messages: its first file, and the number of files."""
    first = group.parts[0].name
    return first if len(group.parts) == 1 else f"{first} … ({len(group.parts)} files)"
